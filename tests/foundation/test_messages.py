"""Sentences: English everywhere, and the reader's language where an entry point shows them."""

from __future__ import annotations

import copy
import json
import pickle

import pytest
from django.template import Context, Template
from django.utils import translation

from foundation.languages import in_readers_language
from foundation.messages import Sentence

LINE = Sentence("Line {line}, column {column}", line=3, column=7)


@pytest.fixture
def chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two words of Chinese, whatever the portal's own translation says."""
    words = {
        "{place}: {problem}": "{place}：{problem}",
        "At most {most:,} of {what}.": "{what}最多 {most:,} 个。",
    }
    monkeypatch.setattr("foundation.languages.gettext", lambda text: words.get(text, text))


def test_it_is_its_english_text():
    assert LINE == "Line 3, column 7"
    assert f"{LINE}!" == "Line 3, column 7!"
    assert {LINE: 1} == {"Line 3, column 7": 1}
    assert json.dumps([LINE]) == '["Line 3, column 7"]'
    assert repr(LINE) == "'Line 3, column 7'"


def test_text_is_just_text():
    assert type(str(LINE)) is str


def test_braces_in_values_are_only_text():
    assert Sentence("Name {name}.", name="{0} {name} {{}}") == "Name {0} {name} {{}}."
    assert in_readers_language(Sentence("Name {name}.", name="{0}{x}")) == "Name {0}{x}."


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_copies_and_pickles_remember_all_of_it(again):
    whole = Sentence("{place}: {problem}", place="a", problem=LINE)
    copied = again(whole)
    assert (copied, copied.template, copied.values) == (whole, whole.template, whole.values)
    assert isinstance(copied.values["problem"], Sentence)


@pytest.mark.usefixtures("chinese")
def test_sentences_within_are_translated_too():
    inner = Sentence("At most {most:,} of {what}.", most=1024, what="x")
    assert inner == "At most 1,024 of x."
    assert in_readers_language(Sentence.at("env", inner)) == "env：x最多 1,024 个。"
    assert in_readers_language(Sentence.at("", inner)) == "x最多 1,024 个。"


@pytest.mark.usefixtures("chinese")
def test_other_text_stays_as_it_is():
    assert in_readers_language("{place}: {problem}") == "{place}: {problem}"


def test_an_error_says_what_it_was_given():
    assert in_readers_language(ValueError(LINE)) == "Line 3, column 7"
    assert in_readers_language(ValueError()) == ""
    assert in_readers_language(KeyError("a", "b")) == "('a', 'b')"
    assert str(ValueError(LINE)) == "Line 3, column 7"


@pytest.mark.usefixtures("chinese")
def test_templates_have_it_as_a_filter_and_escape_it():
    said = Sentence.at("<b>", Sentence("Twice."))
    page = Template("{% load languages %}{{ said|in_readers_language }}").render(Context({"said": said}))
    assert page == "&lt;b&gt;：Twice."


def test_the_language_is_the_readers_when_it_is_shown():
    made = Sentence("no agent")
    with translation.override("zh-hans"):
        assert in_readers_language(made) == "无 Agent"
    assert in_readers_language(made) == "no agent"


def test_texts_in_a_sentence_are_changed_and_what_it_says_stays() -> None:
    inner = Sentence("{kind} {name}", kind=Sentence("exporter"), name="abc")
    said = Sentence("{component} in line {line}", component=inner, line=3).with_texts(str.upper)
    assert said == "exporter ABC in line 3"
    assert isinstance(said, Sentence)
    assert said.template == "{component} in line {line}"
