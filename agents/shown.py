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
from functools import lru_cache
from typing import Any

from agents.recent import Recent
from agents.redaction import HIDDEN, redacted
from agents.reports import Json, JsonObject

MOST_SHOWN = 1024 * 1024
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
_TRIED = "q7Zx91Lm"

_texts: Recent[str] = Recent(_KEPT_BYTES, lambda text: _OVERHEAD_BYTES + 4 * len(text))


def text_shown(text: str) -> str:
    """A whole document with its secrets hidden; worked out once while it is remembered."""
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
    return _texts.found(digest, lambda: redacted(text))


def message_shown(text: str) -> str:
    """An error message or another single text, which is in no cache; of a long one the beginning, up to a blank."""
    if _HARMLESS.fullmatch(text):
        return text
    if len(text) > MOST_OF_A_MESSAGE:
        text = text[:MOST_OF_A_MESSAGE]
        # Not within a word: half a token is not known for one.
        text = text[: max(text.rfind(" "), text.rfind("\n")) + 1] + "…"
    return redacted(text)


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
    """A JSON value: texts below a key that names a secret are hidden, of all others what looks like one."""
    return _Walk().shown(value, hides=False, depth=0)


def tree_shown(node: Mapping[str, Any]) -> dict[str, Any]:
    """A node of health, of components or of packages: the names of what is below it do not count as names of secrets."""
    return _Walk().node(node, depth=0)


def pair_shown(key: str, value: str) -> str:
    """One value under the name it has."""
    return HIDDEN if value and _hides(key) and not _is_reference(value) else message_shown(value)


def event_shown(data: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a line of the timeline; the data of a custom message as a text, or hidden when it is none."""
    shown: dict[str, Any] = value_shown({key: value for key, value in data.items() if key != "data_base64"})
    if "data_base64" in data:
        shown["data_base64"] = _data_shown(str(data["data_base64"]))
    return {key: shown[key] for key in data}


class _Walk:
    """One walk through a tree, which looks at a bounded number of texts."""

    def __init__(self) -> None:
        self._left = MOST_VALUES

    def shown(self, value: Any, *, hides: bool, depth: int) -> Any:
        if depth > _DEEPEST:
            return HIDDEN
        if isinstance(value, Mapping):
            return {
                key: self.shown(item, hides=hides or _hides(str(key)), depth=depth + 1) for key, item in value.items()
            }
        if isinstance(value, list | tuple):
            if not hides and value and all(isinstance(item, str) for item in value):
                return self._arguments(list(value))
            return [self.shown(item, hides=hides, depth=depth + 1) for item in value]
        if isinstance(value, str):
            return self._text(value, hides=hides)
        return HIDDEN if hides and isinstance(value, int | float) and not isinstance(value, bool) else value

    def node(self, node: Mapping[str, Any], *, depth: int) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        for name, value in node.items():
            if name in _NAMED and isinstance(value, Mapping) and depth < _DEEPEST:
                shown[name] = {
                    key: self.node(item, depth=depth + 1)
                    if isinstance(item, Mapping)
                    else self.shown(item, hides=False, depth=depth + 1)
                    for key, item in value.items()
                }
            else:
                shown[name] = self.shown(value, hides=_hides(name), depth=depth + 1)
        return shown

    def _text(self, text: str, *, hides: bool) -> str:
        self._left -= 1
        if not text or (hides and _is_reference(text)):
            return text
        return HIDDEN if hides or self._left < 0 else message_shown(text)

    def _arguments(self, texts: list[str]) -> list[str]:
        """Arguments and environments name a secret in one text and have it in the next: they are read as one document."""
        self._left -= len(texts)
        if self._left < 0:
            return [HIDDEN] * len(texts)
        if all(_HARMLESS.fullmatch(text) for text in texts):
            return texts
        try:
            read = json.loads(redacted(json.dumps(texts, ensure_ascii=False)))
        except ValueError:
            read = None
        same = isinstance(read, list) and len(read) == len(texts) and all(isinstance(item, str) for item in read)
        return [message_shown(str(text)) for text in read] if same else [HIDDEN] * len(texts)


@lru_cache(maxsize=4_096)
def _hides(key: str) -> bool:
    """Whether a value is secret for its key alone; keys are no secrets and few."""
    return HIDDEN in redacted(json.dumps({key[:256]: _TRIED}, ensure_ascii=False))


def _is_reference(text: str) -> bool:
    return "$" in text and HIDDEN not in redacted(json.dumps({"password": text}, ensure_ascii=False))


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
