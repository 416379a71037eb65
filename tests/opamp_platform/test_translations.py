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

from accounts.management.commands.makemessages import Command
from tests.live_server import ROOT

FOLDER = ROOT / "templates" / "locale" / "zh_Hans" / "LC_MESSAGES"
APPS = (
    "accounts",
    "agents",
    "alerts",
    "certificates",
    "configurations",
    "enrolment",
    "jobs",
    "foundation",
    "notifications",
    "opamp_platform",
    "opamp_transport",
    "rollouts",
    "packages",
    "connections",
    "telemetry",
    "variables",
)
FUNCTIONS = {"_", "gettext", "gettext_lazy", "gettext_noop", "ngettext", "ngettext_lazy", "Message"}
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|\{\w+\}|</?\w+>")
# The same in both languages: names of things, examples of values.
SAME = {"Agent", "CPU", "HTTP", "OpAMP", "SHA-256", "URL", "WebSocket", "prod, staging", "{kind} {name}"}


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


def calls_in(path: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield getattr(node.func, "id", getattr(node.func, "attr", "")), node


def text_of(call: ast.Call) -> str | None:
    """The text for translation of a call, if it is written out: the first argument, of messages the second."""
    return literal(call, 1 if getattr(call.func, "id", "") == "Message" else 0)


def literal(call: ast.Call, place: int) -> str | None:
    """The argument at ``place``, if it is a text that is written out."""
    given = call.args[place] if len(call.args) > place else None
    return given.value if isinstance(given, ast.Constant) and isinstance(given.value, str) else None


def used_in_python(path: Path) -> Iterator[str]:
    for name, call in calls_in(path):
        if name in FUNCTIONS and (text := text_of(call)) is not None:
            yield text


def messages() -> Iterator[tuple[str, ast.Call]]:
    """Every place where a `Message` is made, and the call."""
    for app in APPS:
        for path in (ROOT / app).rglob("*.py"):
            for name, call in calls_in(path):
                if name == "Message":
                    yield f"{path.relative_to(ROOT)}:{call.lineno}", call


def fields_of(template: str) -> list[tuple[str, str | None, str | None]]:
    """The placeholders of a message, each with its format. Raises ValueError for lone braces."""
    parts = string.Formatter().parse(template)
    return sorted((name, form, conversion) for _text, name, form, conversion in parts if name is not None)


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


def test_every_message_is_written_out_and_given_what_it_names() -> None:
    """Else nothing could collect it for translation, and the mistake would show where the message is made."""
    wrong = []
    made = list(messages())
    for place, call in made:
        template = text_of(call)
        given = [keyword.arg for keyword in call.keywords]
        # `Message.with_texts` makes one of what it has.
        if place.startswith("foundation/messages.py") and template is None:
            continue
        if template is None or {name for name, _form, _conversion in fields_of(template)} != set(given):
            wrong.append(place)
    assert len(made) > 150
    assert wrong == []


def test_every_code_has_one_template_and_every_template_one_code() -> None:
    """Programs tell problems by their codes, so each says one thing, and is written out where it can be found."""
    templates: dict[str, str] = {}
    codes: dict[str, str] = {}
    wrong = []
    for place, call in messages():
        code, template = literal(call, 0), text_of(call)
        if template is None and place.startswith("foundation/messages.py"):
            continue
        if code is None or not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", code):
            wrong.append(place)
        elif templates.setdefault(code, template or "") != template or codes.setdefault(template, code) != code:
            wrong.append(f"{place}: {code}")
    assert wrong == []


def test_translated_messages_name_the_same_values() -> None:
    templates = {text_of(call) for _place, call in messages()}
    translated = [entry for entry in entries()[1:] if entry.source in templates]
    assert [entry.source for entry in translated if fields_of(entry.translation) != fields_of(entry.source)] == []


def test_messages_are_collected() -> None:
    assert "--keyword=Message:2" in Command.xgettext_options


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
