"""`SelectorIndex` answers as a scan over all selectors would."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.selectors import Entry, Operator, Requirement, Selector, SelectorIndex, parse_label_query

# Few words, so that selectors and labels meet often.
keys = st.sampled_from(["env", "region", "os", "version"])
values = st.sampled_from(["", "a", "b", "1.0", "2.0-rc1", "2.0"])


@st.composite
def requirements(draw: st.DrawFn) -> Requirement:
    operator = draw(st.sampled_from(Operator))
    count = {Operator.IN: 3, Operator.NOT_IN: 3, Operator.GT: 1, Operator.LT: 1}.get(operator, 0)
    if count == 1:
        return Requirement(draw(keys), operator, (draw(st.sampled_from(["1.0", "2.0"])),))
    return Requirement(draw(keys), operator, tuple(draw(st.lists(values, min_size=min(count, 1), max_size=count))))


entries = st.builds(
    Entry,
    key=st.integers(),
    name=st.text("abc", max_size=2),
    priority=st.integers(-1, 1),
    selector=st.builds(Selector, st.lists(requirements(), max_size=3).map(tuple), match_all=st.booleans()),
)


def by_scan(competing: list[Entry], labels: Mapping[str, str]) -> list[Entry]:
    matching = [entry for entry in competing if entry.selector.matches(labels)]
    return sorted(matching, key=lambda entry: (-entry.priority, entry.name))


def entry(name: str, query: str, priority: int = 0) -> Entry:
    return Entry(key=name, name=name, priority=priority, selector=parse_label_query(query))


class TestOrder:
    def test_the_highest_priority_wins(self) -> None:
        index = SelectorIndex.build([entry("a", "env=prod"), entry("b", "os=linux", 5), entry("c", "env=prod", -1)])
        winner = index.winner({"env": "prod", "os": "linux"})
        assert winner is not None
        assert winner.key == "b"

    @pytest.mark.defect(8)
    def test_of_equal_priority_the_first_name_wins_in_whatever_order_they_come(self) -> None:
        competing = [entry("b", "env=prod"), entry("a", "os"), entry("c", "")]
        labels = {"env": "prod", "os": "linux"}
        for order in (competing, competing[::-1]):
            assert [found.name for found in SelectorIndex.build(order).candidates(labels)] == ["a", "b", "c"]

    def test_an_empty_selector_wins_nothing_unless_it_matches_all(self) -> None:
        labels = {"env": "prod"}
        assert SelectorIndex.build([Entry(1, "none", 0, Selector())]).winner(labels) is None
        everyone = Entry(2, "all", 0, Selector(match_all=True))
        assert SelectorIndex.build([everyone]).winner({}) == everyone

    def test_no_selector_no_winner(self) -> None:
        index = SelectorIndex.build([])
        assert index.winner({"env": "prod"}) is None
        assert index.candidates({"env": "prod"}) == []


class TestEquivalence:
    @given(st.lists(entries, max_size=12), st.lists(st.dictionaries(keys, values, max_size=4), max_size=6))
    def test_it_answers_as_a_scan_would(self, competing: list[Entry], fleet: list[dict[str, str]]) -> None:
        index = SelectorIndex.build(competing)
        for labels in fleet:
            expected = by_scan(competing, labels)
            assert index.candidates(labels) == expected
            assert index.winner(labels) == (expected[0] if expected else None)


class _CountedLabels(dict[str, str]):
    """Labels that count how often they are looked into."""

    looks = 0

    def get(self, key: str, default: str | None = None) -> str | None:  # type: ignore[override]
        self.looks += 1
        return super().get(key, default)


class TestEffort:
    def test_only_selectors_that_ask_for_a_value_the_agent_has_are_tried(self) -> None:
        index = SelectorIndex.build(entry(f"c{n}", f"env=prod,team=t{n},os") for n in range(500))
        labels = _CountedLabels(env="prod", team="t250", os="linux")
        winner = index.winner(labels)
        assert winner is not None
        assert winner.name == "c250"
        assert labels.looks <= 5

    def test_weaker_selectors_are_left_out_once_one_matches(self) -> None:
        index = SelectorIndex.build(entry(f"c{n}", "version>1.0", priority=n) for n in range(500))
        labels = _CountedLabels(version="2.0")
        winner = index.winner(labels)
        assert winner is not None
        assert winner.name == "c499"
        assert labels.looks == 1
