//! The words that names of secrets are made of, and those that make them names of something else.

use super::Strength;

/// Substrings that wake the scorer, in lower case; every name that [`strength`] knows has one.
#[rustfmt::skip]
pub(crate) const KEYWORDS: &[&str] = &[
    "pass", "pwd", "psw", "pswd", "secret", "token", "key", "heslo", "hesla", "heslem", "credential",
    "creds", "auth", "access", "private", "kennwort", "contrase", "jwt", "passphrase", "identified by", "identified with",
    "_pat", "_pw", "senha", "wachtwoord", "hasło", "haslo", "jelszó", "jelszo", "lösenord", "parola",
    "sonar.login", "sonar_login", "sonarlogin", "bearer", "psk", "klic", "klíč", "tajemstv", "api_hash",
    "apihash", "pw=", "pw:", "pw ", "pw\"", "pw'", "/pw", "(pw", "<pw>", "cred=", "cred:", "cred\"", "cred'", "hmac",
    "mnemonic", "phrase", "api:", "api=", "api\"", "api'", "session'", "session\"", "cookie", "sessionid", "session_id", "session-id", "?sid=", "&sid=", "?license=", "&license=", "lave=", "lave:", "lave\"",
    "asana", "_salt'", "salt\"", "pepper\"", "seed\"", "totp", "_salt", "pwrd", "adgangskode", "lozinka", "klucz", "sifra", "ístup:", "ístupy:", "údaje:", "udaje:", "hlášení:", "hlaseni:",
    "klÍČ", "kľúč", "kluc", "chlüssel", "chluessel", "tok\"", "tok'", "tok=", "tok:", "tkn", "recovery", "backup_code", "backupcode", "activation_code", "activationcode",
];

/// Names of what people make up.
#[rustfmt::skip]
pub(crate) const PASSWORDS: &[&str] = &[
    "password", "passwords", "passwd", "pwd", "pass", "passphrase", "passcode", "pswd", "psw", "pw",
    "passw", "rootpw", "motdepasse", "contrasena", "salasana", "passe", "heslo", "hesla", "heslem", "kennwort", "passwort", "contraseña", "userpass", "dbpass", "sshpass",
    "mypass", "pwrd", "adgangskode", "lozinka", "senha", "wachtwoord", "hasło", "haslo", "jelszó", "jelszo", "lösenord", "parola",
];

/// The same at the end of a word, as in `mysqlpassword`.
#[rustfmt::skip]
pub(crate) const PASSWORD_ENDS: &[&str] = &[
    "password", "passwd", "passphrase", "heslo", "pwd",
];

/// Names of what machines make up.
#[rustfmt::skip]
pub(crate) const SECRETS: &[&str] = &[
    "secret", "secrets", "token", "tokens", "apikey", "apikeys", "accesskey", "secretkey", "privatekey",
    "credential", "credentials", "creds", "jwt", "pat", "passkey", "authkey", "apitoken", "bearer",
    "masterkey", "signingkey", "encryptionkey", "appkey", "sharedkey", "accountkey", "psk",
    "presharedkey", "tajemstvi", "tajemství", "tokenem", "tokenu", "tok", "tkn",
];

/// The same at the end of a word.
#[rustfmt::skip]
pub(crate) const SECRET_ENDS: &[&str] = &[
    "secret", "token", "apikey", "accesskey", "secretkey", "privatekey", "authkey",
];

/// Names that are looked for as a whole only: part of others, they say nothing.
#[rustfmt::skip]
pub(crate) const WHOLE: &[(&str, Strength)] = &[
    ("pw", Strength::Password), ("rootpw", Strength::Password), ("pat", Strength::Weak), ("sas", Strength::Weak), ("cred", Strength::Weak), ("clave", Strength::Weak), ("api", Strength::Weak),
];

/// Names of what may be either: the value has to look random.
#[rustfmt::skip]
pub(crate) const WEAK: &[&str] = &[
    "auth", "authorization", "authentication", "access", "private", "sonarlogin", "apihash", "klic", "klíč", "klíčem", "klicem", "klíče", "klice", "klÍČ", "klÍČe", "kľúč", "kluc", "kľúče", "schlüssel", "schluessel", "klucz", "sifra", "salt", "pepper", "seed", "totp", "cred", "hmac", "sas",
    "cookie", "sessionid", "session", "sid", "clave", "license", "api",
];

/// Words after the head that leave it a secret: `API_KEY_PROD`, `password2`, `token_value`.
#[rustfmt::skip]
pub(crate) const NEUTRAL_TAILS: &[&str] = &[
    "value", "val", "text", "plain", "plaintext", "string", "str", "raw", "prod", "production", "dev",
    "test", "testing", "live", "stage", "staging", "qa", "uat", "old", "new", "current", "default",
    "env", "var", "b64", "base64", "encoded", "decoded", "primary", "secondary", "backup", "main",
    "sandbox", "eu", "us", "v", "x", "word", "db", "dwh", "ftp", "sftp", "smtp", "ssh",
];

/// Words after the head that make the name one of something about the secret, sorted.
#[rustfmt::skip]
pub(crate) const ABOUT: &[&str] = &[
    "action", "address", "age", "alg", "algo", "algorithm", "algorithms", "alias", "amount", "and", "arg", "args", "arn",
    "array", "at", "audience", "auth", "authentication", "balance", "based", "begin", "bucket", "buffer", "button", "by",
    "bytes", "callback", "category", "cert", "certificate", "change", "changed", "char", "character", "characters", "chars",
    "charset", "check", "checker", "checks", "checksum", "cipher", "claim", "claims", "class", "code", "codes", "col",
    "color", "column", "columns", "config", "configuration", "contract", "cost", "count", "counter", "country", "counts",
    "created", "currency", "date", "desc", "description", "dialog", "dict", "digest", "dir", "disabled", "domain",
    "duration", "email", "embedding", "embeddings", "enabled", "encoder", "encoding", "end", "endpoint", "error", "errors",
    "event", "events", "exp", "expiration", "expire", "expired", "expires", "expiry", "factory", "field", "fields", "file",
    "filename", "files", "fingerprint", "fn", "folder", "for", "form", "format", "formats", "free", "from", "func",
    "function", "generate", "generator", "grant", "grants", "group", "groups", "guid", "handler", "handling", "has", "hash",
    "hashed", "hashes", "header", "headers", "help", "helper", "hidden", "hint", "host", "hostname", "hosts", "icon", "id",
    "ids", "image", "in", "index", "info", "input", "inputs", "interval", "is", "issued", "issuer", "item", "items", "key",
    "keys", "kind", "label", "language", "len", "length", "lengths", "less", "level", "lib", "lifetime", "limit", "limits",
    "link", "list", "locale", "location", "login", "mail", "management", "manager", "map", "mapping", "mask", "masked",
    "max", "md5", "message", "meta", "metadata", "method", "min", "modal", "mode", "model", "modes", "modified", "module",
    "msg", "name", "names", "nickname", "no", "not", "num", "number", "object", "of", "offset", "on", "only", "option",
    "optional", "options", "or", "order", "output", "outputs", "over", "owner", "page", "param", "parameter", "parameters",
    "params", "parser", "path", "paths", "pattern", "per", "period", "permission", "permissions", "placeholder", "policies",
    "policy", "port", "position", "prefix", "prefixes", "price", "probability", "probs", "prompt", "properties", "property",
    "props", "protected", "provider", "ptr", "pub", "public", "rate", "ratio", "recovery", "ref", "reference", "refs",
    "regex", "region", "request", "required", "reset", "response", "result", "results", "ring", "role", "roles", "rotated",
    "rotation", "row", "rows", "rule", "rules", "salt", "santa", "schema", "scope", "scopes", "score", "server", "servers",
    "service", "set", "settings", "sha", "shown", "size", "sizes", "sort", "source", "span", "spans", "start", "state",
    "status", "storage", "store", "stream", "strength", "style", "suffix", "suffixes", "sum", "supply", "symbol", "table",
    "tag", "tags", "template", "through", "thumbprint", "time", "timeout", "timestamp", "title", "to", "total", "ttl",
    "type", "types", "updated", "uri", "uris", "url", "urls", "usage", "used", "user", "username", "users", "util", "utils",
    "uuid", "valid", "validate", "validation", "validator", "validity", "vault", "version", "view", "visibility", "visible",
    "warning", "was", "with", "zone",
];

/// Before `password`: the value says whether, not which.
#[rustfmt::skip]
pub(crate) const NOT_A_PASSWORD: &[&str] = &[
    "is", "has", "no", "without", "show", "hide", "require", "requires", "required", "enable", "forgot",
    "forgotten", "reset", "use", "missing", "invalid", "wrong", "empty", "boarding", "season", "day", "first",
    "second", "third", "1st", "2nd", "3rd", "st", "nd", "rd", "th", "one", "single", "last", "final", "multi", "two", "low", "high", "band",
];

/// Before `token`: counters and cursors.
#[rustfmt::skip]
pub(crate) const NOT_A_TOKEN: &[&str] = &[
    "next", "page", "prev", "previous", "continuation", "pagination", "paging", "cursor", "sync", "max",
    "min", "num", "count", "total", "prompt", "completion", "input", "output", "stop", "pad", "eos",
    "bos", "unk", "mask", "cancellation", "is", "has", "no", "per", "used",
];

/// Before `key`: what opens a door.
#[rustfmt::skip]
pub(crate) const SECRET_KEYS: &[&str] = &[
    "api", "secret", "access", "private", "auth", "authentication", "authorization", "encryption",
    "encrypt", "decryption", "signing", "sign", "master", "account", "shared", "service", "client",
    "consumer", "app", "application", "subscription", "admin", "server", "deploy", "integration",
    "developer", "personal", "security", "hmac", "aes", "jwt", "ssh", "pgp", "gpg", "ssl", "tls", "rsa",
    "webhook", "write", "read", "ingest", "ingestion", "rest", "license", "licence", "storage",
    "function", "crypt", "cipher", "pre", "psk", "live", "production", "session", "root", "owner",
    "token", "unseal", "recovery", "functions", "activation",
];

/// Before `key`: what finds a row, a file, a text or a door's other half.
#[rustfmt::skip]
pub(crate) const OTHER_KEYS: &[&str] = &[
    "primary", "foreign", "public", "pub", "unique", "sort", "partition", "row", "cache", "hash",
    "object", "file", "surrogate", "business", "natural", "composite", "date", "time", "product",
    "order", "customer", "item", "column", "field", "map", "dict", "lookup", "join", "merge", "index",
    "group", "translation", "message", "routing", "registry", "config", "setting", "section", "issue",
    "project", "idempotency", "dedupe", "dimension", "dim", "fact", "parent", "child", "source",
    "target", "distribution", "cluster", "hot", "keyboard", "candidate", "alternate", "sequence",
    "event", "metric", "state", "incremental", "range", "table", "record", "entity", "bucket",
    "path", "s3", "blob", "data", "dist", "tag", "label", "the", "by", "on", "a", "is", "no", "arrow",
    "known", "host", "site", "answer", "recv", "send", "receive", "low", "high", "main", "any", "each", "every", "this",
];

/// At the end of names whose values are random without being secrets, beside [`ABOUT`].
#[rustfmt::skip]
pub(crate) const OF_NOISE: &[&str] = &[
    "objectid", "etag", "crc", "cuid", "ulid", "ksuid", "nanoid", "kid", "gclid", "fbclid", "cursor",
    "integrity", "serial", "revision", "commit", "tree", "branch", "href", "src", "logo", "avatar", "picture", "photo",
    "data", "content", "body", "payload", "blob", "binary", "png", "jpg", "svg", "pdf", "doc", "sheet", "spreadsheet", "query",
    "sql", "script", "tables", "database", "dataset", "destination", "target", "measurement", "parent", "channel", "team",
    "customer", "product", "block", "transaction", "tx", "pi", "base", "task", "workspace", "report", "run", "job", "ami", "sg",
    "instance", "protobuf", "resolved", "trace", "identifier", "identity", "snapshot", "release", "build", "project",
    "n", "x", "y", "e", "before", "after", "cursors", "fp", "rev", "alg", "cert", "pem", "crt", "csr", "ca", "dkim", "spf", "txt", "dns", "nonce", "iv", "note", "comment",
];

/// Anywhere in such names.
#[rustfmt::skip]
pub(crate) const OF_ALL: &[&str] = &[
    "public", "pub", "hash", "md", "sha", "recaptcha", "site", "continuation", "page", "checksum", "digest", "fingerprint", "uuid", "guid", "sitekey", "srcrev",
];
