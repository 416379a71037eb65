"""Agents that are led elsewhere, held, or decided upon by their labels, over both transports (S-75, S-79 … S-82)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from agents.models import Agent
from agents.services.offers import pending_among, pending_since
from connections.models import ConnectionSettings
from connections.services.connection_releases import publish_settings
from connections.services.settings_edits import version_numbered
from opamp_transport.proto import opamp_pb2
from rollouts.audiences import EVERYONE
from rollouts.services import freezing
from rollouts.services.version_publishing import AT_ONCE
from tests.connections.conftest import TOKEN, content, telemetry
from tests.connections.conversing import (
    FAILED,
    HEADERS,
    SECRET,
    SILENT,
    Make,
    connection_of,
    edit,
    headers_of,
    lines,
    members,
    moves,
    prod,
    status,
)
from tests.fake_agent import COLLECTOR, run
from tests.opamp_transport.conversations import BOTH, GOODBYE, Line, processed, row_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def secret(settings: Any) -> None:
    settings.OPAMP_SECRET_KEY = SECRET
    settings.OPAMP_HEARTBEAT_SECONDS = 30


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
