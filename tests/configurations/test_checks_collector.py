"""The rules of the OpenTelemetry Collector's configuration."""

from __future__ import annotations

import pytest

from configurations.checks import Finding, FindingKind, Severity, check_files, check_text

GOOD = """\
receivers:
  otlp:
    protocols: {grpc: {endpoint: "${env:HOST:-localhost}:4317"}}
processors:
  batch:
exporters:
  debug:
connectors:
  count:
extensions:
  health_check:
service:
  extensions: [health_check]
  pipelines:
    traces:
      receivers: [otlp]
      processors: [batch]
      exporters: [debug, count]
    metrics/counted:
      receivers: [count]
      exporters: [debug]
"""


def only(body: str, content_type: str = "yaml") -> Finding:
    findings = check_text(body, content_type)
    assert len(findings) == 1, findings
    assert findings[0].kind is FindingKind.COLLECTOR
    assert findings[0].blocks is (findings[0].severity is Severity.ERROR)
    return findings[0]


def changed(old: str, new: str) -> str:
    assert GOOD.count(old) == 1
    return GOOD.replace(old, new)


class TestGoodConfiguration:
    def test_it_has_no_findings(self) -> None:
        assert check_text(GOOD, "yaml") == []

    @pytest.mark.parametrize("body", ["service: {}\nwhatever: 1\n", "output: {file: x}\n", "processors: [{add: }]\n"])
    def test_what_is_no_collectors_is_not_judged(self, body: str) -> None:
        assert check_text(body, "yaml") == []


class TestReferences:
    @pytest.mark.parametrize(
        ("old", "new", "where", "path"),
        [
            ("[otlp]", "[otlp, jaeger]", (16, 25), "service.pipelines.traces.receivers[1]"),
            ("[batch]", "[batch, memory_limiter]", (17, 27), "service.pipelines.traces.processors[1]"),
            ("[debug, count]", "[debug, count, otlphttp/x]", (18, 33), "service.pipelines.traces.exporters[2]"),
            ("[health_check]", "[health_check, zpages]", (13, 30), "service.extensions[1]"),
        ],
    )
    def test_what_is_not_defined_is_an_error_where_it_is_named(
        self, old: str, new: str, where: tuple[int, int], path: str
    ) -> None:
        finding = only(changed(old, new))
        assert finding.severity is Severity.ERROR
        assert (finding.line, finding.column) == where
        assert finding.path == path
        assert "is not defined" in str(finding.message)

    def test_a_component_of_another_section_is_pointed_out(self) -> None:
        finding = only(changed("receivers: [otlp]", "receivers: [otlp, debug]"))
        assert "(debug stands under exporters)" in str(finding.message)

    def test_json_has_places_too(self) -> None:
        body = (
            '{"receivers": {"nop": {}}, "exporters": {},\n'
            ' "service": {"pipelines": {"logs":\n'
            '  {"receivers": ["nop"], "exporters": ["x"]}}}}'
        )
        finding = only(body, "json")
        assert (finding.line, finding.column) == (3, 40)

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("[debug, count]", "[debug, count, '${env:EXPORTER:-debug}']"),
            ("receivers: [otlp]", "receivers: ${file:receivers.yaml}"),
            ("processors:\n  batch:\n", "processors: ${file:processors.yaml}\n"),
        ],
    )
    def test_what_only_the_agent_can_expand_is_left_to_it(self, old: str, new: str) -> None:
        assert check_text(changed(old, new), "yaml") == []

    @pytest.mark.parametrize("pipelines", ["'${file:pipelines.yaml}'", "{logs: '${file:logs.yaml}'}"])
    def test_pipelines_only_the_agent_can_expand_use_what_they_like(self, pipelines: str) -> None:
        body = f"receivers: {{nop: }}\nexporters: {{nop: }}\nconnectors: {{count: }}\nservice: {{pipelines: {pipelines}}}\n"
        assert check_text(body, "yaml") == []

    def test_merge_keys_are_followed(self) -> None:
        body = changed(
            "    metrics/counted:\n",
            "    traces/2: &p\n      receivers: [otlp]\n      exporters: [debug]\n"
            "    logs: {<<: *p}\n"
            "    metrics/counted:\n",
        )
        assert check_text(body, "yaml") == []


class TestUnused:
    @pytest.mark.parametrize(
        ("old", "new", "line"),
        [
            ("  otlp:\n", "  nop:\n  otlp:\n", 2),
            ("  batch:\n", "  batch:\n  groupbyattrs:\n", 6),
            ("  debug:\n", "  debug:\n  file:\n", 8),
            ("  count:\n", "  count:\n  forward:\n", 10),
            ("  health_check:\n", "  health_check:\n  pprof:\n", 12),
        ],
    )
    def test_it_is_a_warning_where_it_is_defined(self, old: str, new: str, line: int) -> None:
        finding = only(changed(old, new))
        assert finding.severity is Severity.WARNING
        assert (finding.line, finding.column) == (line, 3)
        assert "defined but not started" in str(finding.message)


class TestPipelines:
    @pytest.mark.parametrize(
        ("old", "new", "severity", "line", "says"),
        [
            ("      receivers: [count]\n", "", "error", 19, "has no receivers"),
            ("    metrics/counted:", "    spans:", "error", 19, "named after its signal"),
            ("    metrics/counted:", "    metrics/:", "error", 19, "named after its signal"),
            ("processors: [batch]", "processors: [batch, batch]", "error", 17, "twice"),
            ("processors: [batch]", "processors: [batch]\n      connectors: []", "error", 18, "has only receivers"),
            ("[debug, count]", "[debug, count, {a: b}]", "error", 18, "as text"),
            ("processors: [batch]", "processors: batch", "error", 17, "must be a list"),
        ],
    )
    def test_its_shape(self, old: str, new: str, severity: str, line: int, says: str) -> None:
        findings = [finding for finding in check_text(changed(old, new), "yaml") if says in str(finding.message)]
        assert [(finding.severity, finding.line) for finding in findings] == [(severity, line)]

    @pytest.mark.parametrize("member", ["receivers", "exporters"])
    @pytest.mark.parametrize("spelling", ["", "{member}: []", "{member}: null"])
    def test_one_without_receivers_or_exporters_is_an_error(self, member: str, spelling: str) -> None:
        other = "exporters" if member == "receivers" else "receivers"
        head = f"{other}: {{x: }}\nservice:\n  pipelines:\n    logs:\n      {other}: [x]\n"
        body = f"{head}      {spelling.format(member=member)}\n"
        finding = only(body)
        assert (finding.line, finding.column) == (4, 5)
        assert f"has no {member}" in str(finding.message)

    @pytest.mark.parametrize(
        ("pipelines", "says"),
        [
            ("{}", "no pipeline"),
            ("", "no pipeline"),
            ("[traces]", "must be an object"),
            ("{traces: }", "must be an object with receivers"),
            ("{traces: [x]}", "must be an object with receivers"),
        ],
    )
    def test_pipelines_of_another_shape(self, pipelines: str, says: str) -> None:
        finding = only(f"service: {{pipelines: {pipelines}}}")
        assert finding.severity is Severity.ERROR
        assert says in str(finding.message)


class TestSections:
    def test_an_unknown_one_is_an_error(self) -> None:
        finding = only(GOOD + "reciever: {}\n")
        assert finding.severity is Severity.ERROR
        assert (finding.line, finding.column, finding.path) == (22, 1, "reciever")

    def test_one_that_is_no_object_is_an_error(self) -> None:
        messages = [
            str(finding.message)
            for finding in check_text(changed("processors:\n  batch:\n", "processors: [batch]\n"), "yaml")
        ]
        assert any("processors must be an object" in message for message in messages)


class TestConnectors:
    def test_only_an_exporter(self) -> None:
        assert "what it gets is lost" in str(only(changed("receivers: [count]", "receivers: [otlp]")).message)

    def test_only_a_receiver(self) -> None:
        assert "nothing reaches it" in str(only(changed("[debug, count]", "[debug]")).message)

    def test_the_name_of_another_component(self) -> None:
        finding = only(changed("  otlp:\n", "  count:\n  otlp:\n"))
        assert "defined under receivers as well" in str(finding.message)


class TestSeveralFiles:
    def test_a_pipeline_may_use_what_another_file_defines(self) -> None:
        head, service = GOOD.split("service:\n")
        assert check_files({"a": (head, "yaml"), "b": ("service:\n" + service, "yaml")}) == {"a": [], "b": []}

    def test_what_no_pipeline_uses_is_told_in_the_file_that_defines_it(self) -> None:
        found = check_files({"a": (GOOD, "yaml"), "b": ("receivers:\n  kafka:\n", "text/yaml")})
        assert found["a"] == []
        assert [(finding.line, finding.path) for finding in found["b"]] == [(2, "receivers.kafka")]
