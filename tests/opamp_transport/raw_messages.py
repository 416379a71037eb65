"""OpAMP by hand: messages in WebSocket frames, and heads of requests."""

from __future__ import annotations

from uuid import UUID

from opamp_transport.proto import opamp_pb2
from tests.raw_socket import (
    BINARY,
    Frame,
    frame,
)

LIMIT = 1024 * 1024
UID = UUID("0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4051")


def message(sequence_num: int = 1, uid: UUID = UID) -> bytes:
    """An OpAMP message with its WebSocket header."""
    report = opamp_pb2.AgentToServer(instance_uid=uid.bytes, sequence_num=sequence_num, capabilities=1)
    return b"\x00" + report.SerializeToString()


HELLO = frame(BINARY, message())


def reply_of(received: Frame | None) -> opamp_pb2.ServerToAgent:
    """A binary frame of the server as a message."""
    assert received is not None
    assert received.opcode == BINARY
    assert received.payload[:1] == b"\x00"
    return opamp_pb2.ServerToAgent.FromString(received.payload[1:])


def post_head(*lines: str, path: str = "/v1/opamp") -> bytes:
    """The head of a POST."""
    fixed = [f"POST {path} HTTP/1.1", "Host: portal", "Content-Type: application/x-protobuf"]
    return "\r\n".join([*fixed, *lines, "", ""]).encode()


def status_of(answer: bytes) -> int:
    """The status of an HTTP answer."""
    return int(answer.split(b" ", 2)[1])
