"""From settings to the agent that applied them, over both transports (S-75 … S-82)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from agents.event_texts import line_of
from agents.models import Agent, AgentEvent
from agents.reports import AgentCapabilities as Can
from agents.services.offers import pending_among, pending_since
from connections.errors import NothingToTell
from connections.models import AgentConnection, ConnectionSettings
from connections.services.connection_releases import AT_ONCE, publish_settings
from connections.services.moving import counted_moves
from connections.services.settings_edits import Saved, update_settings, version_numbered
from connections.services.telling_again import tell_again
from opamp_transport.proto import opamp_pb2
from rollouts.audiences import EVERYONE
from rollouts.services import freezing
from tests.connections.conftest import TOKEN, content, telemetry
from tests.fake_agent import COLLECTOR, FakeAgent, run
from tests.opamp_transport.conversations import BOTH, GOODBYE, Line, lose_memory, processed, row_of

pytestmark = pytest.mark.django_db(transaction=True)
SECRET = "fleet-secret-9f1c"
HEADERS = {"host": "old.example:4320", "authorization": f"Bearer {SECRET}"}
OWN = Can.REPORTS_OWN_METRICS | Can.REPORTS_OWN_TRACES | Can.REPORTS_OWN_LOGS
OPAMP = Can.ACCEPTS_OPAMP_CONNECTION_SETTINGS
SAYS = Can.REPORTS_CONNECTION_SETTINGS_STATUS
ALL = int(COLLECTOR | OWN | OPAMP | Can.ACCEPTS_OTHER_CONNECTION_SETTINGS | SAYS)
SILENT = ALL & ~SAYS
APPLIED = opamp_pb2.ConnectionSettingsStatuses_APPLIED
APPLYING = opamp_pb2.ConnectionSettingsStatuses_APPLYING
FAILED = opamp_pb2.ConnectionSettingsStatuses_FAILED
Make = Callable[..., Saved]


@pytest.fixture(autouse=True)
def secret(settings: Any) -> None:
    settings.OPAMP_SECRET_KEY = SECRET
    settings.OPAMP_HEARTBEAT_SECONDS = 30


def prod(mask: int = ALL) -> FakeAgent:
    return FakeAgent(env="prod", capabilities=mask)


def status(hash_: bytes, outcome: int = APPLIED, error: str = "") -> dict[str, Any]:
    told = opamp_pb2.ConnectionSettingsStatus(last_connection_settings_hash=hash_, status=outcome, error_message=error)
    return {"connection_settings_status": told}


def members(reply: opamp_pb2.ServerToAgent) -> set[str]:
    """Names of the members that a reply tells."""
    return {field.name for field, _ in reply.connection_settings.ListFields()} - {"hash"}


def headers_of(member: Any) -> dict[str, str]:
    return {each.key: each.value for each in member.headers.headers}


@sync_to_async
def connection_of(agent: FakeAgent) -> AgentConnection:
    rows = AgentConnection.objects.select_related("version")
    return rows.get(agent__instance_uid=agent.uid)


async def edit(saved: Saved, **values: Any) -> Saved:
    edited = await sync_to_async(update_settings)(saved.settings.pk, values, by=None, at=timezone.now(), plan=AT_ONCE)
    await processed()
    return edited


@sync_to_async
def moves(saved: Saved) -> dict[str, int]:
    return {name: number for name, number in counted_moves(saved.settings).items() if number}


@sync_to_async
def lines(agent: FakeAgent) -> list[str]:
    rows = AgentEvent.objects.filter(agent__instance_uid=agent.uid, kind__startswith="connection_").order_by("pk")
    return [str(line_of(row).text) for row in rows]


class TestOwnTelemetry:
    @BOTH
    @pytest.mark.rule("S-77", "S-78", "S-79")
    def test_the_first_answer_brings_it_and_later_ones_do_only_when_it_changed(
        self, transport: str, make: Make
    ) -> None:
        saved = make(whole=content(own_logs=telemetry("logs")))

        async def body() -> None:
            agent = prod()
            async with Line(transport, HEADERS) as line:
                reply = await line.tell_all(agent)
                assert members(reply) == {"own_metrics", "own_traces", "own_logs"}
                told = reply.connection_settings
                assert told.own_metrics.destination_endpoint == "https://otel.example:4318/v1/metrics"
                assert headers_of(told.own_traces) == {"Authorization": f"Bearer {TOKEN}"}
                assert len(told.hash) == 32
                await line.exchange(agent.message(**status(told.hash, APPLYING)))
                assert (await connection_of(agent)).status == "applying"
                assert not members(await line.exchange(agent.message(**status(told.hash))))
                assert (await connection_of(agent)).status == "applied"
                # One changed: all are told, for supervisors take each telling for all of it.
                await edit(saved, content=content(own_logs=telemetry("other")))
                changed = await line.exchange(agent.message())
                assert members(changed) == {"own_metrics", "own_traces", "own_logs"}
                assert changed.connection_settings.hash != told.hash
                assert changed.connection_settings.own_logs.destination_endpoint.endswith("/v1/other")
                await line.exchange(agent.message(**status(changed.connection_settings.hash)))
                # One less: it is switched off.
                await edit(saved, content=content())
                less = await line.exchange(agent.message())
                assert members(less) == {"own_metrics", "own_traces", "own_logs"}
                assert less.connection_settings.own_logs.destination_endpoint == ""
            texts = await lines(agent)
            assert texts[:3] == [
                "Should have connection settings site, version 1",
                "Was told connection settings site, version 1: own_metrics, own_traces, own_logs",
                "Applied connection settings site, version 1",
            ]

        run(body())

    @BOTH
    @pytest.mark.rule("S-76")
    @pytest.mark.parametrize(
        ("mask", "told"),
        [
            (COLLECTOR, set()),
            (COLLECTOR | OPAMP | SAYS, {"opamp"}),
            (COLLECTOR | Can.REPORTS_OWN_METRICS, {"own_metrics"}),
            (COLLECTOR | Can.REPORTS_OWN_TRACES, {"own_traces"}),
            (COLLECTOR | Can.REPORTS_OWN_LOGS, set()),
            (COLLECTOR | Can.ACCEPTS_OTHER_CONNECTION_SETTINGS, {"other_connections"}),
            (ALL, {"opamp", "own_metrics", "own_traces", "other_connections"}),
        ],
    )
    def test_each_member_goes_to_agents_that_take_it(
        self, transport: str, mask: int, told: set[str], make: Make
    ) -> None:
        make(
            whole=content(
                opamp={"endpoint": "ws://new.example:4320/v1/opamp", "heartbeat_seconds": 10},
                other_connections={"prometheus": {"endpoint": "prom:9090", "other_settings": {"pool": "1"}}},
            )
        )

        async def body() -> None:
            agent = prod(int(mask))
            async with Line(transport, HEADERS) as line:
                reply = await line.tell_all(agent)
                assert members(reply) == told
                assert not members(await line.exchange(agent.message()))
            row = await connection_of(agent)
            assert (row.status == "incapable") is not bool(told)
            if "other_connections" in told:
                other = reply.connection_settings.other_connections["prometheus"]
                assert (other.destination_endpoint, dict(other.other_settings)) == ("prom:9090", {"pool": "1"})

        run(body())

    @BOTH
    @pytest.mark.rule("S-80", "S-81")
    def test_of_other_connections_only_those_that_changed_are_told(self, transport: str, make: Make) -> None:
        def others(port: int) -> dict[str, Any]:
            return {"a": {"endpoint": "a:1"}, "b": {"endpoint": f"b:{port}", "tls": {"min_version": "TLSv1.3"}}}

        saved = make(whole={"other_connections": others(1)})

        async def body() -> None:
            agent = prod()
            async with Line(transport, HEADERS) as line:
                first = (await line.tell_all(agent)).connection_settings
                assert set(first.other_connections) == {"a", "b"}
                assert first.other_connections["b"].tls.min_version == "1.3"
                await line.exchange(agent.message(**status(first.hash)))
                await edit(saved, content={"other_connections": others(2)})
                second = (await line.exchange(agent.message())).connection_settings
                assert set(second.other_connections) == {"b"}

        run(body())


class TestStatus:
    @BOTH
    @pytest.mark.rule("S-81")
    def test_what_an_agent_failed_at_is_not_told_again_by_itself(self, transport: str, make: Make) -> None:
        saved = make()

        async def body() -> None:
            agent = prod()
            async with Line(transport, HEADERS) as line:
                hash_ = (await line.tell_all(agent)).connection_settings.hash
                failed = status(hash_, FAILED, f"cannot use Bearer {TOKEN}")
                assert not members(await line.exchange(agent.message(**failed)))
            for _ in range(2):
                await lose_memory()
                async with Line(transport, HEADERS) as line:
                    assert not members(await line.tell_all(agent, **failed))
            row = await connection_of(agent)
            assert (row.status, row.error_message) == ("failed", f"cannot use Bearer {TOKEN}")
            assert "[redacted]" in (await lines(agent))[-1]
            # A person may have it tried again, under another hash.
            key = (await row_of(agent)).pk
            await sync_to_async(tell_again)(key, by=None, at=timezone.now())
            async with Line(transport, HEADERS) as line:
                again = (await line.exchange(agent.message(**failed))).connection_settings
                assert again.hash not in (b"", hash_)
                await line.exchange(agent.message(**status(again.hash)))
            assert (await connection_of(agent)).status == "applied"
            with pytest.raises(NothingToTell):
                await sync_to_async(tell_again)(key, by=None, at=timezone.now())
            # And so does another version.
            await edit(saved, content=content(traces=False))
            async with Line(transport, HEADERS) as line:
                assert members(await line.tell_all(agent, **status(again.hash)))

        run(body())

    @BOTH
    @pytest.mark.rule("S-81")
    def test_one_that_uses_others_is_told_all_once_on_a_connection(self, transport: str, make: Make) -> None:
        make()

        async def body() -> None:
            agent = prod()
            async with Line(transport, HEADERS) as line:
                first = (await line.tell_all(agent)).connection_settings
                await line.exchange(agent.message(**status(first.hash)))
                await line.exchange(agent.message(**GOODBYE))
            for said in (b"", b"elsewhere"):
                async with Line(transport, HEADERS) as line:
                    again = (await line.tell_all(agent, **status(said))).connection_settings
                    assert again.hash == first.hash
                    assert again.HasField("own_traces")
                    assert not members(await line.exchange(agent.message(**status(said))))
                    await line.exchange(agent.message(**GOODBYE))
            async with Line(transport, HEADERS) as line:
                assert not members(await line.tell_all(agent, **status(first.hash)))

        run(body())

    @BOTH
    @pytest.mark.rule("S-77", "S-81")
    def test_a_silent_agent_is_told_once_and_again_when_it_begins_anew(self, transport: str, make: Make) -> None:
        make()

        async def body() -> None:
            agent = prod(SILENT)
            async with Line(transport, HEADERS) as line:
                assert members(await line.tell_all(agent)) == {"own_metrics", "own_traces"}
                for _ in range(3):
                    assert not members(await line.exchange(agent.message()))
            assert (await connection_of(agent)).status == "told"
            async with Line(transport, HEADERS) as line:
                assert not members(await line.tell_all(agent))
                await line.exchange(agent.message(**GOODBYE))
            await sync_to_async(pretend_long_ago)()
            agent.sequence_num = -1
            agent.labels["start"] = "2"
            async with Line(transport, HEADERS) as line:
                assert members(await line.tell_all(agent)) == {"own_metrics", "own_traces"}

        run(body())

    @pytest.mark.rule("S-62", "S-81", transport="http")
    def test_a_retried_poll_gets_its_settings_again(self, make: Make) -> None:
        make()

        async def body() -> None:
            agent = prod()
            line = Line("http", HEADERS)
            message = agent.message(**agent.full_parts())
            told = [(await line.exchange(message)).connection_settings.hash for _ in range(2)]
            assert told[0] == told[1] != b""

        run(body())


class TestThisServer:
    @BOTH
    @pytest.mark.rule("S-75", "S-79", "S-80", "S-82")
    def test_an_agent_moves_and_what_let_it_in_goes_along(self, transport: str, make: Make) -> None:
        scheme = "ws" if transport == "websocket" else "http"
        where = {"endpoint": f"{scheme}://new.example:4320/v1/opamp", "headers": {"X-Tenant": "t1"}}
        saved = make(whole={"opamp": where})

        async def body() -> None:
            agent = prod()
            async with Line(transport, HEADERS) as line:
                told = (await line.tell_all(agent)).connection_settings
                assert told.opamp.destination_endpoint == where["endpoint"]
                assert told.opamp.heartbeat_interval_seconds == 30
                assert headers_of(told.opamp) == {"Authorization": f"Bearer {SECRET}", "X-Tenant": "t1"}
                assert not told.opamp.HasField("certificate")
                assert await moves(saved) == {"here": 1}
                # The old way works until then.
                await line.exchange(agent.message(**status(told.hash)))
                assert await moves(saved) == {"here": 1}
                await line.exchange(agent.message(**GOODBYE))
            assert await moves(saved) == {"away": 1}
            async with Line(transport, {**HEADERS, "host": "new.example:4320"}) as line:
                assert not members(await line.tell_all(agent, **status(told.hash)))
            assert await moves(saved) == {"moved": 1}
            assert (await lines(agent))[-1] == "Came to http://new.example:4320, as connection settings site say"

        run(body())

    @BOTH
    @pytest.mark.rule("S-81")
    def test_an_agent_that_is_there_already_is_told_nothing(self, transport: str, make: Make) -> None:
        scheme = "ws" if transport == "websocket" else "http"
        saved = make(whole={"opamp": {"endpoint": f"{scheme}://old.example:4320/v1/opamp", "heartbeat_seconds": 30}})

        async def body() -> None:
            agent = prod()
            async with Line(transport, HEADERS) as line:
                assert not members(await line.tell_all(agent))
            assert (await connection_of(agent)).status == "applied"
            assert await moves(saved) == {"moved": 1}

        run(body())

    @BOTH
    @pytest.mark.rule("S-82")
    def test_one_that_fails_stays_and_is_listed(self, transport: str, make: Make) -> None:
        saved = make(whole={"opamp": {"endpoint": "ws://new.example/v1/opamp"}})

        async def body() -> None:
            agent, lacking = prod(), prod(COLLECTOR)
            async with Line(transport, HEADERS) as line:
                told = (await line.tell_all(agent)).connection_settings
                assert not members(await line.tell_all(lacking))
                assert not members(await line.exchange(agent.message(**status(told.hash, FAILED, "no route"))))
                for _ in range(2):
                    assert not members(await line.exchange(agent.message()))
            assert await moves(saved) == {"failed": 1, "incapable": 1}

        run(body())

    @BOTH
    @pytest.mark.rule("S-82")
    def test_a_credential_of_its_own_goes_along_and_the_old_one_works_until_it_is_used(
        self, transport: str, make: Make, settings: Any
    ) -> None:
        settings.OPAMP_AGENT_CREDENTIALS = True
        saved = make(whole=content(opamp={"endpoint": "ws://new.example:4320/v1/opamp"}))

        async def body() -> None:
            agent = prod()
            async with Line(transport, HEADERS) as line:
                reply = await line.tell_all(agent)
                assert members(reply) == {"opamp", "own_metrics", "own_traces"}
                told = reply.connection_settings
                assert told.opamp.destination_endpoint == "ws://new.example:4320/v1/opamp"
                own = headers_of(told.opamp)["Authorization"]
                assert own != f"Bearer {SECRET}"
                await line.exchange(agent.message(**status(told.hash)))
                await line.exchange(agent.message(**GOODBYE))
            async with Line(transport, {"host": "new.example:4320", "authorization": own}) as line:
                assert not members(await line.tell_all(agent, **status(told.hash)))
            assert (await row_of(agent)).credential_used_at is not None
            assert await moves(saved) == {"moved": 1}

        run(body())

    @BOTH
    @pytest.mark.rule("S-82")
    def test_headers_that_let_it_in_take_the_place_of_what_did(self, transport: str, make: Make) -> None:
        where = {"endpoint": "ws://new.example/v1/opamp", "headers": {"authorization": "Bearer enrol-it-there"}}
        saved = make(whole={"opamp": where})

        async def body() -> None:
            agent = prod()
            async with Line(transport, HEADERS) as line:
                told = (await line.tell_all(agent)).connection_settings
                assert headers_of(told.opamp) == {"authorization": "Bearer enrol-it-there"}
            await edit(saved, content={"opamp": {"endpoint": "ws://new.example/v1/opamp", "keep_credentials": False}})
            async with Line(transport, HEADERS) as line:
                told = (await line.tell_all(agent, **status(told.hash))).connection_settings
                assert headers_of(told.opamp) == {}

        run(body())

    @BOTH
    @pytest.mark.rule("S-80")
    @pytest.mark.parametrize(
        ("tls", "told"), [({"include_system_ca_certs_pool": True}, True), ({"insecure_skip_verify": True}, False)]
    )
    def test_over_tls_nobody_stops_verifying_unless_somebody_said_so(
        self, transport: str, tls: Any, told: bool, make: Make
    ) -> None:
        make(whole={"opamp": {"endpoint": "wss://new.example/v1/opamp", "tls": tls}})

        async def body() -> None:
            async with Line(transport, HEADERS) as line:
                offer = (await line.tell_all(prod())).connection_settings.opamp
            assert offer.HasField("certificate") is told
            assert offer.tls.insecure_skip_verify is not told

        run(body())

    @BOTH
    @pytest.mark.rule("S-71", "S-81")
    def test_a_bare_unhealthy_of_a_client_built_from_them_is_not_known_yet(self, transport: str, make: Make) -> None:
        make(whole={"opamp": {"endpoint": "ws://new.example:4320/v1/opamp", "heartbeat_seconds": 20}})

        async def body() -> None:
            agent = prod(SILENT)
            async with Line(transport, HEADERS) as line:
                assert members(await line.tell_all(agent)) == {"opamp"}
            agent.sequence_num = -1
            async with Line(transport, {**HEADERS, "host": "new.example:4320"}) as line:
                reply = await line.tell_all(agent, health=opamp_pb2.ComponentHealth(healthy=False))
                assert not members(reply)
                row = await row_of(agent)
                assert (row.healthy, row.status) == (None, "connected")
                assert (await connection_of(agent)).status == "applied"
                sick = opamp_pb2.ComponentHealth(healthy=False, last_error="exit code 1")
                await line.exchange(agent.message(health=sick))
                assert (await row_of(agent)).status == "error"

        run(body())


class TestHolding:
    @BOTH
    def test_a_freeze_keeps_them_back_and_its_end_lets_them_out(self, transport: str, make: Make) -> None:
        saved = make()
        freeze = freezing.start_freeze(EVERYONE, reason="party", by=None, at=timezone.now())

        async def body() -> None:
            agent = prod()
            async with Line(transport, HEADERS) as line:
                assert not members(await line.tell_all(agent))
                await edit(saved, content=content(traces=False))
                assert not members(await line.exchange(agent.message()))
                waiting = await sync_to_async(lambda: set(pending_among(Agent.objects.all())))()
                assert waiting == {agent.uid}
                await sync_to_async(freezing.end_freeze)(freeze.pk, by=None, at=timezone.now())
                await processed()
                assert members(await line.exchange(agent.message())) == {"own_metrics"}
            assert (await connection_of(agent)).status == "offered"

        run(body())

    @BOTH
    @pytest.mark.rule("S-66")
    def test_a_connected_agent_is_told_with_its_next_word_and_goes_back_without_one(
        self, transport: str, make: Make
    ) -> None:
        async def body() -> None:
            agent = prod()
            async with Line(transport, HEADERS) as line:
                await line.tell_all(agent)
                at = timezone.now() - timedelta(seconds=1)
                saved = await sync_to_async(make)()
                assert await sync_to_async(lambda: list(pending_since(at)))() == [agent.uid]
                await processed()
                first = await line.exchange(agent.message())
                assert members(first) == {"own_metrics", "own_traces"}
                await line.exchange(agent.message(**status(first.connection_settings.hash)))
                # To another version and back before the agent said a word: nothing is new.
                await edit(saved, content=content(traces=False))
                version = await sync_to_async(version_numbered)(saved.settings, 1)
                await sync_to_async(publish_settings)(version, by=None, at=timezone.now(), plan=AT_ONCE)
                await processed()
                assert not members(await line.exchange(agent.message()))
                assert (await connection_of(agent)).status == "applied"
                # Switched off: own telemetry ends.
                await edit(saved, enabled=False)
                off = await line.exchange(agent.message())
                assert members(off) == {"own_metrics", "own_traces"}
                assert off.connection_settings.own_metrics.destination_endpoint == ""
                assert (await connection_of(agent)).status == "none"
                assert not members(await line.exchange(agent.message()))

        run(body())

    @BOTH
    def test_the_strongest_counts_and_labels_decide(self, transport: str, make: Make) -> None:
        make()
        make("stronger", {"own_metrics": telemetry("strong")}, priority=5)
        make("a-named-first", {"own_metrics": telemetry("named")}, priority=5, selector={"team": "a"})

        async def body() -> None:
            agent = prod()
            async with Line(transport, HEADERS) as line:
                told = (await line.tell_all(agent)).connection_settings
                assert told.own_metrics.destination_endpoint.endswith("/strong")
                await line.exchange(agent.message(**status(told.hash)))
                agent.labels["team"] = "a"
                told = (await line.exchange(agent.message(agent_description=agent.description()))).connection_settings
                assert told.own_metrics.destination_endpoint.endswith("/named")

        run(body())

    def test_nothing_is_stored_in_the_clear(self, make: Make) -> None:
        saved = make()
        assert TOKEN not in saved.version.encrypted
        assert TOKEN not in str(saved.version.shown) + str(saved.version.digests)
        assert ConnectionSettings.objects.count() == 1


def pretend_long_ago() -> None:
    from agents.models import ReportedState

    ReportedState.objects.update(settings_offered_at=timezone.now() - timedelta(hours=2))
