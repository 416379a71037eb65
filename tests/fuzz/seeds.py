"""Where mutations start: the protobuf bodies of the corpus that are not too large."""

from __future__ import annotations

import random

from tests.corpus.cases import load

_LARGEST = 4096


def seeds() -> list[bytes]:
    """Bodies, the same ones in the same order every time."""
    bodies = {case.content() for case in load() if case.kind == "body" and not case.recipe}
    chosen = sorted(body for body in bodies if 0 < len(body) <= _LARGEST)
    random.Random(1).shuffle(chosen)
    return chosen
