"""Which values of secret names are hidden: not references, switches, and what is hidden already. Pure."""

from __future__ import annotations

import base64
import binascii
import re

from agents.redaction.names import Verdict

HIDDEN = "[redacted]"

# The Collector's own: ${env:NAME}, ${NAME}, ${file:/path}; a literal in ${yaml:…} refers to nothing.
REFERENCE = re.compile(
    r"\$\{(?:env:)?[A-Za-z_][\w.]{0,200}\}"
    r"|\$\{(?!yaml:|env:)[A-Za-z][\w+.-]{0,40}:(?![-=+?])[\w./:#@?&=,+ -]{0,500}\}"
    r"|\$\([A-Z_][A-Z0-9_]{0,200}\)"
    r"|\{\{-?[\w\s.$|()]{0,200}-?\}\}|\.Values\.[\w.]{1,200}[ ]?"
)
DEFAULT = re.compile(
    r"\$\{(?:env:)?(?P<name>[A-Za-z_][\w.]{0,200})(?::?[-=+?])(?P<default>(?:[^{}\r\n]"
    r"|\$\{[^{}\r\n]{0,200}\}){1,1000})\}"
)
"""A reference with a default: ``${env:NAME:-default}``."""

# Longer texts are neither references nor paths.
_LONGEST_REFERENCE = 2_000

# What may stand around references: the kind of an Authorization header, separators.
_AROUND = re.compile(
    r"(?:basic|bearer|digest|token|apikey|api-token|splunk|negotiate|x-token)?[\s:;,@|/\"'-]*", re.IGNORECASE
)
_ALREADY = re.compile(
    r"\[redacted\]|<redacted>|\(redacted\)|redacted|\*{3,}|x{4,}|<hidden>|<masked>|\[filtered\]", re.IGNORECASE
)
# What stands within the braces of a template, where YAML takes those for its own.
_TEMPLATE = re.compile(r"(?:secrets|vars|labels)(?:\.\w{1,100}|\[['\"][^'\"]{1,300}['\"]\])(?: ?\| ?\w{1,20}){0,5}")
_SWITCH = re.compile(r"true|false|yes|no|on|off|null|none|~", re.IGNORECASE)
_FILE = re.compile(
    r"(?:\.{0,2}/|~/|[A-Za-z]:[\\/]|\$\{?\w+\}?/)(?:[\w.@${}: -]+[/\\])*[\w.@${}-]*\.(?:pem|key|crt|cer"
    r"|der|p12|pfx|jks|txt|json|ya?ml|pub|conf|secret|token)"
    r"|/(?:etc|var|run|opt|usr|home|mnt|root|srv|tmp|data|secrets|certs|tls|keys|config|app)/[\w.@/-]*"
    r"|[\w.-]+\.(?:pem|key|crt|cer|p12|pfx|jks)"
)
_IDENTIFIER = re.compile(
    r"[a-z][a-z0-9]{0,40}(?:[._/ -][a-z0-9]{1,40}){0,20}|[A-Z][a-z]+"
    r"|[A-Z]{1,12}(?:[-_][A-Z0-9]{1,12}){0,5}|(?:[A-Z][A-Za-z]{0,20}-){1,5}[A-Z][A-Za-z]{0,20}"
    r"|[\d.,+-]+(?:ms|s|m|h|d|%|[KMGT]i?B)?"
)
_TOKEN = re.compile(r"[\w+/=.:-]{12,}")
_RUN = re.compile(r"[A-Za-z0-9+/=]{12,}")
_BASE64 = re.compile(r"[A-Za-z0-9+/]{8,2000}={0,2}")
_USER_AND_PASSWORD = re.compile(r"[\x21-\x39\x3b-\x7e]{1,200}:[\x21-\x7e]{3,500}")
_LOGIN = re.compile(r"[^\s:/]{1,100}:(?!\d{1,5}$)[^\s/]{1,500}")
# A place that our own messages leave open, as in ``${env:TOKEN:-…}``.
_LEFT_OPEN = re.compile(r"-?…[}.,;)]*")
_WORKING_DIRECTORY = re.compile(r"(?:/[\w.@-]+)+/?|[A-Za-z]:\\[\w.\\-]*")


def worth_hiding(value: str, verdict: Verdict, name: str = "") -> bool:
    """Whether ``value`` under a name of this ``verdict`` is hidden as a whole."""
    text = value.strip()
    if verdict is Verdict.NO or not text or _SWITCH.fullmatch(text) or _ALREADY.fullmatch(text) or is_reference(text):
        return False
    if _LEFT_OPEN.fullmatch(text):
        return False
    if verdict is Verdict.YES:
        return not (name == "PWD" and _WORKING_DIRECTORY.fullmatch(text))
    if len(text) <= _LONGEST_REFERENCE and _FILE.fullmatch(text):
        return False
    if verdict is Verdict.KEY:
        return True
    if looks_like_token(text):
        return True
    if name.lower().endswith("auth") and _LOGIN.fullmatch(text):
        return True
    return verdict is Verdict.LIKELY and not _IDENTIFIER.fullmatch(text)


def is_reference(text: str) -> bool:
    """Whether ``text`` is made of references alone, such as ``Bearer ${env:TOKEN}``."""
    if len(text) > _LONGEST_REFERENCE:
        return False
    if _TEMPLATE.fullmatch(text):
        return True
    if "${" not in text and "$(" not in text and "{{" not in text and ".Values" not in text:
        return False
    rest, count = REFERENCE.subn("", text)
    return count > 0 and _AROUND.fullmatch(rest) is not None


def is_reference_with_default(text: str) -> bool:
    """Whether ``text`` is one reference with a default: the default alone is hidden."""
    found = DEFAULT.search(text) if "${" in text and len(text) <= _LONGEST_REFERENCE else None
    return found is not None and _AROUND.fullmatch(REFERENCE.sub("", DEFAULT.sub("", text))) is not None


def looks_like_token(text: str) -> bool:
    """Long, without blanks, with letters and digits that make no words; or base64 of ``user:password``."""
    if is_encoded_login(text):
        return True
    if not _TOKEN.fullmatch(text):
        return False
    run = _RUN.search(text)
    if run is None:
        return False
    # Digits at the end number a word.
    word = run[0].rstrip("0123456789=")
    digits = sum(letter.isdigit() for letter in word)
    return digits > (1 if word.islower() and len(run[0]) < 20 else 0) and not run[0].isdigit()


def is_encoded_login(text: str) -> bool:
    """Whether ``text`` is base64 of ``user:password``."""
    if len(text) % 4 or not _BASE64.fullmatch(text) or text.isdigit():
        return False
    try:
        plain = base64.b64decode(text, validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        return False
    return _USER_AND_PASSWORD.fullmatch(plain) is not None
