"""Cuts a health tree that is too deep for the decoder, on the wire, so that its agent is heard all the same (S-71).

The specification bounds no tree, but protobuf's decoder stops at 100 message levels: without the cut such an agent could
report nothing at all, and answer every request for its full state with the same refused message. Pure; knows the wire
format and two field numbers, no message classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from opamp_transport.protocol.framing import Body

DEEPEST = 40
"""Levels of components below the root that stay; the decoder would take 49."""

LARGEST = 1024 * 1024
"""Bytes of a message that is looked at; each level that stays copies what is below it."""

_HEALTH = 5  # AgentToServer.health
_CHILDREN = 6  # ComponentHealth.component_health_map
_VALUE = 2  # of a map entry
_FIXED = {1: 8, 5: 4}


class _NotCuttable(ValueError):
    """The bytes follow no wire format, or one that protobuf no longer writes."""


def cut(body: Body, mark: bytes) -> bytes | None:
    """``body`` with the health tree cut below `DEEPEST`, ``mark`` appended to nodes that lost children.

    ``None`` when there is nothing to cut, or the bytes are no message: then depth is not what is wrong with them.
    """
    if len(body) > LARGEST:
        return None
    try:
        rebuilt = _rebuilt(bytes(body), _HEALTH, lambda node: _cut_node(node, DEEPEST, mark))
    except _NotCuttable:
        return None
    return rebuilt if rebuilt != body else None


def _cut_node(node: bytes, levels: int, mark: bytes) -> bytes:
    if levels:
        return _rebuilt(
            node, _CHILDREN, lambda entry: _rebuilt(entry, _VALUE, lambda child: _cut_node(child, levels - 1, mark))
        )
    kept = b"".join(node[start:end] for number, _kind, start, _content, end in _fields(node) if number != _CHILDREN)
    return kept if len(kept) == len(node) else kept + mark


def _rebuilt(message: bytes, wanted: int, change: Callable[[bytes], bytes]) -> bytes:
    """``message`` with the content of each sub-message number ``wanted`` changed."""
    parts = []
    for number, kind, start, content, end in _fields(message):
        if number == wanted and kind == 2:
            inner = change(message[content:end])
            parts += [_varint(number << 3 | 2), _varint(len(inner)), inner]
        else:
            parts.append(message[start:end])
    return b"".join(parts)


def _fields(message: bytes) -> Iterator[tuple[int, int, int, int, int]]:
    """Number, wire type, and where the field, its content and its end are."""
    position = 0
    while position < len(message):
        start = position
        tag, position = _read_varint(message, position)
        kind = tag & 7
        content = position
        if kind == 2:
            length, content = _read_varint(message, position)
            position = content + length
        elif kind == 0:
            _value, position = _read_varint(message, position)
        elif kind in _FIXED:
            position += _FIXED[kind]
        else:
            raise _NotCuttable
        if position > len(message):
            raise _NotCuttable
        yield tag >> 3, kind, start, content, position


def _read_varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    for byte in message[position : position + 10]:
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise _NotCuttable


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
