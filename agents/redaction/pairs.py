"""Secrets by name in running text: ``name=value``, ``name: value``, ``--name value``, XML, scripts, SQL. Pure.

Lengths are bounded, so that no text makes the search cost more than its length.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from agents.redaction.names import Verdict, verdict
from agents.redaction.values import DEFAULT, HIDDEN, REFERENCE, is_reference, is_reference_with_default, worth_hiding

Span = tuple[int, int]

# A name, perhaps quoted, and what joins it with its value. Quotes may be escaped, as in JSON within JSON.
_PAIR = re.compile(
    r"(?P<flag>(?<![\w-])(?:--?|/)|(?<![\w$.@%-]))"
    r"(?P<quote>\\{0,3}[\"'`]|)(?P<name>[^\W\d][\w.@$!/-]{0,100}(?:\[[\w.-]{1,60}\])?"
    r"|\d?[A-Za-z_][\w.-]{0,100})(?P=quote)"
    r"(?P<sep>[ \t]*(?:=>|:=|\?=|\+=|==|[:=：＝])[ \t]*)"
)
_FLAG = re.compile(
    r"(?<![\w-])(?P<name>--?[A-Za-z][\w.-]{1,60})(?P<sep>[ \t]+|[\"'],[ \t]*[\"'])"
    r"(?P<value>\"[^\"\r\n]*\"|'[^'\r\n]*'|[^\s\"',\]}]+)"
)
_QUOTED = re.compile(
    r"(?P<quote>\\{0,3}[\"'`])(?P<value>(?:(?!(?P=quote))(?:\\.|[^\r\n])){0,8000})(?P=quote)?", re.DOTALL
)
_QUOTED_LINES = re.compile(r"(?P<quote>[\"'])(?P<value>(?:(?!(?P=quote))(?:\\.|.)){0,8000})(?P=quote)", re.DOTALL)
# Up to a blank; a separator ends it only where another pair follows, or nothing.
_WORD = re.compile(
    r"(?:\$\{[^}\r\n]{0,500}\}|\{\{[^}\r\n]{0,500}\}\}|\$\([^)\r\n]{0,200}\)|(?!\\{0,3}[\"'`])"
    r"(?![,;&|)\]}]{1,4}(?:[ \t\r\n]|$|[\"'`]|[ \t]{0,4}[\w.-]{1,60}[ \t]{0,4}[=:]))[^\s])+"
)
_ANOTHER = re.compile(
    r"[,;&\t ][ \t]{0,4}[\"']?[A-Za-z_][\w.-]{0,60}[\"']?[ \t]{0,4}[=:]|[ \t]#|[,}\])]{1,4}[ \t]{0,4}(?:$"
    r"|[\r\n])|\\?[\"'][ \t]{0,4}[,}\]]"
)
_LINE_END = re.compile(r"[\r\n]|$")
_SCHEME = re.compile(r"(?:Basic|Bearer|Digest|Token|Splunk|ApiKey|Api-Token|Negotiate)[ \t]+", re.IGNORECASE)
_ENDING = re.compile(
    r"(?:expired|invalid|missing|required|denied|unknown|revoked|failed|rejected|malformed|EOF|timeout"
    r"|unauthorized|forbidden|empty|wrong|incorrect|absent"
    r"|unset|none|null|redacted|hidden)[.,;]?",
    re.IGNORECASE,
)
_PROSE_WORD = re.compile(r"[A-Za-z][a-z]{0,20}[,:.;]?")
_BEFORE_KEY = re.compile(r"(\w{1,30})[ \t]$")

_XML = re.compile(
    r"<(?P<name>[\w.:-]{1,100})(?P<attributes>[^<>]{0,500})>(?:<!\[CDATA\[)?(?P<value>[^<>]{1,4000}?)(?:\]\]>)?</"
)
_XML_NAMED = re.compile(
    r"(?:name|key|id)[ \t]*=[ \t]*(?P<q>\\?[\"'])"
    r"(?P<name>[\w.:@ -]{1,100})(?P=q)[^<>]{0,200}?\bvalue[ \t]*=[ \t]*(?P<v>\\?[\"'])"
    r"(?P<value>[^\"'<>]{1,4000})(?P=v)",
    re.IGNORECASE,
)
_NAME_ATTRIBUTE = re.compile(r"(?:name|key)[ \t]*=[ \t]*[\"'](?P<name>[\w.:-]{1,100})[\"']", re.IGNORECASE)

# Where a secret follows a word of its own language.
_STATEMENTS = tuple(
    (needed, re.compile(pattern, re.IGNORECASE))
    for needed, pattern in (
        ("login", r"[ \t]login[ \t][^\r\n]{0,200}?[ \t]-p[ \t=]*[\"']?(?!\d{1,5}\b)(?P<value>[^\s\"']{1,500})"),
        ("redis-cli", r"\bredis-cli\b[^\r\n]{0,300}?[ \t](?:-a|--pass)[ \t]+[\"']?(?P<value>[^\s\"']{1,500})"),
        ("ldap", r"\bldap\w+\b[^\r\n]{0,300}?[ \t]-w[ \t]*[\"']?(?P<value>[^\s\"']{1,500})"),
        ("snmp", r"\bsnmp\w+\b[^\r\n]{0,300}?[ \t]-[cAX][ \t]+[\"']?(?P<value>[^\s\"']{1,500})"),
        ("openssl", r"\bopenssl\b[^\r\n]{0,300}?[ \t]-[kK][ \t]+[\"']?(?P<value>[^\s\"']{1,500})"),
        ("setx", r"\bsetx[ \t]+\w*(?:key|token|secret|pass|pwd|password)\w*[ \t]+[\"']?(?P<value>[^\s\"']{1,500})"),
        ("/user:", r"/user:\S{1,200}[ \t]+(?P<value>[^\s/]\S{0,500})"),
        (
            "echo",
            (
                r"\becho[ \t]+(?:-n[ \t]+)?[\"']?(?P<value>[^\s\"'|]{1,500})[\"']?[ \t]*\|[^"
                r"|\r\n]{0,300}(?:--password-stdin|passwd|sudo[ \t]+-S|login)"
            ),
        ),
        (
            "identified",
            r"\bidentified[ \t]+(?:with[ \t]+\S{1,60}[ \t]+)?(?:by|as)[ \t]+[\"'](?P<value>[^\"'\r\n]{1,500})[\"']",
        ),
        ("password", r"\bpassword[ \t]+[\"'](?P<value>[^\"'\r\n]{1,500})[\"']"),
        ("login", r"\blogin[ \t]+\S{1,200}\s+password[ \t]+(?P<value>\S{1,500})"),
        ("requirepass", r"\brequirepass[ \t]+(?P<value>\S{1,500})"),
        ("masterauth", r"\bmasterauth[ \t]+(?P<value>\S{1,500})"),
        ("snmp-server", r"\bsnmp-server[ \t]+community[ \t]+(?P<value>\S{1,200})"),
        ("sshpass", r"\bsshpass[ \t]+-p[ \t]*[\"']?(?P<value>[^\s\"']{1,500})"),
        ("mysql", r"\bmysql\w*\b[^\r\n]{0,300}?[ \t]-p[\"']?(?P<value>[^\s\"']{1,500})"),
        (
            "-u",
            (
                r"(?<!\S)[\"']?(?:-u|--user|--proxy-user)(?:[ \t=]|[\"']?,[ \t]*)[\"']?[^\s:\"']{1,200}:"
                r"(?P<value>[^\s\"']{1,500})"
            ),
        ),
        ("_authtoken", r"_authToken[ \t]*=[ \t]*[\"']?(?P<value>[^\s\"']{1,500})"),
        ("_auth", r"(?<![\w])_auth[ \t]*=[ \t]*[\"']?(?P<value>[^\s\"']{1,500})"),
        (
            "token ",
            (
                r"\b(?:token|secret|api[ -]?key|passphrase|credential)[ \t]+\\?[\"'`]"
                r"(?P<value>[^\"'`\r\n\\]{6,500})\\?[\"'`]"
            ),
        ),
        (
            "key ",
            r"\bapi[ -]?key[ \t]+(?:provided|given|used|supplied)?:?[ \t]*\\?[\"'`]?(?P<value>[\w*-]*\d[\w*-]{5,300})",
        ),
        (
            "set ",
            (
                r"\bset[ \t]+(?:\w{1,40}[ \t]+){0,4}(?:password|secret|passphrase|api-?key)[ \t]+"
                r"(?P<value>[^\s=:\"']{1,500})"
            ),
        ),
        ("password is", r"\bpassword[ \t]+(?:is|was)[ \t]+(?P<value>\S*[\d\W_]\S*)"),
        ("token is", r"\btoken[ \t]+(?:is|was)[ \t]+(?P<value>\S*\d\S*)"),
    )
)


def pair_spans(text: str, *, prose: bool = False, keys: bool = False) -> Iterator[Span]:
    """Where values of secret names stand in ``text``; spans may overlap.

    After a colon the whole line is the value, since passwords may have blanks; in ``prose``, such as error messages, its
    first word is, and only if it is no ordinary one. ``keys``: a bare ``key`` is one, for texts whose sections are unknown.
    """
    if "=" in text or ":" in text or "：" in text or "＝" in text:
        yield from _pairs(text, prose, keys)
    if "-" in text:
        yield from _flags(text)
    if "</" in text:
        yield from _elements(text)
    lowered = text.lower()
    if "value" in lowered and ("name" in lowered or "key" in lowered):
        for found in _XML_NAMED.finditer(text):
            if _hides(found["name"], found["value"]):
                yield found.span("value")
    for needed, pattern in _STATEMENTS:
        if needed in lowered:
            for found in pattern.finditer(text):
                if worth_hiding(found["value"], Verdict.YES) and any(letter.isalnum() for letter in found["value"]):
                    yield found.span("value")


def default_spans(text: str, *, secret: bool = False) -> Iterator[Span]:
    """The defaults of references whose names, or whose place (``secret``), say that they are secrets."""
    if "${" in text:
        for found in DEFAULT.finditer(text):
            named = Verdict.YES if secret else verdict(found["name"])
            if worth_hiding(found["default"], named):
                yield found.span("default")


def _pairs(text: str, prose: bool, keys: bool) -> Iterator[Span]:
    position = line_end = 0
    while (found := _PAIR.search(text, position)) is not None:
        # The value may be a pair itself.
        position = found.end() if found.end() > found.start() else found.end() + 1
        name = found["name"]
        judged = verdict(name)
        if judged < Verdict.KEY and name.lower() in ("key", "keys", "string", "code", "phrase", "id"):
            judged = max(judged, _with_word_before(text, found.start(), name))
            if keys and judged < Verdict.LIKELY and name.lower() == "key":
                judged = Verdict.LIKELY
        if judged is Verdict.NO:
            continue
        colon = found["sep"].strip() in (":", "：")
        if line_end < found.end():
            line_end = ended.start() if (ended := _LINE_END.search(text, found.end())) else len(text)
        if text.startswith(HIDDEN, found.end()):
            continue
        begin, end = _value(text, found.end(), line_end if colon and not prose else None, lines=keys)
        value = text[begin:end]
        if found["sep"].strip() == ":" and value.startswith("//"):
            continue
        if prose and colon and _is_prose(text, begin, end):
            continue
        if worth_hiding(value, judged, name) and not is_reference_with_default(value):
            yield begin, end
            position = max(position, end)
        elif is_reference_with_default(value):
            yield from ((begin + start, begin + stop) for start, stop in default_spans(value, secret=True))


def _is_prose(text: str, begin: int, end: int) -> bool:
    """Whether an ordinary word stands there, such as the next clause of a message."""
    if text.startswith(('"', "'", "`"), begin - 1):
        return False
    word = text[begin:end]
    more = text[end : end + 2].strip(" \t")
    return _ENDING.fullmatch(word) is not None or (bool(more) and _PROSE_WORD.fullmatch(word) is not None)


def _value(text: str, begin: int, line_end: int | None, *, lines: bool) -> Span:
    """Where the value that begins at ``begin`` ends, at the latest at ``line_end``; else at a blank. Quotes stay outside."""
    quoted = (_QUOTED_LINES.match(text, begin) if lines else None) or _QUOTED.match(text, begin)
    if quoted is not None:
        return quoted.span("value")
    if line_end is not None:
        # The signs within references end nothing.
        scheme = _SCHEME.match(text, begin)
        after = scheme.end() if scheme else begin
        while (reference := REFERENCE.match(text, after)) is not None:
            after = reference.end()
        another = _ANOTHER.search(text, after, line_end)
        end = another.start() if another else line_end
    else:
        scheme = _SCHEME.match(text, begin)
        word = _WORD.match(text, scheme.end() if scheme else begin)
        end = word.end() if word else (scheme.end() if scheme else begin)
    while end > begin and text[end - 1] in " \t":
        end -= 1
    return begin, end


def _with_word_before(text: str, begin: int, name: str) -> Verdict:
    before = _BEFORE_KEY.search(text, max(0, begin - 32), begin)
    return verdict(f"{before[1]} {name}") if before else Verdict.NO


def _flags(text: str) -> Iterator[Span]:
    for found in _FLAG.finditer(text):
        value = found["value"].strip("\"'")
        if not value.startswith("-") and _hides(found["name"].lstrip("-"), value):
            yield _unquoted(text, *found.span("value"))


def _elements(text: str) -> Iterator[Span]:
    for found in _XML.finditer(text):
        name = found["name"].rpartition(":")[2]
        named = _NAME_ATTRIBUTE.search(found["attributes"])
        if _hides(name, found["value"]) or (named is not None and _hides(named["name"], found["value"])):
            yield found.span("value")


def _hides(name: str, value: str) -> bool:
    return not value.startswith(HIDDEN[:-1]) and not is_reference(value) and worth_hiding(value, verdict(name))


def _unquoted(text: str, begin: int, end: int) -> Span:
    return (
        (begin + 1, end - 1)
        if end - begin >= 2 and text[begin] in "\"'" and text[end - 1] == text[begin]
        else (begin, end)
    )
