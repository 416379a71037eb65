"""New agents that are too many, as they meet the entry points: put off with the time to come back, and no hindrance to others."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import sync_to_async

from agents.models import Agent
from opamp_transport.consumers import websocket
from opamp_transport.proto import opamp_pb2
from tests.fake_agent import FakeAgent, Socket, post, run
from tests.opamp_transport.conversations import BOTH, Line, lose_memory, refusals

pytestmark = pytest.mark.django_db(transaction=True)
UNAVAILABLE = opamp_pb2.ServerErrorResponseType_Unavailable


def first_word(agent: FakeAgent) -> opamp_pb2.AgentToServer:
    return agent.message(**agent.full_parts())


@sync_to_async
def members() -> int:
    return Agent.objects.count()


@pytest.mark.rule("S-102")
def test_a_thousand_uids_over_one_socket_are_an_end_of_it(settings: Any) -> None:
    settings.OPAMP_NEW_AGENTS_PER_HOUR = 3
    settings.OPAMP_RETRY_AFTER_SECONDS = 30
    before = refusals("websocket", "too many new agents")

    async def body() -> None:
        agents = [FakeAgent() for _ in range(8)]
        async with Socket() as socket:
            replies = [await socket.exchange(first_word(agent)) for agent in agents]
            assert [reply.HasField("error_response") for reply in replies] == [False] * 3 + [True] * 5
            refused = replies[-1].error_response
            assert refused.type == UNAVAILABLE
            assert 30e9 <= refused.retry_info.retry_after_nanoseconds < 60e9
            assert "OPAMP_NEW_AGENTS_PER_HOUR" in refused.error_message
            # The socket goes on for those that the fleet has.
            assert not (await socket.exchange(agents[0].message())).HasField("error_response")
        assert await members() == 3

    run(body())
    assert refusals("websocket", "too many new agents") == before + 5


@BOTH
def test_a_fleet_that_comes_back_is_not_held_up(transport: str, settings: Any) -> None:
    settings.OPAMP_NEW_AGENTS_PER_HOUR = settings.OPAMP_MAX_AGENTS = 5

    async def body() -> None:
        agents = [FakeAgent() for _ in range(5)]
        for _round in range(3):
            for agent in agents:
                async with Line(transport) as line:
                    assert not (await line.exchange(first_word(agent))).HasField("error_response")
            await lose_memory()

    run(body())


@pytest.mark.rule("S-102")
def test_alone_on_its_socket_it_is_told_to_try_later(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "_DENIED_SECONDS", 0.0)
    settings.OPAMP_MAX_AGENTS = 1

    async def body() -> None:
        async with Socket() as socket:
            assert not (await socket.exchange(first_word(FakeAgent()))).HasField("error_response")
        async with Socket() as socket:
            reply = await socket.exchange(first_word(FakeAgent()))
            assert reply.error_response.type == UNAVAILABLE
            assert "OPAMP_MAX_AGENTS" in reply.error_response.error_message
            assert (await socket.communicator.receive_output())["code"] == 1013
        assert await members() == 1

    run(body())


@pytest.mark.rule("S-103")
@pytest.mark.parametrize(("name", "status"), [("OPAMP_NEW_AGENTS_PER_HOUR", 429), ("OPAMP_MAX_AGENTS", 503)])
def test_over_http_a_status_says_when(settings: Any, name: str, status: int) -> None:
    setattr(settings, name, 1)
    settings.OPAMP_RETRY_AFTER_SECONDS = 30

    async def body() -> None:
        known = FakeAgent()
        assert (await post(first_word(known).SerializeToString())).status == 200
        refused = await post(first_word(FakeAgent()).SerializeToString())
        assert refused.status == status
        assert 30 <= int(refused.headers["retry-after"]) < 60
        assert name.encode() in refused.body
        assert (await post(known.message().SerializeToString())).status == 200

    run(body())
