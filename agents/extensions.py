"""The points where apps above this one hang on, so that agents need not know them. Filled in ``AppConfig.ready``.

An explicit list instead of signals: who is called, and in which order, is one look at this file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.http import HttpRequest

from agents.reports import CustomMessage

AfterRelabelling = Callable[[Sequence[int], datetime], None]
"""Called inside the transaction that changed the labels, with the primary keys of the agents concerned."""


CustomMessageReceiver = Callable[[Any, CustomMessage, datetime], CustomMessage | None]
"""Called with the `agents.models.Agent`, its message and the time, in a transaction of its own after the report's commit.

What it returns is sent to the agent. Kept short: reports wait for the same database threads.
"""


class Placed(NamedTuple):
    """What an agent should run: the name of its configuration, ``""`` for none, and of the fragments beside it."""

    configuration: str = ""
    fragments: frozenset[str] = frozenset()


Placing = Callable[[Sequence[tuple[UUID, Mapping[str, str]]]], Sequence[Placed]]
"""From the instance uids and labels of some agents to the names of what each should run; changes nothing."""

KnownSecrets = Callable[[], None]
"""Makes the values of secrets known that are to be hidden wherever they turn up (`agents.redaction.known`); reads rows."""

BeforeRelabelling = Callable[[], None]
"""Called at the beginning of a transaction that is going to change labels, before any agent's row is locked."""


ComponentRates = Callable[[int, datetime], Mapping[tuple[str, str, str], float]]
"""From the key of an agent and the time to what its components pass on a second, by role (``receivers``), signal and component."""


class Panel(NamedTuple):
    """A section of the agent's page that another app fills: ``template`` is rendered with what ``context`` returns.

    It is a tab, unless ``tab`` names the one of the page that it stands in.
    """

    name: str
    template: str
    context: Callable[[HttpRequest, Any], dict[str, Any]]
    title: Any
    tab: str = ""


class TimelineKind(NamedTuple):
    """A kind of timeline line that another app writes: ``text`` makes text of its values, secrets are hidden in them.

    ``tone`` is ``"good"``, ``"bad"``, ``"quiet"`` or empty.
    """

    name: str
    title: Any
    text: Callable[[Mapping[str, Any]], str]
    tone: str = ""


class Mark(NamedTuple):
    """What another app has to say of an agent in lists, in a word; ``title`` says more."""

    word: Any
    title: str


class Column(NamedTuple):
    """A column that another app adds to the list of agents. ``field``, as seen from an agent, is what it is ordered by."""

    name: str
    title: Any
    field: str = ""


class Columns(NamedTuple):
    """Some of them with what fills them: from the keys of the agents of a page to their cells, by name of column.

    ``values`` does the same with plain data, for exports.
    """

    columns: Sequence[Column]
    cells: Callable[[Sequence[int]], Mapping[int, Mapping[str, Any]]]
    are_shown: Callable[[], bool]
    values: Callable[[Sequence[int]], Mapping[int, Mapping[str, Any]]] | None = None


Marking = Callable[[Sequence[int]], Mapping[int, Mark]]
"""From the keys of some agents to the marks of those that have one; a query for all of them."""


class Act(NamedTuple):
    """What the state of an agent asks for first: a link, or a button that ``posts``."""

    url: str
    text: Any
    posts: bool = False


class PagePart(NamedTuple):
    """What another app adds to the head of an agent's page: ``notes`` and ``tools``, which are links as (URL, text).

    Of several that have a ``primary`` act the first one registered has its way.
    """

    notes: Sequence[Any] = ()
    tools: Sequence[tuple[str, Any]] = ()
    primary: Act | None = None


Heading = Callable[[HttpRequest, Any], PagePart]
"""Given the request and the `agents.models.Agent`."""

_known_secrets: KnownSecrets | None = None
_before_relabelling: list[BeforeRelabelling] = []
_after_relabelling: list[AfterRelabelling] = []
_placing: Placing | None = None
_component_rates: ComponentRates | None = None
_panels: list[Panel] = []
_timeline_kinds: dict[str, TimelineKind] = {}
_markings: list[Marking] = []
_headings: list[Heading] = []
_columns: list[Columns] = []
_configuration_error = "remote_config_error"
_receivers: dict[str, CustomMessageReceiver] = {}
_custom_capabilities: tuple[str, ...] = ()


def register_before_relabelling(callback: BeforeRelabelling) -> None:
    """Have ``callback`` take its locks before agents are locked: whoever locks both does it in this order."""
    if callback not in _before_relabelling:
        _before_relabelling.append(callback)


def notify_before_relabelling() -> None:
    """Tell everybody that labels are about to change."""
    for callback in _before_relabelling:
        callback()


def register_after_relabelling(callback: AfterRelabelling) -> None:
    """Have ``callback`` decide anew what agents should run whenever an operator changed their labels."""
    if callback not in _after_relabelling:
        _after_relabelling.append(callback)


def notify_after_relabelling(agent_ids: Sequence[int], at: datetime) -> None:
    """Tell everybody that the labels of these agents changed."""
    for callback in _after_relabelling:
        callback(agent_ids, at)


def register_placing(callback: Placing) -> None:
    """Have ``callback`` say, for previews, what agents with given labels should run."""
    global _placing  # noqa: PLW0603  set once, when Django is ready
    _placing = callback


def placed(agents: Sequence[tuple[UUID, Mapping[str, str]]]) -> Sequence[Placed]:
    """What agents with these uids and labels should run."""
    return _placing(agents) if _placing is not None else [Placed()] * len(agents)


def register_component_rates(callback: ComponentRates) -> None:
    """Have ``callback`` say what the components of an agent's pipelines pass on."""
    global _component_rates  # noqa: PLW0603  set once, when Django is ready
    _component_rates = callback


def component_rates(agent_id: int, at: datetime) -> Mapping[tuple[str, str, str], float]:
    """Items a second by role, signal and component; empty where nobody knows."""
    return _component_rates(agent_id, at) if _component_rates is not None else {}


def register_known_secrets(callback: KnownSecrets) -> None:
    """Have ``callback`` make secrets known by their values; it is called with every beat, and before documents are stored."""
    global _known_secrets  # noqa: PLW0603  set once, when Django is ready
    _known_secrets = callback


def know_secrets() -> None:
    """Have this process know the values of secrets as they are now."""
    if _known_secrets is not None:
        _known_secrets()


def register_panel(panel: Panel) -> None:
    """Show ``panel`` on every agent's page; a second registration of the same name replaces the first."""
    _panels[:] = [known for known in _panels if known.name != panel.name]
    _panels.append(panel)


def panels() -> tuple[Panel, ...]:
    """The registered panels, in order of registration."""
    return tuple(_panels)


def register_marking(callback: Marking) -> None:
    """Have lists of agents show the marks that ``callback`` gives them."""
    if callback not in _markings:
        _markings.append(callback)


def marks_of(agent_ids: Sequence[int]) -> dict[int, list[Mark]]:
    """The marks of those of these agents that have any."""
    found: dict[int, list[Mark]] = {}
    for callback in _markings:
        for key, mark in callback(agent_ids).items():
            found.setdefault(key, []).append(mark)
    return found


def register_columns(columns: Columns) -> None:
    """Have the list of agents show these columns behind its own, whenever they ``are_shown``."""
    if columns not in _columns:
        _columns.append(columns)


def further_columns() -> list[Columns]:
    """Those that are shown now, in order of registration."""
    return [columns for columns in _columns if columns.are_shown()]


def register_heading(callback: Heading) -> None:
    """Add what ``callback`` says to the head of every agent's page."""
    if callback not in _headings:
        _headings.append(callback)


def heading_of(request: HttpRequest, agent: Any) -> PagePart:
    """What all of them add, in order of registration."""
    parts = [callback(request, agent) for callback in _headings]
    return PagePart(
        [note for part in parts for note in part.notes],
        [tool for part in parts for tool in part.tools],
        next((part.primary for part in parts if part.primary is not None), None),
    )


def register_timeline_kind(kind: TimelineKind) -> None:
    """Have the timeline tell lines of ``kind`` in its words; a second registration of the same name replaces the first."""
    _timeline_kinds[kind.name] = kind


def timeline_kind(name: str) -> TimelineKind | None:
    """The kind that an app registered under this name, or ``None``."""
    return _timeline_kinds.get(name)


def register_configuration_error(field: str) -> None:
    """Have lists show ``field``, as seen from an agent, as the text of its failed configuration."""
    global _configuration_error  # noqa: PLW0603  set once, when Django is ready
    _configuration_error = field


def configuration_error() -> str:
    """Where the text of a failed configuration stands, as seen from an agent."""
    return _configuration_error


def register_custom_capability(name: str, receiver: CustomMessageReceiver) -> None:
    """Offer agents the custom capability ``name``, reverse-FQDN (S-93), and have ``receiver`` take its messages.

    A second registration of the same name replaces the first.
    """
    global _custom_capabilities  # noqa: PLW0603  kept beside the receivers, because every heartbeat looks at it
    _receivers[name] = receiver
    _custom_capabilities = tuple(sorted(_receivers))


def unregister_custom_capability(name: str) -> None:
    """Offer ``name`` no more; agents learn it with their next report."""
    global _custom_capabilities  # noqa: PLW0603  see above
    _receivers.pop(name, None)
    _custom_capabilities = tuple(sorted(_receivers))


def custom_capabilities() -> tuple[str, ...]:
    """The names this server offers, sorted; the same object until one is registered."""
    return _custom_capabilities


def custom_message_receiver(name: str) -> CustomMessageReceiver | None:
    """Who takes messages of this capability, or ``None``."""
    return _receivers.get(name)
