"""From settings to the agent that applied them, over both transports (S-75 … S-81)."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from agents.reports import AgentCapabilities as Can
from connections.errors import NothingToTell
from connections.services.telling_again import tell_again
from tests.connections.conftest import TOKEN, content, telemetry
from tests.connections.conversing import (
    ALL,
    APPLYING,
    FAILED,
    HEADERS,
    OPAMP,
    SAYS,
    SECRET,
    SILENT,
    Make,
    connection_of,
    edit,
    headers_of,
    lines,
    members,
    pretend_long_ago,
    prod,
    status,
)
from tests.fake_agent import COLLECTOR, run
from tests.opamp_transport.conversations import BOTH, GOODBYE, Line, lose_memory, row_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def secret(settings: Any) -> None:
    settings.OPAMP_SECRET_KEY = SECRET
    settings.OPAMP_HEARTBEAT_SECONDS = 30


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
