"""Edits by people who see `[redacted]`: what was hidden at that place stays; nothing is lost, moved or sent elsewhere. Pure.

A placeholder stands for the value that the present revision has at the same path of the same file, and for nothing else. Where
that cannot be told, the edit is refused with the line. `configurations.kept_secrets` judges where a value that stays would go.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice

from accounts.sentence import Sentence
from agents.shown import HIDDEN, message_shown, text_shown
from configurations.checks.findings import Finding, Kind, Place, Severity, place_at, shown
from configurations.checks.leaves import Leaf, Leaves, Path, leaves_of
from configurations.kept_secrets import Secret, hidden_paths, moved
from configurations.line_differences import hidden_values
from configurations.remote_config import ConfigFile

# Signs of comments in one line that are looked at.
_MOST_SIGNS = 8
# What JSON leaves as it is, and YAML reads as a break or not at all.
_BREAKING = re.compile("[\x7f-\x9f\u2028\u2029\ufeff]")

_NOTHING_HIDDEN = Sentence(
    "Nothing is hidden at this place of the present revision, so [redacted] stands for no value: type the value."
)
_ANOTHER_TEXT = Sentence(
    "What stands around the hidden value is not as it was: type the value again, or ask somebody with the right to see secrets."
)
_NO_PATHS = Sentence(
    "This file cannot be read as YAML or JSON, so no hidden value of it can be kept in an edit: type the values again, or ask "
    "somebody with the right to see secrets."
)


# What was typed, what stood there, and the true value.
_Change = tuple[Leaf, Leaf, str]


class HiddenValues(ValueError):
    """Hidden values cannot stay. ``findings`` by config key, each at its line."""

    def __init__(self, findings: Mapping[str, list[Finding]]) -> None:
        super().__init__("; ".join(str(item.message) for found in findings.values() for item in found))
        self.findings = findings


def restored(
    files: Mapping[str, ConfigFile], present: Mapping[str, ConfigFile], *, trusted: bool
) -> dict[str, ConfigFile]:
    """``files`` with the values of ``present`` where an editor left placeholders. Raises `HiddenValues`.

    ``trusted``: whoever edits may see secrets, and so may send them elsewhere. For others also those hidden values are
    guarded that stand in files which the edit left alone: their bodies are the very objects of ``present``.
    """
    edit = _Edit(files, present)
    for key in files:
        edit.restore(key, trusted=trusted)
    if not trusted and not edit.findings:
        edit.guard()
    if edit.findings:
        raise HiddenValues(edit.findings)
    return edit.files


class _Edit:
    def __init__(self, files: Mapping[str, ConfigFile], present: Mapping[str, ConfigFile]) -> None:
        self.files = dict(files)
        self.findings: dict[str, list[Finding]] = {}
        self._typed = dict(files)
        self._present = present
        # Of each file, by the key that it had: a file may have got another one.
        self._origins = {key: origin for key in files if (origin := self._origin(key)) is not None}
        self._kept: list[Secret] = []
        self._token = _token([_text(file) or "" for file in (*files.values(), *present.values())])

    def restore(self, key: str, *, trusted: bool) -> None:
        """Put true values into the file ``key``, note which those are, or say why that cannot be."""
        text = _text(self.files[key])
        origin = self._origins.get(key)
        former = None if origin is None else self._present[origin]
        if former is not None and self.files[key].body is former.body:
            self._keep_all(origin or "", former)
        elif text is not None and HIDDEN in text:
            known = None if former is None else _text(former)
            if former is not None and _alike(text, HIDDEN if known is None else text_shown(known)):
                self.files[key] = replace(self.files[key], body=former.body)
                self._keep_all(origin or "", former)
            elif text != known:
                self._restore_values(key, origin or "", text, known or "", trusted=trusted)

    def guard(self) -> None:
        """Refuse what would send a value that stays elsewhere."""
        if not self._kept:
            return
        sides = (
            {key: self._marked(file) for key, file in self._present.items()},
            {self._origins.get(key, key): self._marked(file) for key, file in self.files.items()},
        )
        keys = {self._origins.get(key, key): key for key in self.files}
        for item in moved(*sides, self._kept, self._token):
            # What is gone is told where the value is that stays.
            key = keys.get(item.key, keys.get(item.secret.key, ""))
            where = shown(item.path) or Sentence("the whole file")
            if item.component:
                message = Sentence(
                    "{component} has a hidden value, which would go elsewhere with another {setting}: type the value again, or "
                    "ask somebody with the right to see secrets.",
                    component=shown(item.component),
                    setting=where,
                )
            else:
                message = Sentence(
                    "The files have a hidden value, which might go elsewhere with another {setting}: type the value again, or "
                    "ask somebody with the right to see secrets.",
                    setting=where,
                )
            self._refuse(key, message, item.place, item.path)

    def _keep_all(self, origin: str, file: ConfigFile) -> None:
        marked = self._marked(file)
        paths: list[Path] = [()] if marked is None else hidden_paths(marked, self._token)
        self._kept += [Secret(origin, path) for path in paths]

    def _restore_values(self, key: str, origin: str, text: str, known: str, *, trusted: bool) -> None:
        typed = leaves_of(text.replace(HIDDEN, self._token))
        if typed is None:
            self._refuse(key, _NO_PATHS, place_at(text, text.index(HIDDEN)))
            return
        former = _Former(known, self._token)
        if not former.is_readable:
            self._refuse(key, _NO_PATHS, place_at(text, text.index(HIDDEN)))
            return
        changes: dict[tuple[int, int], _Change] = {}
        restored_paths: list[Path] = []
        for leaf in typed.values:
            if self._token not in leaf.value:
                continue
            was = former.leaf(leaf.path)
            true = None if was is None else former.value(leaf, trusted=trusted)
            span = (leaf.begin, leaf.end)
            if was is None:
                self._refuse(key, _NOTHING_HIDDEN, leaf.place, _said(leaf.path))
            elif true is None or (span in changes and changes[span][2] != true):
                self._refuse(key, _ANOTHER_TEXT, leaf.place, _said(leaf.path))
            else:
                changes[span] = (leaf, was, true)
                restored_paths.append(leaf.path)
        comments = list(self._restored_comments(key, text, typed, former))
        if key in self.findings:
            return
        for as_before in (True, False):
            result = _replaced(text, known, changes, comments, as_before=as_before)
            if result is not None and self._is_restored(result, text, known, typed, changes):
                self.files[key] = replace(self.files[key], body=result.encode(errors="surrogatepass"))
                self._kept += [Secret(origin, path) for path in restored_paths]
                return
        self._refuse(key, _ANOTHER_TEXT, place_at(text, text.index(HIDDEN)))

    def _restored_comments(self, key: str, text: str, typed: Leaves, former: _Former) -> Iterator[tuple[int, int, str]]:
        """Spans of comments with placeholders, and what they were: the same words, or none."""
        values = [(leaf.begin, leaf.end) for leaf in typed.values]
        begin = -1
        while (begin := text.find(HIDDEN, begin + 1)) >= 0:
            if any(first <= begin < last for first, last in values):
                continue
            start, end = _comment(text, begin)
            within_key = any(first <= begin < last for first, last in typed.keys)
            true = None if within_key or start < 0 else former.comments.get(text[start:end].strip())
            if true is None:
                self._refuse(key, _NOTHING_HIDDEN, place_at(text, begin))
            else:
                yield start, end, true

    def _is_restored(
        self, result: str, text: str, known: str, typed: Leaves, changes: Mapping[tuple[int, int], _Change]
    ) -> bool:
        """Whether exactly the placeholders were replaced, and people still see none of the values."""
        found = leaves_of(result)
        if found is None or len(found.values) != len(typed.values) or result.count(HIDDEN) > known.count(HIDDEN):
            return False
        for leaf, was in zip(found.values, typed.values, strict=True):
            change = changes.get((was.begin, was.end))
            if leaf.path != was.path or leaf.value != (was.value if change is None else change[2]):
                return False
        return text_shown(result).count(HIDDEN) >= text.count(HIDDEN)

    def _origin(self, key: str) -> str | None:
        """The key that the file had in the present revision."""
        if key in self._present:
            return key
        gone = [known for known in self._present if known not in self._typed]
        same = [known for known in gone if self._present[known].body is self._typed[key].body]
        new = [name for name in self._typed if name not in self._present]
        return same[0] if same else gone[0] if len(gone) == len(new) == 1 else None

    def _marked(self, file: ConfigFile) -> str | None:
        text = _text(file)
        return None if text is None else text_shown(text).replace(HIDDEN, self._token)

    def _refuse(self, key: str, message: Sentence, place: Place, path: str = "") -> None:
        finding = Finding(Severity.ERROR, Kind.HIDDEN, message, place.line, place.column, path)
        self.findings.setdefault(key, []).append(finding)


class _Former:
    """What a file had: its values as they are, and as people saw them."""

    def __init__(self, text: str, token: str) -> None:
        seen = text_shown(text)
        self._token = token
        seen_leaves, true_leaves = leaves_of(seen.replace(HIDDEN, token)), leaves_of(text)
        self.is_readable = seen_leaves is not None and true_leaves is not None
        self._seen = _by_path(seen_leaves)
        self._true = _by_path(true_leaves)
        self.comments = _comments(text)

    def leaf(self, path: Path) -> Leaf | None:
        """The hidden value at ``path``; ``None`` when nothing is hidden there, or it cannot be told what."""
        seen, true = self._seen.get(path, []), self._true.get(path, [])
        return true[0] if len(seen) == len(true) == 1 and self._token in seen[0].value else None

    def value(self, typed: Leaf, *, trusted: bool) -> str | None:
        """The true value for what was typed in its place; ``None`` when other words stand around what is hidden."""
        (seen,), (true,) = self._seen[typed.path], self._true[typed.path]
        if typed.value == seen.value:
            return true.value
        words, pieces = typed.value.split(self._token), seen.value.split(self._token)
        if not trusted or len(words) != len(pieces):
            return None
        hidden = hidden_values(true.value, seen.value.replace(self._token, HIDDEN))
        if _joined(pieces, hidden) != true.value:
            return None
        return _joined(words, hidden)


def _joined(words: list[str], hidden: list[str]) -> str:
    return words[0] + "".join(value + word for value, word in zip(hidden, words[1:], strict=True))


def _by_path(leaves: Leaves | None) -> dict[Path, list[Leaf]]:
    found: dict[Path, list[Leaf]] = {}
    for leaf in leaves.values if leaves else ():
        found.setdefault(leaf.path, []).append(leaf)
    return found


def _comments(text: str) -> dict[str, str]:
    """Comments with secrets, by what people see of them; those alone of which there is one."""
    found: dict[str, set[str]] = {}
    for line in text.splitlines():
        for sign in islice(re.finditer("#", line), _MOST_SIGNS):
            comment = line[sign.start() :].strip()
            seen = message_shown(comment)
            if HIDDEN in seen:
                found.setdefault(seen, set()).add(comment)
    return {seen: comments.pop() for seen, comments in found.items() if len(comments) == 1}


def _comment(text: str, place: int) -> tuple[int, int]:
    """The comment around ``place``: from its sign to the end of the line; -1 when none begins before it."""
    begin = text.rfind("\n", 0, place) + 1
    end = text.find("\n", place)
    return text.rfind("#", begin, place), len(text) if end < 0 else end


def _replaced(
    text: str,
    known: str,
    changes: Mapping[tuple[int, int], _Change],
    comments: list[tuple[int, int, str]],
    *,
    as_before: bool,
) -> str | None:
    """``text`` with all of it put in; ``None`` when two of them lie over each other."""
    pieces = [
        (begin, end, (_as_before(text, known, change) if as_before else "") or _quoted(change[2]))
        for (begin, end), change in changes.items()
    ]
    parts: list[str] = []
    position = 0
    for begin, end, value in sorted({*pieces, *comments}):
        if begin < position:
            return None
        parts += [text[position:begin], value]
        position = end
    return "".join([*parts, text[position:]])


def _as_before(text: str, known: str, change: _Change) -> str:
    """The value as it was written before, ``""`` where that would not say the same here."""
    leaf, was, value = change
    source = known[was.begin : was.end]
    if value != was.value:
        return ""
    if was.style in ("|", ">"):
        line_end = text.find("\n", leaf.end)
        rest = text[leaf.end :] if line_end < 0 else text[leaf.end : line_end]
        fits = was.indent == leaf.indent and not leaf.in_flow and not rest.strip()
        return source.rstrip("\n") if fits else ""
    if "\n" in source or (not was.style and leaf.in_flow != was.in_flow):
        return ""
    return source


def _quoted(value: str) -> str:
    """In double quotes, as YAML and JSON both have them."""
    return _BREAKING.sub(lambda sign: f"\\u{ord(sign[0]):04x}", json.dumps(value, ensure_ascii=False))


def _said(path: Path) -> str:
    return ".".join(shown(str(step)) for step in path)


def _alike(typed: str, seen: str) -> bool:
    """Browsers have line ends of their own."""
    return typed.replace("\r\n", "\n") == seen.replace("\r\n", "\n")


def _text(file: ConfigFile) -> str | None:
    try:
        return file.body.decode()
    except UnicodeDecodeError:
        return None


def _token(texts: list[str]) -> str:
    """Of the placeholder's length, so that places stay, and of letters and digits, so that it reads as a value anywhere."""
    number = 0
    while any((token := f"Q{number:0{len(HIDDEN) - 2}d}Q") in text for text in texts):
        number += 1
    return token
