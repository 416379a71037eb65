"""Credentials of single agents over both transports (S-115, S-117): given, used, and told to nobody else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.apps import apps
from django.conf import settings as project
from django.utils import timezone
from pytest_django import Settings

from agents.credentials import AgentCredential, Denial, read_credential
from agents.models import AgentEvent
from agents.opamp.connection_settings import SETTINGS_PAUSE
from agents.services import identity
from opamp_transport import runtime
from opamp_transport.proto import opamp_pb2
from tests.fake_agent import COLLECTOR, FakeAgent, Socket, post, run
from tests.opamp_transport.agent_credentials import (
    RULES,
    SECRET,
    SHARED,
    denial,
    enrolled,
    given,
    offered,
    revoke,
    with_own,
)
from tests.opamp_transport.conversations import (
    BOTH,
    Line,
    events_of,
    lose_memory,
    processed,
    row_of,
)
from tests.opamp_transport.test_connection_settings import (
    ACCEPTS_SETTINGS,
    HEARTBEAT,
    TAKES,
    TELLS,
    pretend_it_was_offered,
    status,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("agent_credentials_on")]


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
