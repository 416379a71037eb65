"""Where the parts of a pipeline graph stand in a picture, in pixels. Pure; the picture itself is a template.

Pipelines are lanes one below the other: receivers on the left, processors in their order, exporters on the right. A
connector stands in both of its lanes, with a line from one to the other around them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from configurations.pipeline_graph import Lane, PipelineGraph, PipelineMember

# The template draws nodes of this size.
NODE_WIDTH = 184
NODE_HEIGHT = 30
# Characters of a name that fit into a node, beside the sign of a change.
LONGEST_NAME = 20
_ACROSS = 36
_BETWEEN = 8
_LANE_TITLE = 26
_LANE_GAP = 26
_MARGIN = 8
# Lines of connectors run beside the lanes, so many of them side by side.
_TRACKS = 6
_TRACK = 5


@dataclass(frozen=True, slots=True)
class Node:
    """A member at its place: the left upper corner."""

    member: PipelineMember
    lane: Lane
    x: int
    y: int

    @property
    def middle(self) -> int:
        """Where lines come in and go out."""
        return self.y + NODE_HEIGHT // 2

    @property
    def right(self) -> int:
        """The other end."""
        return self.x + NODE_WIDTH

    @property
    def text(self) -> str:
        """As much of the name as there is room for."""
        name = self.member.name
        return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


@dataclass(frozen=True, slots=True)
class PlacedLane:
    """A lane with its title's base line, its nodes, and the lines between them as path data."""

    lane: Lane
    title_y: int
    nodes: tuple[Node, ...]
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PipelinePicture:
    """All of it. ``joins`` are path data of connectors' lines, ``tips`` of the arrows at their ends.

    ``left``: where lanes begin, and their titles, so that connectors' lines go round these.
    """

    width: int
    height: int
    lanes: tuple[PlacedLane, ...]
    joins: tuple[str, ...]
    tips: tuple[str, ...]
    left: int


def picture_of(graph: PipelineGraph) -> PipelinePicture:
    """The graph as a picture; one without lanes has no height."""
    side = _MARGIN + (_TRACK * _TRACKS + 8 if graph.joins else 0)
    longest = max((len(lane.processors) for lane in graph.lanes), default=0)
    exporters_x = side + (max(longest, 1) + (1 if longest else 0)) * (NODE_WIDTH + _ACROSS)
    lanes, top = [], 0
    for lane in graph.lanes:
        placed, top = _placed(lane, top, side, exporters_x)
        lanes.append(placed)
    joins, tips = _joined(graph, lanes, side, exporters_x + NODE_WIDTH)
    return PipelinePicture(
        exporters_x + NODE_WIDTH + side, max(top - _LANE_GAP + _MARGIN, 0), tuple(lanes), joins, tips, side
    )


def _placed(lane: Lane, top: int, left: int, exporters_x: int) -> tuple[PlacedLane, int]:
    rows = max(len(lane.receivers), len(lane.exporters), 1)
    height = rows * (NODE_HEIGHT + _BETWEEN) - _BETWEEN
    begin = top + _LANE_TITLE
    middle = begin + height // 2

    def stacked(members: tuple[PipelineMember, ...], x: int) -> list[Node]:
        own = len(members) * (NODE_HEIGHT + _BETWEEN) - _BETWEEN
        first = begin + (height - own) // 2
        return [Node(item, lane, x, first + place * (NODE_HEIGHT + _BETWEEN)) for place, item in enumerate(members)]

    receivers = stacked(lane.receivers, left)
    step = NODE_WIDTH + _ACROSS
    processors = [
        Node(item, lane, left + (place + 1) * step, middle - NODE_HEIGHT // 2)
        for place, item in enumerate(lane.processors)
    ]
    exporters = stacked(lane.exporters, exporters_x)
    nodes = (*receivers, *processors, *exporters)
    lines = tuple(_lines(receivers, processors, exporters, (left + NODE_WIDTH + _ACROSS // 2, middle)))
    return PlacedLane(lane, top + _LANE_TITLE - 10, nodes, lines), begin + height + _LANE_GAP


def _lines(
    receivers: list[Node], processors: list[Node], exporters: list[Node], meeting: tuple[int, int]
) -> Iterator[str]:
    """From each receiver to the first processor, along these, and from the last one to each exporter.

    Without processors all meet at a point, so that there are not as many lines as pairs.
    """
    into = (processors[0].x, processors[0].middle) if processors else meeting
    out = (processors[-1].right, processors[-1].middle) if processors else meeting
    for node in receivers:
        yield _curve(node.right, node.middle, *into)
    for former, latter in pairwise(processors):
        yield f"M{former.right} {former.middle}H{latter.x}"
    for node in exporters:
        yield _curve(*out, node.x, node.middle)


def _curve(x: int, y: int, to_x: int, to_y: int) -> str:
    """Straight on, then bent in the last gap."""
    bend = max(to_x - _ACROSS, x)
    half = (bend + to_x) // 2
    return f"M{x} {y}H{bend}C{half} {y} {half} {to_y} {to_x} {to_y}"


def _joined(
    graph: PipelineGraph, lanes: list[PlacedLane], left: int, right: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Out on the right, around above the lane it leads to, and in from the left."""
    joins, tips = [], []
    for number, join in enumerate(graph.joins):
        begin = _node(lanes[join.source], "exporters", join.name)
        end = _node(lanes[join.target], "receivers", join.name)
        if begin is None or end is None:
            continue
        track = 8 + _TRACK * (number % _TRACKS)
        above = lanes[join.target].title_y - 16 - (number % 3) * 3
        joins.append(
            f"M{begin.right} {begin.middle}H{right + track}V{max(above, 2)}H{left - track}V{end.middle}H{end.x}"
        )
        tips.append(f"M{end.x} {end.middle}l-6 -4v8z")
    return tuple(joins), tuple(tips)


def _node(placed: PlacedLane, role: str, name: str) -> Node | None:
    return next((node for node in placed.nodes if node.member.role == role and node.member.name == name), None)
