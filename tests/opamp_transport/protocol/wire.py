"""Short ways to write messages of the wire in tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from opamp_transport.proto import anyvalue_pb2, opamp_pb2

UID = UUID("0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4051")
UID_FIELD = bytes.fromhex("0a10") + UID.bytes


def frame(rest: str) -> bytes:
    """A WebSocket message: header, uid, and the fields of ``rest`` in hexadecimal."""
    return b"\x00" + UID_FIELD + bytes.fromhex(rest)


def report_body(**members: Any) -> bytes:
    """An ``AgentToServer`` with these members, from `UID` unless told otherwise."""
    return opamp_pb2.AgentToServer(**({"instance_uid": UID.bytes} | members)).SerializeToString()


def varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def length_delimited(field: int, content: bytes) -> bytes:
    """One field of bytes, text or message."""
    return varint(field << 3 | 2) + varint(len(content)) + content


def any_value(python: object) -> anyvalue_pb2.AnyValue:
    """The wire form of a JSON-ready value; bytes are bytes."""
    match python:
        case None:
            return anyvalue_pb2.AnyValue()
        case bool():
            return anyvalue_pb2.AnyValue(bool_value=python)
        case int():
            return anyvalue_pb2.AnyValue(int_value=python)
        case float():
            return anyvalue_pb2.AnyValue(double_value=python)
        case str():
            return anyvalue_pb2.AnyValue(string_value=python)
        case bytes():
            return anyvalue_pb2.AnyValue(bytes_value=python)
        case list():
            return anyvalue_pb2.AnyValue(
                array_value=anyvalue_pb2.ArrayValue(values=[any_value(item) for item in python])
            )
        case dict():
            return anyvalue_pb2.AnyValue(kvlist_value=anyvalue_pb2.KeyValueList(values=key_values(python)))
        case _:
            raise TypeError(type(python))


def key_values(attributes: Mapping[str, object]) -> list[anyvalue_pb2.KeyValue]:
    return [anyvalue_pb2.KeyValue(key=key, value=any_value(item)) for key, item in attributes.items()]
