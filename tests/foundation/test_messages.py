"""Messages: a code for programs, English everywhere, and the reader's language where an entry point shows them."""

from __future__ import annotations

import copy
import json
import pickle

import pytest
from django.template import Context, Template
from django.utils import translation

from foundation.errors import Category, DomainError
from foundation.languages import in_readers_language
from foundation.messages import Message

LINE = Message("at", "Line {line}, column {column}", line=3, column=7)
MOST = Message("most", "At most {most:,} of {what}.", most=1024, what="x")


@pytest.fixture
def chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two words of Chinese, whatever the portal's own translation says."""
    words = {
        "{place}: {problem}": "{place}：{problem}",
        "At most {most:,} of {what}.": "{what}最多 {most:,} 个。",
    }
    monkeypatch.setattr("foundation.languages.gettext", lambda text: words.get(text, text))


def test_its_english_text_is_asked_for():
    assert str(LINE) == "Line 3, column 7"
    assert f"{LINE!s}!" == "Line 3, column 7!"
    assert "%s!" % LINE == "Line 3, column 7!"  # noqa: UP031 (what logging does)


def test_it_is_no_text():
    assert not isinstance(LINE, str)
    assert LINE != "Line 3, column 7"


@pytest.mark.parametrize("lose", [lambda: f"{LINE}!", lambda: "{}".format(LINE), lambda: LINE + "!"])  # noqa: UP032
def test_a_text_cannot_swallow_it_by_accident(lose):
    with pytest.raises(TypeError):
        lose()
    with pytest.raises(TypeError):
        json.dumps([LINE])


def test_the_hint_says_what_to_do_instead():
    with pytest.raises(TypeError, match="in_readers_language"):
        f"{LINE}"


def test_it_is_told_by_all_of_it():
    same = Message("at", "Line {line}, column {column}", column=7, line=3)
    assert (same, hash(same)) == (LINE, hash(LINE))
    assert len({LINE, same, MOST, Message("at", "Line {line}, column {column}", line=3, column=8)}) == 3


def test_it_cannot_be_changed():
    with pytest.raises(AttributeError):
        LINE.code = "other"
    LINE.parameters["line"] = 4
    assert LINE.parameters == {"line": 3, "column": 7}


def test_a_template_that_names_something_else_is_refused_where_it_is_made():
    with pytest.raises(KeyError):
        Message("at", "Line {line}", place=3)


def test_braces_in_values_are_only_text():
    assert str(Message("name", "Name {name}.", name="{0} {name} {{}}")) == "Name {0} {name} {{}}."
    assert in_readers_language(Message("name", "Name {name}.", name="{0}{x}")) == "Name {0}{x}."


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_copies_and_pickles_remember_all_of_it(again):
    whole = Message("at-place", "{place}: {problem}", place="a", problem=LINE)
    copied = again(whole)
    assert (copied, copied.code, copied.template) == (whole, whole.code, whole.template)
    assert copied.parameters == {"place": "a", "problem": LINE}


def test_what_only_says_more_about_a_problem_keeps_its_code():
    assert LINE.problem_code == "at"
    assert Message.at("env", Message.at("a", MOST)).problem_code == "most"
    assert Message.listed([MOST, LINE]).problem_code == "most"
    assert Message("told", "Told: {problem}", problem="by others").problem_code == "told"


@pytest.mark.usefixtures("chinese")
def test_messages_within_are_translated_too():
    assert str(MOST) == "At most 1,024 of x."
    assert in_readers_language(Message.at("env", MOST)) == "env：x最多 1,024 个。"
    assert in_readers_language(Message.at("", MOST)) == "x最多 1,024 个。"


@pytest.mark.usefixtures("chinese")
def test_other_text_stays_as_it_is():
    assert in_readers_language("{place}: {problem}") == "{place}: {problem}"


def test_an_error_says_what_it_was_given():
    assert in_readers_language(ValueError(LINE)) == "Line 3, column 7"
    assert in_readers_language(ValueError()) == ""
    assert in_readers_language(KeyError("a", "b")) == "('a', 'b')"
    assert str(ValueError(LINE)) == "Line 3, column 7"


@pytest.mark.usefixtures("chinese")
def test_an_error_of_a_service_has_message_code_and_category():
    error = DomainError(Message.at("env", MOST))
    assert (error.code, error.category) == ("most", Category.INVALID)
    assert str(error) == "env: At most 1,024 of x."
    assert in_readers_language(error) == "env：x最多 1,024 个。"


@pytest.mark.usefixtures("chinese")
def test_templates_have_it_as_a_filter_and_escape_it():
    said = Message.at("<b>", Message("twice", "Twice."))
    page = Template("{% load languages %}{{ said|in_readers_language }}").render(Context({"said": said}))
    assert page == "&lt;b&gt;：Twice."


def test_the_language_is_the_readers_when_it_is_shown():
    made = Message("no-agent", "no agent")
    with translation.override("zh-hans"):
        assert in_readers_language(made) == "无 Agent"
    assert in_readers_language(made) == "no agent"


def test_texts_in_a_message_are_changed_and_what_it_says_stays() -> None:
    inner = Message("component", "{kind} {name}", kind=Message("exporter", "exporter"), name="abc")
    said = Message("told", "{component} in line {line}", component=inner, line=3).with_texts(str.upper)
    assert str(said) == "exporter ABC in line 3"
    assert said.template == "{component} in line {line}"
