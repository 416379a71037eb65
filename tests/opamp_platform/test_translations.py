"""The Chinese of the portal is complete and compiled. Needs no gettext tools: what they read is read here."""

from __future__ import annotations

import ast
import gettext
import re
import string
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.utils.translation.template import templatize

from tests.live_server import ROOT

FOLDER = ROOT / "templates" / "locale" / "zh_Hans" / "LC_MESSAGES"
APPS = ("accounts", "agents", "configurations", "opamp_platform", "opamp_transport")
FUNCTIONS = {"_", "gettext", "gettext_lazy", "gettext_noop", "ngettext", "ngettext_lazy"}
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|\{\w+\}|</?\w+>")
# The same in both languages: names of things, examples of values.
SAME = {"Agent", "HTTP", "OpAMP", "WebSocket", "prod, staging"}


class Entry:
    """One entry of a .po file."""

    def __init__(self, block: str) -> None:
        self.fuzzy = any(line.startswith("#,") and "fuzzy" in line for line in block.splitlines())
        self.texts: dict[str, str] = {}
        name = ""
        for line in block.splitlines():
            if line.startswith("#"):
                continue
            keyword, quote, rest = line.partition('"')
            name = keyword.strip() or name
            self.texts[name] = self.texts.get(name, "") + str(ast.literal_eval(quote + rest))
        self.source = self.texts.get("msgid", "")
        self.translation = self.texts.get("msgstr", self.texts.get("msgstr[0]", ""))


def entries() -> list[Entry]:
    blocks = (FOLDER / "django.po").read_text(encoding="utf-8").strip().split("\n\n")
    return [Entry(block) for block in blocks]


def used_in_python(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and node.args:
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            first = node.args[0]
            if name in FUNCTIONS and isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield first.value


def used_in_template(path: Path) -> Iterator[str]:
    code = templatize(path.read_text(encoding="utf-8"), origin=str(path))
    for found in re.finditer(r"""(?:gettext|ngettext|_)\((u?(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"))""", code):
        yield str(ast.literal_eval(found[1]))


def used() -> set[str]:
    texts: set[str] = set()
    for app in APPS:
        for path in (ROOT / app).rglob("*.py"):
            texts.update(used_in_python(path))
    for path in (ROOT / "templates").rglob("*.html"):
        texts.update(used_in_template(path))
    return texts


def test_every_text_of_the_code_and_the_templates_is_translated() -> None:
    known = {entry.source for entry in entries()}
    texts = used()
    assert len(texts) > 300
    assert sorted(texts - known) == [], "write these into django.po"


def test_nothing_is_untranslated_or_guessed() -> None:
    rows = entries()[1:]
    assert [entry.source for entry in rows if not entry.translation.strip()] == []
    assert [entry.source for entry in rows if entry.fuzzy] == []


def test_placeholders_survive_translation() -> None:
    wrong = []
    for entry in entries()[1:]:
        plural = entry.texts.get("msgid_plural", entry.source)
        if sorted(PLACEHOLDER.findall(entry.translation)) != sorted(PLACEHOLDER.findall(plural)):
            wrong.append(entry.source)
    assert wrong == []


def test_translations_are_chinese() -> None:
    letters = set(string.ascii_letters)
    plain = [
        entry.source
        for entry in entries()[1:]
        if entry.translation == entry.source and set(entry.source) & letters and entry.source not in SAME
    ]
    assert plain == []


def test_what_is_compiled_is_what_is_written() -> None:
    with (FOLDER / "django.mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    for entry in entries()[1:]:
        plural = entry.texts.get("msgid_plural")
        found = compiled.ngettext(entry.source, plural, 1) if plural else compiled.gettext(entry.source)
        assert found == entry.translation, "run msgfmt on django.po"


@pytest.mark.parametrize("source", ['msgid "a"\nmsgstr ""', '#, fuzzy\nmsgid "a"\nmsgstr "b"'])
def test_the_reader_sees_what_is_missing(source: str) -> None:
    entry = Entry(source)
    assert entry.fuzzy or not entry.translation
