"""The one file that turns free text into a condition on agents: a whole UID, or a part of a name.

On PostgreSQL `agents.migrations.0006_fleet_indexes` lays a trigram index over the very expression asked here; where the
extension is missing, and on SQLite, the same condition reads the agents from end to end.
"""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.db.models import F, Func, Q, TextField
from django.db.models.lookups import IContains

# Shorter text has no trigram that an index could be asked for, unless it stands at the beginning of a word.
SHORTEST_PART = 3
# No name is longer, and SQLite refuses long patterns.
LONGEST_PART = 255


class _SearchedText(Func):
    """Name, host and service, each on a line of its own that begins with a line feed."""

    template = "(CHR(10) || %(expressions)s)"
    arg_joiner = " || CHR(10) || "
    output_field: ClassVar[Any] = TextField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """The same with SQLite's name for the function."""
        return self.as_sql(
            compiler, connection, template="(CHAR(10) || %(expressions)s)", arg_joiner=" || CHAR(10) || ", **context
        )


def text_condition(text: str) -> Q:
    """The agents with this whole UID; else those whose name, host or service contains ``text`` whatever its case.

    One or two characters are looked for at the beginning of a name only: in the middle they are in nearly every one.
    """
    try:
        return Q(instance_uid=UUID(text))
    except ValueError:
        pass
    part = text if len(text) >= SHORTEST_PART else f"\n{text}"
    return Q(IContains(_SearchedText(F("name"), F("hostname"), F("service_name")), part))
