"""The settings of the commonest components, as data: which there are and of which type.

`component_schemas.json` names its source and version. A type is ``string``, ``bool``, ``int``, ``uint``, ``float``,
``duration``, ``text`` or ``any`` (not judged), ``[]T`` a list, ``{}T`` an object of any names, ``?T`` something that may be left
out, ``a|b`` one of these words (``~`` in front: in whichever case), or the name of an object with its fields.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FILE = Path(__file__).with_suffix(".json")


@dataclass(frozen=True, slots=True)
class Schemas:
    """All types, and the type of each component."""

    source: str
    version: str
    types: dict[str, dict[str, str]]
    components: dict[str, dict[str, str]]

    def component(self, section: str, kind: str) -> str:
        """The type of its settings; empty when they are not known."""
        return self.components.get(section, {}).get(kind, "")

    def type(self, name: str) -> dict[str, str]:
        """Field to type; ``*`` stands for every other field."""
        return self.types[name]


@cache
def schemas() -> Schemas:
    """Read once."""
    return Schemas(**json.loads(_FILE.read_text(encoding="utf-8")))
