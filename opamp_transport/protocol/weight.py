"""How many parts a message has, counted in its bytes before anything is built of it. Pure; knows no protobuf library.

Decoding makes an object of every part, and a part may be two bytes: 64 MiB of them would be gigabytes, and the library
would hold every other thread for a second. So messages with absurdly many parts are refused unread (S-111).
"""

from __future__ import annotations

from collections.abc import Callable

from opamp_transport.protocol.errors import MalformedMessage
from opamp_transport.protocol.framing import Body

# Attributes, components, health nodes, configuration files and their fields together. A large Collector has thousands.
MOST_PARTS = 100_000
# Counted in about a quarter of a millisecond.
PARTS_AT_ONCE = 1_000

Shape = dict[int, "Shape"]
"""The fields of a message that are messages themselves, by number."""

_ANY_VALUE: Shape = {}
_KEY_VALUE: Shape = {2: _ANY_VALUE}
_ANY_VALUE |= {5: {1: _ANY_VALUE}, 6: {1: _KEY_VALUE}}
_HEALTH: Shape = {7: _KEY_VALUE}
_HEALTH[6] = {2: _HEALTH}
_COMPONENT: Shape = {1: _KEY_VALUE}
_COMPONENT[2] = {2: _COMPONENT}
AGENT_TO_SERVER: Shape = {
    3: {1: _KEY_VALUE, 2: _KEY_VALUE},
    5: _HEALTH,
    6: {1: {1: {2: {}}}},
    7: {},
    8: {1: {2: {8: {}}}},
    9: {},
    11: {1: {1: {}}},
    12: {},
    13: {},
    14: {1: {2: _COMPONENT}},
    15: {},
}


def parts(body: Body, most: int, rest: Callable[[], None] | None = None) -> int:
    """How many fields ``body`` has on all levels; counting ends above ``most``, or where the bytes stop making sense.

    ``rest`` is called after each `PARTS_AT_ONCE` of them, for a thread that shall not keep others waiting.

    Whether they make sense is the decoder's business; what is counted here bounds what it can build before it fails.
    """
    count = 0
    open_messages: list[tuple[int, int, Shape]] = [(0, len(body), AGENT_TO_SERVER)]
    while open_messages:
        position, end, shape = open_messages.pop()
        while position < end:
            count += 1
            if count > most:
                return count
            if rest is not None and not count % PARTS_AT_ONCE:
                rest()
            tag, position = _varint(body, position, end)
            kind = tag & 7
            if kind == 2:
                size, position = _varint(body, position, end)
                inner = shape.get(tag >> 3)
                if inner is not None and size:
                    # Come back to what follows it later; deeper than the decoder goes does not matter here.
                    open_messages.append((position + size, end, shape))
                    end, shape = min(end, position + size), inner
                else:
                    position += size
            elif kind == 0:
                _, position = _varint(body, position, end)
            elif kind in {1, 5}:
                position += 8 if kind == 1 else 4
            elif kind in {6, 7}:
                break
    return count


def check_parts(body: Body, rest: Callable[[], None] | None = None) -> None:
    """``rest`` as for `parts`. Raises MalformedMessage: more than `MOST_PARTS` parts."""
    if parts(body, MOST_PARTS, rest) > MOST_PARTS:
        raise MalformedMessage(
            f"The message has more than {MOST_PARTS} attributes, components and other parts; report fewer."
        )


def _varint(body: Body, position: int, end: int) -> tuple[int, int]:
    """The number at ``position`` and where the next field begins; ``end`` when it is cut short or too long."""
    byte = body[position] if position < end else 0
    if byte < 0x80:
        return byte, position + 1
    number, shift = byte & 0x7F, 7
    while shift < 70:
        position += 1
        if position >= end:
            return 0, end
        byte = body[position]
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, position + 1
        shift += 7
    return 0, end
