"""What a person sees of anything that may hold secrets (S-116): the one place that decides it, for pages, REST and the audit trail.

`agents.redaction` finds secrets; here is what it is asked of, how much of it, and how often. Redacted texts alone are kept,
by the hash of the true one and in this process only, so that no cache holds a secret. Whoever may see secrets asks
`agents.services.revealing`, and then reads the stored values.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from agents.recent import Recent
from agents.redaction import HIDDEN, known, redacted, redacted_json, redacted_message
from agents.reports import Json, JsonObject

MOST_SHOWN = 512 * 1024
"""Characters of one reported document that are looked at for a page or an answer; the rest is downloaded."""

MOST_OF_A_MESSAGE = 16 * 1024
"""Characters of one message that are shown."""

MOST_VALUES = 20_000
"""Texts of one tree that are looked at; those behind them are hidden."""

_DEEPEST = 200
# Whose members have names that agents chose for parts of theirs, and that say nothing of the values.
_NAMED = frozenset({"components", "packages"})
_KEPT_BYTES = 16 * 1024 * 1024
_OVERHEAD_BYTES = 256
# Of which no secret is told from a word: vendors' tokens are longer, and whatever names its value has one of these signs.
_HARMLESS = re.compile(r"[^:=@\"'\s]{0,11}")

_texts: Recent[str] = Recent(_KEPT_BYTES, lambda text: _OVERHEAD_BYTES + 4 * len(text))


def text_shown(text: str) -> str:
    """A whole document with its secrets hidden; worked out once while it is remembered."""
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
    return _texts.found(f"{known.version()} {digest}", lambda: redacted(text))


def message_shown(text: str) -> str:
    """An error message or another single text, which is in no cache; of a long one the beginning."""
    return text if _HARMLESS.fullmatch(text) and not known.has_known(text) else redacted_message(_bounded_text(text))


def files_shown(files: Mapping[str, JsonObject], *, most: int | None = None) -> dict[str, dict[str, Json]]:
    """``{config key: {"body": text, …}}`` with secrets hidden; bodies that are no text are hidden as a whole.

    ``most``: see `files_cut`.
    """
    shown = files_cut(files, most)
    for entry in shown.values():
        if isinstance(body := entry.get("body"), str):
            entry["body"] = text_shown(body)
            entry.pop("body_base64", None)
        elif "body_base64" in entry:
            entry["body_base64"] = HIDDEN
    return shown


def files_cut(files: Mapping[str, JsonObject], most: int | None) -> dict[str, dict[str, Json]]:
    """A copy with ``most`` characters of all files together, ``None`` for all.

    One that was cut has ``"cut": true`` and, in UTF-8 bytes, its whole ``"size"``.
    """
    kept: dict[str, dict[str, Json]] = {}
    left = most
    for key, file in files.items():
        entry: dict[str, Json] = dict(file)
        body = file.get("body", file.get("body_base64"))
        if isinstance(body, str) and left is not None:
            if len(body) > left:
                name = "body" if "body" in file else "body_base64"
                entry |= {name: _cut(body, left), "cut": True, "size": len(body.encode(errors="replace"))}
            left = max(left - len(body), 0)
        kept[key] = entry
    return kept


def value_shown(value: Any) -> Any:
    """A JSON value: texts under a name of a secret are hidden, of all others what looks like one."""
    return redacted_json(_Bounded().copy(value, 0))


def tree_shown(node: Mapping[str, Any]) -> dict[str, Any]:
    """A node of health, of components or of packages: the names of what is below it do not count as names of secrets."""
    shown: dict[str, Any] = _node_shown(_Bounded().copy(node, 0))
    return shown


def pair_shown(key: str, value: str) -> str:
    """One value under the name it has."""
    return str(redacted_json(value, key))


def event_shown(data: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a line of the timeline; the data of a custom message as a text, or hidden when it is none."""
    shown: dict[str, Any] = value_shown({key: value for key, value in data.items() if key != "data_base64"})
    if "data_base64" in data:
        shown["data_base64"] = _data_shown(str(data["data_base64"]))
    return {key: shown[key] for key in data}


def _node_shown(node: Any) -> Any:
    if not isinstance(node, Mapping):
        return redacted_json(node)
    shown: Any = redacted_json({name: value for name, value in node.items() if not _has_names(name, value)})
    for name, value in node.items():
        if _has_names(name, value):
            shown[name] = {key: _node_shown(item) for key, item in value.items()}
    return {name: shown[name] for name in node}


def _has_names(name: str, value: Any) -> bool:
    return name in _NAMED and isinstance(value, Mapping)


class _Bounded:
    """A copy of a tree with as many texts as are looked at; the others are hidden."""

    def __init__(self) -> None:
        self._left = MOST_VALUES

    def copy(self, value: Any, depth: int) -> Any:
        """Raises nothing; below 200 levels all is hidden."""
        if depth > _DEEPEST:
            return HIDDEN
        if isinstance(value, Mapping):
            return {str(key): self.copy(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple):
            if value and all(isinstance(item, str) for item in value):
                return self._arguments([str(item) for item in value])
            return [self.copy(item, depth + 1) for item in value]
        if isinstance(value, str):
            self._left -= 1
            return HIDDEN if value and self._left < 0 else _bounded_text(value)
        return value

    def _arguments(self, texts: list[str]) -> list[str]:
        """Arguments and environments name a secret in one text and have it in the next: they are read as one document."""
        self._left -= len(texts)
        if self._left < 0:
            return [HIDDEN] * len(texts)
        texts = [_bounded_text(text) for text in texts]
        if not any(text.startswith("-") for text in texts):
            return texts
        try:
            read = json.loads(redacted(json.dumps(texts, ensure_ascii=False)))
        except ValueError:
            read = None
        same = isinstance(read, list) and len(read) == len(texts)
        return [str(text) for text in read] if isinstance(read, list) and same else [HIDDEN] * len(texts)


def _bounded_text(text: str) -> str:
    """The beginning of a long one, not up to within a word: half a token is not known for one."""
    if len(text) <= MOST_OF_A_MESSAGE:
        return text
    text = text[:MOST_OF_A_MESSAGE]
    return text[: max(text.rfind(" "), text.rfind("\n")) + 1] + "…"


def _data_shown(encoded: str) -> str:
    if encoded == HIDDEN:
        return encoded
    try:
        data = base64.b64decode(encoded, validate=True)
        text = data.decode()
    except UnicodeDecodeError as error:
        # The timeline keeps the beginning, which may end within a character.
        if error.start < len(data) - 3:
            return HIDDEN
        text = data[: error.start].decode()
    except ValueError:
        return HIDDEN
    return base64.b64encode(message_shown(text).encode()).decode()


def _cut(text: str, most: int) -> str:
    """The first lines, at most ``most`` characters. Of one endless line an open quote is closed, so that it reads as a value."""
    part = text[:most]
    end = part.rfind("\n") + 1
    if end:
        return part[:end]
    return part + '"' if len(re.findall(r'(?<!\\)"', part)) % 2 else part
