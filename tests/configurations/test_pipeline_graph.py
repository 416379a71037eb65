"""Pipelines as a graph and as a picture: members, connectors, what changed, and bounds."""

from __future__ import annotations

from typing import Any

import pytest

from configurations.meaning import meaning_of
from configurations.pipeline_graph import (
    MOST_JOINS,
    MOST_LANES,
    MOST_MEMBERS,
    MOST_NODES,
    PipelineGraph,
    graph_between,
    graph_of,
)
from configurations.pipeline_layout import LONGEST_NAME, NODE_HEIGHT, NODE_WIDTH, picture_of
from configurations.pipelines_shown import PipelinesShown, pipelines_between, pipelines_shown
from tests.live_server import ROOT

TWO = """\
receivers:
  otlp: {protocols: {http: {}}}
processors:
  batch:
  memory_limiter: {check_interval: 1s, limit_mib: 100}
connectors:
  count:
exporters:
  debug:
  otlphttp: {endpoint: https://a.example}
service:
  pipelines:
    traces: {receivers: [otlp], processors: [memory_limiter, batch], exporters: [debug, count]}
    metrics: {receivers: [count], exporters: [otlphttp]}
"""


def whole_of(text: str) -> dict[str, Any]:
    whole = meaning_of({"": {"body": text}})
    assert whole is not None
    return whole


def between(left: str, right: str) -> PipelineGraph:
    return graph_between(whole_of(left), whole_of(right))


def changes(graph: PipelineGraph) -> dict[str, str]:
    return {
        f"{lane.name}:{member.name}": member.change
        for lane in graph.lanes
        for member in lane.members()
        if member.change
    }


class TestGraph:
    def test_members_in_the_order_in_which_data_meets_them(self) -> None:
        graph = graph_of(whole_of(TWO))
        assert [lane.name for lane in graph.lanes] == ["traces", "metrics"], "what is fed stands below"
        assert [member.name for member in graph.lanes[0].members()] == [
            "otlp",
            "memory_limiter",
            "batch",
            "debug",
            "count",
        ]
        assert [(lane.signal, lane.change) for lane in graph.lanes] == [("traces", ""), ("metrics", "")]

    def test_a_connector_leads_from_the_lane_that_exports_to_it(self) -> None:
        graph = graph_of(whole_of(TWO))
        assert [(join.name, join.source, join.target) for join in graph.joins] == [("count", 0, 1)]
        assert [member.section for member in graph.lanes[0].exporters] == ["exporters", "connectors"]

    @pytest.mark.parametrize(
        "text", ["service: {pipelines: {}}", "service: 3", "service: {pipelines: [traces]}", "a: b"]
    )
    def test_without_pipelines_there_is_none(self, text: str) -> None:
        assert not graph_of(whole_of(text))
        assert pipelines_shown({"": {"body": text}}) is None

    @pytest.mark.parametrize("text", ["{", "[1, 2]", "a: &a [*a]", "- x"])
    def test_what_cannot_be_read_is_not_drawn(self, text: str) -> None:
        assert pipelines_shown({"": {"body": text}}) is None

    def test_odd_members_do_no_harm(self) -> None:
        graph = graph_of(whole_of("service: {pipelines: {traces: {receivers: [1, null, [x]], exporters: otlp}, 5: }}"))
        assert [len(list(lane.members())) for lane in graph.lanes] == [0, 3]

    def test_bounds_are_counted(self) -> None:
        many = ", ".join(f"r/{number}" for number in range(MOST_MEMBERS + 3))
        lanes = "".join(f"\n    traces/{number:03}: {{receivers: [{many}]}}" for number in range(3))
        graph = graph_of(whole_of(f"service:\n  pipelines:{lanes}"))
        assert graph.left_out == 3 * 3
        lanes = "".join(f"\n    traces/{number:03}: {{receivers: [otlp]}}" for number in range(MOST_LANES + 2))
        graph = graph_of(whole_of(f"service:\n  pipelines:{lanes}"))
        assert (len(graph.lanes), graph.left_out) == (MOST_LANES, 2)

    def test_all_components_together_are_bounded(self) -> None:
        many = ", ".join(f"r/{number}" for number in range(MOST_MEMBERS - 3))
        lanes = "".join(f"\n    traces/{number:03}: {{receivers: [{many}], exporters: [e]}}" for number in range(20))
        graph = graph_of(whole_of(f"service:\n  pipelines:{lanes}"))
        assert sum(len(list(lane.members())) for lane in graph.lanes) == MOST_NODES
        # The last one shown has lost some of its components, the others have all of theirs.
        shown, lost = MOST_NODES // (MOST_MEMBERS - 2) + 1, -MOST_NODES % (MOST_MEMBERS - 2)
        assert (len(graph.lanes), graph.left_out) == (shown, 20 - shown + lost)

    def test_lines_of_connectors_are_bounded(self) -> None:
        lanes = "".join(f"\n    traces/{number:03}: {{receivers: [c], exporters: [c]}}" for number in range(20))
        graph = graph_of(whole_of(f"connectors: {{c: {{}}}}\nservice:\n  pipelines:{lanes}"))
        assert (len(graph.joins), graph.left_out) == (MOST_JOINS, 20 * 20 - MOST_JOINS)


class TestChanges:
    def test_none(self) -> None:
        assert changes(between(TWO, TWO)) == {}
        assert pipelines_between({"": {"body": TWO}}, {"": {"body": TWO}}) is None

    def test_added_removed_and_other_settings(self) -> None:
        other = TWO.replace("https://a.example", "https://b.example").replace(
            "[memory_limiter, batch]", "[batch, tail]"
        )
        graph = between(TWO, other)
        assert changes(graph) == {
            "metrics:otlphttp": "changed",
            "traces:memory_limiter": "removed",
            "traces:tail": "added",
        }
        assert [lane.change for lane in graph.lanes] == ["changed", "changed"]
        assert [member.name for member in graph.lanes[0].processors] == ["memory_limiter", "batch", "tail"]

    def test_another_order_of_processors(self) -> None:
        graph = between(TWO, TWO.replace("[memory_limiter, batch]", "[batch, memory_limiter]"))
        assert [lane.change for lane in graph.lanes] == ["reordered", ""]

    def test_whole_pipelines(self) -> None:
        other = TWO.replace("    metrics:", "    logs:")
        assert [(lane.name, lane.change) for lane in between(TWO, other).lanes] == [
            ("traces", ""), ("logs", "added"), ("metrics", "removed"),
        ]  # fmt: skip
        assert [lane.change for lane in between("a: b", TWO).lanes] == ["added", "added"]


class TestPicture:
    def test_nodes_of_a_lane_do_not_overlap_and_lie_within(self) -> None:
        picture = picture_of(graph_of(whole_of(TWO)))
        nodes = [node for lane in picture.lanes for node in lane.nodes]
        assert len(nodes) == 7
        for node in nodes:
            assert node.x >= 0
            assert node.right <= picture.width
            assert node.y >= 0
            assert node.y + NODE_HEIGHT <= picture.height
            for other in nodes:
                apart = abs(node.x - other.x) >= NODE_WIDTH or abs(node.y - other.y) >= NODE_HEIGHT
                assert node is other or apart

    def test_every_member_has_a_line_and_a_connector_one_more(self) -> None:
        picture = picture_of(graph_of(whole_of(TWO)))
        # otlp in, one between the two processors, two out; count in, otlphttp out.
        assert [len(lane.lines) for lane in picture.lanes] == [4, 2]
        assert len(picture.joins) == len(picture.tips) == 1

    def test_long_names_are_cut(self) -> None:
        picture = picture_of(graph_of(whole_of("service: {pipelines: {traces: {receivers: [%s]}}}" % ("x" * 500))))
        assert [len(node.text) for node in picture.lanes[0].nodes] == [LONGEST_NAME]

    def test_the_template_draws_nodes_of_that_size(self) -> None:
        template = (ROOT / "templates" / "admin" / "pipelines.html").read_text(encoding="utf-8")
        assert f'<rect width="{NODE_WIDTH}" height="{NODE_HEIGHT}"' in template


class TestShown:
    def shown(self, **more: Any) -> PipelinesShown:
        found = pipelines_shown({"": {"body": TWO}}, **more)
        assert found is not None
        return found

    def test_components_lead_to_their_lines(self) -> None:
        shown = self.shown(targets={"": "id_raw_config"})
        places = {node.name: (node.target, node.line) for lane in shown.lanes for node in lane.nodes}
        assert places["otlp"] == ("id_raw_config", 2)
        assert places["count"] == ("id_raw_config", 7)
        assert places["otlphttp"] == ("id_raw_config", 10)

    def test_of_several_files_to_the_one_that_counts(self) -> None:
        files = {"a": {"body": TWO}, "b": {"body": "\nexporters:\n  debug: {verbosity: detailed}\n"}}
        found = pipelines_shown(files, targets={"a": "first", "b": "second"})
        assert found is not None
        places = {node.name: (node.target, node.line) for lane in found.lanes for node in lane.nodes}
        assert places["debug"] == ("second", 3)
        assert places["otlp"] == ("first", 2)

    def test_health_by_pipeline_and_component(self) -> None:
        traces = {"receiver:otlp": {"healthy": True}, "connector:count": {"healthy": False, "last_error": "full"}}
        health = {"healthy": False, "components": {"pipeline:traces": {"healthy": False, "components": traces}}}
        shown = self.shown(health=health)
        said = {
            f"{lane.name}:{node.name}": (node.healthy, node.said, node.sign)
            for lane in shown.lanes
            for node in lane.nodes
        }
        assert shown.has_health
        assert said["traces:otlp"] == (True, "", "")
        assert said["traces:count"] == (False, "full", "✖")
        assert said["traces:batch"] == (None, "", "")
        assert said["metrics:count"] == (None, "", "")

    def test_what_components_pass_on_by_signal(self) -> None:
        rates = {
            ("receivers", "traces", "otlp"): 1234.0,
            ("exporters", "metrics", "otlphttp"): 0.25,
            ("exporters", "metrics", "debug"): 7.0,
        }
        shown = self.shown(rates=rates)
        said = {f"{lane.name}:{node.name}": (node.rate, node.flow) for lane in shown.lanes for node in lane.nodes}
        assert said["traces:otlp"] == (1234.0, "1.2k/s")
        assert said["metrics:otlphttp"] == (0.25, "0.2/s")
        assert said["traces:debug"] == (None, ""), "what it sends of another signal is not this pipeline's"

    @pytest.mark.parametrize(
        ("rate", "text"),
        [(0.0, "0/s"), (3.0, "3/s"), (12.34, "12/s"), (45_600.0, "46k/s"), (2.5e6, "2.5M/s"), (1e12, "1000G/s")],
    )
    def test_rates_are_short(self, rate: float, text: str) -> None:
        shown = self.shown(rates={("receivers", "traces", "otlp"): rate})
        assert shown.lanes[0].nodes[0].flow == text

    def test_a_long_name_leaves_room_for_its_rate(self) -> None:
        text = "service: {pipelines: {traces: {receivers: [%s]}}}" % ("x" * 50)
        shown = pipelines_shown({"": {"body": text}}, rates={("receivers", "traces", "x" * 50): 1234.0})
        assert shown is not None
        node = shown.lanes[0].nodes[0]
        assert len(node.short) + len(node.flow) < LONGEST_NAME
        assert node.short.endswith("…")

    @pytest.mark.parametrize("health", [None, {}, {"components": []}, {"components": {"pipeline:traces": 3}}])
    def test_health_of_any_shape(self, health: Any) -> None:
        assert not self.shown(health=health).has_health
