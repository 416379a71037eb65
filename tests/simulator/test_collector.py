"""What a simulated Collector makes of the files it is offered."""

from __future__ import annotations

import random

import pytest
import yaml

from simulator.collector import (
    VERSIONS,
    ConfigRejected,
    available_components,
    health,
    run,
    varied_collector,
)

PIPELINE = b"service: {pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}\n"


class TestRunning:
    def test_files_are_merged_over_its_own_by_name_with_the_unnamed_last(self) -> None:
        files = (
            ("", b"exporters: {debug: {verbosity: detailed}}\n"),
            ("a", b"exporters: {debug: {verbosity: basic}, nop: {}}\n"),
            ("b", b"exporters: {debug: {verbosity: normal}}\n"),
        )
        merged = yaml.safe_load(run(files).effective_config)
        assert merged["exporters"] == {"debug": {"verbosity": "detailed"}, "nop": {}}
        assert "otlp" in merged["receivers"]

    def test_an_empty_file_changes_nothing(self) -> None:
        assert run((("", b""),)).effective_config == run(()).effective_config

    def test_the_health_tree_has_each_pipeline_with_its_components(self) -> None:
        tree = health(run((("", PIPELINE),)), started_at=5, at=9)
        assert tree.healthy
        assert (tree.start_time_unix_nano, tree.status_time_unix_nano) == (5, 9)
        traces = tree.component_health_map["pipeline:traces"]
        assert set(traces.component_health_map) == {"receiver:otlp", "exporter:debug"}
        assert all(leaf.healthy for leaf in traces.component_health_map.values())

    def test_a_connector_is_exporter_here_and_receiver_there(self) -> None:
        body = b"""
connectors: {forward: {}}
service:
  pipelines:
    traces/in: {receivers: [otlp], exporters: [forward]}
    traces/out: {receivers: [forward], exporters: [debug]}
"""
        assert {name for name, _ in run((("", body),)).pipelines} == {"traces", "traces/in", "traces/out"}


class TestRejections:
    @pytest.mark.parametrize(
        ("body", "named"),
        [
            (b"a: [", "cannot unmarshal"),
            (b"just words", "no map"),
            (b"- a\n- b\n", "no map"),
            (b"\xff\xfe\x00", "cannot unmarshal"),
            (b"since: 2024-13-45\n", "cannot unmarshal"),
            (b"a: " + b"[" * 3_000 + b"]" * 3_000, "levels deep"),
            (
                b"m0: &m0 {k: v}\n"
                + b"".join(b"m%d: &m%d {<<: [%b]}\n" % (n + 1, n + 1, b"*m%d, " % n * 4) for n in range(20)),
                "More than",
            ),
            (b"service: {pipelines: {traces: {receivers: [kafka], exporters: [debug]}}}", "'kafka'"),
            (b"service: {pipelines: {traces: {receivers: [[otlp]], exporters: [debug]}}}", "not configured"),
            (b"service: {pipelines: {traces: {receivers: [{otlp: {}}], exporters: [debug]}}}", "not configured"),
        ],
    )
    def test_what_a_collector_could_not_start_with_is_refused(self, body: bytes, named: str) -> None:
        with pytest.raises(ConfigRejected, match=named):
            run((("", body),))

    @pytest.mark.parametrize("body", [b"service: nothing\n", b"service: {pipelines: [1]}\n", b"1: {2: 3}\nb: 4\n"])
    def test_odd_shapes_that_name_no_component_are_run(self, body: bytes) -> None:
        assert run((("", body),)).effective_config


class TestComponents:
    def test_hash_and_map_belong_together_and_to_a_version(self) -> None:
        hashes = {available_components(version, full=False).hash for version in VERSIONS}
        assert len(hashes) == len(VERSIONS)
        full, brief = (available_components(VERSIONS[0], full=flag) for flag in (True, False))
        assert full.hash == brief.hash
        assert full.components["receivers"].sub_component_map["otlp"].metadata[0].key == "code.namespace"
        assert not brief.components


class TestVariety:
    def test_the_same_chance_makes_the_same_collector_and_given_labels_win(self) -> None:
        first, second = (varied_collector(7, {"env": "stage", "team": "a"}, random.Random("x")) for _ in range(2))
        assert first == second
        assert first.labels["env"] == "stage"
        assert first.labels["team"] == "a"
        assert "region" in first.labels

    def test_a_fleet_is_mixed(self) -> None:
        fleet = [varied_collector(number, {}, random.Random(number)) for number in range(60)]
        assert len({one.version for one in fleet}) == len(VERSIONS)
        assert {one.os_type for one in fleet} == {"linux", "windows"}
        assert {one.labels["env"] for one in fleet} == {"prod", "dev"}
