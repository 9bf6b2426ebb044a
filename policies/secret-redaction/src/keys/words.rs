//! The words that names of secrets are made of, and those that make them names of something else.

/// Substrings that wake the scorer, in lower case; every name that [`strength`] knows has one.
#[rustfmt::skip]
pub(crate) const KEYWORDS: &[&str] = &[
    "pass", "pwd", "psw", "pswd", "secret", "token", "key", "heslo", "hesla", "heslem", "credential",
    "creds", "auth", "access", "private", "kennwort", "contrase", "jwt", "passphrase", "identified by", "identified with",
    "_pat", "_pw", "senha", "wachtwoord", "hasło", "haslo", "jelszó", "jelszo", "lösenord", "parola",
    "sonar.login", "sonar_login", "sonarlogin", "bearer", "psk", "klic", "klíč", "tajemstv", "api_hash",
    "apihash", "pw=", "pw:", "pw ", "pw\"", "pw'",
];

/// Names of what people make up.
#[rustfmt::skip]
pub(crate) const PASSWORDS: &[&str] = &[
    "password", "passwords", "passwd", "pwd", "pass", "passphrase", "passcode", "pswd", "psw", "pw",
    "heslo", "hesla", "heslem", "kennwort", "passwort", "contraseña", "userpass", "dbpass", "sshpass",
    "mypass", "senha", "wachtwoord", "hasło", "haslo", "jelszó", "jelszo", "lösenord", "parola",
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
    "presharedkey", "tajemstvi", "tajemství",
];

/// The same at the end of a word.
#[rustfmt::skip]
pub(crate) const SECRET_ENDS: &[&str] = &[
    "secret", "token", "apikey", "accesskey", "secretkey", "privatekey", "authkey",
];

/// Names of what may be either: the value has to look random.
#[rustfmt::skip]
pub(crate) const WEAK: &[&str] = &[
    "auth", "authorization", "authentication", "access", "private", "sonarlogin", "apihash", "klic", "klíč",
];

/// Words after the head that leave it a secret: `API_KEY_PROD`, `password2`, `token_value`.
#[rustfmt::skip]
pub(crate) const NEUTRAL_TAILS: &[&str] = &[
    "value", "val", "text", "plain", "plaintext", "string", "str", "raw", "prod", "production", "dev",
    "test", "testing", "live", "stage", "staging", "qa", "uat", "old", "new", "current", "default",
    "env", "var", "b64", "base64", "encoded", "decoded", "primary", "secondary", "backup", "main",
    "sandbox", "eu", "us", "v", "x", "word",
];

/// Words after the head that make the name one of something about the secret.
#[rustfmt::skip]
pub(crate) const ABOUT: &[&str] = &[
    "id", "ids", "uuid", "guid", "hash", "hashes", "hashed", "digest", "checksum", "md5", "sha", "sum", "fingerprint",
    "thumbprint", "salt", "url", "urls", "uri", "uris", "link", "endpoint", "host", "hostname", "server", "domain", "path",
    "paths", "file", "files", "filename", "dir", "folder", "name", "names", "nickname", "type", "types", "kind", "mode",
    "policy", "policies", "length", "len", "size", "count", "counts", "counter", "total", "number", "num", "no", "index", "limit",
    "limits", "min", "max", "expires", "expired", "expiry", "expiration", "expire", "exp", "at", "on", "date", "time",
    "timestamp", "timeout", "ttl", "age", "lifetime", "duration", "interval", "period", "issued", "created", "updated", "changed",
    "modified", "rotated", "rotation", "col", "column", "columns", "field", "fields", "label", "title", "hint", "help",
    "description", "desc", "placeholder", "prompt", "message", "msg", "error", "errors", "warning", "info", "valid", "validity",
    "validation", "validator", "validate", "required", "enabled", "disabled", "optional", "reset", "change", "recovery", "strength",
    "score", "check", "checks", "checker", "regex", "pattern", "rule", "rules", "format", "version", "ref", "refs", "reference",
    "arn", "alias", "source", "provider", "manager", "management", "store", "storage", "vault", "bucket", "scope", "scopes", "grant",
    "grants", "claim", "claims", "header", "headers", "param", "params", "parameter", "parameters", "arg", "args", "option",
    "options", "input", "inputs", "output", "outputs", "status", "state", "generator", "generate", "factory", "service", "class",
    "func", "function", "method", "handler", "handling", "helper", "util", "utils", "lib", "model", "module", "table", "view", "list",
    "map", "set", "dict", "array", "object", "item", "items", "row", "rows", "user", "users", "username", "login", "email",
    "mail", "owner", "issuer", "audience", "algorithm", "algo", "alg", "cipher", "encoding", "encoder", "charset", "prefix",
    "suffix", "mask", "masked", "char", "chars", "character", "characters", "symbol", "address", "contract", "price", "amount",
    "balance", "supply", "cost", "usage", "used", "per", "ratio", "rate", "probability", "probs", "embedding", "embeddings", "mapping",
    "stream", "buffer", "parser", "based", "auth", "authentication", "protected", "less", "free", "only", "ring", "santa", "tag",
    "tags", "category", "group", "groups", "role", "roles", "permission", "permissions", "action", "event", "events", "request",
    "response", "result", "results", "metadata", "meta", "settings", "config", "configuration", "schema", "props", "property",
    "properties", "template", "page", "form", "modal", "dialog", "button", "icon", "image", "color", "style", "visibility", "visible",
    "shown", "hidden", "is", "has", "was", "for", "of", "in", "to", "from", "by", "with", "and", "or", "not", "through", "over",
    "port", "region", "zone", "location", "language", "locale", "country", "currency", "code", "codes", "level", "order", "sort",
    "formats", "prefixes", "suffixes", "algorithms", "sizes", "lengths", "modes", "hosts", "servers", "bytes", "ptr", "fn",
    "callback", "position", "start", "end", "begin", "offset", "span", "spans", "key", "keys", "public", "pub", "cert", "certificate",
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
    "token", "unseal", "recovery",
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
    "event", "metric", "state", "incremental", "range", "table", "record", "entity", "user", "bucket",
    "path", "s3", "blob", "data", "dist", "tag", "label", "the", "by", "on", "a", "is", "no", "arrow",
    "known", "host", "answer", "recv", "send", "receive", "low", "high", "main", "any", "each", "every", "this",
];
