"""What pages show of pipelines: the picture, with the line each component stands in and how
an agent says it is.

The words of a change are the template's. Nothing here is more than the texts that the page shows
anyway: ids of components and pipelines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agents.reports import JsonObject
from configurations.checks.findings import SyntaxProblem
from configurations.checks.merging import Merged, merged_files
from configurations.checks.tree import MappingNode
from configurations.checks.yaml_text import read_yaml
from configurations.meaning import meaning_of
from configurations.pipeline_graph import PipelineGraph, PipelineMember, graph_between, graph_of
from configurations.pipeline_layout import LONGEST_NAME, PipelinePicture, PlacedLane, picture_of

Rates = Mapping[tuple[str, str, str], float]
"""Items a second by role, signal and component."""

_SIGNS = {"added": "+", "removed": "−", "changed": "~"}
# Of an error in a component's health.
_LONGEST = 300
# Of a name, and of an error, beside each of so many components.
_LONGEST_TITLE = 100


def _cut(text: str, most: int) -> str:
    """At most so many characters of a text."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


@dataclass(frozen=True, slots=True)
class NodeShown:
    """A node as the template draws it. ``target`` is the id of the element that has it in ``line``.

    ``healthy`` is ``None`` where nobody said, and ``said`` what the agent says of it. ``rate``: what it passes on of the
    pipeline's signal, in items a second, by all pipelines of this signal together; ``None`` where nobody knows.
    """

    x: int
    y: int
    text: str
    name: str
    role: str
    change: str
    target: str = ""
    line: int = 0
    healthy: bool | None = None
    said: str = ""
    connector: bool = False
    rate: float | None = None

    @property
    def flow(self) -> str:
        """The rate in a few characters, of which there is room beside the name."""
        return "" if self.rate is None else _few_characters(self.rate)

    @property
    def short(self) -> str:
        """As much of the name as there is room for beside the rate."""
        room = LONGEST_NAME - (len(self.flow) + 3 if self.flow else 0)
        return _cut(self.text, room)

    @property
    def title(self) -> str:
        """What the picture says on hover: its name, the rate, and what the agent says of it, each cut."""
        name = f"{_cut(self.name, _LONGEST_TITLE)} {self.flow}".rstrip()
        return f"{name}: {_cut(self.said, _LONGEST_TITLE)}" if self.said else name

    @property
    def sign(self) -> str:
        """The change, or ill health, as a sign, so that no colour is needed to see it."""
        return "✖" if self.healthy is False else _SIGNS.get(self.change, "")


@dataclass(frozen=True, slots=True)
class LaneShown:
    """A pipeline: its nodes for the picture, and by role for the table."""

    name: str
    signal: str
    change: str
    title_y: int
    lines: tuple[str, ...]
    nodes: tuple[NodeShown, ...]

    def _of(self, role: str) -> list[NodeShown]:
        return [node for node in self.nodes if node.role == role]

    @property
    def roles(self) -> list[list[NodeShown]]:
        """Receivers, processors, exporters."""
        return [self._of(role) for role in ("receivers", "processors", "exporters")]


@dataclass(frozen=True, slots=True)
class PipelinesShown:
    """All that the template and REST need. ``compares``: it shows a change; ``has_health``: an agent said how its components are.

    ``joins``: each connector with the pipeline that it exports from, and the one that it feeds.
    """

    picture: PipelinePicture
    lanes: tuple[LaneShown, ...]
    left_out: int
    compares: bool = False
    has_health: bool = False
    joins: tuple[tuple[str, str, str], ...] = ()


def pipelines_shown(
    files: Mapping[str, JsonObject],
    *,
    targets: Mapping[str, str] | None = None,
    health: Mapping[str, Any] | None = None,
    rates: Rates | None = None,
) -> PipelinesShown | None:
    """The pipelines of one configuration's files, ``None`` where they are none of a Collector's.

    ``targets`` leads from config keys to the ids of the elements that show the files; ``health`` is the agent's tree, and
    ``rates`` what its components pass on.
    """
    whole = meaning_of(files)
    if whole is None:
        return None
    return _shown(graph_of(whole), _places_of(files, targets) if targets else {}, health, rates or {})


def pipelines_between(left: Mapping[str, JsonObject], right: Mapping[str, JsonObject]) -> PipelinesShown | None:
    """What both have, and what changed; ``None`` where one cannot be read, or nothing changed in the pipelines."""
    former, latter = meaning_of(left), meaning_of(right)
    if former is None or latter is None:
        return None
    graph = graph_between(former, latter)
    return _shown(graph, {}, None, {}, compares=True) if any(lane.change for lane in graph.lanes) else None


def _shown(
    graph: PipelineGraph,
    places: Mapping[tuple[str, str], tuple[str, int]],
    health: Mapping[str, Any] | None,
    rates: Rates,
    *,
    compares: bool = False,
) -> PipelinesShown | None:
    if not graph:
        return None
    picture = picture_of(graph)
    lanes = tuple(
        _lane(placed, places, _below(health, f"pipeline:{placed.lane.name}"), rates) for placed in picture.lanes
    )
    known = any(node.healthy is not None for lane in lanes for node in lane.nodes)
    joins = tuple((join.name, graph.lanes[join.source].name, graph.lanes[join.target].name) for join in graph.joins)
    return PipelinesShown(picture, lanes, graph.left_out, compares, known, joins)


def _lane(
    placed: PlacedLane,
    places: Mapping[tuple[str, str], tuple[str, int]],
    health: Mapping[str, Any] | None,
    rates: Rates,
) -> LaneShown:
    nodes = []
    for node in placed.nodes:
        member = node.member
        said = _health_of(member, health)
        nodes.append(
            NodeShown(
                node.x,
                node.y,
                node.text,
                member.name,
                member.role,
                member.change,
                *places.get((member.section, member.name), ("", 0)),
                None if said is None else bool(said.get("healthy")),
                "" if said is None else str(said.get("last_error") or said.get("status") or "")[:_LONGEST],
                member.section == "connectors",
                rates.get((member.role, placed.lane.signal, member.name)),
            )
        )
    lane = placed.lane
    return LaneShown(lane.name, lane.signal, lane.change, placed.title_y, placed.lines, tuple(nodes))


def _few_characters(rate: float) -> str:
    """``12k/s``: two digits tell enough beside a component."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if rate >= limit:
            return f"{rate / limit:.{0 if rate >= 10 * limit else 1}f}{unit}/s"
    return f"{rate:.{0 if rate >= 10 or rate == int(rate) else 1}f}/s"


def _health_of(member: PipelineMember, health: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """As a Collector names components in its health: by kind and id; a connector is one also where it exports."""
    for kind in (member.section, member.role):
        found = _below(health, f"{kind.removesuffix('s')}:{member.name}")
        if found is not None:
            return found
    return None


def _below(health: Mapping[str, Any] | None, name: str) -> Mapping[str, Any] | None:
    inner = health.get("components") if health else None
    found = inner.get(name) if isinstance(inner, Mapping) else None
    return found if isinstance(found, Mapping) else None


def _places_of(files: Mapping[str, JsonObject], targets: Mapping[str, str]) -> dict[tuple[str, str], tuple[str, int]]:
    """From section and id to the element that shows the definition, and its line; nothing where the checks cannot read a file."""
    trees = {}
    for name, file in files.items():
        try:
            root, _findings = read_yaml(str(file.get("body", "")))
        except SyntaxProblem:
            return {}
        if isinstance(root, MappingNode):
            trees[name] = root
    return {
        (section, name): (targets.get(defined.file, ""), defined.key.place.line)
        for section, entry in merged_files(trees).entries.items()
        if isinstance(entry.value, Merged)
        for name, defined in entry.value.entries.items()
    }
