"""Hides secrets in a reported configuration before it is shown (S-116). Pure: text in, text out; the stored text stays whole.

What counts as a secret is decided by the name of its key, and by the password part of a URL. References such as
``${env:TOKEN}`` are no secrets: they stay readable.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import yaml

from agents.nesting import check_yaml
from agents.reports import Json, JsonObject

HIDDEN = "[redacted]"
# Above this only pairs on a line are looked for: a tree of it would cost a page more than it is worth.
_LARGEST_TREE = 2 * 1024 * 1024

_NAME = (
    r"[\w.-]{0,64}(?:passw(?:or)?d|passphrase|secret|token|api[_.-]?key|access[_.-]?key|private[_.-]?key|key[_.-]?pem"
    r"|credentials?|authorization|bearer|cookie|connection[_.-]?string|community)[\w.-]{0,64}"
)
_SECRET = re.compile(rf"^(?:{_NAME}|pwd|dsn|sas)$", re.IGNORECASE)
# Where a secret is found, or what it is called, is none.
_NOT_SECRET = re.compile(
    r"(?:file|path|dir|url|uri|endpoint|name|id|type|scheme|ttl|timeout|interval|enabled)$", re.IGNORECASE
)
_REFERENCE = re.compile(r"^\$(?:\{[^}]*\}|\w+)$")
_URL_PASSWORD = re.compile(
    r"(?P<before>(?<![a-z0-9+.-])[a-z][a-z0-9+.-]{0,30}://[^/\s:@]{0,256}:)(?P<password>[^@/\s]{1,1024})(?=@)",
    re.IGNORECASE,
)
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]{0,32}PRIVATE KEY-----[^-]*(?:-----END [A-Z ]{0,32}PRIVATE KEY-----)?")
# Lengths are bounded, so that no text makes the search cost more than its length.
# Without a tree: a quoted value ends with its quote, any other with its line.
_PAIR = re.compile(
    rf"""(?P<before>(?<![\w.-])["']?(?P<key>{_NAME}|pwd|dsn|sas)["']?[ \t]*[:=][ \t]*)"""
    r"""(?P<value>"(?:\\.|[^"\\])*"|'[^']*'|[^\s,}}\]"'][^\r\n]*)""",
    re.IGNORECASE,
)


def redacted_files(files: Mapping[str, JsonObject]) -> dict[str, dict[str, Json]]:
    """A copy of ``{key: {"body": text, …}}`` with the secrets of every text hidden; bodies that are no text are left out."""
    shown: dict[str, dict[str, Json]] = {}
    for key, file in files.items():
        body = file.get("body")
        kept = {name: value for name, value in file.items() if name != "body_base64"}
        if isinstance(body, str):
            kept["body"] = redacted(body)
        elif "body_base64" in file:
            kept["body_base64"] = HIDDEN
        shown[key] = kept
    return shown


def redacted(text: str) -> str:
    """``text`` (YAML, JSON, or anything else by its key-value pairs) with the values of secret keys replaced by `HIDDEN`."""
    spans: list[tuple[int, int]] = []
    tree = None
    if len(text) <= _LARGEST_TREE:
        try:
            check_yaml(text)
            tree = yaml.compose(text, yaml.CSafeLoader)
        except (yaml.YAMLError, RecursionError, ValueError):
            tree = None
    if tree is None or isinstance(tree, yaml.ScalarNode):
        return _without_keys(_PAIR.sub(_hidden_pair, text))
    starts = _line_starts(text)
    for node in _secrets(tree):
        begin = starts[node.start_mark.line] + node.start_mark.column
        end = starts[min(node.end_mark.line, len(starts) - 1)] + node.end_mark.column
        spans.append((begin, begin + len(text[begin:end].rstrip())))
    parts, position = [], 0
    for begin, end in sorted(set(spans)):
        parts += [_without_keys(text[position:begin]), f'"{HIDDEN}"']
        position = end
    return "".join(parts) + _without_keys(text[position:])


def _secrets(root: yaml.Node) -> Iterator[yaml.ScalarNode]:
    """Scalars under keys that name secrets, in mappings and in lists below such a key. Aliases are walked once."""
    seen: set[int] = set()
    waiting: list[tuple[yaml.Node, bool]] = [(root, False)]
    while waiting:
        node, secret = waiting.pop()
        if isinstance(node, yaml.ScalarNode):
            if secret and node.value.strip() and not _REFERENCE.match(node.value.strip()):
                yield node
        elif id(node) not in seen:
            seen.add(id(node))
            if isinstance(node, yaml.SequenceNode):
                waiting += [(item, secret) for item in node.value]
            elif isinstance(node, yaml.MappingNode):
                waiting += [(value, _names_secret(key)) for key, value in node.value]


def _names_secret(key: yaml.Node) -> bool:
    return isinstance(key, yaml.ScalarNode) and _is_secret(key.value)


def _is_secret(name: str) -> bool:
    return bool(_SECRET.match(name)) and not _NOT_SECRET.search(name)


def _hidden_pair(found: re.Match[str]) -> str:
    if not _is_secret(found["key"]) or _REFERENCE.match(found["value"].strip("\"' ")):
        return found[0]
    return f'{found["before"]}"{HIDDEN}"'


def _without_keys(text: str) -> str:
    """URLs keep their user and host; private keys are hidden wherever they stand."""
    return _PRIVATE_KEY.sub(HIDDEN, _URL_PASSWORD.sub(lambda found: found["before"] + HIDDEN, text))


def _line_starts(text: str) -> list[int]:
    """Offsets of the lines as YAML counts them: CR LF, CR, LF, and the Unicode breaks end one."""
    return [0, *(found.end() for found in re.finditer("\r\n|[\r\n\x85\u2028\u2029]", text))]
