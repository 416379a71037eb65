"""Whether two selectors can match one agent: never a no where labels satisfy both."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.selectors import Operator, Requirement, Selector, can_both_match, parse_label_query

KEYS, VALUES = ("a", "b"), ("1.0", "2.0", "x")


def selector(text: str) -> Selector:
    return Selector(parse_label_query(text).requirements)


@pytest.mark.parametrize(
    ("one", "other", "possible"),
    [
        ("env=prod", "env=lab", False),
        ("env=prod", "tier=edge", True),
        ("env=prod", "env in (prod, lab)", True),
        ("env=prod", "env!=prod", False),
        ("env in (prod, lab)", "env!=prod", True),
        ("env", "!env", False),
        ("env=prod", "!env", False),
        ("env!=prod", "!env", True),
        ("v>1.0", "v<1.0", False),
        ("v>1.0", "v<2.0", True),
        ("v>1.0", "v=0.9", False),
        ("v>1.0", "v=1.1", True),
        ("v>1.0", "v!=1.1", True),
    ],
)
def test_clauses_of_one_label_decide(one, other, possible):
    assert can_both_match(selector(one), selector(other)) is possible
    assert can_both_match(selector(other), selector(one)) is possible


def test_what_matches_nothing_meets_nobody():
    everybody, nobody = Selector((), match_all=True), Selector(())
    assert can_both_match(everybody, everybody)
    assert not can_both_match(everybody, nobody)


requirements = st.builds(
    Requirement,
    st.sampled_from(KEYS),
    st.sampled_from([Operator.IN, Operator.NOT_IN]),
    st.lists(st.sampled_from(VALUES), min_size=1, max_size=3).map(tuple),
) | st.builds(Requirement, st.sampled_from(KEYS), st.sampled_from([Operator.EXISTS, Operator.DOES_NOT_EXIST])) | st.builds(
    Requirement, st.sampled_from(KEYS), st.sampled_from([Operator.GT, Operator.LT]), st.sampled_from([("1.0",), ("1.5",)])
)  # fmt: skip
selectors = st.lists(requirements, min_size=1, max_size=4).map(lambda found: Selector(tuple(found)))
labels = st.dictionaries(st.sampled_from(KEYS), st.sampled_from([*VALUES, "1.2", "y"]))


@given(selectors, selectors, labels)
def test_labels_that_both_match_are_never_denied(one, other, found):
    if one.matches(found) and other.matches(found):
        assert can_both_match(one, other)
