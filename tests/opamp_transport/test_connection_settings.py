"""Section G as far as heartbeats need it, and S-73, S-75: the settings offered, to whom, how often, and their secret."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest
from asgiref.sync import sync_to_async
from django.apps import apps
from django.utils import timezone
from pytest_django import Settings
from websockets.sync.client import connect

from agents.connection_settings import opamp_settings
from agents.models import ReportedState
from agents.opamp.connection_settings import SETTINGS_PAUSE
from opamp_transport import runtime
from opamp_transport.proto import opamp_pb2
from tests.fake_agent import COLLECTOR, FakeAgent, run
from tests.live_server import LiveServer
from tests.opamp_transport.conversations import BOTH, GOODBYE, Line, lose_memory

pytestmark = pytest.mark.django_db(transaction=True)
SECRET = "fleet-secret-9f1c"
HEADERS = {"host": "opamp.example:8443", "authorization": f"Bearer {SECRET}"}
ACCEPTS_SETTINGS, REPORTS_STATUS, HEARTBEAT = 0x100, 0x8000, 0x2000
TAKES = COLLECTOR | ACCEPTS_SETTINGS
TELLS = TAKES | REPORTS_STATUS
SETTINGS_APPLIED = opamp_pb2.ConnectionSettingsStatuses_APPLIED
SETTINGS_FAILED = opamp_pb2.ConnectionSettingsStatuses_FAILED


@pytest.fixture(autouse=True)
def secret(settings: Any) -> None:
    """Agents are asked for it, so the name they reach the portal by is theirs to choose."""
    settings.OPAMP_SECRET_KEY = SECRET


def status(hash_: bytes, outcome: int = SETTINGS_APPLIED) -> dict[str, Any]:
    """What an agent says of an offer."""
    told = opamp_pb2.ConnectionSettingsStatus(last_connection_settings_hash=hash_, status=outcome)
    return {"connection_settings_status": told}


@sync_to_async
def pretend_it_was_offered(*, ago: timedelta) -> None:
    """Move the last offer into the past."""
    ReportedState.objects.update(settings_offered_at=timezone.now() - ago)


@pytest.fixture(autouse=True)
def another_interval(settings: Settings) -> None:
    """One that agents do not have of themselves, so that there is something to offer."""
    settings.OPAMP_HEARTBEAT_SECONDS = 45


class TestWhatIsOffered:
    @BOTH
    @pytest.mark.rule("S-73", "S-75", "S-79", "S-80")
    def test_where_the_agent_reached_us_how_often_and_what_let_it_in(self, transport: str) -> None:
        async def body() -> None:
            async with Line(transport, {**HEADERS, "x-other": "1"}) as line:
                offer = (await line.tell_all(FakeAgent(capabilities=TAKES))).connection_settings
            scheme = "ws" if transport == "websocket" else "http"
            assert offer.opamp.destination_endpoint == f"{scheme}://opamp.example:8443/v1/opamp"
            assert offer.opamp.heartbeat_interval_seconds == 45
            headers = [(header.key, header.value) for header in offer.opamp.headers.headers]
            assert headers == [("Authorization", f"Bearer {SECRET}")]
            assert len(offer.hash) == 32
            assert {field.name for field, _ in offer.ListFields()} == {"hash", "opamp"}
            present = {field.name for field, _ in offer.opamp.ListFields()}
            assert present == {"destination_endpoint", "heartbeat_interval_seconds", "headers"}

        run(body())

    @BOTH
    @pytest.mark.rule("S-79")
    def test_behind_a_proxy_with_tls_the_scheme_is_the_agents(self, transport: str, settings: Settings) -> None:
        settings.OPAMP_OFFER_HEARTBEAT = True

        async def body() -> None:
            async with Line(transport, {**HEADERS, "x-forwarded-proto": "https"}) as line:
                offer = (await line.tell_all(FakeAgent(capabilities=TAKES))).connection_settings
            assert urlsplit(offer.opamp.destination_endpoint).scheme == {"websocket": "wss", "http": "https"}[transport]

        run(body())

    @BOTH
    @pytest.mark.rule("S-73", "S-76")
    @pytest.mark.parametrize("mask", [COLLECTOR, TAKES & ~HEARTBEAT])
    def test_only_to_agents_with_both_bits(self, transport: str, mask: int) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=mask)
            async with Line(transport, HEADERS) as line:
                assert not (await line.tell_all(agent)).HasField("connection_settings")
                agent.capabilities = TAKES
                assert (await line.exchange(agent.message())).HasField("connection_settings")

        run(body())

    @BOTH
    @pytest.mark.rule("S-75")
    @pytest.mark.parametrize("host", ["", "two words", 'quo"te', "a/b"])
    def test_no_offer_without_a_usable_host(self, transport: str, host: str) -> None:
        async def body() -> None:
            async with Line(transport, {**HEADERS, "host": host}) as line:
                assert not (await line.tell_all(FakeAgent(capabilities=TAKES))).HasField("connection_settings")

        run(body())

    @BOTH
    @pytest.mark.rule("S-73")
    @pytest.mark.parametrize("tls", [{}, {"x-forwarded-proto": "https"}, {"x-forwarded-proto": "wss, http"}])
    @pytest.mark.parametrize("decided", [None, True, False])
    def test_over_tls_only_where_somebody_decided_so_and_it_can_be_switched_off(
        self, transport: str, tls: dict[str, str], decided: bool | None, settings: Settings
    ) -> None:
        settings.OPAMP_OFFER_HEARTBEAT = decided

        async def body() -> None:
            async with Line(transport, {**HEADERS, **tls}) as line:
                offered = (await line.tell_all(FakeAgent(capabilities=TAKES))).HasField("connection_settings")
            assert offered is (not tls if decided is None else decided)

        run(body())

    @pytest.mark.rule("S-78")
    def test_the_hash_covers_everything_and_needs_our_key(self) -> None:
        def hash_of(**changes: Any) -> bytes:
            given: dict[str, Any] = {
                "scheme": "ws", "path": "/v1/opamp", "headers": HEADERS, "credentials": ("Authorization", "Secret-Key"),
                "interval_seconds": 30, "key": "k" * 40,
            }  # fmt: skip
            offer = opamp_settings(**{**given, **changes})
            assert offer is not None
            assert SECRET not in repr(offer)
            return offer.settings_hash

        same = [hash_of(), hash_of(headers={**HEADERS, "user-agent": "x"})]
        others = [
            hash_of(interval_seconds=31),
            hash_of(scheme="wss"),
            hash_of(path="/other"),
            hash_of(key="l" * 40),
            hash_of(headers={**HEADERS, "authorization": "Bearer other"}),
            hash_of(headers={**HEADERS, "secret-key": SECRET}),
            hash_of(headers={**HEADERS, "host": "other"}),
        ]
        assert len({*same, *others}) == 1 + len(others)


class TestHowOften:
    @BOTH
    @pytest.mark.rule("S-81", "S-78")
    @pytest.mark.parametrize("outcome", [SETTINGS_APPLIED, SETTINGS_FAILED])
    def test_a_hash_that_was_answered_is_not_offered_again(self, transport: str, outcome: int) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=TELLS)
            async with Line(transport, HEADERS) as line:
                offered = (await line.tell_all(agent, **status(b""))).connection_settings.hash
                assert not (await line.exchange(agent.message(**status(offered, outcome)))).HasField(
                    "connection_settings"
                )
            await lose_memory()
            await pretend_it_was_offered(ago=timedelta(days=1))
            async with Line(transport, HEADERS) as line:
                reply = await line.tell_all(agent, **status(offered, outcome))
                assert not reply.HasField("connection_settings")

        run(body())

    @BOTH
    @pytest.mark.rule("S-81")
    def test_a_hash_that_differs_brings_the_offer_once_on_a_connection(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=TELLS)
            for _ in range(2):
                async with Line(transport, HEADERS) as line:
                    assert (await line.tell_all(agent, **status(b"old"))).HasField("connection_settings")
                    for message in (agent.message(), agent.message(**status(b"old")), agent.message(**status(b""))):
                        assert not (await line.exchange(message)).HasField("connection_settings")
                    await line.exchange(agent.message(**GOODBYE))

        run(body())

    @BOTH
    @pytest.mark.rule("S-81")
    @pytest.mark.parametrize("mask", [TAKES, TELLS])
    def test_an_agent_that_never_answers_and_reconnects_for_each_offer_is_not_kept_in_a_loop(
        self, transport: str, mask: int
    ) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=mask)
            offers = 0
            for _ in range(4):
                agent.sequence_num = -1
                async with Line(transport, HEADERS) as line:
                    offers += (await line.tell_all(agent)).HasField("connection_settings")
                    await line.exchange(agent.message(**GOODBYE))
            assert offers == 1
            await pretend_it_was_offered(ago=SETTINGS_PAUSE)
            async with Line(transport, HEADERS) as line:
                assert (await line.tell_all(agent)).HasField("connection_settings")

        run(body())

    @pytest.mark.rule("S-81", transport="http")
    def test_a_retried_poll_gets_its_offer_again(self) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=TAKES)
            line = Line("http", HEADERS)
            message = agent.message(**agent.full_parts())
            for _ in range(2):
                assert (await line.exchange(message)).HasField("connection_settings")
                await lose_memory()
            assert not (await line.exchange(agent.message())).HasField("connection_settings")

        run(body())


@BOTH
def test_the_secret_is_neither_stored_nor_logged(
    transport: str, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.OPAMP_SECRET_KEY = SECRET
    caplog.set_level("DEBUG")

    async def body() -> None:
        agent = FakeAgent(capabilities=TELLS)
        async with Line(transport, HEADERS) as line:
            offer = (await line.tell_all(agent)).connection_settings
            assert SECRET in str(offer)
            await line.exchange(agent.message(**status(offer.hash)))
        await runtime.current().flush_presence()

    run(body())
    rows = [row for model in apps.get_models() for row in model._default_manager.values()]
    assert len(rows) > 5
    assert SECRET not in json.dumps(rows, default=str)
    assert SECRET not in caplog.text


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A running server that asks agents for a secret."""
    folder: Path = tmp_path_factory.mktemp("guarded")
    with LiveServer(
        folder, OPAMP_SECRET_KEY=SECRET, OPAMP_HEARTBEAT_SECONDS="7", OPAMP_OFFER_HEARTBEAT="true"
    ) as server:
        yield server


@BOTH
@pytest.mark.rule("S-73", "S-75", "S-80")
def test_a_connection_built_from_nothing_but_the_offer_is_let_in(transport: str, guarded: LiveServer) -> None:
    agent = FakeAgent(capabilities=TELLS)
    own = {"Authorization": f"Secret-Key {SECRET}"}

    def talk(endpoint: str, headers: dict[str, str], message: opamp_pb2.AgentToServer) -> opamp_pb2.ServerToAgent:
        body = message.SerializeToString()
        if transport == "http":
            headers = {"Content-Type": "application/x-protobuf", **headers}
            with urlopen(Request(endpoint, body, headers), timeout=10) as response:
                return opamp_pb2.ServerToAgent.FromString(response.read())
        with connect(endpoint, additional_headers=headers, proxy=None) as socket:
            socket.send(b"\x00" + body)
            frame = socket.recv(10)
            assert isinstance(frame, bytes)
            return opamp_pb2.ServerToAgent.FromString(frame[1:])

    start = guarded.websocket_endpoint if transport == "websocket" else guarded.http_endpoint
    offer = talk(start, own, agent.message(**agent.full_parts())).connection_settings
    assert (offer.opamp.destination_endpoint, offer.opamp.heartbeat_interval_seconds) == (start, 7)
    offered = {header.key: header.value for header in offer.opamp.headers.headers}
    agent.sequence_num = -1
    again = talk(offer.opamp.destination_endpoint, offered, agent.message(**agent.full_parts(), **status(offer.hash)))
    assert (again.instance_uid, again.HasField("connection_settings")) == (agent.uid.bytes, False)
    seen = guarded.get(f"agents/{agent.uid}")
    assert seen["sequence_num"] == 0
    assert SECRET not in guarded.log_path.read_text()
