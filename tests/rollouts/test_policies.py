"""Policies of rollouts: their forms, and which agents are in which stage. Pure."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid5

import pytest

from agents.selectors import parse_selector
from rollouts.audiences import EVERYONE, POSITIONS, First, Matching, Share, position
from rollouts.errors import InvalidPolicy
from rollouts.gates import StageGate
from rollouts.policies import (
    CANARY,
    EVERYBODY_ELSE,
    MOST_STAGES,
    OnGateFailure,
    Policy,
    Stage,
    audiences_of,
    parse_policy,
)

UIDS = [uuid5(UUID(int=0), str(number)) for number in range(200)]


def problem(form: object) -> str:
    with pytest.raises(InvalidPolicy) as refused:
        parse_policy(form)
    return str(refused.value)


def test_names() -> None:
    assert parse_policy("at_once") is None
    assert parse_policy("canary") is CANARY
    assert problem("staged") == "A policy is one of at_once, canary, or an object."
    assert problem(None) == problem([]) == problem("staged")


def test_what_is_left_out_has_its_default() -> None:
    assert parse_policy({}) == Policy() == Policy((EVERYBODY_ELSE,), StageGate(), 0, None, False, OnGateFailure.PAUSE)


def test_the_stored_form_comes_back() -> None:
    form = {
        "stages": [
            {"name": "首批", "count": 3, "gate": StageGate(failed_max=2).as_json()},
            {"percent": 25},
            {"selector": {"env": "staging"}},
            {"percent": 100},
        ],
        "gate": StageGate(95, 1, 90, 5, 300, 900).as_json(),
        "max_in_flight": 10_000_000,
        "window": {"days": ["sat"], "from": "22:00", "to": "23:00", "timezone": "UTC"},
        "approval": True,
        "on_gate_failure": "roll_back",
    }
    policy = parse_policy(form)
    assert policy is not None
    assert policy.as_json() == form
    assert parse_policy(CANARY.as_json()) == CANARY


def test_a_stage_may_have_a_name() -> None:
    policy = parse_policy(
        {"stages": [{"name": " canary ", "count": 1}, {"name": None, "count": 2}, {"name": "", "count": 3}]}
    )
    assert policy is not None
    assert [policy.name_of(number) for number in range(-1, 4)] == ["", "canary", "", "", ""]
    assert [stage.as_json() for stage in policy.stages[:2]] == [{"name": "canary", "count": 1}, {"count": 2}]


def test_a_stage_may_have_a_gate_of_its_own() -> None:
    policy = parse_policy({"stages": [{"count": 1, "gate": {"failed_max": 2}}], "gate": {"failed_max": 1}})
    assert policy is not None
    assert [policy.gate_of(number).failed_max for number in range(2)] == [2, 1]


@pytest.mark.parametrize(
    ("stages", "parsed"),
    [
        ([], [EVERYBODY_ELSE]),
        ([{"percent": 100}], [EVERYBODY_ELSE]),
        # The rest is a last stage that nobody has to name.
        ([{"percent": 99}], [Stage(percent=99), EVERYBODY_ELSE]),
        ([{"count": 1}, {"count": 2}], [Stage(count=1), Stage(count=2), EVERYBODY_ELSE]),
        ([{"percent": 10}, {"count": 1}], [Stage(percent=10), Stage(count=1), EVERYBODY_ELSE]),
        ([{"selector": {"a": "b"}}], [Stage(selector=parse_selector({"a": "b"})), EVERYBODY_ELSE]),
        ([{"count": n} for n in range(1, MOST_STAGES + 1)], [*(Stage(count=n) for n in range(1, 21)), EVERYBODY_ELSE]),
    ],
)
def test_stages(stages: list[dict[str, Any]], parsed: list[Stage]) -> None:
    policy = parse_policy({"stages": stages})
    assert policy is not None
    assert list(policy.stages) == parsed


ONE_KIND = "Stage {} has one of percent, count and selector, and may have a name and a gate."
NAME = "The name of stage 1 is one line of at most 60 characters, without : and =."
GROWS = "Each {} is larger than the one before: former agents are in it."


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"stage": []}, "A policy has stages, gate, max_in_flight, window, approval, on_gate_failure; not stage."),
        ({"approval": 1}, "approval is true or false."),
        ({"max_in_flight": -1}, "max_in_flight is a whole number from 0 to 10000000."),
        ({"max_in_flight": 10_000_001}, "max_in_flight is a whole number from 0 to 10000000."),
        ({"max_in_flight": True}, "max_in_flight is a whole number from 0 to 10000000."),
        ({"on_gate_failure": "explode"}, "on_gate_failure is pause or roll_back."),
        ({"stages": {}}, "stages is a list of at most 20 stages."),
        ({"stages": [{"count": n} for n in range(1, 22)]}, "stages is a list of at most 20 stages."),
        ({"stages": [{}]}, ONE_KIND.format(1)),
        ({"stages": [5]}, ONE_KIND.format(1)),
        ({"stages": [{"count": 1}, {"percent": 5, "count": 5}]}, ONE_KIND.format(2)),
        ({"stages": [{"count": 1, "dwell": 5}]}, ONE_KIND.format(1)),
        ({"stages": [{"count": 1, "name": 5}]}, NAME),
        ({"stages": [{"count": 1, "name": "a" * 61}]}, NAME),
        ({"stages": [{"count": 1, "name": "two\nlines"}]}, NAME),
        ({"stages": [{"count": 1, "name": "env=lab"}]}, NAME),
        ({"stages": [{"percent": 0}]}, "percent of stage 1 is a whole number from 1 to 100."),
        ({"stages": [{"percent": 101}]}, "percent of stage 1 is a whole number from 1 to 100."),
        ({"stages": [{"percent": 1.5}]}, "percent of stage 1 is a whole number from 1 to 100."),
        ({"stages": [{"count": 0}]}, "count of stage 1 is a whole number from 1 to 10000000."),
        ({"stages": [{"count": 10_000_001}]}, "count of stage 1 is a whole number from 1 to 10000000."),
        ({"stages": [{"percent": 5}, {"percent": 5}]}, GROWS.format("percent")),
        ({"stages": [{"count": 5}, {"selector": {"a": "b"}}, {"count": 4}]}, GROWS.format("count")),
        ({"stages": [{"percent": 100}, {"selector": {"a": "b"}}]}, "Nobody is left after a stage of 100 percent."),
    ],
)  # fmt: skip
def test_what_is_no_policy_is_refused(form: object, said: str) -> None:
    assert problem(form) == said


@pytest.mark.parametrize("form", [{"window": {}}, {"gate": 1}, {"stages": [{"selector": {"a": {"b": "c"}}}]}])
def test_faults_of_parts_are_faults_of_the_policy(form: object) -> None:
    assert problem(form)


def test_audiences() -> None:
    staging = parse_selector({"env": "staging"})
    stages = (Stage(count=3), Stage(percent=25), Stage(selector=staging), EVERYBODY_ELSE)
    first, share, matching, everyone = audiences_of(stages, "salt", UIDS)
    assert share == Share(25, "salt")
    assert matching == Matching(staging)
    assert everyone is EVERYONE
    by_place = sorted(UIDS, key=lambda uid: position(uid, "salt"))
    assert [uid for uid in by_place if first.includes(uid, {})] == by_place[:3]
    # Who is first depends on nothing that changes while agents come and go.
    assert first == First(position(by_place[3], "salt"), "salt")
    assert audiences_of((Stage(count=200), EVERYBODY_ELSE), "salt", UIDS)[0] == First(POSITIONS, "salt")
    assert audiences_of((Stage(count=199), EVERYBODY_ELSE), "salt", UIDS)[0] == First(
        position(by_place[199], "salt"), "salt"
    )
    assert audiences_of((Stage(count=500), EVERYBODY_ELSE), "salt", UIDS)[0] == First(POSITIONS, "salt")


def test_the_canary_is_what_the_documents_say() -> None:
    assert [stage.percent for stage in CANARY.stages] == [5, 25, 100]
    assert CANARY.gate == StageGate(95, 0, 95, 5, 300, 1800)
