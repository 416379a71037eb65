"""The page about queries has every word and every value, and its examples are queries."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agents.query_conditions import agents_matching
from agents.query_words import ChoiceWord, query_words

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "queries.md").read_text(encoding="utf-8")
WORDS = PAGE.partition("## Words")[2].partition("## Examples")[0]
EXAMPLES = re.findall(r"^\| `([^`]+)` \|", PAGE.partition("## Examples")[2], re.MULTILINE)
(FIRST,) = re.findall(r"^```text\n(.*?)\n```", PAGE, re.MULTILINE | re.DOTALL)


def rows() -> dict[str, list[str]]:
    found = {}
    for names, values in re.findall(r"^\| (`[^|]+) \| ([^|]+) \|", WORDS, re.MULTILINE):
        for name in re.findall(r"`([^`]+)`", names):
            found[name] = re.findall(r"`([^`]+)`", values)
    return found


def test_every_word_is_on_the_page_with_its_values():
    assert sorted(rows()) == sorted(query_words())
    for name, word in query_words().items():
        if isinstance(word, ChoiceWord) and name != "capability":
            assert sorted(rows()[name]) == sorted(word.choices), name


@pytest.mark.django_db
@pytest.mark.parametrize("query", [*EXAMPLES, FIRST])
def test_its_examples_are_queries(report, query):
    report("a", env="prod")
    assert agents_matching(query, None).count() in {0, 1}
    assert len(EXAMPLES) > 5
