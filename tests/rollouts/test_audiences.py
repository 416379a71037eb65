"""Audiences: who is included, that a share is stable and grows, and the stored form."""

from __future__ import annotations

from uuid import UUID

import pytest

from agents.selectors import parse_selector
from rollouts.audiences import (
    EVERYONE,
    LONGEST_SALT,
    MOST_INSTANCES,
    MOST_PARTS,
    POSITIONS,
    AllOf,
    AnyOf,
    First,
    Instances,
    InvalidAudience,
    Matching,
    Share,
    parse_audience,
    position,
    stored,
)

UIDS = [UUID(int=number << 64 | number) for number in range(2_000)]
PROD = Matching(parse_selector({"env": "prod"}))


def _of(audience):
    return {uid for uid in UIDS if audience.includes(uid, {})}


def test_everyone():
    assert EVERYONE.includes(UIDS[0], {})


def test_a_larger_share_includes_every_smaller_one():
    members = [_of(Share(percent, "x")) for percent in (0, 10, 50, 100)]
    assert members[0] == set()
    assert members[3] == set(UIDS)
    assert members[1] < members[2]
    assert 120 < len(members[1]) < 280


def test_another_salt_picks_others():
    assert _of(Share(10, "x")) != _of(Share(10, "y"))


def test_the_first_are_those_below_a_limit_in_the_order_of_a_salt():
    order = sorted(UIDS, key=lambda uid: position(uid, "x"))
    at_third = position(order[2], "x")
    assert _of(First(0, "x")) == set()
    assert _of(First(at_third, "x")) == set(order[:2]), "whoever stands at the limit is not below it"
    assert _of(First(at_third + 1, "x")) == set(order[:3])
    assert _of(First(POSITIONS, "x")) == set(UIDS)
    assert _of(First(POSITIONS // 10, "x")) == _of(Share(10, "x"))
    assert _of(First(at_third + 1, "y")) != set(order[:3])


def test_all_of_are_those_in_each():
    both = AllOf((PROD, Instances(frozenset({UIDS[1]}))))
    assert both.includes(UIDS[1], {"env": "prod"})
    assert not both.includes(UIDS[1], {})
    assert not both.includes(UIDS[0], {"env": "prod"})


def test_matching_instances_and_any_of():
    named = Instances(frozenset({UIDS[1]}))
    either = AnyOf((PROD, named))
    assert either.includes(UIDS[0], {"env": "prod"})
    assert either.includes(UIDS[1], {})
    assert not either.includes(UIDS[0], {"env": "dev"})


@pytest.mark.parametrize(
    "audience",
    [
        EVERYONE,
        Share(7, "s"),
        PROD,
        Instances(frozenset(UIDS[:3])),
        AnyOf((PROD, Share(1))),
        AnyOf((PROD, AllOf((Share(1), First(1 << 64, "s"))))),
        First(0),
        Share(0, "s" * LONGEST_SALT),
        Share(100),
        First(1, "s" * LONGEST_SALT),
        AllOf((EVERYONE,) * MOST_PARTS),
        Instances(frozenset(UUID(int=number) for number in range(MOST_INSTANCES))),
    ],
)
def test_the_stored_form_comes_back(audience):
    assert parse_audience(stored(audience)) == audience


@pytest.mark.parametrize(
    "form",
    [
        None,
        [],
        {"kind": "everyone"},
        {"version": 2, "kind": "everyone"},
        {"version": 1, "kind": "nobody"},
        {"version": 1, "kind": []},
        {"version": 1, "kind": "share", "percent": True},
        {"version": 1, "kind": "share", "percent": 101},
        {"version": 1, "kind": "share", "percent": -1},
        {"version": 1, "kind": "share", "percent": 1.0},
        {"version": 1, "kind": "share", "percent": 1, "salt": "x" * 101},
        {"version": 1, "kind": "matching", "selector": {"matchExpressions": 3}},
        {"version": 1, "kind": "instances", "uids": ["x"]},
        {"version": 1, "kind": "instances", "uids": [str(UIDS[0])] * 10_001},
        {"version": 1, "kind": "any_of", "parts": [{"kind": "everyone"}] * 51},
        {"version": 1, "kind": "any_of", "parts": [{"kind": "all_of", "parts": [{"kind": "any_of", "parts": []}]}]},
        {"version": 1, "kind": "first", "limit": 3},
        {"version": 1, "kind": "first", "limit": "-1"},
        {"version": 1, "kind": "first", "limit": "10000000000000001"},
        {"version": 1, "kind": "first", "limit": "x"},
        {"version": 1, "kind": "first", "limit": "1", "salt": 1},
    ],
)
def test_what_is_no_audience_is_refused(form):
    with pytest.raises(InvalidAudience):
        parse_audience(form)
