"""Pieces of messages as bytes, by which the corpus is put together."""

from __future__ import annotations

from tests.opamp_transport.protocol.wire import UID, length_delimited

UID_FIELD = length_delimited(1, UID.bytes)
SEQUENCE = b"\x10\x07"
CAPABILITIES = b"\x20\x01"
START = UID_FIELD + SEQUENCE + CAPABILITIES


def text(number: int, value: str) -> bytes:
    return length_delimited(number, value.encode())


def key_value(key: bytes, value: bytes) -> bytes:
    """A KeyValue; ``value`` is an encoded AnyValue."""
    return length_delimited(1, key) + length_delimited(2, value)


def string(value: str) -> bytes:
    """An AnyValue."""
    return text(1, value)


def attribute(key: bytes, value: bytes) -> bytes:
    """A message's agent_description of one attribute."""
    return length_delimited(3, length_delimited(2, key_value(key, value)))


def entry(key: bytes, value: bytes) -> bytes:
    """One entry of a map."""
    return length_delimited(1, key) + length_delimited(2, value)


def nested(levels: int, innermost: bytes, *fields: int) -> bytes:
    """``innermost`` within ``levels`` rounds of ``fields``, outermost first."""
    content = innermost
    for _ in range(levels):
        for number in reversed(fields):
            content = length_delimited(number, content)
    return content
