"""What a query finds in the database is what it says, told by a slow evaluation in Python over random agents."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.models import Agent, AgentPresence
from agents.queries import (
    Conjunction,
    Disjunction,
    FreeText,
    InvalidQuery,
    Negation,
    Node,
    Operation,
    Term,
    Value,
    parse_query,
    quoted_value,
)
from agents.query_conditions import agents_matching
from agents.query_words import query_words
from agents.reports import capability_names
from agents.selectors.versions import version_key

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NAMES = ["edge", "edge-1", "Edge", "", 'q"x', "边缘-1", "a%b_c", "[x]*"]
VERSIONS = ["", "0.9", "0.120.0", "v1.2.0-rc.1", "1.2", "nightly"]
KEYS = ["env", "0", "k.8/s", "版本", 'a"b\\c']
VALUES = ["prod", "Prod", "prod-eu", "dev", "", "0.9", "0.10", "1.0-rc.1", 'x"y', "10:00", "%", "p_od"]
AGES = [timedelta(0), timedelta(minutes=4), timedelta(minutes=5), timedelta(hours=3), timedelta(days=400)]
FACTS = [True, False, None]
CONFIGURATIONS = ["", "prod-eu", "prod", "Prod"]

AGENT = st.fixed_dictionaries(
    {
        "name": st.sampled_from(NAMES),
        "hostname": st.sampled_from(NAMES),
        "version": st.sampled_from(VERSIONS),
        "os_type": st.sampled_from(["linux", "windows", ""]),
        "connected": st.booleans(),
        "healthy": st.sampled_from(FACTS),
        "in_sync": st.sampled_from(FACTS),
        "config_failed": st.booleans(),
        "config_applying": st.booleans(),
        "config_drifted": st.booleans(),
        "configuration_name": st.sampled_from(CONFIGURATIONS),
        "transport": st.sampled_from(["", "http", "websocket"]),
        "approval": st.sampled_from(["approved", "pending", "rejected"]),
        "capabilities": st.integers(0, 0xFFFF),
        "labels": st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES), max_size=3),
        "age": st.sampled_from(AGES),
        "known": st.sampled_from(AGES),
        "uid": st.integers(0, 3),
    }
)


def value(texts: list[str]) -> st.SearchStrategy[str]:
    """One of them, quoted where needed, or its beginning."""
    begun = st.tuples(st.sampled_from(texts), st.integers(0, 5)).map(lambda pair: pair[0][: pair[1]])
    return (
        st.sampled_from(texts).map(quoted_value)
        | begun.filter(lambda text: quoted_value(text) == text).map(lambda text: f"{text}*")
        | st.just("*")
    )


def word(name: str, values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    several = st.lists(values, min_size=1, max_size=3).map(lambda found: f"{name}:({', '.join(found)})")
    return values.map(lambda found: f"{name}:{found}") | several


CHOICES = {
    "status": ["connected", "configuring", "error", "disconnected"],
    "connected": ["yes", "no", "true"],
    "health": ["good", "bad", "unknown"],
    "sync": ["yes", "no", "unknown"],
    "drift": ["yes", "no"],
    "approval": ["approved", "pending", "rejected"],
    "transport": ["http", "websocket"],
    "capability": ["ReportsStatus", "acceptspackages", "ReportsHealth"],
}
KEY = st.sampled_from([quoted_value(key) for key in KEYS])
TERM = st.one_of(
    *(word(name, st.sampled_from(values)) for name, values in CHOICES.items()),
    word("config", value(CONFIGURATIONS)),
    word("name", value(NAMES)),
    word("os", value(["linux", "windows", ""])),
    word("version", value(VERSIONS)),
    st.tuples(st.sampled_from(["<", "<=", ">", ">="]), st.sampled_from(["0.9", "0.120", "1.2.0-rc.1", "2"])).map(
        lambda pair: f"version{pair[0]}{pair[1]}"
    ),
    st.tuples(
        st.sampled_from(["seen", "first_seen"]),
        st.sampled_from(["<", "<=", ">", ">="]),
        st.sampled_from(["5m", "1h", "2026-03-01", "2025-01-01T00:00"]),
    ).map("".join),
    st.sampled_from(["uid:0*", "uid:00000000-0000-0000-0000-000000000001", "uid:0000000000000000000000000000000*", "uid:f*"]),
    st.tuples(KEY, st.sampled_from(["=", "!="]), value(VALUES)).map("".join),
    st.tuples(KEY, st.sampled_from(["in", "notin"]), st.lists(value(VALUES), min_size=1, max_size=3)).map(
        lambda parts: f"{parts[0]} {parts[1]} ({', '.join(parts[2])})"
    ),
    st.tuples(KEY, st.sampled_from(["<", "<=", ">", ">="]), st.sampled_from(["0.9", "0.10", "1"])).map("".join),
    KEY.map(lambda key: f"has:{key}"),
    KEY.map(lambda key: f"!{key}"),
    st.sampled_from(["edge", "EDGE-1", "ed", "%", "a%b", "边缘", '"q\\"x"', "00000000-0000-0000-0000-000000000002"]),
)  # fmt: skip
QUERY = st.recursive(
    TERM,
    lambda part: st.one_of(
        st.lists(part, min_size=2, max_size=3).map(lambda parts: f"({' or '.join(parts)})"),
        st.lists(part, min_size=2, max_size=3).map(lambda parts: f"({' '.join(parts)})"),
        part.map(lambda text: f"-{text}" if not text.startswith(("!", "-")) else f"not {text}"),
    ),
    max_leaves=6,
)


class Slow:
    """One agent judged by the tree."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent

    def is_meant(self, node: Node) -> bool:
        match node:
            case Conjunction():
                return all(map(self.is_meant, node.parts))
            case Disjunction():
                return any(map(self.is_meant, node.parts))
            case Negation():
                return not self.is_meant(node.part)
            case FreeText():
                return self.has_text(node.text)
            case Term():
                return self.is_so(node)

    def has_text(self, text: str) -> bool:
        try:
            return self.agent.instance_uid == UUID(text)
        except ValueError:
            pass
        lines = [self.agent.name, self.agent.hostname, self.agent.service_name]
        if len(text) < 3:
            return any(line.casefold().startswith(text.casefold()) for line in lines)
        return any(text.casefold() in line.casefold() for line in lines)

    def is_so(self, term: Term) -> bool:
        if term.operation is Operation.IS:
            return any(self.has_word(term.key, each) for each in term.values)
        if term.key in {"seen", "first_seen"}:
            return self.is_in_time(term)
        actual = self.agent.version if term.key == "version" else self.agent.labels.get(term.key)
        if term.operation is Operation.HAS:
            return actual is not None
        if term.operation is Operation.EQUAL:
            return actual is not None and any(each.admits(actual) for each in term.values)
        if term.operation is Operation.UNEQUAL:
            return actual is None or not any(each.admits(actual) for each in term.values)
        mine, asked = version_key(actual or ""), version_key(term.values[0].text)
        return mine is not None and asked is not None and compares(term.operation, mine, asked)

    def is_in_time(self, term: Term) -> bool:
        time = self.agent.first_seen_at if term.key == "first_seen" else self.agent.presence.last_seen_at
        text = term.values[0].text
        if text[0] != "2":
            ages = {"5m": timedelta(minutes=5), "1h": timedelta(hours=1)}
            return compares(term.operation, NOW - time, ages[text])
        return compares(term.operation, time, datetime.fromisoformat(text).replace(tzinfo=UTC))

    def has_word(self, name: str, asked: Value) -> bool:
        agent, truth = self.agent, {True: "yes", False: "no", None: "unknown"}
        columns = {"config": "configuration_name", "name": "name", "os": "os_type", "version": "version"}
        if name in columns:
            return asked.admits(getattr(agent, columns[name]))
        if name == "uid":
            return asked.admits(agent.instance_uid.hex if asked.prefix else str(agent.instance_uid))
        if name == "capability":
            return asked.text.casefold() in map(str.casefold, capability_names(agent.capabilities))
        said = {
            "status": agent.status.value,
            "connected": truth[agent.connected],
            "health": {True: "good", False: "bad", None: "unknown"}[agent.healthy],
            "sync": truth[agent.in_sync],
            "drift": truth[agent.config_drifted],
            "approval": agent.approval,
            "transport": agent.transport,
        }[name]
        return {"true": "yes"}.get(asked.text, asked.text) == said


def compares(operation: Operation, mine: Any, asked: Any) -> bool:
    return {
        Operation.LESS: mine < asked,
        Operation.LESS_OR_EQUAL: mine <= asked,
        Operation.GREATER: mine > asked,
        Operation.GREATER_OR_EQUAL: mine >= asked,
    }[operation]


def store(facts: list[dict[str, Any]]) -> list[Agent]:
    agents = []
    for number, drawn in enumerate(facts):
        fact = dict(drawn)
        age, known, uid = fact.pop("age"), fact.pop("known"), fact.pop("uid")
        agents.append(Agent(instance_uid=UUID(int=uid + 16 * number), first_seen_at=NOW - known, **fact))
        agents[-1].age = age  # type: ignore[attr-defined]
    made = Agent.objects.bulk_create(agents)
    AgentPresence.objects.bulk_create(AgentPresence(agent=agent, last_seen_at=NOW - agent.age) for agent in made)
    return list(Agent.objects.select_related("presence"))


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(st.lists(AGENT, min_size=1, max_size=6), st.lists(QUERY, min_size=8, max_size=8))
def test_the_database_finds_what_the_query_says(facts, queries):
    Agent.objects.all().delete()
    agents = store(facts)
    for text in queries:
        tree = parse_query(text)
        wanted = {agent.pk for agent in agents if Slow(agent).is_meant(tree)}
        found = list(agents_matching(text, None, at=NOW).values_list("pk", flat=True))
        assert sorted(found) == sorted(wanted), text


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("statsu:connected", 0, "Did you mean status:connected?"),
        ("env=prod statsu:connected", 9, "There is no word statsu"),
        ("status:conected", 7, "Did you mean status:connected?"),
        ("status:conn*", 7, "status is never conn*"),
        ("env:prod", 0, "Did you mean env=prod?"),
        ("http://x", 0, "text with a colon goes in double quotes"),
        ("health<3", 0, "health has no order"),
        ("seen:5m", 5, "write seen<5m"),
        ("seen<5", 5, "Expected how long ago"),
        ("seen<2026-13-01", 5, "Expected how long ago"),
        ("version<nightly", 8, "compares versions"),
        ("env<prod", 4, "compares versions"),
        ("env<1*", 4, "compares versions"),
        ("uid:xyz", 4, "Expected a whole instance UID"),
        ("uid:01", 4, "Expected a whole instance UID"),
        ('"status":error', 0, "There is no word status"),
        ('STATUS:"a b"', 0, 'Did you mean status:"a b"?'),
        ("statsu:(connected, error)", 0, "Did you mean status:(connected, error)?"),
        ("env:(prod, dev*)", 0, "Did you mean env in (prod, dev*)?"),
        ("env:pro*", 0, "Did you mean env=pro*?"),
        ("in (prod)", 0, "stands behind the key of a label"),
        ("env not in (prod)", 8, "env notin (prod, dev)"),
        ("()", 1, "Expected a condition, found )"),
        ("(env=prod or)", 12, "Expected a condition, found )"),
        ("env=prod)", 8, "No bracket is open"),
    ],
)
def test_what_nobody_can_mean_is_refused_at_its_place(report, text, place, said):
    report("a", env="prod")
    with pytest.raises(InvalidQuery) as caught:
        agents_matching(text, None).exists()
    assert caught.value.position == place
    assert said in str(caught.value.message)


@pytest.mark.parametrize(
    "text", ["seen<9999999w", "first_seen>0001-01-01", "first_seen<9999-12-31T23:59:59Z", "seen>=0s"]
)
def test_times_far_away_are_times(report, text):
    report("a")
    assert agents_matching(text, None).count() == 1


@pytest.mark.parametrize(
    ("text", "place", "guess"),
    [
        ("status=error", 0, "status:error"),
        ("status!=error", 0, "-status:error"),
        ("env=prod status in (error, connected)", 9, "status:(error, connected)"),
        ("status notin (error)", 0, "-status:error"),
        ("-status=error", 1, "status:error"),
        ("status=nonsense", 0, "status:…"),
        ("seen=5m", 0, "seen<5m"),
        ("version!=1.2*", 0, "-version:1.2*"),
        ('host="a b"', 0, 'host:"a b"'),
    ],
)
def test_a_word_that_was_taken_for_a_label_is_a_mistake(report, bob, text, place, guess):
    report("a", env="prod")
    with pytest.raises(InvalidQuery, match="stands with a colon") as caught:
        agents_matching(text, bob)
    assert caught.value.position == place
    assert f"Did you mean {guess}?" in str(caught.value)
    # In quotes it is a label whoever has one, and the portal itself asks on when the last one with it is gone.
    quoted = text.replace("status", '"status"').replace("seen", '"seen"').replace("version", '"version"')
    agents_matching(quoted.replace("host", '"host"'), bob)
    agents_matching(text, None)


def test_a_label_of_the_name_of_a_word_is_asked_for_as_any_other(report, bob):
    report("a", status="lent")
    report("b")
    assert [agent.hostname for agent in agents_matching("status=lent", bob)] == ["a"]
    assert [agent.hostname for agent in agents_matching("status!=lent", bob)] == ["b"]


def test_the_words_of_lists_are_written_in_any_case(report):
    report("a", env="prod")
    report("b", env="dev")
    assert [agent.hostname for agent in agents_matching("env IN (prod, x)", None)] == ["a"]
    assert [agent.hostname for agent in agents_matching("env NotIn (prod, x)", None)] == ["b"]


def test_words_that_need_a_right_are_refused_without_it(report, bob, charlie):
    report("a")
    assert agents_matching("package:x", bob).count() == 0
    assert agents_matching("", bob).count() == 1
    assert agents_matching("", charlie).count() == 0
    with pytest.raises(InvalidQuery, match="do not have the right"):
        agents_matching("package:x", charlie)
    assert "package" not in query_words(charlie)
    assert "package" in query_words(None)


def test_every_word_finds_something_to_ask_with_few_queries(report):
    agent = report("a", env="prod")
    for name, word in query_words().items():
        values = [value for value, _number in word.suggestions("")] or (["0*"] if name == "uid" else ["x"])
        if name == "alert" and values == ["x"]:
            # There is none, and one that is not there is a mistake.
            continue
        for value in values:
            sign = ":" if not word.compares or name in ("version", "failed") else "<"
            with CaptureQueriesContext(connection) as queries:
                found = list(agents_matching(f"{name}{sign}{quoted_value(value) if '*' not in value else value}", None))
            assert len(queries) <= 4, name
            assert found in ([], [agent]), name


def test_the_longest_query_is_one_condition(report):
    report("a", env="prod")
    text = " or ".join(["env=prod", "-status:error", "version<9", "seen<1h", "config:x*"] * 20)
    assert agents_matching(text, None).count() == 1
    assert agents_matching("-" * 20 + "env=prod", None).count() == 1
