"""References such as ``${env:HOST}`` in the texts of a Collector's configuration: what the Collector cannot expand at all.

What a reference stands for only the agent knows. Rules of confmap of the Collector 0.149: the innermost braces are expanded
first, ``$$`` is a dollar sign, and a reference without a scheme names an environment variable.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from configurations.checks.findings import Severity, shown_value
from configurations.checks.spelling import with_suggestion
from foundation.messages import Message

_INNERMOST = re.compile(r"\$\{([^${}]*)\}")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")
_ENV_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
# Of the Collector and its contrib distribution.
SCHEMES = ("env", "file", "yaml", "http", "https", "s3", "aes", "secretsmanager", "googlesecretmanager")
# Stand for what was read already: a doubled dollar sign, and the value of a reference. In no configuration: no YAML has them.
_DOLLARS, _VALUE = "\x01\x01", "\x02"
_MOST_REFERENCES = 1_000


def reference_problems(text: str) -> Iterator[tuple[Severity, str, Message]]:
    """What is wrong with references in ``text``, each with the name of what it refers to."""
    if "${" not in text:
        return
    rest = text.replace("$$", _DOLLARS)
    for _count in range(_MOST_REFERENCES):
        found = _INNERMOST.search(rest)
        if found is None:
            break
        yield from _judged(found[1])
        rest = rest[: found.start()] + _VALUE + rest[found.end() :]
    else:
        return
    if "${" in rest:
        message = Message(
            "reference-not-closed", "A reference opened with {opening} is never closed; it stays text.", opening="${"
        )
        yield Severity.WARNING, "", message


def _judged(reference: str) -> Iterator[tuple[Severity, str, Message]]:
    before, colon, rest = reference.partition(":")
    if not colon or before == "env":
        name, has_default = (rest if colon else before), ":-" in rest
        yield from _variable(name.partition(":-")[0], has_default=has_default)
    elif _VALUE in before or before in SCHEMES:
        return
    elif rest.startswith("-"):
        message = Message(
            "reference-without-scheme",
            "{name} has a default but no scheme; write {wanted}.",
            name=shown_value(before),
            wanted=shown_value("${env:" + reference.replace(_VALUE, "…") + "}"),
        )
        yield Severity.ERROR, before, message
    elif not _SCHEME.match(reference):
        message = Message(
            "reference-unreadable",
            "{name} is no reference: before the colon stands a scheme such as env.",
            name=shown_value(reference.replace(_VALUE, "…")),
        )
        yield Severity.ERROR, before, message
    else:
        problem = Message(
            "reference-unknown-scheme",
            "No Collector reads the scheme {name}; it may be {known}.",
            name=shown_value(before),
            known=", ".join(SCHEMES),
        )
        yield Severity.ERROR, before, with_suggestion(problem, before, SCHEMES)


def _variable(name: str, *, has_default: bool) -> Iterator[tuple[Severity, str, Message]]:
    if _VALUE in name:
        return
    if not _ENV_NAME.fullmatch(name):
        message = Message(
            "environment-variable-name",
            "{name} is no name of an environment variable: letters, digits and underscores, no digit first.",
            name=repr(shown_value(name)),
        )
        yield Severity.ERROR, name, message
    elif not has_default:
        message = Message(
            "environment-variable-without-default",
            "Where {name} is not set, nothing stands here; a default is written {wanted}.",
            name=shown_value(name),
            wanted="${env:" + shown_value(name) + ":-…}",
        )
        yield Severity.WARNING, name, message
