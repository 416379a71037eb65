"""Credentials of single agents over both transports (S-115, S-117): given, used, shown for another agent, revoked, given anew."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async
from django.apps import apps
from django.conf import settings as project
from django.utils import timezone
from prometheus_client import REGISTRY
from pytest_django import Settings

from agents.credentials import AgentCredential, Denial, new_number, read_credential, text_of
from agents.models import Agent, AgentEvent
from agents.opamp.connection_settings import SETTINGS_PAUSE
from agents.services import commands, credentials, editing, identity
from opamp_transport import runtime
from opamp_transport.consumers import websocket
from opamp_transport.proto import opamp_pb2
from tests.fake_agent import COLLECTOR, FakeAgent, Socket, eventually, post, run
from tests.opamp_transport.conversations import BOTH, Line, events_of, is_known, lose_memory, processed, row_of
from tests.opamp_transport.test_connection_settings import (
    ACCEPTS_SETTINGS,
    HEARTBEAT,
    TAKES,
    TELLS,
    pretend_it_was_offered,
    status,
)

pytestmark = pytest.mark.django_db(transaction=True)
SECRET = "the-secret-of-the-fleet"
HOST = {"host": "opamp.example:8443"}
SHARED = {**HOST, "authorization": f"Bearer {SECRET}"}
RULES = pytest.mark.rule("S-115", "S-117")
STATUSES = {Denial.FOREIGN: 403, Denial.OUTDATED: 401, Denial.REVOKED: 401, Denial.SHARED: 401}


@pytest.fixture(autouse=True)
def on(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Agents get credentials of their own; nobody waits for those who are rejected."""
    settings.OPAMP_SECRET_KEY = SECRET
    settings.OPAMP_AGENT_CREDENTIALS = settings.OPAMP_OFFER_HEARTBEAT = True
    monkeypatch.setattr(websocket, "_DENIED_SECONDS", 0.0)
    # What a wake-up brings about shall not come from looking for lost ones.
    monkeypatch.setattr(runtime, "MISSED_CHANGE_SECONDS", 3_600.0)


def with_own(text: str) -> dict[str, str]:
    """Headers that show a credential."""
    return {**HOST, "authorization": f"Bearer {text}"}


def offered(reply: opamp_pb2.ServerToAgent) -> str:
    """The credential that an answer brings; empty without connection settings."""
    headers = {header.key: header.value for header in reply.connection_settings.opamp.headers.headers}
    return headers.get("Authorization", "").removeprefix("Bearer ")


async def given(transport: str, agent: FakeAgent) -> str:
    """Have ``agent`` come in with the shared secret; returns the credential it is given."""
    async with Line(transport, SHARED) as line:
        text = offered(await line.tell_all(agent))
    assert read_credential(text, key=project.SECRET_KEY) is not None
    return text


async def enrolled(transport: str, agent: FakeAgent) -> str:
    """Have ``agent`` use the credential it is given; returns it."""
    text = await given(transport, agent)
    async with Line(transport, with_own(text)) as line:
        assert not (await line.exchange(agent.message())).HasField("error_response")
    return text


async def denial(transport: str, headers: dict[str, str], message: opamp_pb2.AgentToServer) -> Denial | None:
    """Why a message on a new connection is rejected, ``None`` when it is not; over WebSocket that closes the socket."""
    if transport == "http":
        answer = await post(message.SerializeToString(), headers)
        if answer.status == 200:
            assert not answer.reply.HasField("error_response")
            return None
        found = named_in(answer.body.decode())
        assert answer.status == STATUSES[found]
        assert ("www-authenticate" in answer.headers) is (answer.status == 401)
        return found
    async with Socket(headers) as socket:
        reply = await socket.exchange(message)
        if not reply.HasField("error_response"):
            return None
        assert reply.instance_uid == message.instance_uid
        return await rejected(socket, reply)


async def rejected(socket: Socket, reply: opamp_pb2.ServerToAgent) -> Denial:
    """Why: the error is there, and the socket is closed with 1008."""
    assert reply.error_response.type == opamp_pb2.ServerErrorResponseType_BadRequest
    closed = await socket.communicator.receive_output(5)
    assert (closed["type"], closed["code"]) == ("websocket.close", 1008)
    return named_in(reply.error_response.error_message)


def named_in(text: str) -> Denial:
    """The denial whose text this is."""
    return next(found for found in Denial if text.endswith(found.text))


def refusals(transport: str, reason: str) -> float:
    """How many were counted so far."""
    return REGISTRY.get_sample_value("opamp_refusals_total", {"transport": transport, "reason": reason}) or 0.0


@sync_to_async
def revoke(agent: FakeAgent) -> None:
    """As an operator does it."""
    row = Agent.objects.get(instance_uid=agent.uid)
    assert credentials.revoke_credentials([row.pk], by=None, at=timezone.now()) == 1


@sync_to_async
def allow(agent: FakeAgent) -> None:
    """As an operator does it."""
    row = Agent.objects.get(instance_uid=agent.uid)
    assert credentials.allow_enrolment([row.pk], by=None, at=timezone.now()) == 1


@BOTH
@RULES
class TestGiven:
    def test_in_place_of_the_shared_secret_and_kept_nowhere(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=TAKES)
            async with Line(transport, {**SHARED, "secret-key": SECRET}) as line:
                reply = await line.tell_all(agent)
            settings_offer = reply.connection_settings.opamp
            text = offered(reply)
            assert [header.key for header in settings_offer.headers.headers] == ["Authorization"]
            assert SECRET not in str(reply)
            assert settings_offer.destination_endpoint.endswith("://opamp.example:8443/v1/opamp")
            row = await row_of(agent)
            assert read_credential(text, key=project.SECRET_KEY) == AgentCredential(
                agent.uid, row.credential_number or 0
            )
            assert row.credential_issued_at is not None
            assert row.credential_used_at is None
            # Nobody used it yet, so the secret still is enough.
            assert await denial(transport, SHARED, agent.message()) is None
            assert [data["step"] for _, data in await events_of(agent, "credential")] == ["issued"]

        run(body())

    def test_another_one_after_a_pause_and_whoever_was_given_the_first_has_nothing(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=TAKES)
            first = await given(transport, agent)
            await lose_memory()
            async with Line(transport, SHARED) as line:
                assert not (await line.tell_all(agent)).HasField("connection_settings")
            await pretend_it_was_offered(ago=SETTINGS_PAUSE)
            second = await given(transport, agent)
            assert second != first
            assert await denial(transport, with_own(first), agent.message()) is Denial.OUTDATED
            assert await denial(transport, with_own(second), agent.message()) is None

        run(body())

    @pytest.mark.rule("S-81")
    def test_not_again_to_one_that_has_answered(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=TELLS)
            async with Line(transport, SHARED) as line:
                hash_ = (await line.tell_all(agent)).connection_settings.hash
                await line.exchange(agent.message(**status(hash_)))
            await pretend_it_was_offered(ago=2 * SETTINGS_PAUSE)
            async with Line(transport, SHARED) as line:
                again = await line.tell_all(agent, **status(hash_))
                assert not again.HasField("connection_settings")

        run(body())

    @pytest.mark.rule("S-76")
    @pytest.mark.parametrize(
        ("mask", "gets_one"), [(COLLECTOR, False), (TAKES, True), ((COLLECTOR | ACCEPTS_SETTINGS) & ~HEARTBEAT, True)]
    )
    def test_only_to_those_that_take_settings(self, transport: str, mask: int, gets_one: bool) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=mask)
            for _ in range(2):
                agent.sequence_num = -1
                async with Line(transport, SHARED) as line:
                    reply = await line.tell_all(agent)
                    assert not reply.HasField("error_response")
                    assert bool(offered(reply)) is gets_one
                    if gets_one:
                        return
            assert (await row_of(agent)).credential_number is None

        run(body())

    def test_not_unless_it_is_switched_on(self, transport: str, settings: Settings) -> None:
        settings.OPAMP_AGENT_CREDENTIALS = False
        settings.OPAMP_HEARTBEAT_SECONDS = 45

        async def body() -> None:
            agent = FakeAgent(capabilities=TAKES)
            async with Line(transport, SHARED) as line:
                assert offered(await line.tell_all(agent)) == SECRET
            assert (await row_of(agent)).credential_number is None

        run(body())


@BOTH
@RULES
@pytest.mark.rule("S-71")
def test_what_a_client_built_from_the_offer_says_of_its_health_is_nothing(transport: str, settings: Settings) -> None:
    settings.OPAMP_HEARTBEAT_SECONDS = 45

    async def body() -> None:
        agent = FakeAgent(capabilities=TELLS)
        text = await given(transport, agent)
        bare = opamp_pb2.ComponentHealth(healthy=False)
        async with Line(transport, with_own(text)) as line:
            # Counting on, and without a word on what it took: the credential tells.
            again = await line.tell_all(agent, health=bare)
            assert not again.HasField("connection_settings")
        row = await row_of(agent)
        assert (row.healthy, row.reported.settings_accepted_seconds) == (None, 45)

    run(body())


@RULES
@pytest.mark.rule("S-46", transport="http")
def test_a_retried_poll_gets_the_same_credential_again() -> None:
    async def body() -> None:
        agent = FakeAgent(capabilities=TAKES)
        message = agent.message(**agent.full_parts())
        texts = set()
        for _ in range(2):
            texts.add(offered(await Line("http", SHARED).exchange(message)))
            await lose_memory()
        assert len(texts) == 1
        assert await denial("http", with_own(texts.pop()), agent.message()) is None

    run(body())


@BOTH
@RULES
class TestUsed:
    @pytest.mark.rule("S-81", "S-82")
    def test_it_lets_in_and_ends_the_shared_secret_for_this_agent_alone(self, transport: str) -> None:
        async def body() -> None:
            agent, other = FakeAgent(capabilities=TELLS), FakeAgent(capabilities=TELLS)
            async with Line(transport, SHARED) as line:
                reply = await line.tell_all(agent)
            own = with_own(offered(reply))
            for _ in range(2):
                async with Line(transport, own) as line:
                    again = await line.exchange(agent.message(**status(reply.connection_settings.hash)))
                    assert not again.HasField("connection_settings")
                await lose_memory()
            row = await row_of(agent)
            assert row.credential_used_at is not None
            assert [data["step"] for _, data in await events_of(agent, "credential")] == ["issued", "used"]
            assert await denial(transport, SHARED, agent.message()) is Denial.SHARED
            assert await denial(transport, SHARED, other.message(**other.full_parts())) is None
            assert await denial(transport, own, agent.message()) is None

        run(body())

    def test_in_any_of_the_places_of_the_secret(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=TAKES)
            text = await enrolled(transport, agent)
            for shown in ({"secret-key": text}, {"authorization": f"Secret-Key {text}"}):
                assert await denial(transport, shown, agent.message()) is None
            # Whoever shows both comes in by its own.
            assert await denial(transport, {**SHARED, "secret-key": text}, agent.message()) is None

        run(body())

    def test_its_heartbeats_are_answered_from_memory(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=TAKES)
            async with Line(transport, with_own(await enrolled(transport, agent))) as line:
                await line.exchange(agent.message())
                await processed()
                counted = [0]
                here = runtime.current()
                submit = here.report_queue.submit

                async def watched(*arguments: Any) -> Any:
                    counted[0] += 1
                    return await submit(*arguments)

                here.report_queue.submit = watched  # type: ignore[method-assign]
                for _ in range(5):
                    await line.exchange(agent.message())
                assert counted[0] <= 1  # the wake-up of its first use may bring one to the rows

        run(body())

    def test_switched_off_it_stays_good_and_the_secret_is_enough_again(
        self, transport: str, settings: Settings
    ) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=TAKES)
            text = await enrolled(transport, agent)
            settings.OPAMP_AGENT_CREDENTIALS = False
            assert await denial(transport, SHARED, agent.message()) is None
            assert await denial(transport, with_own(text), agent.message()) is None
            await revoke(agent)
            for shown in (SHARED, with_own(text)):
                assert await denial(transport, shown, agent.message()) is Denial.REVOKED

        run(body())

    @pytest.mark.rule("S-30")
    def test_a_new_uid_goes_on_with_it(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=TAKES)
            text = await enrolled(transport, agent)
            row = await row_of(agent)
            new = await sync_to_async(identity.assign_instance_uid)(row, by=None, at=timezone.now())
            async with Line(transport, with_own(text)) as line:
                reply = await line.exchange(agent.message())
                if not reply.HasField("agent_identification"):
                    reply = await line.hear(agent)
                assert reply.agent_identification.new_instance_uid == new.bytes
                agent.uid = new
                assert not (await line.exchange(agent.message())).HasField("error_response")
            assert (await row_of(agent)).pk == row.pk
            assert await denial(transport, with_own(text), agent.message()) is None
            assert await denial(transport, SHARED, agent.message()) is Denial.SHARED

        run(body())


@BOTH
@RULES
class TestShownForAnother:
    def test_it_speaks_for_its_agent_alone(self, transport: str, caplog: pytest.LogCaptureFixture) -> None:
        async def body() -> None:
            thief, victim, nobody = (FakeAgent(capabilities=TAKES) for _ in range(3))
            text = await enrolled(transport, thief)
            await enrolled(transport, victim)
            await processed()
            before = await row_of(victim)
            counted = refusals(transport, Denial.FOREIGN.value)
            victim.labels = {"stolen": "yes"}
            for target in (victim, nobody):
                parts = target.full_parts()
                assert await denial(transport, with_own(text), target.message(**parts)) is Denial.FOREIGN
            after = await row_of(victim)
            assert (after.labels, after.lease_id) == (before.labels, before.lease_id)
            assert after.presence.sequence_num == before.presence.sequence_num
            assert not await is_known(nobody)
            assert refusals(transport, Denial.FOREIGN.value) == counted + 2
            lines = [record for record in caplog.records if getattr(record, "reason", "") == Denial.FOREIGN.value]
            assert len(lines) == 1  # its like within a minute is counted only
            assert str(victim.uid) in str(vars(lines[0])["error"])

        run(body())

    def test_nor_does_it_ask_for_a_uid(self, transport: str) -> None:
        async def body() -> None:
            agent, other = FakeAgent(capabilities=TAKES), FakeAgent(capabilities=TAKES)
            text = await enrolled(transport, agent)
            asks = {"flags": opamp_pb2.AgentToServerFlags_RequestInstanceUid}
            assert await denial(transport, with_own(text), other.message(**asks)) is Denial.FOREIGN
            assert await denial(transport, SHARED, agent.message(**asks)) is Denial.SHARED
            assert (await row_of(agent)).next_instance_uid is None
            assert await denial(transport, SHARED, other.message(**asks)) is None

        run(body())

    @pytest.mark.rule("S-22")
    @pytest.mark.parametrize(
        "spoil",
        [
            lambda text: text[:-1],
            lambda text: text + "A",
            lambda text: text.swapcase(),
            lambda text: text.replace("oac1", "oac9"),
            lambda text: text[:-4] + "ÿÿÿÿ",
            lambda text: text + "x" * 8_000,
            lambda text: text_of(AgentCredential(uuid4(), new_number()), key="another installation's key"),
        ],
    )
    def test_what_is_no_credential_meets_401_before_any_upgrade(self, transport: str, spoil: Any) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=TAKES)
            text = spoil(await enrolled(transport, agent))
            sequence_num = agent.sequence_num
            headers = {name: value.encode("utf-8").decode("latin-1") for name, value in with_own(text).items()}
            if transport == "http":
                answer = await post(agent.message().SerializeToString(), headers)
                assert (answer.status, text in answer.body.decode()) == (401, False)
            else:
                communicator = Socket(headers).communicator
                await communicator.send_input({"type": "websocket.connect"})
                start = await communicator.receive_output(5)
                assert (start["type"], start["status"]) == ("websocket.http.response.start", 401)
            assert (await row_of(agent)).presence.sequence_num == sequence_num

        run(body())

    def test_one_never_issued_is_not_in_force(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=TAKES)
            await enrolled(transport, agent)
            made_up = text_of(AgentCredential(agent.uid, new_number()), key=project.SECRET_KEY)
            assert await denial(transport, with_own(made_up), agent.message()) is Denial.OUTDATED

        run(body())


@RULES
class TestTwoConnections:
    @pytest.mark.rule("S-32", transport="websocket")
    def test_whoever_may_not_speak_takes_nothing_from_the_one_that_may(self) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=TAKES)
            async with Socket(with_own(await enrolled("websocket", agent))) as own:
                await own.exchange(agent.message())
                await processed()
                for _ in range(2):
                    assert await denial("websocket", SHARED, agent.message(count=False)) is Denial.SHARED
                row = await row_of(agent)
                assert row.connected
                await sync_to_async(commands.request_restart)(row, by=None, at=timezone.now())
                assert (await own.receive()).HasField("command")

        run(body())

    @pytest.mark.rule("S-82", transport="websocket")
    def test_the_socket_opened_with_the_secret_ends_with_its_next_word(self) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=TAKES)
            async with Socket(SHARED) as old:
                text = offered(await old.exchange(agent.message(**agent.full_parts())))
                async with Socket(with_own(text)) as own:
                    await own.exchange(agent.message())
                    await processed()
                    assert await rejected(old, await old.exchange(agent.message())) is Denial.SHARED
                    assert (await row_of(agent)).connected
                    assert not (await own.exchange(agent.message(count=False))).HasField("error_response")

        run(body())

    @pytest.mark.rule("S-117", transport="http")
    def test_memory_does_not_answer_whoever_shows_less(self) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=TAKES)
            line = Line("http", with_own(await enrolled("http", agent)))
            for _ in range(3):
                await line.exchange(agent.message())
            assert await denial("http", SHARED, agent.message()) is Denial.SHARED
            assert await denial("http", with_own(await enrolled("http", FakeAgent(capabilities=TAKES))), agent.message(
                count=False
            )) is Denial.FOREIGN  # fmt: skip
            assert not (await line.exchange(agent.message(count=False))).HasField("error_response")

        run(body())


@RULES
class TestRevoked:
    @pytest.mark.rule("S-83", transport="websocket")
    def test_a_live_socket_is_closed_at_once(self) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=TAKES)
            async with Socket(with_own(await enrolled("websocket", agent))) as socket:
                await socket.exchange(agent.message())
                await processed()
                await revoke(agent)
                assert await rejected(socket, await socket.receive()) is Denial.REVOKED

            async def is_gone() -> bool:
                return not (await row_of(agent)).connected

            await eventually(is_gone)

        run(body())

    @pytest.mark.rule("S-83", transport="websocket")
    def test_also_when_the_ring_was_lost(self) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=TAKES)
            async with Socket(with_own(await enrolled("websocket", agent))) as socket:
                await socket.exchange(agent.message())
                await processed()
                await Agent.objects.aupdate(credential_revoked_at=timezone.now())
                await runtime.current().find_missed_changes()
                assert await rejected(socket, await socket.receive()) is Denial.REVOKED

        run(body())

    @pytest.mark.rule("S-33", transport="websocket")
    def test_others_on_the_same_socket_are_not_hit(self) -> None:
        async def body() -> None:
            first, second = FakeAgent(capabilities=COLLECTOR), FakeAgent(capabilities=COLLECTOR)
            async with Socket(SHARED) as gateway:
                for agent in (first, second):
                    await gateway.exchange(agent.message(**agent.full_parts()))
                await processed()
                await revoke(first)
                pushed = await gateway.receive()
                assert named_in(pushed.error_response.error_message) is Denial.REVOKED
                assert not (await row_of(first)).connected
                await runtime.current().find_missed_changes()
                await processed()
                assert await gateway.nothing_comes()
                for _ in range(2):
                    assert (await gateway.exchange(first.message())).HasField("error_response")
                    assert not (await gateway.exchange(second.message())).HasField("error_response")

        run(body())

    @BOTH
    @pytest.mark.rule("S-83")
    def test_neither_credential_nor_secret_lets_it_in_until_it_may_enrol(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=TELLS)
            text = await enrolled(transport, agent)
            await revoke(agent)
            for shown in (with_own(text), SHARED):
                assert await denial(transport, shown, agent.message()) is Denial.REVOKED
            await lose_memory()
            for shown in (with_own(text), SHARED):
                assert await denial(transport, shown, agent.message(**agent.full_parts())) is Denial.REVOKED
            assert not (await row_of(agent)).connected
            await allow(agent)
            assert await denial(transport, with_own(text), agent.message()) is Denial.OUTDATED
            agent.sequence_num = -1
            second = await given(transport, agent)
            assert second != text
            assert await denial(transport, with_own(second), agent.message()) is None
            assert await denial(transport, with_own(text), agent.message()) is Denial.OUTDATED
            steps = [data["step"] for _, data in await events_of(agent, "credential")]
            assert steps == ["issued", "used", "revoked", "allowed", "issued", "used"]

        run(body())

    @pytest.mark.rule("S-83", transport="http")
    def test_a_poll_that_memory_would_answer_is_refused(self) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=TAKES)
            text = await enrolled("http", agent)
            line = Line("http", with_own(text))
            for _ in range(3):
                await line.exchange(agent.message())
            await processed()
            await revoke(agent)
            await processed()
            assert await denial("http", with_own(text), agent.message()) is Denial.REVOKED

        run(body())


@BOTH
@RULES
@pytest.mark.rule("S-82")
def test_a_connected_agent_that_may_enrol_gets_another_credential_and_keeps_the_old_one_until_then(
    transport: str,
) -> None:
    async def body() -> None:
        agent = FakeAgent(capabilities=TAKES)
        text = await enrolled(transport, agent)
        async with Line(transport, with_own(text)) as line:
            await line.exchange(agent.message())
            await processed()
            await allow(agent)
            await processed()
            second = offered(await line.exchange(agent.message()))
            assert second not in {"", text}
        assert await denial(transport, with_own(text), agent.message()) is None
        assert await denial(transport, with_own(second), agent.message()) is None
        assert await denial(transport, with_own(text), agent.message()) is Denial.OUTDATED

    run(body())


@BOTH
@RULES
def test_forgetting_an_agent_ends_its_credential_for_good(transport: str) -> None:
    async def body() -> None:
        agent = FakeAgent(capabilities=TAKES)
        text = await enrolled(transport, agent)
        row = await row_of(agent)
        await sync_to_async(editing.forget_agents)([row.pk], by=None)
        await processed()
        assert await denial(transport, with_own(text), agent.message()) is Denial.OUTDATED
        assert not await is_known(agent)
        agent.sequence_num = -1
        second = await given(transport, agent)
        assert await denial(transport, with_own(text), agent.message()) is Denial.OUTDATED
        assert await denial(transport, with_own(second), agent.message()) is None

    run(body())


@BOTH
@RULES
@pytest.mark.rule("S-116")
def test_the_credential_is_in_no_row_no_log_and_no_text(transport: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")

    async def body() -> str:
        agent = FakeAgent(capabilities=TELLS)
        text = await enrolled(transport, agent)
        other = FakeAgent()
        if transport == "http":
            said = (await post(other.message().SerializeToString(), with_own(text))).body.decode()
        else:
            async with Socket(with_own(text)) as socket:
                said = str(await socket.exchange(other.message()))
        assert text not in said
        await revoke(agent)
        await denial(transport, with_own(text), agent.message())
        await runtime.current().flush_presence()
        return text

    text = run(body())
    mac = text.rpartition(".")[2]
    rows = json.dumps([row for model in apps.get_models() for row in model._default_manager.values()], default=str)
    assert AgentEvent.objects.filter(kind="credential").exists()
    assert mac not in rows
    assert mac not in caplog.text
    assert not any(mac in str(vars(record)) for record in caplog.records)
