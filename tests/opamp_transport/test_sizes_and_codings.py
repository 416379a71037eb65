"""Sizes of messages and replies, and what HTTP headers say of them, at the entry points of the real application."""

from __future__ import annotations

import gzip
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from agents.remote_config import ConfigFile
from configurations.services.publishing import Draft, create_configuration
from opamp_transport.proto import opamp_pb2
from tests.fake_agent import FakeAgent, Socket, post, run
from tests.opamp_transport.conversations import is_known, refusals

pytestmark = pytest.mark.django_db(transaction=True)


class TestOwnReplies:
    """A reply above the limit is never sent, and is recorded (S-11, S-19)."""

    @staticmethod
    @sync_to_async
    def publish() -> None:
        """A configuration of incompressible 5,000 characters for everybody in prod."""
        files = {"": ConfigFile(b"a: " + b"x" * 5_000 + b"\n", "text/yaml")}
        draft = Draft(selector={"env": "prod"}, files=files)
        create_configuration("large", draft, by=None, at=timezone.now())

    @pytest.mark.rule("S-11", "S-12", transport="websocket")
    def test_on_a_websocket(self, settings) -> None:  # type: ignore[no-untyped-def]
        settings.OPAMP_MAX_MESSAGE_SIZE = 4096

        async def body() -> None:
            await self.publish()
            before = refusals("websocket", "reply too large")
            agent = FakeAgent(env="prod")
            async with Socket() as socket:
                reply = await socket.exchange(agent.message(**agent.full_parts()))
                assert reply.error_response.type == opamp_pb2.ServerErrorResponseType_Unknown
                assert "OPAMP_MAX_MESSAGE_SIZE" in reply.error_response.error_message
                assert not reply.HasField("remote_config")
                assert refusals("websocket", "reply too large") == before + 1
                reply = await socket.exchange(agent.message())
                assert reply.instance_uid == agent.uid.bytes

        run(body())

    @pytest.mark.rule("S-12", "S-19", transport="http")
    def test_over_http(self, settings) -> None:  # type: ignore[no-untyped-def]
        settings.OPAMP_MAX_MESSAGE_SIZE = 4096

        async def body() -> None:
            await self.publish()
            before = refusals("http", "reply too large")
            agent = FakeAgent(env="prod")
            # The limit counts before compression.
            for accepted in ("", "gzip"):
                message = agent.message(**agent.full_parts()).SerializeToString()
                answer = await post(message, {"accept-encoding": accepted})
                assert answer.status == 500
                agent = FakeAgent(env="prod")
            assert refusals("http", "reply too large") == before + 2

        run(body())


class TestHttpHeaders:
    @pytest.mark.rule("S-17", transport="http")
    @pytest.mark.parametrize(
        ("accepted", "packed"),
        [
            ("", False),
            ("gzip", True),
            ("gzip;q=0", False),
            ("gzip; q=0.0, *;q=1", False),
            ("*", True),
            ("*;q=0", False),
            ("identity, gzip;q=0.1", True),
            ("br, deflate", False),
            ("gzip;q=nonsense", False),
            ("GZIP", True),
        ],
    )
    def test_an_answer_is_compressed_only_for_those_who_accept_it(self, accepted: str, packed: bool) -> None:
        async def body() -> None:
            agent = FakeAgent()
            message = agent.message(**agent.full_parts()).SerializeToString()
            answer = await post(message, {"accept-encoding": accepted})
            assert (answer.headers.get("content-encoding") == "gzip") is packed
            assert answer.reply.instance_uid == agent.uid.bytes

        run(body())

    @pytest.mark.rule("S-16", "S-20", "S-24", transport="http")
    @pytest.mark.parametrize("encoding", ["", "identity", "gzip"])
    @pytest.mark.parametrize("header_uid", ["", "same", "other", "nonsense"])
    def test_the_uid_header_decides_nothing(self, encoding: str, header_uid: str) -> None:
        async def body() -> None:
            agent = FakeAgent()
            message = agent.message(**agent.full_parts()).SerializeToString()
            value = {"": "", "same": str(agent.uid), "other": str(uuid4()), "nonsense": "\u00ff;drop"}[header_uid]
            headers = {"content-encoding": encoding, "opamp-instance-uid": value}
            answer = await post(gzip.compress(message) if encoding == "gzip" else message, headers)
            assert (answer.status, answer.headers["content-type"]) == (200, "application/x-protobuf")
            assert answer.reply.instance_uid == agent.uid.bytes
            assert await is_known(agent)

        run(body())

    @pytest.mark.rule("S-18", transport="http")
    @pytest.mark.parametrize("packed", [False, True])
    def test_the_limit_counts_after_inflating(self, settings, packed: bool) -> None:  # type: ignore[no-untyped-def]
        settings.OPAMP_MAX_MESSAGE_SIZE = 4096

        async def body() -> None:
            for size, status in ((4097, 413), (100_000, 413)):
                content = gzip.compress(bytes(size)) if packed else bytes(size)
                answer = await post(content, {"content-encoding": "gzip" if packed else ""})
                assert answer.status == status

        run(body())
