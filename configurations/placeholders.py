"""Edits by people who see `[redacted]`: what was hidden at that place stays; nothing is lost, moved or sent elsewhere. Pure.

A placeholder stands for the value that the present revision has at the same path of the same file, and for nothing else. Where
that cannot be told, the edit is refused with the line. `configurations.kept_secrets` judges where a value that stays would go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count

from agents import redaction
from agents.redaction import HIDDEN
from agents.remote_config import ConfigFile
from agents.shown import text_shown
from configurations.checks.findings import Finding, FindingKind, Place, Severity, place_at, shown_value
from configurations.checks.leaves import Leaf, Path, leaves_of
from configurations.kept_secrets import KeptSecret, SecretText, hidden_paths, moved
from foundation.messages import Message

_NOTHING_HIDDEN = Message(
    "nothing-hidden-here",
    "Nothing is hidden at this place of the present revision, so [redacted] stands for no value: type the value.",
)
_ANOTHER_TEXT = Message(
    "hidden-value-surroundings-changed",
    "What stands around the hidden value is not as it was: type the value again, or ask somebody with the right to see secrets.",
)
_NO_PATHS = Message(
    "hidden-values-unreadable-file",
    "This file cannot be read as YAML or JSON, so no hidden value of it can be kept in an edit: type the values again, or ask "
    "somebody with the right to see secrets.",
)


class HiddenValues(ValueError):
    """Hidden values cannot stay. ``findings`` by config key, each at its line."""

    def __init__(self, findings: Mapping[str, list[Finding]]) -> None:
        super().__init__("; ".join(str(item.message) for found in findings.values() for item in found))
        self.findings = findings


def with_secrets_restored(
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
        self._kept: list[KeptSecret] = []
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
            elif text != known and not _is_literal(text, known):
                self._restore_values(key, origin or "", text, known or "", trusted=trusted)

    def guard(self) -> None:
        """Refuse what would send a value that stays elsewhere."""
        if not self._kept:
            return
        sides = (
            {key: self._seen(file) for key, file in self._present.items()},
            {self._origins.get(key, key): self._seen(file) for key, file in self.files.items()},
        )
        keys = {self._origins.get(key, key): key for key in self.files}
        for item in moved(*sides, self._kept, self._token):
            # What is gone is told where the value is that stays.
            key = keys.get(item.key, keys.get(item.secret.key, ""))
            where = shown_value(item.path) or Message("whole-file", "the whole file")
            if item.component:
                message = Message(
                    "hidden-value-redirected",
                    "{component} has a hidden value, which would go elsewhere with another {setting}: type the value again, or "
                    "ask somebody with the right to see secrets.",
                    component=shown_value(item.component),
                    setting=where,
                )
            else:
                message = Message(
                    "hidden-value-maybe-redirected",
                    "The files have a hidden value, which might go elsewhere with another {setting}: type the value again, or "
                    "ask somebody with the right to see secrets.",
                    setting=where,
                )
            self._refuse(key, message, item.place, item.path)

    def _keep_all(self, origin: str, file: ConfigFile) -> None:
        seen = self._seen(file)
        paths: list[Path] = [()] if seen is None else hidden_paths(seen.shown, self._token)
        self._kept += [KeptSecret(origin, path) for path in paths]

    def _restore_values(self, key: str, origin: str, text: str, known: str, *, trusted: bool) -> None:
        typed = leaves_of(text.replace(HIDDEN, self._token))
        seen = leaves_of(text_shown(known).replace(HIDDEN, self._token))
        if typed is None or seen is None:
            self._refuse(key, _NO_PATHS, place_at(text, text.index(HIDDEN)))
            return
        former = _by_path(seen)
        paths: list[Path] = []
        for leaf in typed:
            if self._token not in leaf.value:
                continue
            was = former.get(leaf.path, [])
            paths.append(leaf.path)
            if not any(self._token in value for value in was):
                self._refuse(key, _NOTHING_HIDDEN, leaf.place, _said(leaf.path))
            elif len(was) > 1 or (was[0] != leaf.value and not trusted):
                self._refuse(key, _ANOTHER_TEXT, leaf.place, _said(leaf.path))
        if key in self.findings:
            return
        result = redaction.restored(text, known)
        for missing in result.missing:
            self._refuse_missing(key, missing, typed, text)
        if key in self.findings:
            return
        if not self._is_restored(result.text, known, typed):
            self._refuse(key, _ANOTHER_TEXT, place_at(text, text.index(HIDDEN)))
            return
        self.files[key] = replace(self.files[key], body=result.text.encode(errors="surrogatepass"))
        self._kept += [KeptSecret(origin, path) for path in paths]

    def _refuse_missing(self, key: str, missing: Sequence[str | int], typed: list[Leaf], text: str) -> None:
        """What has no path is named by its line; of a path the first step is the number of the document."""
        if len(missing) == 1 and text.count("\n") >= int(missing[0]) - 1 >= 0:
            self._refuse(key, _NOTHING_HIDDEN, Place(int(missing[0]), 1))
            return
        places = [leaf.place for leaf in typed if list(leaf.path) == list(missing[1:])]
        self._refuse(key, _ANOTHER_TEXT, places[0] if places else place_at(text, text.index(HIDDEN)))

    def _is_restored(self, result: str, known: str, typed: list[Leaf]) -> bool:
        """Whether the placeholders were replaced, nothing else was, and people still see none of the values."""
        found = leaves_of(result)
        if found is None or len(found) != len(typed) or result.count(HIDDEN) > known.count(HIDDEN):
            return False
        true = _by_path(leaves_of(known))
        seen = leaves_of(text_shown(result).replace(HIDDEN, self._token))
        if seen is None or len(seen) != len(found):
            return False
        for leaf, was, shown_leaf in zip(found, typed, seen, strict=True):
            if leaf.path != was.path:
                return False
            if self._token not in was.value:
                if leaf.value != was.value:
                    return False
            elif shown_leaf.value != was.value or (was.value == self._token and [leaf.value] != true.get(leaf.path)):
                return False
        return True

    def _origin(self, key: str) -> str | None:
        """The key that the file had in the present revision."""
        if key in self._present:
            return key
        gone = [known for known in self._present if known not in self._typed]
        same = [known for known in gone if self._present[known].body is self._typed[key].body]
        new = [name for name in self._typed if name not in self._present]
        return same[0] if same else gone[0] if len(gone) == len(new) == 1 else None

    def _seen(self, file: ConfigFile) -> SecretText | None:
        text = _text(file)
        return None if text is None else SecretText(text, text_shown(text).replace(HIDDEN, self._token))

    def _refuse(self, key: str, message: Message, place: Place, path: str = "") -> None:
        finding = Finding(Severity.ERROR, FindingKind.HIDDEN, message, place.line, place.column, path, file=key)
        self.findings.setdefault(key, []).append(finding)


def _is_literal(typed: str, known: str | None) -> bool:
    """Whether the placeholders stand for themselves: they stood in the text that way, and nothing else of it is hidden."""
    return known is not None and 0 < typed.count(HIDDEN) <= known.count(HIDDEN) and text_shown(known) == known


def _by_path(leaves: list[Leaf] | None) -> dict[Path, list[str]]:
    """The values; of a key that an object has twice, both."""
    found: dict[Path, list[str]] = {}
    for leaf in leaves or ():
        found.setdefault(leaf.path, []).append(leaf.value)
    return found


def _said(path: Path) -> str:
    return ".".join(shown_value(str(step)) for step in path)


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
    candidates = (f"Q{number:0{len(HIDDEN) - 2}d}Q" for number in count())
    return next(token for token in candidates if not any(token in text for text in texts))
