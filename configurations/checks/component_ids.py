"""Ids of components and pipelines, as the Collector reads them."""

from __future__ import annotations

import re
import unicodedata

from configurations.checks.findings import shown_value
from foundation.messages import Message

# As the Collector reads ids: a type, and behind a slash a name.
_TYPE = re.compile(r"[a-zA-Z][0-9a-zA-Z_]{0,62}")
_MAX_NAME = 1024


def component_id(text: str) -> str:
    """The id as the Collector compares it: blanks around type and name do not count."""
    kind, slash, name = text.partition("/")
    return f"{kind.strip()}{slash}{name.strip()}"


def type_of(text: str) -> str:
    """The type an id begins with."""
    return text.partition("/")[0].strip()


def id_problem(text: str) -> Message | None:
    """Why the Collector would not take this id. References in keys are not expanded, so they are no id either."""
    kind, slash, name = (part.strip() for part in text.partition("/"))
    if not _TYPE.fullmatch(kind):
        return Message(
            "component-type-characters",
            "{name} is no id: the type before the slash has letters, digits and underscores, and begins with a letter.",
            name=shown_value(text),
        )
    if slash and (not name or len(name) > _MAX_NAME or any(unicodedata.category(sign)[0] in "ZCS" for sign in name)):
        return Message(
            "component-name-characters",
            "{name} is no id: the name behind the slash has neither blanks nor symbols.",
            name=shown_value(text),
        )
    return None
