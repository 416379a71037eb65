"""permessage-deflate (RFC 7692, S-13), asked of a live server with a plain socket."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from opamp_transport.proto import opamp_pb2
from tests.live_server import LiveServer
from tests.opamp_transport.raw_messages import HELLO, LIMIT, UID, message, reply_of
from tests.raw_socket import (
    BINARY,
    RawSocket,
    frame,
    resident_bytes,
)


@pytest.fixture(scope="module")
def compressing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server that offers permessage-deflate."""
    folder = tmp_path_factory.mktemp("compressing")
    settings = {"OPAMP_WEBSOCKET_COMPRESSION": "true", "OPAMP_MAX_MESSAGE_SIZE": str(LIMIT)}
    with LiveServer(folder, **settings) as running:
        yield running


def deflated(payload: bytes) -> bytes:
    """RFC 7692 section 7.2.1."""
    compressor = zlib.compressobj(wbits=-12)
    return (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def compressed(payload: bytes, **options: Any) -> bytes:
    """A compressed message: RSV1 set (RFC 7692 section 6)."""
    return frame(BINARY, deflated(payload), reserved=4, **options)


class TestCompression:
    """permessage-deflate (S-13), asked for in the handshake."""

    ASKED = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover"

    @pytest.mark.rule("S-13", transport="websocket")
    @pytest.mark.parametrize(
        "asked",
        [
            ASKED,
            "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
            "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits; server_max_window_bits=12",
        ],
    )
    def test_the_answer_names_both_parameters(self, compressing: LiveServer, asked: str) -> None:
        with RawSocket(compressing.port).upgrade(asked) as peer:
            line = next(line for line in peer.head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-ext"))
            assert b"server_no_context_takeover" in line
            assert b"client_no_context_takeover" in line

    @pytest.mark.rule("S-13", transport="websocket")
    def test_messages_flow_compressed_and_plain(self, compressing: LiveServer) -> None:
        with RawSocket(compressing.port).upgrade(self.ASKED) as peer:
            for number, sent in enumerate((compressed(message(1)), frame(BINARY, message(2)), compressed(message(3)))):
                peer.send(sent)
                first, second = peer._take(2)
                assert first == 0xC2, f"reply {number}: a final binary frame with RSV1"
                body = zlib.decompressobj(wbits=-15).decompress(peer._take(second & 0x7F) + b"\x00\x00\xff\xff")
                assert opamp_pb2.ServerToAgent.FromString(body[1:]).instance_uid == UID.bytes

    @pytest.mark.rule("S-09", "S-10", "S-13", transport="websocket")
    def test_the_limit_counts_after_inflating(self, compressing: LiveServer) -> None:
        assert compressing.process is not None
        before = resident_bytes(compressing.process.pid)
        for bomb in (compressed(bytes(60 * LIMIT)), compressed(bytes(LIMIT + 1))):
            with RawSocket(compressing.port).upgrade(self.ASKED) as peer:
                peer.send(bomb)
                assert [one.code for one in peer.frames()] == [1009]
        assert resident_bytes(compressing.process.pid) - before < 20 * LIMIT

    @pytest.mark.rule("S-13", transport="websocket")
    def test_without_being_asked_it_is_not_used(self, compressing: LiveServer) -> None:
        with RawSocket(compressing.port).upgrade() as peer:
            assert b"sec-websocket-extensions" not in peer.head.lower()
            peer.send(HELLO)
            assert reply_of(peer.read_frame()).instance_uid == UID.bytes
        with RawSocket(compressing.port).upgrade() as peer:
            peer.send(compressed(message()))
            assert [one.code for one in peer.frames()] == [1002]
