"""The columns that lists, views and exports of agents can have: facts, single labels (``label:env``), and those of other apps."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _

from agents import extensions
from agents.labels import label_key_problem
from agents.models import Agent
from agents.reports import capability_names
from agents.shown import message_shown, pair_shown
from foundation.errors import DomainError
from foundation.messages import Message

MOST_COLUMNS = 50
LABEL = "label:"

Further = Mapping[str, Any]
"""What other apps know of one agent, by the names of their columns."""


class InvalidColumns(DomainError):
    """There is no such column, or there are too many."""


@dataclass(frozen=True)
class AgentColumn:
    """``value`` is plain data, secrets hidden, for programs; ``field`` is what it is ordered by, where an index has it."""

    name: str
    title: Any
    value: Callable[[Agent, Further], Any]
    field: str = ""

    @property
    def label(self) -> str | None:
        """The key of the label that it shows, ``None`` for any other column."""
        return self.name.removeprefix(LABEL) if self.name.startswith(LABEL) else None


def _attribute(name: str) -> Callable[[Agent, Further], Any]:
    return lambda agent, _further: getattr(agent, name)


def _said(name: str) -> Callable[[Agent, Further], Any]:
    return lambda agent, _further: message_shown(getattr(agent, name))


def _labels(agent: Agent, _further: Further) -> Any:
    return {key: pair_shown(key, str(value)) for key, value in sorted(agent.labels.items())}


OWN: tuple[AgentColumn, ...] = (
    AgentColumn("instance_uid", _("instance UID"), lambda agent, _further: str(agent.instance_uid)),
    AgentColumn("name", _("name"), _attribute("name"), "name"),
    AgentColumn("status", _("status"), lambda agent, _further: agent.status.value),
    AgentColumn("connected", _("connected"), _attribute("connected")),
    AgentColumn("healthy", _("healthy"), _attribute("healthy")),
    AgentColumn("in_sync", _("in sync"), _attribute("in_sync")),
    AgentColumn("drifted", _("drift"), _attribute("config_drifted")),
    AgentColumn("hostname", _("host"), _attribute("hostname"), "hostname"),
    AgentColumn("service_name", _("service"), _attribute("service_name")),
    AgentColumn("version", _("version"), _attribute("version"), "version"),
    AgentColumn("os_type", _("OS"), _attribute("os_type"), "os_type"),
    AgentColumn("os_description", _("OS description"), _attribute("os_description")),
    AgentColumn("architecture", _("architecture"), _attribute("architecture")),
    AgentColumn("configuration", _("configuration"), _attribute("configuration_name"), "configuration_name"),
    AgentColumn("revision", _("revision"), _attribute("configuration_revision")),
    AgentColumn("approval", _("approval"), _attribute("approval")),
    AgentColumn("enrolled_by", _("enrolled by"), _attribute("enrolled_by")),
    AgentColumn("transport", _("transport"), _attribute("transport")),
    AgentColumn("remote_address", _("remote address"), _attribute("remote_address")),
    AgentColumn("capabilities", _("capabilities"), lambda agent, _further: capability_names(agent.capabilities)),
    AgentColumn("health_status", _("health status"), _said("health_status")),
    AgentColumn("last_error", _("last error"), _said("last_error")),
    AgentColumn("notes", _("notes"), _said("notes")),
    AgentColumn("first_seen_at", _("first seen"), _attribute("first_seen_at"), "first_seen_at"),
    AgentColumn("connected_at", _("connected since"), _attribute("connected_at"), "connected_at"),
    AgentColumn(
        "last_seen_at", _("last seen"), lambda agent, _further: agent.presence.last_seen_at, "presence__last_seen_at"
    ),
    AgentColumn("labels", _("labels"), _labels),
)
_OWN_BY_NAME = {column.name: column for column in OWN}

LISTED = ("name", "status", "service_name", "os_type", "configuration", "last_seen_at", "labels")
"""The columns of the list in the admin when it is asked for none; those of other apps stand before the labels."""

EXPORTED = tuple(
    column.name
    for column in OWN
    if column.name not in {"os_description", "health_status", "last_error", "notes", "remote_address"}
)
"""The columns of an export that names none."""


def known_columns() -> list[AgentColumn]:
    """All but those of single labels."""
    return [*OWN, *_further_columns()]


def columns_named(names: Sequence[str]) -> list[AgentColumn]:
    """These, each once, in this order. Raises `InvalidColumns`."""
    if len(names) > MOST_COLUMNS:
        raise InvalidColumns(Message("too-many-columns", "A list has at most {most} columns.", most=MOST_COLUMNS))
    further = {column.name: column for column in _further_columns()}
    return [_named(name, further) for name in dict.fromkeys(names)]


def further_values(agent_ids: Sequence[int], columns: Sequence[AgentColumn]) -> dict[int, dict[str, Any]]:
    """What other apps know of these agents, if one of the columns asks."""
    asked = {column.name for column in columns}
    found: dict[int, dict[str, Any]] = {}
    for group in extensions.further_columns():
        if group.values is not None and asked & {column.name for column in group.columns}:
            for key, values in group.values(agent_ids).items():
                found.setdefault(key, {}).update(values)
    return found


def column_text(value: Any) -> str:
    """A value as the text of one cell; lists and maps are JSON, times are in UTC."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def _further_columns() -> list[AgentColumn]:
    return [
        AgentColumn(column.name, column.title, _of_others(column.name), column.field)
        for group in extensions.further_columns()
        for column in group.columns
    ]


def _of_others(name: str) -> Callable[[Agent, Further], Any]:
    return lambda _agent, further: further.get(name)


def _named(name: str, further: Mapping[str, AgentColumn]) -> AgentColumn:
    if (column := _OWN_BY_NAME.get(name) or further.get(name)) is not None:
        return column
    if name.startswith(LABEL):
        key = name.removeprefix(LABEL)
        if problem := label_key_problem(key):
            raise InvalidColumns(problem)
        if "," in key:
            raise InvalidColumns(
                Message(
                    "column-with-comma", "A label with a comma in its key is no column: commas are between columns."
                )
            )
        return AgentColumn(name, key, lambda agent, _further: _label(agent, key))
    raise InvalidColumns(
        Message(
            "unknown-column",
            "There is no column {name}; there are {known}, and label: with the key of a label.",
            name=name[:100],
            known=", ".join([*_OWN_BY_NAME, *further]),
        )
    )


def _label(agent: Agent, key: str) -> str | None:
    value = agent.labels.get(key)
    return None if value is None else pair_shown(key, str(value))
