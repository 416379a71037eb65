"""What the tests of single agents' credentials share: how one is given, shown, rejected, revoked."""

from __future__ import annotations

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings as project
from django.utils import timezone

from agents.credentials import Denial, read_credential
from agents.models import Agent
from agents.services import credentials
from opamp_transport.proto import opamp_pb2
from tests.fake_agent import FakeAgent, Socket, post
from tests.opamp_transport.conversations import Line

SECRET = "the-secret-of-the-fleet"
HOST = {"host": "opamp.example:8443"}
SHARED = {**HOST, "authorization": f"Bearer {SECRET}"}
RULES = pytest.mark.rule("S-115", "S-117")
STATUSES = dict.fromkeys(Denial, 401) | {Denial.FOREIGN: 403, Denial.FOREIGN_CERTIFICATE: 403}


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
