"""Words of which names of secrets are made, in English and other languages. Data.

All are in lower case, without accents; `agents.redaction.names` puts them together.
"""

from __future__ import annotations

# In any of these a secret's name may be hidden among other letters: dbpassword, PGPASSWORD, clientsecret.
STEMS = (
    "password", "passwd", "passphrase", "passcode", "secret", "apikey", "privatekey", "accesskey", "secretkey",
    "authtoken",
    "accesstoken", "refreshtoken", "bearertoken", "sharedkey", "credential", "connectionstring", "connstring",
    "authuserinfo", "accesssignature",
    "passwrd", "pasword", "psword", "pincode", "unlockpin", "userpin", "securityanswer", "recoverycode", "backupcode",
    "seedphrase", "recoveryphrase", "authcode", "authorizationcode", "codeverifier", "clientassertion",
    # German, French, Spanish, Portuguese, Dutch, Danish, Swedish, Norwegian, Finnish, Hungarian, Croatian
    "passwort", "zugangsdaten", "kennwort", "geheimnis", "losungswort", "motdepasse", "contrasena", "contrasenya", "contrasinal",
    "palavrapasse", "palavrachave", "wachtwoord",
    "adgangskode", "losenord", "passord", "salasana", "jelszo", "lozinka", "slaptazodis", "parool",
    "matkhau", "katasandi", "sandilewati", "hasowka",
    # Russian, Ukrainian, Bulgarian, Greek, Hebrew, Arabic, Hindi, Thai
    "пароль", "парола", "секрет", "токен", "ключдоступа", "κωδικο", "συνθηματικο", "סיסמה", "סיסמא", "كلمةالمرور",
    "كلمةالسر", "पासवर्ड", "รหัสผาน", "รหัสผ่าน",
    # Chinese, Japanese, Korean
    "密码", "密碼", "口令", "密钥", "密鑰", "密匙", "令牌",
    "凭证", "凭据", "憑證", "憑據", "私钥", "私鑰", "金钥", "金鑰",
    "パスワード", "アクセスキー", "授权码", "授權碼", "비밀키",
    "パスフレーズ", "ハスワート", "暗証番号", "秘密", "シークレット", "トークン",
    "合言葉", "認証情報", "비밀번호", "암호", "토큰", "비밀", "시크릿",
)  # fmt: skip
WORDS = frozenset(
    {
        "pass", "pw", "pwd", "pswd", "passw", "psw", "psswd", "secret", "token", "tokens", "tok", "cred", "creds",
        "authorization", "authorisation", "bearer", "cookie",
        "cookies", "csrf", "xsrf", "jsessionid", "phpsessid", "sessionid", "dsn", "sas", "psk", "jwt", "otp",
        "totp", "salt", "mnemonic", "community",
        "communities", "htpasswd", "requirepass", "masterauth", "pkpass", "pincode", "apitoken", "netrc", "pgpass",
        "dockerconfigjson", "dockercfg", "kek", "dek",
        # words of other languages that are parts of English ones
        "senha", "senhas", "clave", "claves", "heslo", "haslo", "parola", "parole", "sifre", "sifreniz", "mdp",
        "segredo", "gesla", "geslo", "wachtwort", "schluessel", "schlussel", "cle", "chiave", "cheie", "пасс",
        "ключ", "ключи", "гасло",
    }
)  # fmt: skip
WHOLE = frozenset(
    {
        "pin",
        "pat",
        "sig",
        "idrsa",
        "iddsa",
        "idecdsa",
        "ided25519",
        "signature",
        "xhoneycombteam",
        "honeycombteam",
        "xapi",
        "userpass",
        "xamzsecuritytoken",
    }
)
# Words that end so: smtppass, dbpwd, rootpw, accesstoken; but compass.
ENDINGS = ("pass", "pwd", "pw", "token", "tokens")
NO_PASS = frozenset(
    {"compass", "bypass", "overpass", "underpass", "trespass", "surpass", "encompass", "lowpass", "highpass",
    "bandpass", "allpass", "multipass", "singlepass", "onepass", "twopass", "firstpass", "secondpass"}
)  # fmt: skip
PASSING = frozenset(
    {
        "low",
        "high",
        "band",
        "all",
        "by",
        "first",
        "second",
        "single",
        "multi",
        "one",
        "two",
        "max",
        "must",
        "fail",
        "com",
        "over",
        "per",
    }
)
NOT_STEMS = (
    "passwordless",
    "secretary",
    "secretariat",
    "secretless",
    "secretsmanager",
    "secretmanager",
    "secretstore",
)

# Before "key" they name a secret, whatever the value, except the path of a file.
KEY_OF = frozenset(
    {
        "access", "account", "activation", "admin", "aes", "agent", "anon", "anthropic", "api", "app", "appinsights",
        "application", "auth", "authentication", "authorization",
        "authtoken", "aws", "axiom", "azure", "bootstrap", "bot", "bugsnag", "ci", "cipher", "consumer",
        "coralogix", "cosmos", "crypt", "crypto", "datadog", "dd", "decrypt",
        "decryption", "dek", "deploy", "deployment", "dynatrace", "elastic", "encrypt", "encryption", "function",
        "functions", "gossip", "gpg", "grafana", "hmac", "honeycomb",
        "ingest", "ingester", "ingestion", "insert", "insights", "installation", "instana", "instrumentation",
        "integration", "join", "jwk", "jwt", "kek", "licence", "license", "lightstep", "logdna",
        "logz", "logzio", "loki", "master", "mezmo", "mimir", "minio", "newrelic", "nr", "openai", "opsgenie",
        "pagerduty", "pgp", "preshared", "priv", "private",
        "prv", "provisioning", "push", "recovery", "registration", "rollbar", "root", "routing", "rsa", "s3",
        "scout", "sec", "secret", "security", "sendgrid",
        "sentry", "service", "session", "shared", "sign", "signature", "signing", "sops", "splunk", "sse", "ssh",
        "ssl", "storage", "stripe", "subscription", "symmetric",
        "tls", "token", "unseal", "uptrace", "vault", "victorops", "webhook", "wireguard", "wg", "write", "writer", "x",
    }
)  # fmt: skip
# Before "key" they are as often something else.
LIKELY_KEY_OF = frozenset(
    {
        "ca", "cert", "certificate", "client", "cluster", "data", "device", "ecdsa", "ed25519", "event", "google",
        "host", "maps", "org", "primary", "product", "serial", "nonce",
        "project", "query", "read", "reader", "rest", "secondary", "server",
        "source", "stream", "team", "tenant", "user", "dataset", "collector",
    }
)  # fmt: skip
KEY_WORDS = frozenset({"key", "keys"})
# After "key" they name what is in it.
KEY_CONTENT = frozenset({"pem", "data", "base64", "b64", "content", "contents", "inline", "material", "string"})
# Such names may hold token counts: numbers of tokens.
COUNTED = frozenset(
    {
        "max",
        "min",
        "num",
        "total",
        "prompt",
        "completion",
        "input",
        "output",
        "cached",
        "reasoning",
        "number",
        "average",
        "avg",
        "per",
        "used",
        "remaining",
    }
)

# The last word names something about the secret, or where it is.
ABOUT = frozenset(
    {
        "file", "files", "filename", "path", "paths", "dir", "directory", "folder", "url", "urls", "uri", "uris",
        "endpoint", "endpoints", "host", "hosts", "hostname", "port",
        "name", "names", "type", "types", "kind", "scheme", "schema", "schemes", "ttl", "timeout", "interval",
        "enabled", "enable", "disabled", "disable", "count", "counts", "counter", "limit",
        "limits", "length", "len", "size", "sizes", "max", "min", "ref", "refs", "reference", "references",
        "format", "prefix", "suffix", "header", "headers", "field", "fields", "attribute", "attributes",
        "algorithm", "algorithms", "alg", "issuer", "audience", "audiences", "lifetime", "expiry", "expires",
        "expiration", "duration", "age", "policy", "policies", "provider", "providers", "mode", "method",
        "methods", "env", "var", "variable", "namespace", "version", "engine", "mount", "bucket", "buckets",
        "store", "manager", "backend", "class", "required", "optional", "validation", "validator",
        "encoder", "encoding", "encryption", "hashing", "hasher", "authenticator", "authentication", "domain",
        "secure", "samesite", "httponly", "location", "usage", "quota", "rate", "budget", "window",
        "role", "roles", "scope", "scopes", "rotation", "period", "retry", "retries", "status", "state", "metric",
        "metrics", "label", "labels", "tag", "tags", "index", "column", "separator", "delimiter", "pattern",
        "regex", "description", "user", "username", "region", "protocol", "protocols", "per", "second", "minute",
        "hour", "day", "refresh", "grace", "strength", "complexity", "rules", "strategy", "jitter", "offset",
        "delay", "cost", "rounds", "iterations", "exporter", "receiver",
        "processor", "extension", "requests", "errors", "only", "allowed", "supported", "check", "checks",
        "review", "hint", "visible", "updated", "created", "at", "process", "command", "sources", "allowlist",
        "through", "thru", "filter", "ratio", "percentage", "number", "num", "limiter", "pool", "seconds", "days",
        "hours", "minutes", "ms", "ok", "lookup", "authority", "signer", "aud", "iss", "param", "parameter",
        "profile", "tokenizer", "threshold",
    }
)  # fmt: skip
# Sections about secrets; their members speak for themselves.
SECTIONS = frozenset(
    {
        "auth",
        "config",
        "settings",
        "options",
        "cache",
        "service",
        "services",
        "client",
        "server",
        "request",
        "response",
        "extractor",
        "operator",
        "spec",
        "auths",
    }
)
