"""A mail server on loopback: prints its port, then each message that it took, as JSON lines.

It ends with its standard input. Settings come as a JSON object in the first argument: `password` asks for a login as
`mirror`, `certificate` and `key` for STARTTLS, `refusals` is how many messages are put off first.
"""

import asyncio
import email
import email.policy
import json
import os
import ssl
import sys
import threading

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

settings = json.loads(sys.argv[1])
password = settings.get("password")


class Taken:
    refusals = settings.get("refusals", 0)

    async def handle_DATA(self, server, session, envelope):
        if Taken.refusals > 0:
            Taken.refusals -= 1
            return "451 4.3.0 come again later"
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        line = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "id": message["Message-ID"],
            "subject": message["Subject"],
            "text": message.get_content(),
            "encrypted": session.ssl is not None,
            "login": bool(session.authenticated),
        }
        print(json.dumps(line), flush=True)
        return "250 2.0.0 taken"


def authenticate(server, session, envelope, mechanism, data):
    known = LoginPassword(b"mirror", (password or "").encode())
    return AuthResult(success=password is not None and data == known)


def make():
    context = None
    if "certificate" in settings:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(settings["certificate"], settings["key"])
    return SMTP(
        Taken(),
        hostname="localhost",
        tls_context=context,
        require_starttls=context is not None,
        auth_required=password is not None,
        auth_require_tls=context is not None,
        authenticator=authenticate,
    )


async def serve():
    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await server.serve_forever()


def end_with_input():
    sys.stdin.read()
    os._exit(0)


threading.Thread(target=end_with_input, daemon=True).start()
asyncio.run(serve())
