"""What the cells of the list show of its agents beside the agents themselves, asked for all rows at once."""

from __future__ import annotations

from typing import Any

from agents import extensions
from agents.admin import cells, further_columns


def prepared(rows: list[Any], *, alike: bool) -> list[Any]:
    """Agents with what their cells show beside them; ``alike``: all rows of the page have the same service."""
    keys = [agent.pk for agent in rows]
    marks, further = extensions.marks_of(keys), further_columns.cells_of(keys)
    for agent in rows:
        agent.marks = [*cells.approval_marks(agent), *marks.get(agent.pk, ())]
        agent.further_cells, agent.alike = further.get(agent.pk, {}), alike
    return rows
