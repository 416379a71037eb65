"""Agents that wait for approval: seen, offered nothing; approved they get all at once, rejected they are closed and refused."""

from __future__ import annotations

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone
from pytest_django import Settings

from accounts.models import AuditEntry, User
from agents.credentials import Denial
from agents.extensions import register_custom_capability, unregister_custom_capability
from agents.models import Agent, AgentCommand, Approval
from agents.reports import AgentCapabilities
from agents.services import commands
from enrolment.errors import NotPending
from enrolment.services import approval
from opamp_transport.proto import opamp_pb2
from tests.enrolment.conftest import Issue
from tests.fake_agent import FakeAgent, Socket, eventually, run
from tests.opamp_transport.agent_credentials import SHARED, denial, offered, rejected, with_own
from tests.opamp_transport.conversations import BARE, BOTH, Line, events_of, parts_of, processed, publish, row_of
from tests.opamp_transport.test_connection_settings import TAKES

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("by_token")]
RESTARTS = int(AgentCapabilities.ACCEPTS_RESTART_COMMAND)


@sync_to_async
def approve(agent: FakeAgent) -> None:
    """As an operator does it."""
    row = Agent.objects.get(instance_uid=agent.uid)
    assert approval.approve_agents([row.pk], by=None, at=timezone.now()) == 1


@sync_to_async
def reject(agent: FakeAgent) -> None:
    """As an operator does it."""
    row = Agent.objects.get(instance_uid=agent.uid)
    assert approval.reject_agents([row.pk], by=None, at=timezone.now()) == 1


@sync_to_async
def restart(agent: FakeAgent) -> AgentCommand:
    """As an operator does it."""
    row = Agent.objects.get(instance_uid=agent.uid)
    return commands.request_restart(row, by=None, at=timezone.now())


@pytest.fixture
def asks(settings: Settings) -> None:
    """New agents wait for approval."""
    settings.ENROLMENT_APPROVAL = True


@BOTH
@pytest.mark.usefixtures("asks")
class TestPending:
    def test_it_is_seen_and_offered_nothing(self, transport: str) -> None:
        async def body() -> None:
            await publish()
            agent = FakeAgent(env="prod", capabilities=TAKES | RESTARTS)
            async with Line(transport, SHARED) as line:
                reply = await line.tell_all(agent)
                assert parts_of(reply) - {"flags"} <= BARE
                row = await row_of(agent)
                assert (row.approval, row.connected, row.healthy) == (Approval.PENDING, True, True)
                # What it is to run is decided; it waits.
                assert row.configuration_name == "prod-config"
                await restart(agent)
                assert await line.nothing_comes(agent)
                assert parts_of(await line.exchange(agent.message())) <= BARE

        run(body())

    def test_approved_it_gets_what_waits_for_it(self, transport: str) -> None:
        async def body() -> None:
            wanted = await publish()
            agent = FakeAgent(env="prod", capabilities=TAKES)
            async with Line(transport, SHARED) as line:
                await line.tell_all(agent)
                await approve(agent)
                reply = await line.hear(agent)
                assert reply.remote_config.config_hash == wanted
                # A credential is made with a report; over WebSocket one of its next heartbeats becomes that.
                for _heartbeat in range(3 if transport == "websocket" else 0):
                    await processed()
                    reply = reply if offered(reply) else await line.exchange(agent.message())
                assert offered(reply).startswith("oac1.")
            assert await events_of(agent, "approval") == [("approval", {"approval": "approved", "by": ""})]
            assert (await AuditEntry.objects.aget(verb="agent.approve")).object_id == str((await row_of(agent)).pk)

        run(body())

    def test_rejected_it_is_refused_whatever_it_shows(self, transport: str, issue: Issue) -> None:
        text = issue()[1]

        async def body() -> None:
            agent = FakeAgent()
            async with Line(transport, SHARED) as line:
                await line.tell_all(agent)
            await reject(agent)
            for headers in (SHARED, with_own(text)):
                assert await denial(transport, headers, agent.message()) is Denial.REJECTED
            await approve(agent)
            assert await denial(transport, SHARED, agent.message()) is None

        run(body())

    def test_its_custom_messages_reach_nobody(self, transport: str) -> None:
        heard: list[object] = []
        register_custom_capability("org.example.test", lambda *said: heard.append(said))

        async def body() -> None:
            agent = FakeAgent()
            said = opamp_pb2.CustomMessage(capability="org.example.test", type="t", data=b"d")
            async with Line(transport, SHARED) as line:
                await line.tell_all(agent, custom_message=said)
                await processed()
                assert heard == []
                await approve(agent)
                await processed()
                await line.exchange(agent.message(custom_message=said))
                await processed()
                assert len(heard) == 1

        try:
            run(body())
        finally:
            unregister_custom_capability("org.example.test")


class TestWho:
    @pytest.mark.parametrize(
        ("site", "rule", "waits"),
        [
            (False, "site", False),
            (True, "site", True),
            (False, "ask", True),
            (True, "skip", False),
        ],
    )
    def test_the_token_has_its_say(self, issue: Issue, settings: Settings, site: bool, rule: str, waits: bool) -> None:
        settings.ENROLMENT_APPROVAL = site
        text = issue(approval_rule=rule)[1]

        async def body() -> None:
            agent = FakeAgent()
            async with Line("http", with_own(text)) as line:
                await line.tell_all(agent)
            assert (await row_of(agent)).approval == (Approval.PENDING if waits else Approval.APPROVED)

        run(body())

    def test_an_agent_the_fleet_has_does_not_begin_to_wait(self, settings: Settings) -> None:
        async def body() -> None:
            agent = FakeAgent()
            async with Line("http", SHARED) as line:
                await line.tell_all(agent)
                settings.ENROLMENT_APPROVAL = True
                await line.tell_all(agent)
            assert (await row_of(agent)).approval == Approval.APPROVED

        run(body())


@pytest.mark.usefixtures("asks")
def test_a_live_socket_of_a_rejected_agent_is_closed() -> None:
    async def body() -> None:
        agent = FakeAgent()
        async with Socket(SHARED) as socket:
            await socket.exchange(agent.message(**agent.full_parts()))
            await processed()
            await reject(agent)
            assert await rejected(socket, await socket.receive()) is Denial.REJECTED

        async def is_gone() -> bool:
            return not (await row_of(agent)).connected

        await eventually(is_gone)

    run(body())


class TestDeciding:
    def test_what_is_decided_already_is_a_conflict(self, report, alice: User) -> None:  # type: ignore[no-untyped-def]
        row = report()
        now = timezone.now()
        with pytest.raises(NotPending):
            approval.approve_agent(row, by=alice, at=now)
        with pytest.raises(NotPending):
            approval.reject_agent(row, by=alice, at=now)
        Agent.objects.update(approval=Approval.PENDING)
        approval.reject_agent(row, by=alice, at=now)
        with pytest.raises(NotPending):
            approval.reject_agent(row, by=alice, at=now)
        # Who was rejected by mistake comes in after all.
        approval.approve_agent(row, by=alice, at=now)
        row.refresh_from_db()
        assert row.approval == Approval.APPROVED
        assert [entry.verb for entry in AuditEntry.objects.order_by("pk")] == ["agent.reject", "agent.approve"]
