//! Passwords without a name: arguments of known calls and flags of known programs, and the secret beside an AWS key id.

use crate::alphabet::{ALNUM, DASH, DOT, PLUS_SLASH, TOKEN, WORD, variety};
use crate::keys::Strength;
use crate::shape::{self, Join};

/// What the literal at a place of a call's arguments is, the first of which is 1. Starts are looked for in any case.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) start: &'static str,
    pub(crate) place: usize,
    pub(crate) strength: Strength,
    pub(crate) join: Join,
}

const fn password(start: &'static str, place: usize) -> Call {
    Call {
        start,
        place,
        strength: Strength::Password,
        join: Join::Quoted,
    }
}

/// It may be something else: a name of a database, a port.
const fn likely_password(start: &'static str, place: usize) -> Call {
    Call {
        join: Join::Listed,
        ..password(start, place)
    }
}

const fn key(start: &'static str, place: usize) -> Call {
    Call {
        strength: Strength::Secret,
        ..password(start, place)
    }
}

pub(crate) const CALLS: &[Call] = &[
    password(".login(", 2),
    password("pymysql.connect(", 3),
    password("mysqldb.connect(", 3),
    password("mysqli_connect(", 3),
    password("mysql_connect(", 3),
    password("pymssql.connect(", 3),
    password("new mysqli(", 3),
    password("new pdo(", 3),
    password("getconnection(", 3),
    password("cx_oracle.connect(", 2),
    password("oracledb.connect(", 2),
    password("networkcredential(", 2),
    password("usernamepasswordcredential(", 2),
    password("authenticate(", 2),
    password("simple_bind_s(", 2),
    password("ftp(", 3),
    password("username_pw_set(", 2),
    password("pgp_sym_encrypt(", 2),
    password("pgp_sym_decrypt(", 2),
    password("aes_encrypt(", 2),
    password("aes_decrypt(", 2),
    likely_password("login(", 2),
    likely_password("connect(", 2),
    likely_password("connect(", 3),
    likely_password("connect(", 4),
    likely_password("client(", 3),
    likely_password("dbconnect(", 4),
    likely_password("directoryentry(", 3),
    likely_password("opendsobject(", 3),
    likely_password("req_auth_basic(", 3),
    likely_password("key_set_with_value(", 3),
    likely_password("mysql(", 5),
    likely_password("postgresql(", 5),
    likely_password("remote(", 4),
    password("openrowset(", 4),
    password("sp_addlinkedsrvlogin ", 5),
    likely_password("encrypt(", 2),
    likely_password("decrypt(", 2),
    key("jwt.decode(", 2),
    key("jwt.encode(", 2),
    key("jwt.sign(", 2),
    key("createhmac(", 2),
    key("hmac.new(", 1),
    key("fernet(", 1),
    key("aes.new(", 1),
];

/// A program whose flag takes a password.
struct Program {
    name: &'static str,
    flag: &'static str,
    /// Whether the value may follow the flag directly, and whether it may be a word of its own.
    glued: bool,
    apart: bool,
}

const fn program(name: &'static str, flag: &'static str, glued: bool, apart: bool) -> Program {
    Program {
        name,
        flag,
        glued,
        apart,
    }
}

const PROGRAMS: &[Program] = &[
    program("mysql", "-p", true, false),
    program("mysqldump", "-p", true, false),
    program("mysqladmin", "-p", true, false),
    program("mysqlimport", "-p", true, false),
    program("mysqlpump", "-p", true, false),
    program("mariadb", "-p", true, false),
    program("mariadb-dump", "-p", true, false),
    program("sshpass", "-p", true, true),
    program("login", "-p", false, true),
    program("7z", "-p", true, false),
    program("7za", "-p", true, false),
    program("beeline", "-p", false, true),
    program("mongo", "-p", true, true),
    program("mongosh", "-p", true, true),
    program("mongodump", "-p", true, true),
    program("mosquitto_pub", "-P", false, true),
    program("mosquitto_sub", "-P", false, true),
    program("zip", "-P", true, true),
    program("unzip", "-P", true, true),
    program("sqlcmd", "-P", true, true),
    program("bcp", "-P", true, true),
    program("isql", "-P", true, true),
    program("tsql", "-P", true, true),
    program("plink", "-pw", false, true),
    program("pscp", "-pw", false, true),
    program("psftp", "-pw", false, true),
    program("redis-cli", "-a", false, true),
    program("ldapsearch", "-w", false, true),
    program("ldapmodify", "-w", false, true),
    program("ldapadd", "-w", false, true),
    program("hdbsql", "-p", false, true),
    program("psexec", "-p", false, true),
    program("psexec64", "-p", false, true),
    program("psexec.exe", "-p", false, true),
    program("cqlsh", "-p", false, true),
    program("cypher-shell", "-p", false, true),
    program("rdesktop", "-p", false, true),
    program("keytool", "-storepass", false, true),
    program("keytool", "-srcstorepass", false, true),
    program("keytool", "-deststorepass", false, true),
    program("keytool", "-keypass", false, true),
    program("jarsigner", "-storepass", false, true),
    program("openssl", "-k", false, true),
];

/// How long the part of a command before its flag may be, in bytes.
const COMMAND_MAX: usize = 200;

/// Returns the value of the flag that begins behind the blank at `at`, where it belongs to a program that takes a password so.
pub(crate) fn flag_password(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let before = &text[at.saturating_sub(COMMAND_MAX)..at];
    let command = before
        .iter()
        .rposition(|&byte| ends_command(byte))
        .map_or(before, |end| &before[end + 1..]);
    let flag = &text[at + 1..];
    let words = command.split(u8::is_ascii_whitespace).map(|word| {
        let directory = word.iter().rposition(|&byte| byte == b'/');
        &word[directory.map_or(0, |slash| slash + 1)..]
    });
    let program = words
        .flat_map(|word| {
            PROGRAMS
                .iter()
                .filter(move |program| program.name.as_bytes() == word)
        })
        .find(|program| {
            let value = flag
                .strip_prefix(program.flag.as_bytes())
                .and_then(|rest| rest.first());
            value.is_some_and(|byte| {
                if *byte == b' ' {
                    program.apart
                } else {
                    program.glued
                }
            })
        })?;
    let mut start = at + 1 + program.flag.len();
    while text.get(start) == Some(&b' ') {
        start += 1;
    }
    let quote = text
        .get(start)
        .copied()
        .filter(|byte| matches!(byte, b'"' | b'\''));
    start += usize::from(quote.is_some());
    let window = &text[start..text.len().min(start + 128)];
    let end = window
        .iter()
        .position(|&byte| match quote {
            Some(quote) => byte == quote,
            None => byte.is_ascii_whitespace() || ends_command(byte) || byte == b')',
        })
        .unwrap_or(window.len());
    let value = std::str::from_utf8(&window[..end]).ok()?;
    let is_other = value.starts_with(['$', '-', '%', '<', '{']);
    (!is_other && shape::is_secret(Strength::Password, Join::Certain, "", value))
        .then_some((start, start + end))
}

/// Returns the password of a line `host:port:database:user:password`, where `:5432:` or its like is at `at`.
pub(crate) fn password_of_pgpass(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let of_fields = WORD.or(DASH).or(DOT);
    let field = |from: usize| match text.get(from) {
        Some(b'*') => from + 1,
        _ => of_fields.run(text, from, 64),
    };
    let mut start = if text[at] == b'*' {
        at + "*:*:".len()
    } else {
        at + ":5432:".len()
    };
    for _ in 0..2 {
        let end = field(start);
        if end == start || text.get(end) != Some(&b':') {
            return None;
        }
        start = end + 1;
    }
    let window = &text[start..text.len().min(start + 128)];
    let end = window
        .iter()
        .position(|&byte| byte.is_ascii_whitespace() || ends_command(byte))
        .unwrap_or(window.len());
    let value = std::str::from_utf8(&window[..end]).ok()?;
    shape::is_secret(Strength::Password, Join::Certain, "", value).then_some((start, start + end))
}

/// What stands before `user/password@…` where Oracle's programs take it.
pub(crate) const ORACLE: [&str; 8] = [
    "sqlplus ",
    "expdp ",
    "impdp ",
    "sqlldr ",
    "userid=",
    "rman target ",
    ".connect(\"",
    ".connect('",
];

/// Returns the password of `sqlplus user/password@…`.
pub(crate) fn password_of_sqlplus(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let is_here = |start: &&&str| {
        let part = text.get(at..at + start.len());
        part.is_some_and(|part| part.eq_ignore_ascii_case(start.as_bytes()))
    };
    let mut user = at + ORACLE.iter().find(is_here)?.len();
    // Flags such as `-s` and `-L`.
    while text.get(user) == Some(&b'-') {
        user += text[user..].iter().position(|&byte| byte == b' ')? + 1;
    }
    let slash = WORD.run(text, user, 64);
    if slash == user || text.get(slash) != Some(&b'/') {
        return None;
    }
    let quoted = text.get(slash + 1) == Some(&b'"');
    let start = slash + 1 + usize::from(quoted);
    let window = &text[start..text.len().min(start + 128)];
    let end = window
        .iter()
        .position(|&byte| matches!(byte, b'"' | b'\'') || byte.is_ascii_whitespace())
        .unwrap_or(window.len());
    // Behind the last of them is where to.
    let end = memchr::memrchr(b'@', &window[..end]).unwrap_or(end);
    let value = std::str::from_utf8(&window[..end]).ok()?;
    (!value.starts_with('$') && shape::is_secret(Strength::Password, Join::Certain, "", value))
        .then_some((start, start + end))
}

/// Returns the literal that PowerShell's `ConvertTo-SecureString` makes a secret of.
pub(crate) fn secure_string(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let mut start = at + "convertto-securestring ".len();
    for flag in ["-AsPlainText ", "-Force ", "-String "] {
        if text[start.min(text.len())..].starts_with(flag.as_bytes()) {
            start += flag.len();
        }
    }
    let quote = text
        .get(start)
        .copied()
        .filter(|byte| matches!(byte, b'"' | b'\''))?;
    start += 1;
    let window = &text[start..text.len().min(start + 256)];
    let end = window
        .iter()
        .position(|&byte| byte == quote || byte == b'\n')
        .filter(|&end| window[end] == quote)?;
    let value = std::str::from_utf8(&window[..end]).ok()?;
    (!value.starts_with('$') && shape::is_secret(Strength::Password, Join::Certain, "", value))
        .then_some((start, start + end))
}

/// So far behind the name of a digest its salt is looked for, in bytes.
const SALT_REACH: usize = 96;
/// Length of the shortest salt, in bytes.
const SALT_MIN: usize = 12;

/// Returns the literal that is put beside what a digest is made of: `SHA2(CONCAT(mail, '…'), 256)`.
pub(crate) fn salt_of_digest(text: &[u8], at: usize) -> Option<(usize, usize)> {
    if at > 0 && WORD.has(text[at - 1]) {
        return None;
    }
    let window = &text[at..text.len().min(at + SALT_REACH)];
    // Up to the end of the call.
    let mut open = 0_usize;
    let ends_call = |byte: &u8| match byte {
        b'(' => {
            open += 1;
            false
        }
        b')' => {
            open = open.saturating_sub(1);
            open == 0
        }
        byte => matches!(byte, b';' | b'\n'),
    };
    let window = &window[..window.iter().position(ends_call).unwrap_or(window.len())];
    let mut from = 0;
    while let Some(open) = window[from..]
        .iter()
        .position(|byte| matches!(byte, b'\'' | b'"'))
    {
        let start = from + open + 1;
        let close = memchr::memchr(window[start - 1], &window[start..])?;
        let literal = &window[start..start + close];
        if shape::is_noise(literal, SALT_MIN) && literal.iter().all(|byte| TOKEN.has(*byte)) {
            return Some((at + start, at + start + close));
        }
        from = start + close + 1;
    }
    None
}

/// Says whether the flag at `at` is of a program of Samba, which takes `user%password`.
pub(crate) fn takes_percent(text: &[u8], at: usize) -> bool {
    const PROGRAMS: [&str; 5] = ["smbclient", "rpcclient", "smbget", "smbcacls", "winexe"];
    let before = &text[at.saturating_sub(COMMAND_MAX)..at];
    let line = &before[before
        .iter()
        .rposition(|&byte| byte == b'\n')
        .map_or(0, |end| end + 1)..];
    PROGRAMS
        .iter()
        .any(|program| memchr::memmem::find(line, program.as_bytes()).is_some())
}

/// Returns the password behind the user, who is at `at`, of `net use … /user:user password`.
fn password_behind_user(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let start = at + memchr::memchr(b' ', &text[at..text.len().min(at + 80)])? + 1;
    let window = &text[start..text.len().min(start + 128)];
    let end = window
        .iter()
        .position(|byte| byte.is_ascii_whitespace() || ends_command(*byte))
        .unwrap_or(window.len());
    let value = std::str::from_utf8(&window[..end]).ok()?;
    let is_other = value.starts_with(['/', '*', '%', '$', '<', '-']);
    (!is_other && shape::is_secret(Strength::Password, Join::Certain, "", value))
        .then_some((start, start + end))
}

/// Returns the password before `/user:` in `net use X: \\\\host\\share password /user:…`.
pub(crate) fn password_of_net_use(text: &[u8], at: usize) -> Option<(usize, usize)> {
    if at == 0 || text[at - 1] != b' ' {
        return None;
    }
    let floor = at.saturating_sub(COMMAND_MAX);
    let from = memchr::memrchr(b'\n', &text[floor..at]).map_or(floor, |end| floor + end + 1);
    let end = at
        - text[from..at]
            .iter()
            .rev()
            .take_while(|&&byte| byte == b' ')
            .count();
    let start = memchr::memrchr(b' ', &text[from..end]).map(|blank| from + blank + 1)?;
    let command = text[from..start].to_ascii_lowercase();
    let value = std::str::from_utf8(&text[start..end]).ok()?;
    let value = value.trim_matches('"');
    let is_net_use = memchr::memmem::find(&command, b"net use ").is_some();
    if is_net_use && value.starts_with("\\\\") {
        return password_behind_user(text, at);
    }
    let is_use = is_net_use && memchr::memmem::find(&command, b"\\\\").is_some();
    let is_other = value.starts_with(['/', '\\', '*', '%', '$', '<']);
    let start = start + usize::from(text[start] == b'"');
    (is_use && !is_other && shape::is_secret(Strength::Password, Join::Certain, "", value))
        .then_some((start, start + value.len()))
}

fn ends_command(byte: u8) -> bool {
    matches!(
        byte,
        b'\n' | b'\r' | b';' | b'|' | b'&' | b'"' | b'\'' | b'`' | b'('
    )
}

/// How far behind a key id its secret may begin, in bytes.
const BESIDE_MAX: usize = 48;

/// Returns the secret access key that stands near the end of a key id: 40 characters of base64 alone.
pub(crate) fn aws_secret_beside(text: &[u8], id_end: usize) -> Option<(usize, usize)> {
    let of_key = ALNUM.or(PLUS_SLASH);
    let mut at = id_end;
    while at < text.len().min(id_end + BESIDE_MAX) {
        let end = of_key.run(text, at, 41);
        if end - at == 40 && is_noise(&text[at..end]) {
            return Some((at, end));
        }
        at = end.max(at + 1);
    }
    None
}

fn is_noise(key: &[u8]) -> bool {
    let has = |kind: fn(&u8) -> bool| key.iter().any(kind);
    variety(key) >= 18
        && has(u8::is_ascii_digit)
        && has(u8::is_ascii_lowercase)
        && has(u8::is_ascii_uppercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_flag(text: &str, expected: Option<&str>) {
        let found = text
            .match_indices(" -")
            .find_map(|(at, _)| flag_password(text.as_bytes(), at));
        assert_eq!(found.map(|(start, end)| &text[start..end]), expected, "{text}");
    }

    #[test]
    fn flags_of_programs_that_take_a_password() {
        check_flag("mysql -u root -pKoren77 shop", Some("Koren77"));
        check_flag("/usr/bin/mysqldump -uroot -p'Koren 77' shop", Some("Koren 77"));
        check_flag("sshpass -p Koren77 ssh x@y", Some("Koren77"));
        check_flag("docker login -u etl -p Koren77 acme.example", Some("Koren77"));
        check_flag("sqlcmd -S h -U sa -P \"Koren77\" -i x.sql", Some("Koren77"));
        check_flag("x && redis-cli -h h -a Koren77 ping", Some("Koren77"));
        check_flag("plink -pw Koren77 host", Some("Koren77"));
        check_flag(
            "hdbsql -n h:30015 -u SYSTEM -p Koren77 \"select 1\"",
            Some("Koren77"),
        );
        check_flag(
            "keytool -import -keystore ks.jks -storepass Koren77",
            Some("Koren77"),
        );
        check_flag("openssl enc -aes-256-cbc -k Koren77 -in a", Some("Koren77"));
        for text in [
            "mysql -u root -p shop",
            "mysql -P 3306 -h h",
            "mysql -p$PASSWORD shop",
            "docker run -p 8080:80 x",
            "ssh -p 2222 host",
            "mkdir -p /a/b",
            "echo mysql; tool -p Koren77",
            "docker login -p {{ token }}",
            "curl -k https://acme.example",
            "openssl enc -k $KEY -in a",
        ] {
            check_flag(text, None);
        }
    }

    #[test]
    fn users_and_passwords_of_oracle() {
        for (text, expected) in [
            ("sqlplus -s etl/Koren77@db01 @x.sql", Some("Koren77")),
            ("expdp system/Koren77 schemas=DWH", Some("Koren77")),
            ("sqlldr userid=etl/Koren77@ORCL control=c.ctl", Some("Koren77")),
            ("rman target sys/Koren77@ORCL", Some("Koren77")),
            ("cx_Oracle.connect(\"etl/Koren77@db01/ORCL\")", Some("Koren77")),
            ("sqlplus etl/$PASSWORD@db01", None),
            ("sqlplus / as sysdba", None),
            ("expdp parfile=export.par", None),
        ] {
            let found = ORACLE
                .iter()
                .flat_map(|start| text.match_indices(start))
                .find_map(|(at, _)| password_of_sqlplus(text.as_bytes(), at));
            assert_eq!(found.map(|(start, end)| &text[start..end]), expected, "{text}");
        }
    }

    #[test]
    fn salts_of_digests() {
        for (text, expected) in [
            (
                "sha2(CONCAT(mail, 'IP56qOVxuqAMiq5HA6Ul'), 256)",
                Some("IP56qOVxuqAMiq5HA6Ul"),
            ),
            ("md5(\"mail\" || 'nEuV7UwdXOl3tuvC')", Some("nEuV7UwdXOl3tuvC")),
            ("md5(CONCAT(a, '-', \"customer_id_2026\", '|'))", None),
            ("sha2(mail, 256); SELECT 'IP56qOVxuqAMiq5HA6Ul'", None),
        ] {
            let found = salt_of_digest(text.as_bytes(), 0);
            assert_eq!(found.map(|(start, end)| &text[start..end]), expected, "{text}");
        }
    }

    #[test]
    fn a_secret_key_beside_its_id_needs_no_name() {
        let id = ["AK", "IAQYLPMN5HHHFPZAM2"].concat();
        let secret = "q8Zr1vT0pLkXwB7sYd3nHf6JmC2aEoGu9iRxQ4Kt";
        let end = id.len();
        for joint in [":", ", ", "\", \"", " | ", ";"] {
            let text = [&id, joint, secret].concat();
            let found = aws_secret_beside(text.as_bytes(), end);
            assert_eq!(found, Some((end + joint.len(), text.len())), "{text}");
        }
        let digest = "22cb987851bc5659b29114c62e60c79abd0d2c08";
        for text in [[&id, " ", digest].concat(), [&id, ":", secret, "x"].concat()] {
            assert_eq!(aws_secret_beside(text.as_bytes(), end), None, "{text}");
        }
    }
}
