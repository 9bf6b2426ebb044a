//! E-mail by the operator's mail server.

use super::{channel::ChannelError, message::Message};
use crate::{
    config::{SmtpConfig, SmtpSecurity},
    files,
};
use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport, Tokio1Executor,
    message::{Mailbox, header::ContentType},
    transport::smtp::{
        authentication::Credentials,
        client::{Certificate, Tls, TlsParameters},
        extension::ClientId,
    },
};
use secrecy::ExposeSecret;
use std::time::Duration;

/// Domain of message ids; nothing answers there, and nothing has to.
const ID_DOMAIN: &str = "notices.kbc-mirror.invalid";

/// A message to one address.
pub(super) struct Letter<'m> {
    to: Address,
    message: &'m Message,
}

impl<'m> Letter<'m> {
    pub(super) fn new(address: &str, message: &'m Message) -> Result<Self, ChannelError> {
        let to = address.parse().map_err(|_| ChannelError::MailAddress)?;
        Ok(Self { to, message })
    }
}

/// Sends letters.
pub(super) struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Mailer {
    /// Prepares the way to the mail server; nothing is connected yet.
    pub(super) fn open(config: &SmtpConfig, timeout: Duration) -> Result<Self, ChannelError> {
        let settings = |problem: &str| ChannelError::MailSettings {
            problem: problem.to_owned(),
        };
        let tls = || -> Result<TlsParameters, ChannelError> {
            let mut builder = TlsParameters::builder(config.host.clone());
            if let Some(path) = &config.certificates {
                let pem = files::read(path, files::CERTIFICATES_BYTES_MAX)
                    .map_err(|_| settings("`certificates` cannot be read"))?;
                let certificate =
                    Certificate::from_pem(&pem).map_err(|_| settings("`certificates` is no PEM file"))?;
                builder = builder.add_root_certificate(certificate);
            }
            builder.build_rustls().map_err(|_| settings("TLS cannot start"))
        };
        let tls = match config.security {
            SmtpSecurity::StartTls => Tls::Required(tls()?),
            SmtpSecurity::Tls => Tls::Wrapper(tls()?),
            SmtpSecurity::Plain => Tls::None,
        };
        let from = config
            .from
            .parse()
            .map_err(|_| settings("`from` is no address"))?;
        // Its own name is nobody's business, and mail servers take an address literal.
        let hello = ClientId::Ipv4([127, 0, 0, 1].into());
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&config.host)
            .port(config.port)
            .hello_name(hello)
            .tls(tls)
            .timeout(Some(timeout));
        if let Some((user, password)) = &config.login {
            let password = password.read()?.expose_secret().to_owned();
            builder = builder.credentials(Credentials::new(user.clone(), password));
        }
        Ok(Self {
            transport: builder.build(),
            from: Mailbox::new(Some("kbc-mirror".to_owned()), from),
        })
    }

    pub(super) async fn send(&self, letter: &Letter<'_>) -> Result<(), ChannelError> {
        let Letter { to, message } = letter;
        let mail = lettre::Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to.clone()))
            // The same each time it is sent, so that mail programs show it once.
            .message_id(Some(format!("<{}@{ID_DOMAIN}>", message.id)))
            .subject(message.subject())
            .header(ContentType::TEXT_PLAIN)
            .body(message.text())
            .map_err(|_| ChannelError::MailAddress)?;
        match self.transport.send(mail).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_permanent() || error.is_transient() => Err(ChannelError::MailRefused {
                code: error.status().map(u16::from),
            }),
            Err(error) => Err(ChannelError::MailUnreachable {
                problem: crate::app::chain(&error),
            }),
        }
    }
}
