"""One case of the corpus, and the manifest that lists them all.

Outcomes: ``accepted``; ``malformed`` (BadRequest, 400); ``bad uid`` (BadRequest, 200 with an error); ``refused`` (one of
the two); ``too large`` (1009, 413); ``unsupported`` (415).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from tests.corpus.recipes import RECIPES

FOLDER = Path(__file__).parent
DATA = FOLDER / "data"
MANIFEST = FOLDER / "manifest.json"
MAX_FILE = 4096
ACCEPTED, MALFORMED, BAD_UID, REFUSED = "accepted", "malformed", "bad uid", "refused"
TOO_LARGE, UNSUPPORTED = "too large", "unsupported"


@dataclass(frozen=True)
class Case:
    """``kind``: ``body`` (protobuf, both transports), ``frame`` or ``text`` (a WebSocket message as it is), ``request``
    (an HTTP body with ``headers``). ``recipe`` names a function of `RECIPES` instead of a file.
    """

    group: str
    name: str
    kind: str
    outcome: str
    recipe: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """Where the bytes are, unless there is a recipe."""
        return DATA / self.group / f"{self.name}.bin"

    def content(self) -> bytes:
        """The bytes."""
        return RECIPES[self.recipe]() if self.recipe else self.path.read_bytes()


Built = tuple[Case, bytes | None]


def body(group: str, name: str, content: bytes, outcome: str) -> Built:
    return Case(group, name, "body", outcome), content


def load() -> list[Case]:
    """The cases of the manifest as it is in the repository."""
    return [Case(**entry) for entry in json.loads(MANIFEST.read_text(encoding="utf-8"))["cases"]]
