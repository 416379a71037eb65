"""A failed configuration stays failed until a person acts, whatever the agent says of others; and a person's act reaches it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db.models import F
from rest_framework.test import APIClient

from accounts.models import User
from configurations.models import Assignment
from configurations.services.offering_again import MAX_OFFERS
from opamp_transport.proto import opamp_pb2
from tests.fake_agent import APPLIED, APPLYING, COLLECTOR, FAILED, FakeAgent, answered, run
from tests.opamp_transport.conversations import BOTH, GOODBYE, Line, events_of, lose_memory, publish, retry, row_of

pytestmark = pytest.mark.django_db(transaction=True)
A, B = "a: 1\n", "b: 1\n"
CRASH = "collector crashed: exit 1"
NAMELESS = opamp_pb2.RemoteConfigStatus(status=FAILED, error_message="cannot parse")
ACCEPTS_REMOTE_CONFIG = 0x2


async def says(line: Line, agent: FakeAgent, config_hash: bytes, status: int, error: str = "") -> bytes:
    """One word of a configuration; returns the hash that the reply offers, ``b""`` for none."""
    reply = await line.exchange(agent.message(remote_config_status=answered(config_hash, status, error)))
    return reply.remote_config.config_hash


async def offered(line: Line, agent: FakeAgent) -> bytes:
    """What the server offers of its own accord."""
    return (await line.hear(agent)).remote_config.config_hash


async def runs_a(line: Line, agent: FakeAgent) -> bytes:
    """The agent has A applied."""
    a = await publish(body=A)
    assert (await line.tell_all(agent)).remote_config.config_hash == a
    assert not await says(line, agent, a, APPLIED)
    return a


async def rolls_back(line: Line, agent: FakeAgent, failed: bytes, former: bytes) -> None:
    """What a supervisor says whose Collector does not survive: nothing is offered meanwhile."""
    assert not await says(line, agent, failed, APPLYING)
    assert not await says(line, agent, failed, FAILED, CRASH)
    assert not await says(line, agent, former, APPLIED)


async def falls_back_from_b(line: Line, agent: FakeAgent) -> tuple[bytes, bytes]:
    """A is applied, B published, offered, failed, and A runs again."""
    a = await runs_a(line, agent)
    b = await publish(body=B)
    assert await offered(line, agent) == b
    await rolls_back(line, agent, b, a)
    return a, b


async def shown_as_failed(agent: FakeAgent, error: str = CRASH) -> bool:
    """Whether its row and its assignment say so."""
    row = await row_of(agent)
    facts = (row.status, row.in_sync, row.config_failed, row.assignment.status, row.assignment.error_message)
    return facts == ("error", False, True, "failed", error)


@sync_to_async
def hours_pass() -> None:
    """The clock of the pauses between offers."""
    Assignment.objects.exclude(offered_at=None).update(offered_at=F("offered_at") - timedelta(hours=2))


class TestItStaysFailed:
    @BOTH
    @pytest.mark.rule("S-61", "S-64", "S-118")
    def test_whatever_the_agent_says_of_other_hashes(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent(env="prod")
            async with Line(transport) as line:
                a, _b = await falls_back_from_b(line, agent)
                for config_hash, status in ((a, APPLIED), (b"", 0), (b"of another server", APPLIED), (a, FAILED)):
                    await hours_pass()
                    assert not await says(line, agent, config_hash, status)
                    assert await line.nothing_comes(agent)
                    assert await shown_as_failed(agent)

        run(body())

    @BOTH
    @pytest.mark.rule("S-50", "S-61", "S-118")
    def test_over_new_connections_restarts_of_either_side_and_new_capabilities(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent(env="prod")
            async with Line(transport) as line:
                a, _b = await falls_back_from_b(line, agent)
                await line.exchange(agent.message(**GOODBYE))
            statuses = (answered(a, APPLIED), opamp_pb2.RemoteConfigStatus())
            for number, status in enumerate([*statuses, *statuses]):
                await hours_pass()
                if number >= len(statuses):
                    await lose_memory()
                async with Line(transport) as line:
                    agent.sequence_num = -1
                    assert not (await line.tell_all(agent, remote_config_status=status)).HasField("remote_config")
                    for capabilities in (COLLECTOR & ~ACCEPTS_REMOTE_CONFIG, COLLECTOR):
                        agent.capabilities = capabilities
                        assert not (await line.exchange(agent.message())).HasField("remote_config")
                    assert await line.nothing_comes(agent)
                    assert await shown_as_failed(agent)

        run(body())

    @BOTH
    @pytest.mark.rule("S-64")
    def test_until_it_succeeds_after_all(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent(env="prod")
            async with Line(transport) as line:
                a, b = await falls_back_from_b(line, agent)
                assert not await says(line, agent, b, APPLYING)
                assert (await row_of(agent)).status == "configuring"
                # It tried by itself, and went back without a word of why.
                assert not await says(line, agent, a, APPLIED)
                assert await shown_as_failed(agent)
                assert not await says(line, agent, b, APPLIED)
                row = await row_of(agent)
                assert (row.status, row.in_sync, row.assignment.error_message) == ("connected", True, "")
                # From now on it has no failure: what it loses comes back.
                await hours_pass()
                assert await says(line, agent, a, APPLIED) == b

        run(body())

    @BOTH
    @pytest.mark.rule("S-61", "S-64")
    def test_when_labels_bring_it_back(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent(env="prod")
            other = await publish("dev-config", "c: 1\n", selector={"env": "dev"})
            async with Line(transport) as line:
                a, b = await falls_back_from_b(line, agent)
                for answer, error in ((APPLIED, ""), (FAILED, "this one too")):
                    agent.labels["env"] = "dev"
                    reply = await line.exchange(agent.message(agent_description=agent.description()))
                    assert reply.remote_config.config_hash == other
                    assert not await says(line, agent, other, answer, error)
                    agent.labels["env"] = "prod"
                    reply = await line.exchange(agent.message(agent_description=agent.description()))
                    assert not reply.HasField("remote_config")
                    assert await shown_as_failed(agent)
                    other = await publish("dev-config", "c: 2\n", selector={"env": "dev"})
                await publish(body=A)
                assert await offered(line, agent) == a
                assert await publish(body=B) == b
                assert await offered(line, agent) == b

        run(body())

    @BOTH
    @pytest.mark.rule("S-61")
    def test_when_its_targeting_alone_is_published_anew(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent(env="prod", ring="canary")
            async with Line(transport) as line:
                await falls_back_from_b(line, agent)
                await publish(body=B, selector={"env": "prod", "ring": "canary"})
                assert await line.nothing_comes(agent)
                assert await shown_as_failed(agent)

        run(body())

    @BOTH
    @pytest.mark.rule("S-63", "S-118")
    def test_a_failure_without_a_hash_is_not_hurried_by_new_connections(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent(env="prod")
            wanted = await publish()
            offers = 0
            for _ in range(MAX_OFFERS + 2):
                await lose_memory()
                async with Line(transport) as line:
                    reply = await line.tell_all(agent, remote_config_status=NAMELESS if offers else None)
                    offers += reply.remote_config.config_hash == wanted
                    await line.exchange(agent.message(remote_config_status=NAMELESS))
                    assert await shown_as_failed(agent, "cannot parse")
                    await line.exchange(agent.message(**GOODBYE))
                async with Line(transport) as line:
                    message = agent.message(**{**agent.full_parts(), "remote_config_status": NAMELESS})
                    assert not (await line.exchange(message)).HasField("remote_config")
                    assert not (await line.exchange(message)).HasField("remote_config")
                    await line.exchange(agent.message(**GOODBYE))
                await hours_pass()
            assert offers == MAX_OFFERS

        run(body())


class TestAPersonsActReachesTheAgent:
    @BOTH
    @pytest.mark.rule("S-60", "S-62", "S-66")
    @pytest.mark.parametrize("words", ["rolled back", "failed", "unanswered", "applying", "nameless"])
    def test_two_configurations_in_turn(self, transport: str, words: str) -> None:
        async def body() -> None:
            agent = FakeAgent(env="prod")
            async with Line(transport) as line:
                a = await runs_a(line, agent)
                for _ in range(3):
                    b = await publish(body=B)
                    assert await offered(line, agent) == b
                    assert await line.nothing_comes(agent)
                    await self._say(line, agent, a, b, words)
                    await publish(body=A)
                    if words == "rolled back":
                        assert (await row_of(agent)).in_sync is True
                        assert await line.nothing_comes(agent)
                    elif words == "unanswered":
                        # Its word that it runs the first is of before the second was offered.
                        assert await offered(line, agent) == a
                        assert not await says(line, agent, a, APPLIED)
                        assert (await row_of(agent)).in_sync is True
                    else:
                        assert await offered(line, agent) == a
                        assert (await row_of(agent)).assignment.status == "offered"
                        assert not await says(line, agent, a, APPLIED)
                    assert (await row_of(agent)).status == "connected"

        run(body())

    async def _say(self, line: Line, agent: FakeAgent, a: bytes, b: bytes, words: str) -> None:
        if words == "rolled back":
            await rolls_back(line, agent, b, a)
        elif words == "nameless":
            await line.exchange(agent.message(remote_config_status=NAMELESS))
        elif words != "unanswered":
            await says(line, agent, b, FAILED if words == "failed" else APPLYING, "no")

    @BOTH
    @pytest.mark.rule("S-60", "S-66")
    @pytest.mark.parametrize("told", ["the failure", "what runs again", "nothing"])
    def test_one_that_is_away_gets_it_when_it_comes_back(self, transport: str, told: str) -> None:
        async def body() -> None:
            agent = FakeAgent(env="prod")
            async with Line(transport) as line:
                a = await runs_a(line, agent)
                b = await publish(body=B)
                assert await offered(line, agent) == b
                await says(line, agent, b, FAILED, CRASH)
                if told == "what runs again":
                    await says(line, agent, a, APPLIED)
                await line.exchange(agent.message(**GOODBYE))
            await publish(body=A)
            await publish(body=B)
            await publish(body=B, selector={"env": "prod", "service.name": "otelcol"})
            status = {"the failure": answered(b, FAILED, CRASH), "what runs again": answered(a, APPLIED)}.get(told)
            async with Line(transport) as line:
                message = (
                    agent.message()
                    if status is None
                    else agent.message(**{**agent.full_parts(), "remote_config_status": status})
                )
                assert (await line.exchange(message)).remote_config.config_hash == b
                if transport == "http":
                    # The answer was lost, and the client repeats itself.
                    assert (await line.exchange(message)).remote_config.config_hash == b
                assert await line.nothing_comes(agent)
                await says(line, agent, b, FAILED, "still")
                assert await shown_as_failed(agent, "still")

        run(body())

    @BOTH
    @pytest.mark.rule("S-63")
    def test_the_next_offer_is_not_called_failed_by_an_old_answer_without_a_hash(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent(env="prod")
            async with Line(transport) as line:
                await runs_a(line, agent)
                await publish(body=B)
                await offered(line, agent)
                await line.exchange(agent.message(remote_config_status=NAMELESS))
                c = await publish(body="c: 1\n")
                assert await offered(line, agent) == c
                row = await row_of(agent)
                assert (row.assignment.status, row.status) == ("offered", "configuring")

        run(body())

    @BOTH
    @pytest.mark.rule("S-61", "S-118")
    @pytest.mark.parametrize("rolled_back", [True, False])
    def test_a_retry_leaves_alone_what_the_agent_said(self, transport: str, rolled_back: bool) -> None:
        async def body() -> None:
            agent = FakeAgent(env="prod")
            async with Line(transport) as line:
                a = await runs_a(line, agent)
                b = await publish(body=B)
                await offered(line, agent)
                await says(line, agent, b, FAILED, CRASH)
                if rolled_back:
                    await says(line, agent, a, APPLIED)
                said = answered(a, APPLIED) if rolled_back else answered(b, FAILED, CRASH)
                assert await retry(agent)
                row = await row_of(agent)
                reported = (row.remote_config_hash, row.remote_config_status, row.remote_config_error)
                assert reported == (said.last_remote_config_hash.hex(), said.status, said.error_message)
                assert row.status == "configuring"
                assert row.assignment.status in {"pending", "offered"}
                if transport == "http":
                    # The full state that brings the old answer along gets the offer all the same, each time.
                    message = agent.message(**{**agent.full_parts(), "remote_config_status": said})
                    assert [(await line.exchange(message)).remote_config.config_hash for _ in range(2)] == [b, b]
                else:
                    assert await offered(line, agent) == b
                assert await line.nothing_comes(agent)
                assert not await says(line, agent, b, FAILED, "again")
                assert await shown_as_failed(agent, "again")

        run(body())

    @pytest.mark.rule("S-60", "S-63", transport="http")
    def test_one_that_restarts_often_without_a_memory_gets_what_it_had_applied_each_time(self) -> None:
        async def body() -> None:
            wanted = await publish()
            agent, line = FakeAgent(env="prod"), Line("http")
            for _ in range(MAX_OFFERS + 3):
                agent.sequence_num = -1
                assert (await line.tell_all(agent)).remote_config.config_hash == wanted
                assert not await says(line, agent, wanted, APPLIED)
                await hours_pass()

        run(body())


class TestWhatPeopleSee:
    @BOTH
    def test_the_failure_and_what_runs_again(self, transport: str, alice: User) -> None:
        async def body() -> None:
            agent = FakeAgent(env="prod")
            async with Line(transport) as line:
                a, _b = await falls_back_from_b(line, agent)
                await says(line, agent, a, APPLIED)
                row = await row_of(agent)
                api = APIClient()
                api.force_authenticate(alice)

                def get(url: str) -> Any:
                    return api.get(f"/api/v1/{url}").json()

                async def asked(url: str) -> Any:
                    return await sync_to_async(get)(url)

                shown = await asked(f"agents/{agent.uid}")
                assert (shown["status"], shown["remote_config_status"]["status"]) == ("error", "applied")
                assert [found["instance_uid"] for found in (await asked("agents?status=error"))["results"]] == [
                    str(agent.uid)
                ]
                assert (await asked("agents/summary"))["status"]["error"] == 1
                why = await asked(f"agents/{agent.uid}/configuration")
                assert (why["status"], why["error_message"], why["offer_count"]) == ("failed", CRASH, 1)
                assert why["running"] == {"name": "prod-config", "revision": 1, "hash": a.hex()}
                page = await sync_to_async(self._page)(alice, row.pk)
                assert page.count(CRASH) >= 2
                assert "The agent went back by itself: it runs prod-config r1 again." in page
                kinds = [kind for kind, _ in await events_of(agent)]
                offers = ("offered", "applying", "applied", "failed", "rolled_back")
                assert [kind for kind in kinds if kind in offers] == [
                    "offered", "applied", "offered", "applying", "failed", "rolled_back",
                ]  # fmt: skip

        run(body())

    def _page(self, person: User, key: int) -> str:
        from django.test import Client

        client = Client()
        client.force_login(person)
        return client.get(f"/admin/agents/agent/{key}/change/").content.decode()
