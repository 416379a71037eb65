"""Secrets in URLs: passwords and tokens before the host, in the query and the fragment, and in the paths of web hooks. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from agents.redaction.names import Verdict, verdict
from agents.redaction.values import HIDDEN, is_reference

# Slashes may be escaped, as some writers of JSON do.
_ADDRESS = re.compile(
    r"(?<![A-Za-z0-9+.-])(?P<scheme>[A-Za-z][A-Za-z0-9+.-]{0,30}):(?P<slashes>\\?/\\?/)(?P<rest>[^\s\"'<>`]{1,8000})"
)
_AUTHORITY_END = re.compile(r"[/?#\\]")
_QUERY = re.compile(r"(?P<before>[?&;#]|&amp;)(?P<name>[\w.%\[\]-]{1,100})=(?P<value>[^&;#\s\"'<>`]{1,4000})")
_PORT = re.compile(r"\d{1,5}\]?|\$\{[^}]*\}|<\w+>|\{\{.*")
# Of these a name alone before the host is that of a user, not a token.
_USER_ALONE = frozenset(
    {"ssh", "sftp", "git+ssh", "git", "rsync", "svn+ssh", "postgres", "postgresql", "mysql", "mariadb", "mongodb",
    "mongodb+srv", "amqp", "amqps",
     "ldap", "ldaps", "smtp", "smtps", "imap", "sip", "jdbc", "sqlserver", "oracle", "clickhouse", "snowflake",
     "nats", "mqtt", "mqtts", "docker", "wss+ssh"}
)  # fmt: skip
_QUERY_NAMES = frozenset(
    {"sig", "signature", "key", "code", "auth", "sign", "x-amz-signature", "x-amz-credential",
    "x-amz-security-token", "x-goog-signature", "x-goog-credential",
     "hapikey", "ticket", "jwt", "assertion", "api", "apitoken", "k", "pat", "t", "samlresponse", "state_token",
     "skoid", "hash", "hmac", "appid", "access"}
)  # fmt: skip
_QUERY_TOKENS_ONLY = frozenset({"k", "t", "state", "api", "appid", "access", "hash", "ticket"})

# Without a scheme: user:password@host; names of images and addresses of mail look alike.
_BARE_LOGIN = re.compile(
    r"(?<![\w.{$-])(?P<user>[\w.-]{1,100})(?P<sep>[:/])(?P<password>[^\s@/:\"'<>,;]{1,500})@(?!sha\d)"
    r"(?P<host>[A-Za-z0-9\[(])"
)
_NO_LOGIN = frozenset(
    {"mailto", "email", "mail", "from", "to", "cc", "bcc", "contact", "owner", "sip", "sips", "acct", "xmpp"}
)
_SEGMENT = re.compile(
    r"/(?:tokens?|api[_-]?keys?|access[_-]?tokens?|secrets?|keys?)/(?P<secret>[^/?#\s\"'<>]{8,500})", re.IGNORECASE
)
_NO_PASSWORDS = frozenset({"", "x-oauth-basic", "x-token-auth", "x", "api_token", "token", "unused"})

# Hosts whose paths are secrets: what of the path stays, then what is hidden.
_HOOKS = tuple(
    (needed, re.compile(pattern, re.IGNORECASE))
    for needed, pattern in (
        ("hooks.slack", r"hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers)/(?P<secret>.+)"),
        ("discord", r"discord(?:app)?\.com/api/(?:v\d+/)?webhooks/(?:\d+/)?(?P<secret>.+)"),
        ("webhook.office", r"webhook\.office\.com/(?:webhookb2/)?(?P<secret>.+)"),
        ("outlook.office", r"outlook\.office(?:365)?\.com/webhook/(?P<secret>.+)"),
        ("telegram", r"api\.telegram\.org/(?:file/)?bot(?P<secret>[^/?#]+)"),
        ("zapier", r"hooks\.zapier\.com/hooks/catch/(?P<secret>.+)"),
        ("ifttt", r"maker\.ifttt\.com/trigger/[^?#]{1,100}/key/(?P<secret>[^/?#]+)"),
        ("pagerduty", r"events(?:\.eu)?\.pagerduty\.com/(?:integration|x-ere)/(?P<secret>[^/?#]+)"),
        ("victorops", r"alert\.victorops\.com/integrations/\w+/\d+/alert/(?P<secret>.+)"),
        ("sumologic", r"sumologic\.(?:com|net)/receiver/v\d/\w+/(?P<secret>[^/?#]+)"),
        ("loggly", r"loggly\.com/(?:inputs|bulk)/(?P<secret>[^/?#]+)"),
        ("feishu", r"open\.feishu\.cn/open-apis/bot/(?:v\d/)?hook/(?P<secret>.+)"),
        ("larksuite", r"open\.larksuite\.com/open-apis/bot/(?:v\d/)?hook/(?P<secret>.+)"),
        ("hc-ping", r"hc-ping\.com/(?P<secret>.+)"),
        ("healthchecks", r"healthchecks\.io/(?:ping/)?(?P<secret>[0-9a-f-]{20,}.*)"),
        ("cronitor", r"cronitor\.link/p/(?P<secret>[^/?#]+)"),
        ("uptimerobot", r"heartbeat\.uptimerobot\.com/(?P<secret>.+)"),
        ("betterstack", r"uptime\.betterstack\.com/api/v1/heartbeat/(?P<secret>.+)"),
        ("pipedream", r"(?P<secret>[\w-]{1,80})\.m\.pipedream\.net"),
        ("instatus", r"instatus\.com/v\d/integrations/\w+/(?P<secret>.+)"),
        ("moogsoft", r"moogsoft\.\w+/events/(?P<secret>.+)"),
        ("/hook", r"/(?:api/)?hooks?/(?:catch/)?(?P<secret>[^?#]+)"),
        ("webhook", r"/(?:\w+[-_.])?webhooks?(?:b2)?/(?P<secret>[^?#]*[\w-]{8,}[^?#]*)"),
        ("/services/T", r"/services/(?P<secret>T\w+/B\w+/\w+)"),
    )
)


def address_spans(text: str) -> Iterator[tuple[int, int]]:
    """Where secrets stand in the URLs of ``text``; the rest of each stays readable."""
    if "//" in text or "\\/" in text:
        for found in _ADDRESS.finditer(text):
            yield from _within(found["scheme"].lower(), found["rest"], found.start("rest"))
    if "@" in text:
        for found in _BARE_LOGIN.finditer(text):
            oracle = found["sep"] == "/"
            if found["user"].lower() in _NO_LOGIN or _stays(found["password"]) or (oracle and "oracle" not in text):
                continue
            yield found.span("password")
    if "/" in text:
        for found in _SEGMENT.finditer(text):
            if any(letter.isdigit() or letter.isupper() for letter in found["secret"]) and not _stays(found["secret"]):
                yield found.span("secret")
    if "=" in text and ("?" in text or "&" in text):
        for found in _QUERY.finditer(text):
            if _is_secret_parameter(found["name"], found["value"]):
                yield found.span("value")


def hook_span(text: str, begin: int) -> tuple[int, int] | None:
    """Path and query of the URL that ``text`` is, for a name such as ``webhook_url``: where they stand from ``begin``."""
    found = _ADDRESS.match(text.strip())
    if found is None or is_reference(text):
        return None
    path = _AUTHORITY_END.search(found["rest"])
    start = begin + len(text) - len(text.lstrip()) + found.start("rest")
    if path is None or path.end() >= len(found["rest"]):
        return None
    return start + path.end(), start + len(found["rest"])


def _within(scheme: str, rest: str, begin: int) -> Iterator[tuple[int, int]]:
    ended = _AUTHORITY_END.search(rest)
    authority = rest[: ended.start()] if ended else rest
    if "@" in authority:
        yield from _login(scheme, authority.rpartition("@")[0], begin)
    elif "@" in rest and ":" in authority and not _PORT.fullmatch(authority.rpartition(":")[2]):
        # A password with an unescaped slash.
        yield from _login(scheme, rest.rpartition("@")[0], begin)
    lowered = rest.lower()
    for needed, pattern in _HOOKS:
        if needed.lower() in lowered and (found := pattern.search(rest)) is not None:
            start, end = found.span("secret")
            while end > start and rest[end - 1] in ".,;:)]}":
                end -= 1
            if end > start and not is_reference(rest[start:end]) and not rest.startswith(HIDDEN, start):
                yield begin + start, begin + end


def _login(scheme: str, login: str, begin: int) -> Iterator[tuple[int, int]]:
    user, colon, password = login.partition(":") if not login.startswith("${") else _after_reference(login)
    if colon and password in _NO_PASSWORDS and user and not _stays(user):
        yield begin, begin + len(login)
    elif colon:
        if password and not _stays(password):
            yield begin + len(user) + 1, begin + len(login)
    elif user and scheme not in _USER_ALONE and not _stays(user):
        yield begin, begin + len(login)


def _after_reference(login: str) -> tuple[str, str, str]:
    """User and password where the user is a reference, which has a colon of its own."""
    end = login.find("}") + 1
    head, colon, password = login[end:].partition(":")
    return login[:end] + head, colon, password


def _stays(text: str) -> bool:
    return is_reference(text) or text == HIDDEN or not text.strip("*")


def _is_secret_parameter(name: str, value: str) -> bool:
    if _stays(value):
        return False
    lowered = name.lower()
    if lowered in _QUERY_NAMES:
        return lowered not in _QUERY_TOKENS_ONLY or (len(value) >= 12 and any(letter.isdigit() for letter in value))
    found = verdict(name)
    return found >= Verdict.KEY
