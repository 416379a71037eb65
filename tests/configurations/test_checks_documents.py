"""Files that are a Collector's configuration but would run nothing: wrapped, misspelt, or only a part of one."""

from __future__ import annotations

import pytest

from configurations.checks import Finding, FindingKind, Severity, check_files, check_text, spelling
from configurations.checks.spelling import meant

PARTS = "receivers:\n  nop:\nexporters:\n  nop:\n"
PIPELINES = "pipelines: {traces: {receivers: [nop], exporters: [nop]}}"


def blocking(body: str) -> Finding:
    findings = [finding for finding in check_text(body, "yaml") if finding.blocks]
    assert len(findings) == 1, findings
    assert findings[0].kind is FindingKind.DOCUMENT
    assert findings[0].can_be_forced
    return findings[0]


class TestMisspelt:
    @pytest.mark.parametrize("word", ["sevice", "services", "serivce", "Service", "SERVICE", "servcie", "' service'"])
    def test_service(self, word: str) -> None:
        finding = blocking(f"{PARTS}{word}: {{{PIPELINES}}}\n")
        assert (finding.line, finding.column) == (5, 1)
        assert "Did you mean service?" in str(finding.message)

    @pytest.mark.parametrize("value", ["", "{}", "none", "[]"])
    def test_service_whatever_stands_in_it(self, value: str) -> None:
        assert "Did you mean service?" in str(blocking(f"{PARTS}sevice: {value}\n").message)

    def test_service_alone(self) -> None:
        assert "Did you mean service?" in str(blocking("sevice: {pipelines: {}}\n").message)

    @pytest.mark.parametrize("word", ["pipeline", "piplines", "Pipelines", "pipelnes"])
    def test_pipelines(self, word: str) -> None:
        finding = blocking(f"{PARTS}service:\n  {word}: {{traces: {{receivers: [nop], exporters: [nop]}}}}\n")
        assert (finding.line, finding.column, finding.path) == (6, 3, f"service.{word}")
        assert "Did you mean pipelines?" in str(finding.message)

    def test_pipelines_beside_service(self) -> None:
        assert "belongs under service" in str(blocking(f"{PARTS}{PIPELINES}\n").message)
        assert "belongs under service" in str(blocking(f"{PARTS}service: {{}}\n{PIPELINES}\n").message)

    @pytest.mark.parametrize(
        "body",
        [
            f"{PARTS}device: {{{PIPELINES}}}\n",
            f"{PARTS}server: {{}}\n",
            "services: {web: {image: nginx}}\n",
            "service: {flush: 1}\npipeline: {inputs: []}\n",
            f"{PARTS}service: {{{PIPELINES}, pipeline: {{}}}}\n",
            f"{PARTS}service: {{{PIPELINES}}}\nservices: {{}}\n",
        ],
    )
    def test_what_only_looks_alike_does_not_block(self, body: str) -> None:
        assert not any(finding.blocks and finding.kind is FindingKind.DOCUMENT for finding in check_text(body, "yaml"))

    def test_beside_what_another_file_says_right_it_is_one_unknown_section(self) -> None:
        found = check_files({"a": (f"{PARTS}sevice: {{}}\n", "yaml"), "b": (f"service: {{{PIPELINES}}}\n", "yaml")})
        assert [finding.severity for finding in found["a"]] == [Severity.ERROR]
        assert "Did you mean service?" in str(found["a"][0].message)
        assert found["b"] == []

    @pytest.mark.parametrize(
        ("body", "word"),
        [
            ("recievers: {nop: }\n", "receivers"),
            ("exporter: {nop: }\n", "exporters"),
        ],
    )
    def test_sections(self, body: str, word: str) -> None:
        said = [str(finding.message) for finding in check_text(f"{PARTS}service: {{{PIPELINES}}}\n{body}", "yaml")]
        assert [f"Did you mean {word}?" in message for message in said] == [True]

    def test_components_and_members(self) -> None:
        body = "receivers: {hostmetrics: }\nexporters: {nop: }\nservice: {pipelines: {trace: "
        said = " ".join(
            str(finding.message)
            for finding in check_text(body + "{reciever: [], receivers: [hostmetric], exporters: [nop]}}}", "yaml")
        )
        for word in ("traces", "receivers", "hostmetrics"):
            assert f"Did you mean {word}?" in said

    @pytest.mark.parametrize(
        ("text", "word"), [("otlb", "otlp"), ("nap", "nop"), ("x" * 900, None), ("debug", "debug")]
    )
    def test_guessing(self, text: str, word: str | None) -> None:
        assert meant(text, ["otlp", "nop", "debug"]) == word


def test_guessing_is_bounded_however_long_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []
    real = spelling._mistakes
    monkeypatch.setattr(spelling, "_mistakes", lambda one, other: compared.append(one) or real(one, other))
    names = [f"serv{number:04}" for number in range(3_000)]
    defined = "".join(f"  {name}:\n" for name in names)
    used = ", ".join(f"{name}x" for name in names)
    body = f"receivers:\n{defined}service:\n  pipelines:\n    traces: {{receivers: [{used}], exporters: [nop]}}\n"
    body += "".join(f"recei{number:04}:\n" for number in range(3_000))
    findings = check_text(body, "yaml")
    assert len(findings) == 100
    assert 0 < len(compared) < 60_000


class TestWrapped:
    @pytest.mark.parametrize(
        ("body", "says"),
        [
            ("apiVersion: v1\nkind: ConfigMap\ndata: {relay: x}\n", "ConfigMap"),
            ("kind: ConfigMap\ndata: {}\n", "ConfigMap"),
            ('{"kind": "ConfigMap", "data": {}}', "ConfigMap"),
            ("apiVersion: opentelemetry.io/v1beta1\nkind: OpenTelemetryCollector\nspec: {}\n", "spec.config"),
            ("spec: {config: {receivers: {nop: }}}\n", "spec.config"),
            ("apiVersion: apps/v1\nkind: DaemonSet\n", "DaemonSet"),
            ("mode: daemonset\nconfig: {receivers: {nop: }}\n", "under config"),
            ("alternateConfig: {service: {}}\n", "under alternateConfig"),
        ],
    )
    def test_it_is_recognised_by_name(self, body: str, says: str) -> None:
        assert says in str(blocking(body).message)

    @pytest.mark.parametrize(
        "body",
        [
            "kind: gateway\n",
            "config: {level: info}\n",
            "config: text\n",
            f"{PARTS}config: {{receivers: {{}}}}\nservice: {{{PIPELINES}}}\n",
        ],
    )
    def test_what_has_such_words_for_something_else(self, body: str) -> None:
        assert not any(finding.blocks and finding.kind is FindingKind.DOCUMENT for finding in check_text(body, "yaml"))

    def test_it_names_its_file_and_the_others_are_judged(self) -> None:
        found = check_files({"a": ("kind: ConfigMap\n", "yaml"), "b": ("receivers: {nop: }\n", "yaml")})
        assert [(finding.file, finding.blocks) for key in "ab" for finding in found[key]] == [("a", True), ("b", False)]


class TestFragments:
    """Files without a service: the agent may have the rest, so all is said as a warning."""

    def test_the_contracts_call_is_told_that_nothing_would_run(self) -> None:
        findings = check_text("receivers:\n  otlp:\n    protocols:\n      grpc:\n", "yaml")
        assert [finding.severity for finding in findings] == [Severity.WARNING]
        assert "Nothing of this would run" in str(findings[0].message)

    def test_an_otlp_receiver_needs_a_protocol(self) -> None:
        for settings in ("", "{}", "{protocols: }", "{protocols: {}}"):
            said = [str(finding.message) for finding in check_text(f"receivers: {{otlp: {settings}}}\n", "yaml")]
            assert len(said) == 2
            assert any("needs a protocol" in message for message in said)

    @pytest.mark.parametrize("body", ["receivers: []\n", "exporters: {debug: text}\n", "connectors: {a b: }\n"])
    def test_shapes_are_warned_of(self, body: str) -> None:
        findings = check_text(body, "yaml")
        assert len(findings) == 2
        assert {finding.severity for finding in findings} == {Severity.WARNING}

    def test_beside_a_file_that_cannot_be_read_nothing_is_missed(self) -> None:
        found = check_files({"a": ("receivers: {nop: }\n", "yaml"), "b": ("a: [", "yaml")})
        assert found["a"] == []
        assert found["b"][0].kind is FindingKind.SYNTAX


class TestWithoutPipelines:
    @pytest.mark.parametrize("service", ["", "{}", "{pipelines: }", "{pipelines: {}}", "{telemetry: {}}"])
    def test_it_is_an_error_that_blocks(self, service: str) -> None:
        findings = check_text(f"{PARTS}service: {service}\n", "yaml")
        assert [(finding.severity, finding.blocks) for finding in findings] == [(Severity.ERROR, True)]
        assert "no pipeline" in str(findings[0].message)

    @pytest.mark.parametrize("body", [f"{PARTS}service: ${{file:service.yaml}}\n", "service: ${env:SERVICE}\n"])
    def test_what_only_the_agent_can_expand_is_left_to_it(self, body: str) -> None:
        assert check_text(body, "yaml") == []
