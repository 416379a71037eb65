"""Where in a stream of frames a connection stands, whatever the pieces are that the frames come in."""

from __future__ import annotations

import pytest

from opamp_server.frames import FrameBounds
from tests.raw_socket import BINARY, CONTINUATION, PING, frame

pytestmark = pytest.mark.any_database

FRAMES = [
    frame(BINARY, b""),
    frame(BINARY, b"short"),
    frame(BINARY, bytes(125)),
    frame(BINARY, bytes(126)),
    frame(PING),
    frame(BINARY, bytes(70_000), fin=False),
    frame(CONTINUATION, b"unmasked", masked=False),
    frame(BINARY, b"long way to say short", length_bytes=8),
]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 125, 4096, 1_000_000])
def test_it_knows_the_begin_of_each_frame(size: int) -> None:
    stream, ends, bounds = b"".join(FRAMES), [], FrameBounds()
    for one in FRAMES:
        ends.append((ends[-1] if ends else 0) + len(one))
    for at in range(0, len(stream), size):
        piece = stream[at : at + size]
        bounds.feed(piece)
        here = at + len(piece)
        begin = max((end for end in ends if end <= here), default=0)
        assert bounds.held == here - begin
        assert bounds.between_frames is (here == begin)
        if bounds.missing:
            assert here + bounds.missing == min(end for end in ends if end > here)
    assert bounds.between_frames


def test_a_size_that_nobody_can_have_is_only_a_number() -> None:
    bounds = FrameBounds()
    bounds.feed(frame(BINARY, declared=2**63 - 1)[:14])
    assert bounds.missing == 2**63 - 1
    bounds.feed(bytes(1000))
    assert (bounds.held, bounds.missing) == (1014, 2**63 - 1001)
