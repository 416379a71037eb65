"""What listeners are told of changes, how often, and that it costs nothing where nobody listens."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from accounts.events import AuditEvent
from accounts.models import AuditEntry, User
from agents.events import AgentTimelineEvent
from agents.models import Agent
from agents.remote_config import ConfigFile
from agents.services.editing import edit_agent
from configurations.services.publishing import Draft, ReleasePlan, create_configuration
from foundation import events, wakeups
from foundation.topics import RowChanged, Topic, register_topic, registered_topics
from notifications import hub
from notifications.changes import MOST_KEYS, Changes, packed, unpack_into
from notifications.hub import Hub
from notifications.listeners import Listener
from notifications.live_messages import MOST_NAMED, changes_text, parse_subscriptions
from notifications.people import Credential, Person
from rollouts.models import Rollout
from rollouts.policies import parse_policy
from tests.fake_agent import FakeAgent, eventually
from tests.fake_agent import Socket as AgentSocket
from tests.notifications.listening import Socket, in_thread, of_page, run, session_of

pytestmark = pytest.mark.django_db(transaction=True)
AGENT = "agents.agent"
EVERYTHING = frozenset({"agents", "agent", "overview", "audit", "configuration", "rollout"})


def draft(selector: dict[str, str]) -> Draft:
    """Something to publish."""
    return Draft(selector=selector, files={"": ConfigFile(b"receivers: {}\n", "text/yaml")})


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def listener_in(here: Hub, *topics: str) -> Listener:
    """Somebody who has subscribed, without a socket."""
    found = here.add(Person(1, Credential(token=1), EVERYTHING))
    wanted, unknown = parse_subscriptions(str({"subscribe": list(topics)}).replace("'", '"'), registered_topics())
    assert not unknown
    here.subscribe(found, wanted)
    return found


def told(listener: Listener) -> dict[str, tuple[set[str], bool]]:
    """What a socket would send now."""
    return {text: (hint.named, hint.more) for text, hint in listener.take().items()}


class TestHowOften:
    def test_a_thousand_changes_are_one_message_a_second(self, report: Callable[..., Agent]) -> None:
        uid, key = (agent := report()).instance_uid, str(agent.pk)
        clock = Clock()

        async def body() -> None:
            here = Hub(now=clock)
            listener = listener_in(here, "agents", f"agent:{uid}")
            assert here.wait() == hub.GATHER_SECONDS
            for _ in range(1_000):
                here.note(AGENT, [key])
            await here.tell()
            assert told(listener) == {"agents": ({str(uid)}, False), f"agent:{uid}": (set(), False)}
            for passed in range(9):
                here.note(AGENT, [key])
                assert here.wait() == pytest.approx(1.0 - passed / 10)
                clock.seconds += 0.1
            clock.seconds += 0.1
            assert here.wait() == hub.GATHER_SECONDS
            await here.tell()
            assert set(told(listener)) == {"agents", f"agent:{uid}"}
            assert told(listener) == {}
            here.remove(listener)
            await here.stop()

        run(body())

    def test_whoever_reads_slowly_gets_one_message_for_all(self, report: Callable[..., Agent]) -> None:
        first, second = report(), report()

        async def body() -> None:
            here = Hub(now=Clock())
            listener = listener_in(here, "agents")
            for agent in (first, second, first):
                here.note(AGENT, [str(agent.pk)])
                await here.tell()
            assert told(listener) == {"agents": ({str(first.instance_uid), str(second.instance_uid)}, False)}
            here.remove(listener)
            await here.stop()

        run(body())

    def test_of_very_many_some_are_named(self) -> None:
        async def body() -> None:
            here = Hub(now=Clock())
            listener = listener_in(here, "audit", "rollout:7")
            here.note("accounts.auditentry", map(str, range(MOST_KEYS * 2)))
            here.note("rollouts.rollout", map(str, range(1_000, 1_000 + MOST_KEYS * 2)))
            await here.tell()
            hints = listener.take()
            assert (len(hints["audit"].named), hints["audit"].more) == (MOST_NAMED, True)
            assert "rollout:7" in hints, "it may be one of those that were not noted"
            assert len(changes_text(hints, timezone.now(), pace=1.0)) < 2_000
            here.remove(listener)
            await here.stop()

        run(body())

    def test_what_the_database_does_not_say_now_is_told_later(
        self, report: Callable[..., Agent], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        key = str(report().pk)

        async def body() -> None:
            here = Hub(now=Clock())
            listener = listener_in(here, "agents")
            with monkeypatch.context() as patch:
                patch.setattr(hub, "concerned", away)
                here.note(AGENT, [key])
                await here.tell()
                assert told(listener) == {}
            await here.tell()
            assert len(told(listener)["agents"][0]) == 1
            here.remove(listener)
            await here.stop()

        def away(*_args: object) -> Any:
            raise hub.DatabaseError("away")

        run(body())


def heard_by(topics: list[str], act: Callable[[], object], *, by: User) -> dict[str, Any]:
    """The one message after ``act``, by topic."""
    session = session_of(by)

    async def body() -> dict[str, Any]:
        async with Socket(of_page(session)) as socket:
            assert (await socket.subscribe(*topics))["refused"] == []
            await in_thread(act)
            message = await socket.heard()
            assert set(message) == {"at", "changes", "pace"}
            assert await socket.is_silent()
            return {item["topic"]: item for item in message["changes"]}

    return run(body())


class TestWhoIsTold:
    def test_a_report_with_news(self, alice: User, report: Callable[..., Agent]) -> None:
        other = report("other").instance_uid
        found = heard_by(["agents", "overview", f"agent:{other}", "audit"], lambda: report("new"), by=alice)
        assert set(found) == {"agents", "overview"}
        uid = str(Agent.objects.get(hostname="new").instance_uid)
        assert found["agents"]["changed"] == [uid]
        assert found["overview"]["changed"] == []

    def test_what_no_timeline_tells(self, alice: User) -> None:
        session = session_of(alice)

        async def body() -> None:
            agent = FakeAgent()
            async with AgentSocket() as line:
                await line.exchange(agent.message(**agent.full_parts()))
                async with Socket(of_page(session)) as socket:
                    await socket.subscribe(f"agent:{agent.uid}")
                    health = agent.full_parts()["health"]
                    health.status = "warming up"
                    await line.exchange(agent.message(health=health))
                    assert (await socket.heard())["changes"] == [{"topic": f"agent:{agent.uid}", "changed": []}]
                await line.exchange(agent.message())

        run(body())

    def test_no_heartbeat(self, alice: User) -> None:
        session = session_of(alice)

        async def body() -> None:
            agent = FakeAgent()
            async with AgentSocket() as line, Socket(of_page(session)) as socket:
                await socket.subscribe("agents", "overview", "agent:" + str(agent.uid))
                await line.exchange(agent.message(**agent.full_parts()))
                await socket.heard()
                for _ in range(5):
                    await line.exchange(agent.message())
                # One that is recorded, too: it repeats what is known.
                await line.exchange(agent.message(**agent.full_parts()))
                assert await socket.is_silent()

        run(body())

    def test_edits_of_a_configuration_and_what_becomes_of_its_agents(
        self, alice: User, report: Callable[..., Agent]
    ) -> None:
        create_configuration("edge", draft({"env": "prod"}), by=None, at=timezone.now())
        create_configuration("other", draft({"env": "test"}), by=None, at=timezone.now())
        topics = ["configuration:edge", "configuration:other", "configuration:none"]
        assert set(heard_by(topics, lambda: report(env="prod"), by=alice)) == {"configuration:edge"}
        new = lambda: create_configuration("none", draft({"a": "b"}), by=None, at=timezone.now())  # noqa: E731
        assert set(heard_by(topics, new, by=alice)) == {"configuration:none"}

    def test_a_rollout_while_it_is_under_way(self, alice: User, report: Callable[..., Agent]) -> None:
        plan = ReleasePlan(parse_policy({"stages": [{"percent": 1}]}))
        create_configuration("staged", draft({"env": "prod"}), by=None, at=timezone.now(), plan=plan)
        topics = [f"rollout:{Rollout.objects.get().pk}", "rollout:4711", "rollout:x"]
        assert set(heard_by(topics, report, by=alice)) == {topics[0]}

    def test_the_audit_trail(self, alice: User, report: Callable[..., Agent]) -> None:
        agent = report()
        act = lambda: edit_agent(agent.pk, by=alice, at=timezone.now(), custom_name="x", notes="", operator_labels={})  # noqa: E731
        found = heard_by(["audit", "agents", f"agent:{agent.instance_uid}"], act, by=alice)
        assert set(found) == {"audit", "agents", f"agent:{agent.instance_uid}"}
        assert found["audit"]["changed"] == [str(AuditEntry.objects.latest("pk").pk)]

    def test_a_topic_of_another_app_is_one_registration(self, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("foundation.topics._registered", dict(registered_topics()))
        register_topic(Topic("job", "agents.view_agent", {"jobs.job": None}, keyed=True))
        act = lambda: events.publish(RowChanged, [RowChanged("jobs.job", "7"), RowChanged("jobs.job", "8")])  # noqa: E731
        assert set(heard_by(["job:7", "job:9"], act, by=alice)) == {"job:7"}

    def test_nobody_of_what_was_rolled_back(self, alice: User) -> None:
        session = session_of(alice)

        def fail() -> None:
            with transaction.atomic():
                events.publish(RowChanged, [RowChanged("rollouts.rollout", "1")])
                transaction.set_rollback(True)

        async def body() -> None:
            async with Socket(of_page(session)) as socket:
                await socket.subscribe("rollout:1")
                await in_thread(fail)
                assert await socket.is_silent()

        run(body())


class TestWhereNobodyListens:
    def subscribers(self) -> int:
        return sum(len(events._receivers.get(kind, ())) for kind in (AgentTimelineEvent, AuditEvent, RowChanged))

    def test_nothing_is_subscribed_to(self, bob: User) -> None:
        session, before = session_of(bob), self.subscribers()

        async def body() -> None:
            here = hub.current_hub()
            assert self.subscribers() == before
            async with Socket(of_page(session)):
                assert self.subscribers() == before + 3
            assert self.subscribers() == before
            assert not here.listeners

        run(body())

    def test_others_are_believed_for_a_while(self, monkeypatch: pytest.MonkeyPatch) -> None:
        before = self.subscribers()
        sent: list[dict[str, Any]] = []

        async def broadcast(_group: str, message: dict[str, Any]) -> bool:
            sent.append(message)
            return True

        monkeypatch.setattr(wakeups, "broadcast", broadcast)
        monkeypatch.setattr(wakeups._Here, "others_listen_until", 0.0)

        async def body() -> None:
            here = Hub(now=Clock())
            wakeups._receive_message({"type": "opamp.listener", "origin": wakeups._Here.origin})
            assert self.subscribers() == before, "that was this process itself"
            wakeups._receive_message({"type": "opamp.listener", "origin": "another"})
            assert self.subscribers() == before + 3
            for _ in range(1_000):
                here.note(AGENT, ["7"])
            await here.tell()
            await eventually_sent()
            assert [message["changes"] for message in sent] == [[[AGENT, ["7"], False]]]
            # Nothing more was heard of them.
            monkeypatch.setattr(wakeups._Here, "others_listen_until", 0.0)
            here.note(AGENT, ["8"])
            await here.tell()
            assert self.subscribers() == before
            assert len(sent) == 1
            await here.stop()

        async def eventually_sent() -> None:
            async def is_there() -> bool:
                return bool(sent)

            await eventually(is_there)

        run(body())

    def test_what_others_say_is_told_here(self) -> None:
        async def body() -> None:
            here = Hub(now=Clock())
            listener = listener_in(here, "rollout:7")
            away = Changes()
            away.add("rollouts.rollout", ["7"])
            here._take_in({"origin": "another", "changes": packed(away.take())})
            for strange in (
                None,
                7,
                [None],
                [["x"]],
                [[1, [], True]],
                [["a" * 101, ["1"], False]],
                [["a", [1, None], False]],
            ):
                here._take_in({"origin": "another", "changes": strange})
            here._take_in({"origin": here._origin, "changes": [["rollouts.rollout", ["7"], False]]})
            await here.tell()
            assert told(listener) == {"rollout:7": (set(), False)}
            here.remove(listener)
            await here.stop()

        run(body())


def test_changes_are_bounded() -> None:
    found = Changes()
    for number in range(60):
        found.add(f"model{number}", ["1"])
    assert len(found.take()) == 50
    unpack_into(found, [["m", [str(number) for number in range(MOST_KEYS * 3)], False]])
    assert len(found.take()["m"].keys) == MOST_KEYS


def test_only_the_wake_ups_know_a_channel_layer() -> None:
    root = Path(__file__).parent.parent.parent
    apps = [path.parent for path in root.glob("*/apps.py")]
    knows = re.compile(r"channels\.layers|channels_redis")
    found = {
        path.relative_to(root).as_posix()
        for app in [*apps, root / "foundation"]
        for path in app.rglob("*.py")
        if knows.search(path.read_text())
    }
    assert found == {"foundation/wakeups.py", "opamp_platform/settings.py"}
