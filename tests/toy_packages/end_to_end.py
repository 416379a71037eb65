"""From a row to the agent, its answer and the timeline. Run by `tests/test_offers.py` in a process with this app installed."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async

from agents.event_texts import line_of
from agents.models import AgentEvent
from agents.reports import AgentCapabilities
from agents.services import offers
from foundation.clock import clock
from opamp_transport.proto import opamp_pb2
from tests.fake_agent import COLLECTOR, FakeAgent, Socket, run
from tests.people import *  # noqa: F403  fixtures
from tests.toy_packages.models import Installation, Package

pytestmark = pytest.mark.django_db(transaction=True)
ACCEPTS = COLLECTOR | AgentCapabilities.ACCEPTS_PACKAGES | AgentCapabilities.REPORTS_PACKAGE_STATUSES


def installed(name: str) -> opamp_pb2.PackageStatuses:
    statuses = opamp_pb2.PackageStatuses()
    statuses.packages[name].status = opamp_pb2.PackageStatusEnum_Installed
    return statuses


@sync_to_async
def lines() -> list[str]:
    return [line_of(event).text for event in AgentEvent.objects.filter(kind="toy_package").order_by("id")]


@sync_to_async
def pending() -> list[Any]:
    return offers.pending_since(clock.now())


def test_a_package_reaches_its_agent_and_its_answer_the_portal(api_of: Any, alice: Any) -> None:
    Package.objects.create(name="agent", version="2.0", env="prod")
    agent, stranger = FakeAgent(env="prod", capabilities=ACCEPTS), FakeAgent(env="dev", capabilities=ACCEPTS)
    install = sync_to_async(lambda uid: api_of(alice).post(f"/api/v1/toy/{uid}/install"))

    async def body() -> None:
        async with Socket() as socket, Socket() as other:
            reply = await socket.exchange(agent.message(**agent.full_parts()))
            assert reply.packages_available.packages["agent"].version == "2.0"
            assert reply.capabilities & 0x08, "OffersPackages is not advertised"
            assert not (await other.exchange(stranger.message(**stranger.full_parts()))).HasField("packages_available")
            assert not (await socket.exchange(agent.message())).HasField("packages_available"), "offered twice"
            await socket.exchange(agent.message(package_statuses=installed("agent")))
            assert await lines() == ["Package agent offered", "Package agent Installed"]
            assert await pending() == []
            assert (await install(agent.uid)).status_code == 202
            assert (await socket.receive()).packages_available.packages["agent"].version == "2.0"

    run(body())
    assert Installation.objects.get().status == "offered"
    answer = api_of(alice).post(f"/api/v1/toy/{uuid4()}/install")
    assert (answer.status_code, answer["content-type"]) == (409, "application/problem+json")
    assert "No package fits" in answer.json()["detail"]
