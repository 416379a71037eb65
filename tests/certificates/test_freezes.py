"""A freeze holds renewals back, and never so long that an agent would be shut out."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from agents.models import Agent
from agents.services.offers import pending_among, pending_since
from certificates.models import AgentCertificate
from certificates.opamp import KEPT_GOOD
from rollouts.audiences import EVERYONE
from rollouts.services import freezing
from tests.certificate_files import new_key
from tests.certificates.asking import asking, csr_of
from tests.certificates.conversing import State, brought, deny, obtained, showing
from tests.fake_agent import FakeAgent, run
from tests.opamp_transport.agent_credentials import SHARED
from tests.opamp_transport.conversations import BOTH, Line, processed
from tests.opamp_transport.test_connection_settings import TELLS

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("signs"), BOTH]


@sync_to_async
def freeze() -> int:
    at = timezone.now()
    return freezing.start_freeze(EVERYONE, reason="party", by=None, at=at).pk


@sync_to_async
def thaw(pk: int) -> None:
    freezing.end_freeze(pk, by=None, at=timezone.now())


@sync_to_async
def ends_in(agent: FakeAgent, left: timedelta) -> None:
    """The certificate that the agent uses."""
    used = AgentCertificate.objects.filter(instance_uid=agent.uid, used_at__isnull=False)
    assert used.update(not_after=timezone.now() + left) == 1


async def holder(transport: str) -> tuple[FakeAgent, dict[str, str]]:
    """An agent with a certificate, and the headers with which it shows it."""
    agent = FakeAgent(capabilities=TELLS)
    async with Line(transport, SHARED) as line:
        _key, offered = await obtained(line, agent)
    shown = showing(brought(offered))
    async with Line(transport, shown) as line:
        await line.tell_all(agent)
    return agent, shown


def test_a_first_certificate_is_let_through(transport: str) -> None:
    async def body() -> None:
        await freeze()
        async with Line(transport, SHARED) as line:
            _key, offered = await obtained(line, FakeAgent(capabilities=TELLS))
        assert brought(offered)

    run(body())


def test_a_renewal_waits_for_the_end(transport: str) -> None:
    async def body() -> None:
        agent, shown = await holder(transport)
        pk = await freeze()
        async with Line(transport, shown) as line:
            _key, reply = await obtained(line, agent, new_key())
            assert not brought(reply)
            assert not brought(await line.tell_all(agent))
            assert set(await sync_to_async(pending_among)(Agent.objects.all())) == {agent.uid}
            await thaw(pk)
            await processed()
            assert brought(await line.exchange(agent.message()))
            assert await sync_to_async(pending_among)(Agent.objects.all()) == set()

    run(body())


def test_a_paused_agent_waits_and_others_do_not(transport: str) -> None:
    async def body() -> None:
        (agent, shown), (other, others) = await holder(transport), await holder(transport)
        row = await Agent.objects.aget(instance_uid=agent.uid)
        pause = sync_to_async(freezing.pause_agent)
        await pause(row, reason="repair", by=None, at=timezone.now())
        async with Line(transport, shown) as line:
            assert not brought((await obtained(line, agent, new_key()))[1])
        async with Line(transport, others) as line:
            assert brought((await obtained(line, other, new_key()))[1])

    run(body())


def test_one_that_would_be_shut_out_is_let_through(transport: str) -> None:
    async def body() -> None:
        agent, shown = await holder(transport)
        await freeze()
        async with Line(transport, shown) as line:
            assert not brought((await obtained(line, agent, new_key()))[1])
            since = timezone.now()
            assert agent.uid not in await sync_to_async(pending_since)(since)
            await ends_in(agent, KEPT_GOOD - timedelta(seconds=1))
            assert agent.uid in await sync_to_async(pending_since)(since - timedelta(seconds=30)), "nobody looks again"
            assert brought(await line.tell_all(agent))

    run(body())


def test_a_refusal_is_told_at_once(transport: str) -> None:
    async def body() -> None:
        agent, shown = await holder(transport)
        await freeze()
        async with Line(transport, shown) as line:
            await line.tell_all(agent, **asking(csr_of(new_key())))
            await deny(agent)
            assert "unknown machine" in (await line.hear(agent)).error_response.error_message
        assert await count_open(agent) == 0

    run(body())


@sync_to_async
def count_open(agent: FakeAgent) -> Any:
    return AgentCertificate.objects.filter(instance_uid=agent.uid, open=True).exclude(state=State.ISSUED).count()
