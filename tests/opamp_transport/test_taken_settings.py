"""What agents are seen to have taken of offered settings: none is offered again, how often they poll, what their health says."""

from __future__ import annotations

from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone
from pytest_django import Settings

from agents.models import ReportedState
from agents.opamp.connection_settings import SETTINGS_PAUSE
from agents.services.leases import expire_agents
from opamp_transport import runtime
from opamp_transport.proto import opamp_pb2
from tests.fake_agent import FakeAgent, run
from tests.opamp_transport.conversations import BOTH, Line, events_of, lose_memory, row_of
from tests.opamp_transport.test_connection_settings import (
    HEADERS,
    SECRET,
    SETTINGS_FAILED,
    TAKES,
    TELLS,
    pretend_it_was_offered,
    status,
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def secret(settings: Settings) -> None:
    """Agents are asked for it, so the name they reach the portal by is theirs to choose."""
    settings.OPAMP_SECRET_KEY, settings.OPAMP_PREVIOUS_SECRET_KEY = SECRET, "former"


@pytest.fixture(autouse=True)
def another_interval(settings: Settings) -> None:
    """One that agents do not have of themselves, so that there is something to offer."""
    settings.OPAMP_HEARTBEAT_SECONDS = 45


@sync_to_async
def pretend_it_was_taken(*, ago: timedelta) -> None:
    """Move the moment at which the agent took the offer into the past."""
    ReportedState.objects.update(settings_taken_at=timezone.now() - ago)


class TestWhatTheAgentHas:
    """Taking an offer costs a supervisor its client and its health: none without news."""

    @BOTH
    @pytest.mark.rule("S-73", "S-81")
    @pytest.mark.parametrize("mask", [TAKES, TELLS])
    def test_the_interval_of_the_specification_is_no_news(self, transport: str, mask: int, settings: Settings) -> None:
        settings.OPAMP_HEARTBEAT_SECONDS = 30

        async def body() -> None:
            agent = FakeAgent(capabilities=mask)
            for _ in range(2):
                async with Line(transport, HEADERS) as line:
                    for message in (agent.message(**agent.full_parts()), agent.message(**status(b""))):
                        assert not (await line.exchange(message)).HasField("connection_settings")
            assert (await row_of(agent)).reported.settings_offered_at is None

        run(body())

    @BOTH
    @pytest.mark.rule("S-81")
    def test_settings_of_another_server_may_hold_any_interval(self, transport: str, settings: Settings) -> None:
        settings.OPAMP_HEARTBEAT_SECONDS = 30

        async def body() -> None:
            agent = FakeAgent(capabilities=TELLS)
            async with Line(transport, HEADERS) as line:
                offer = (await line.tell_all(agent, **status(b"elsewhere"))).connection_settings
                assert offer.opamp.heartbeat_interval_seconds == 30

        run(body())

    @BOTH
    @pytest.mark.rule("S-78", "S-81")
    def test_what_it_took_is_no_news_at_another_address_and_a_changed_interval_is(
        self, transport: str, settings: Settings
    ) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=TELLS)
            async with Line(transport, HEADERS) as line:
                hash_ = (await line.tell_all(agent)).connection_settings.hash
                await line.exchange(agent.message(**status(hash_)))
            for headers in (
                HEADERS,
                {**HEADERS, "host": "other.example"},
                {**HEADERS, "authorization": "Bearer former"},
            ):
                await lose_memory()
                async with Line(transport, headers) as line:
                    assert not (await line.tell_all(agent, **status(hash_))).HasField("connection_settings")
            settings.OPAMP_HEARTBEAT_SECONDS = 30
            async with Line(transport, HEADERS) as line:
                offer = (await line.tell_all(agent, **status(hash_))).connection_settings
                assert offer.opamp.heartbeat_interval_seconds == 30
                await line.exchange(agent.message(**status(offer.hash, SETTINGS_FAILED)))
            # It still has the 45 s, but has answered.
            async with Line(transport, HEADERS) as line:
                again = await line.tell_all(agent, **status(offer.hash, SETTINGS_FAILED))
                assert not again.HasField("connection_settings")

        run(body())

    @BOTH
    @pytest.mark.rule("S-81")
    def test_a_silent_client_that_begins_anew_after_an_offer_took_it_and_loses_it_with_the_next_start(
        self, transport: str
    ) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=TAKES)

            async def begins_anew() -> bool:
                agent.sequence_num = -1
                agent.labels = {"start": str(next(starts))}
                async with Line(transport, HEADERS) as line:
                    return (await line.tell_all(agent)).HasField("connection_settings")

            starts = iter(range(9))
            assert await begins_anew()
            assert not await begins_anew()
            assert (await row_of(agent)).reported.settings_accepted_seconds == 45
            await pretend_it_was_offered(ago=2 * SETTINGS_PAUSE)
            async with Line(transport, HEADERS) as line:
                assert not (await line.tell_all(agent)).HasField("connection_settings")
            assert await begins_anew()

        run(body())


class TestPromisedInterval:
    """How long an agent that polls may be silent."""

    @pytest.mark.rule("S-73", "S-74", transport="http")
    @pytest.mark.parametrize(
        ("portal_seconds", "accepted", "seconds"),
        [(5, False, 90), (5, True, 15), (60, False, 180), (60, True, 180), (30, False, 90)],
    )
    def test_it_is_the_offered_one_only_for_agents_that_took_the_offer(
        self, portal_seconds: int, accepted: bool, seconds: int, settings: Settings
    ) -> None:
        settings.OPAMP_HEARTBEAT_SECONDS = portal_seconds

        async def body() -> None:
            agent = FakeAgent(capabilities=TELLS)
            line = Line("http", HEADERS)
            offer = (await line.tell_all(agent)).connection_settings
            if accepted:
                await line.exchange(agent.message(**status(offer.hash)))
            await keeps_promise(agent, line, seconds)

        run(body())

    @pytest.mark.rule("S-74", transport="http")
    def test_a_longer_one_that_it_took_counts_until_it_takes_another(self, settings: Settings) -> None:
        settings.OPAMP_HEARTBEAT_SECONDS = 600

        async def body() -> None:
            agent = FakeAgent(capabilities=TELLS)
            line = Line("http", HEADERS)
            first = (await line.tell_all(agent)).connection_settings.hash
            await line.exchange(agent.message(**status(first)))
            settings.OPAMP_HEARTBEAT_SECONDS = 30
            await lose_memory()
            await sync_to_async(expire_agents)(at=timezone.now())
            second = (await line.exchange(agent.message(**status(first)))).connection_settings.hash
            await keeps_promise(agent, line, 1800)
            await line.exchange(agent.message(**status(second)))
            await keeps_promise(agent, line, 90)

        run(body())


async def keeps_promise(agent: FakeAgent, line: Line, seconds: int) -> None:
    """So long after each poll the agent counts as connected, heartbeats included."""
    presence = (await row_of(agent)).presence
    assert presence.expires_at is not None
    assert presence.expires_at - presence.last_seen_at == timedelta(seconds=seconds)
    await line.exchange(agent.message())
    await runtime.current().flush_presence()
    later = (await row_of(agent)).presence
    assert later.expires_at is not None
    assert later.last_seen_at > presence.last_seen_at
    assert later.expires_at - later.last_seen_at == timedelta(seconds=seconds)
    await sync_to_async(expire_agents)(at=later.expires_at - timedelta(seconds=1))
    assert (await row_of(agent)).connected


BARE = opamp_pb2.ComponentHealth(healthy=False)


@pytest.mark.rule("S-71")
class TestHealthOfANewClient:
    """A client built anew from an offer says that it is not healthy, and nothing more, until its Collector changes."""

    @BOTH
    @pytest.mark.parametrize("mask", [TAKES, TELLS])
    def test_it_is_unknown_until_more_is_said(self, transport: str, mask: int) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=mask)
            async with Line(transport, HEADERS) as line:
                hash_ = (await line.tell_all(agent)).connection_settings.hash
                assert (await row_of(agent)).healthy is True
            told = status(hash_) if mask == TELLS else {}
            agent.sequence_num = -1
            for _ in range(2):
                async with Line(transport, HEADERS) as line:
                    await line.tell_all(agent, health=BARE, **told)
                row = await row_of(agent)
                assert row.healthy is None
                assert row.started_at is not None
                assert row.reported.health == {"healthy": False}
                # A server that starts later, and an agent that tells the same again.
                await lose_memory()
                await pretend_it_was_taken(ago=timedelta(hours=1))
            said = [data["healthy"] for _, data in await events_of(agent, "health")]
            assert said == [True, None]
            async with Line(transport, HEADERS) as line:
                await line.exchange(agent.message(health=opamp_pb2.ComponentHealth(last_error="exit code 1")))
                assert (await row_of(agent)).status == "error"
                await line.exchange(agent.message(health=BARE))
                assert (await row_of(agent)).status == "error"
                await line.exchange(agent.message(health=opamp_pb2.ComponentHealth(healthy=True)))
                assert (await row_of(agent)).healthy is True

        run(body())

    @BOTH
    @pytest.mark.parametrize("mask", [TAKES, TELLS])
    def test_a_client_that_has_said_more_means_its_collector(self, transport: str, mask: int) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=mask)
            async with Line(transport, HEADERS) as line:
                hash_ = (await line.tell_all(agent)).connection_settings.hash
            agent.sequence_num = -1
            told = status(hash_) if mask == TELLS else {}
            async with Line(transport, HEADERS) as line:
                await line.tell_all(agent, health=BARE, **told)
                await line.exchange(agent.message(health=opamp_pb2.ComponentHealth(healthy=True)))
                # Its Collector stops, as in a loop of crashes.
                for health in (BARE, opamp_pb2.ComponentHealth(last_error="exit code 1"), BARE):
                    await line.exchange(agent.message(health=health))
                    assert (await row_of(agent)).healthy is False

        run(body())

    @BOTH
    def test_it_says_that_it_took_them_before_it_builds_another(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=TELLS)
            async with Line(transport, HEADERS) as line:
                hash_ = (await line.tell_all(agent)).connection_settings.hash
                await line.exchange(agent.message(**status(hash_)))
            agent.sequence_num = -1
            async with Line(transport, HEADERS) as line:
                await line.tell_all(agent, health=BARE, **status(hash_))
            assert (await row_of(agent)).healthy is None

        run(body())

    @BOTH
    def test_before_it_says_that_it_took_them(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=TELLS)
            async with Line(transport, HEADERS) as line:
                hash_ = (await line.tell_all(agent)).connection_settings.hash
            agent.sequence_num = -1
            async with Line(transport, HEADERS) as line:
                await line.tell_all(agent, health=BARE)
                assert (await row_of(agent)).healthy is None
                await line.exchange(agent.message(**status(hash_)))
                await line.exchange(agent.message(health=BARE))
            assert (await row_of(agent)).healthy is None

        run(body())

    @pytest.mark.rule("S-81", transport="http")
    def test_clients_that_say_the_same_one_after_the_other_are_no_retries_without_end(self) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=TAKES)
            line = Line("http", HEADERS)
            message = agent.message(**{**agent.full_parts(), "health": BARE})
            offers = [(await line.exchange(message)).HasField("connection_settings") for _ in range(5)]
            assert offers == [True, True, False, False, False]
            row = await row_of(agent)
            assert (row.reported.settings_accepted_seconds, row.healthy) == (45, None)

        run(body())

    @BOTH
    @pytest.mark.parametrize("outcome", [None, SETTINGS_FAILED])
    def test_without_settings_it_took_it_is_what_it_says(self, transport: str, outcome: int | None) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=TELLS)
            async with Line(transport, HEADERS) as line:
                hash_ = (await line.tell_all(agent)).connection_settings.hash
                if outcome is not None:
                    await line.exchange(agent.message(**status(hash_, outcome)))
                await line.exchange(agent.message(health=BARE))
            assert (await row_of(agent)).healthy is False

        run(body())

    @BOTH
    @pytest.mark.rule("S-97")
    def test_taking_settings_is_no_restart_and_a_restart_cures_it(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=TAKES)
            async with Line(transport, HEADERS) as line:
                await line.tell_all(agent)
            agent.sequence_num = -1
            async with Line(transport, HEADERS) as line:
                await line.tell_all(agent, health=BARE)
                assert not await events_of(agent, "restarted")
                well = opamp_pb2.ComponentHealth(healthy=True, start_time_unix_nano=2)
                await line.exchange(agent.message(health=well))
            assert (await row_of(agent)).healthy is True
            assert len(await events_of(agent, "restarted")) == 1

        run(body())
