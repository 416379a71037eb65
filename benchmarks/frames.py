"""The bytes a benchmark agent sends and the few it reads: everything that can be is encoded before the clock starts.

Pure: no sockets, no clock. Messages are built by joining encoded fields, which protobuf allows: a message is the sequence
of its fields. WebSocket frames are masked with the key zero: legal, as much work for the server as any other key, and
none for the driver.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from agents.reports import AgentCapabilities
from opamp_transport.proto import opamp_pb2
from simulator import collector

CAPABILITIES = int(
    AgentCapabilities.REPORTS_STATUS
    | AgentCapabilities.ACCEPTS_REMOTE_CONFIG
    | AgentCapabilities.REPORTS_REMOTE_CONFIG
    | AgentCapabilities.REPORTS_EFFECTIVE_CONFIG
    | AgentCapabilities.REPORTS_HEALTH
    | AgentCapabilities.REPORTS_HEARTBEAT
)
BINARY, CLOSE, PING, PONG = 2, 8, 9, 10
_FINAL = 0x80
_MASKED = 0x80
_KEY = b"\x00\x00\x00\x00"
_STARTED_AT = 1_700_000_000_000_000_000


def varint(number: int) -> bytes:
    """``number`` as protobuf writes it."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def field(number: int, content: bytes) -> bytes:
    """A length-delimited field."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def head(uid: UUID) -> bytes:
    """The uid and the tag of the sequence number, which follows as a varint."""
    return field(1, uid.bytes) + b"\x10"


CAPABILITIES_FIELD = b"\x20" + varint(CAPABILITIES)
# What follows the sequence number in an agent's last message: ``agent_disconnect``, present and empty.
GOODBYE = CAPABILITIES_FIELD + field(9, b"")
# The payload of a close frame: 1000, a normal end.
NORMAL_CLOSURE = b"\x03\xe8"


def full_report(number: int, uid: UUID) -> bytes:
    """What follows the sequence number when a Collector tells everything; each is another host of a mixed fleet."""
    who = collector.varied_collector(number, {"bench": "yes"}, random.Random(number))
    running = collector.run(())
    message = opamp_pb2.AgentToServer(
        capabilities=CAPABILITIES,
        agent_description=who.description(uid),
        health=collector.health(running, started_at=_STARTED_AT + number, at=_STARTED_AT + number),
        remote_config_status=opamp_pb2.RemoteConfigStatus(),
    )
    message.effective_config.config_map.config_map[""].body = running.effective_config
    return message.SerializeToString()


def health_report(number: int, *, healthy: bool) -> bytes:
    """What follows the sequence number when the health of the whole Collector turns."""
    running = collector.run(())
    health = collector.health(running, started_at=_STARTED_AT + number, at=_STARTED_AT + number)
    health.healthy = healthy
    health.last_error = "" if healthy else "exporter queue is full"
    return opamp_pb2.AgentToServer(capabilities=CAPABILITIES, health=health).SerializeToString()


def applied(offer: Offer) -> bytes:
    """What follows the sequence number when the offered files run now."""
    return CAPABILITIES_FIELD + field(6, field(1, offer.files)) + applied_status(offer.hash)


def applied_status(config_hash: bytes) -> bytes:
    """The remote config status APPLIED of this hash, as a field."""
    return field(7, field(1, config_hash) + b"\x10\x01")


def frame(payload: bytes, opcode: int = BINARY) -> bytes:
    """One masked frame from a client."""
    size = len(payload)
    if size < 126:
        return bytes((_FINAL | opcode, _MASKED | size)) + _KEY + payload
    if size < 65_536:
        return struct.pack("!BBH", _FINAL | opcode, _MASKED | 126, size) + _KEY + payload
    return struct.pack("!BBQ", _FINAL | opcode, _MASKED | 127, size) + _KEY + payload


def frames(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """The complete frames from a server at the start of ``data``: opcode, payload, where the next one begins."""
    start, end = 0, len(data)
    while end - start >= 2:
        size, body = data[start + 1], start + 2
        if size == 126:
            body += 2
            if end < body:
                return
            (size,) = struct.unpack_from("!H", data, start + 2)
        elif size == 127:
            body += 8
            if end < body:
                return
            (size,) = struct.unpack_from("!Q", data, start + 2)
        if end < body + size:
            return
        opcode = data[start] & 0x0F
        start = body + size
        yield opcode, data[body:start], start


@dataclass(frozen=True, slots=True)
class Offer:
    """A remote configuration: its hash, and its files as an encoded ``AgentConfigMap``."""

    hash: bytes
    files: bytes


@dataclass(frozen=True, slots=True)
class Said:
    """What the driver wants to know of a ``ServerToAgent``."""

    offer: Offer | None
    is_error: bool
    wants_full_state: bool


def read_reply(body: bytes) -> Said:
    """The offer, error and flag of a reply; everything else is skipped."""
    offer, is_error, flags = None, False, 0
    for number, value in _fields(body):
        if number == 3 and isinstance(value, bytes):
            parts = dict(_fields(value))
            offer = Offer(bytes(parts.get(2, b"")), bytes(parts.get(1, b"")))
        elif number == 2:
            is_error = True
        elif number == 6 and isinstance(value, int):
            flags = value
    return Said(offer, is_error, bool(flags & 1))


def _fields(body: bytes) -> Iterator[tuple[int, int | bytes]]:
    position = 0
    while position < len(body):
        tag, position = _varint_at(body, position)
        value, position = _varint_at(body, position)
        if tag & 7 == 2:
            yield tag >> 3, body[position : position + value]
            position += value
        elif tag & 7 == 0:
            yield tag >> 3, value
        else:
            raise ValueError(f"a field of an unexpected kind: {tag & 7}")


def _varint_at(body: bytes, position: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = body[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, position
        shift += 7
