"""Small Collector configurations, what a real Collector says of each, and what we say.

`ACCEPTED` and `REFUSED` are verdicts of ``otelcol validate`` 0.149 with otlp, nop, batch, memory_limiter, debug, otlp_grpc,
otlp_http, forward, health_check and zpages. None that it accepts may be blocked here, and none that it refuses may pass in
silence; one without a ``service`` may be a part of a whole and is only warned of.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.remote_config import ConfigFile
from configurations.checks import Finding, check_files
from configurations.services.drafts import Draft, InvalidConfiguration, checked

FOLDER = Path(__file__).parent / "collector_cases"
ACCEPTED, REFUSED = True, False
VERDICTS = {
    "anchors_inside": (ACCEPTED, "silent"),
    "bad_enum": (REFUSED, "blocked"),
    "block_dash_nospace": (REFUSED, "blocked"),
    "block_scalar": (ACCEPTED, "silent"),
    "component_id_dash_type": (REFUSED, "blocked"),
    "component_id_double_slash": (ACCEPTED, "silent"),
    "component_scalar_value": (REFUSED, "blocked"),
    "components_as_list": (REFUSED, "blocked"),
    "connector_in_processors": (REFUSED, "blocked"),
    "crlf": (ACCEPTED, "silent"),
    "doc_end": (ACCEPTED, "silent"),
    "doc_start": (ACCEPTED, "silent"),
    "dollar_unescaped": (ACCEPTED, "silent"),
    "dollars": (ACCEPTED, "silent"),
    "dup_component": (REFUSED, "blocked"),
    "dup_exporter_in_list": (ACCEPTED, "silent"),
    "dup_extension_in_list": (ACCEPTED, "silent"),
    "dup_key_nested": (REFUSED, "blocked"),
    "dup_key_top": (REFUSED, "blocked"),
    "empty": (REFUSED, "blocked"),
    "empty_exporters": (REFUSED, "blocked"),
    "env_bad_syntax": (REFUSED, "blocked"),
    "env_default": (ACCEPTED, "silent"),
    "env_in_component_key": (ACCEPTED, "silent"),
    "env_nested_list": (ACCEPTED, "silent"),
    "ext_empty_list": (ACCEPTED, "silent"),
    "fragment_only_receivers": (REFUSED, "warned"),
    "helm_values_pasted": (REFUSED, "blocked"),
    "html": (REFUSED, "blocked"),
    "id_spaces_around_slash": (REFUSED, "blocked"),
    "id_trim_spaces": (ACCEPTED, "silent"),
    "indent_settings_at_component_level": (REFUSED, "blocked"),
    "k8s_configmap_pasted": (REFUSED, "blocked"),
    "logging_exporter_removed": (REFUSED, "blocked"),
    "memlimiter_no_interval": (REFUSED, "blocked"),
    "merge_override": (ACCEPTED, "silent"),
    "named_ids": (ACCEPTED, "silent"),
    "no_colon": (REFUSED, "blocked"),
    "no_service": (REFUSED, "warned"),
    "no_space_after_colon": (REFUSED, "blocked"),
    "null_component": (ACCEPTED, "silent"),
    "null_processors": (ACCEPTED, "silent"),
    "only_comment": (REFUSED, "blocked"),
    "only_extension_pipelines_absent": (REFUSED, "blocked"),
    "operator_cr_pasted": (REFUSED, "blocked"),
    "otlp_no_protocols": (REFUSED, "blocked"),
    "pipelines_empty": (REFUSED, "blocked"),
    "processors_empty": (ACCEPTED, "silent"),
    "quoted_keys": (ACCEPTED, "silent"),
    "same_name_exporter_receiver_conn": (REFUSED, "blocked"),
    "same_port": (ACCEPTED, "warned"),
    "section_empty": (ACCEPTED, "silent"),
    "service_string": (REFUSED, "blocked"),
    "signal_case": (REFUSED, "blocked"),
    "signal_trace": (REFUSED, "blocked"),
    "tab": (REFUSED, "blocked"),
    "tab_json": (ACCEPTED, "silent"),
    "telemetry_bad_level": (REFUSED, "blocked"),
    "top_list": (REFUSED, "blocked"),
    "typo_service": (REFUSED, "blocked"),
    "unclosed_bracket": (REFUSED, "blocked"),
    "unclosed_bracket_mid": (REFUSED, "blocked"),
    "unclosed_quote_at_end": (REFUSED, "blocked"),
    "undefined_extension": (REFUSED, "blocked"),
    "undefined_processor": (REFUSED, "blocked"),
    "unknown_component": (REFUSED, "blocked"),
    "unknown_telemetry_key": (REFUSED, "blocked"),
    "wrong_indent": (REFUSED, "blocked"),
}
# Given together, in this order: what the second says counts.
SEVERAL = {
    "conn_split": (ACCEPTED, []),
    "override_exporters": (ACCEPTED, ["The exporter nop is defined but not started"]),
    "override_to_null_section": (REFUSED, ["The receiver nop is not defined"]),
    "pipeline_null_in_2nd": (REFUSED, ["A pipeline must be an object"]),
    "split_pipeline": (ACCEPTED, []),
}


def judged(name: str) -> tuple[str, list[Finding]]:
    """What becomes of the file when it is published: silent, warned or blocked."""
    body = (FOLDER / f"{name}.yaml").read_bytes()
    draft = Draft(selector={"env": "prod"}, files={"": ConfigFile(body, "text/yaml")})
    try:
        findings = checked(draft).findings
    except InvalidConfiguration as error:
        return "blocked", error.findings
    return ("warned" if findings else "silent"), findings


def test_every_file_is_in_the_table() -> None:
    assert {path.stem for path in FOLDER.glob("*.yaml")} == set(VERDICTS)


@pytest.mark.parametrize("name", VERDICTS)
def test_what_is_said_of_one_file(name: str) -> None:
    accepted, verdict = VERDICTS[name]
    said, findings = judged(name)
    assert said == verdict, findings
    assert said != "blocked" if accepted else said != "silent"
    assert len(findings) <= 1, findings


@pytest.mark.parametrize("name", SEVERAL)
@pytest.mark.parametrize("keys", [("1.yaml", "2.yaml"), ("z.yaml", "")])
def test_several_files_are_judged_as_agents_merge_them(name: str, keys: tuple[str, str]) -> None:
    accepted, wanted = SEVERAL[name]
    bodies = [(FOLDER / "several" / f"{name}_{part}.yaml").read_text() for part in "ab"]
    found = check_files({key: (body, "yaml") for key, body in zip(keys, bodies, strict=True)})
    findings = [finding for key in keys for finding in found[key]]
    for text in wanted:
        assert any(text in str(finding.message) for finding in findings), findings
    assert accepted is not any(finding.severity == "error" for finding in findings), findings
    assert all(finding.file == key for key in keys for finding in found[key])


def test_the_order_of_names_decides_not_that_of_sending() -> None:
    last = "service: {pipelines: {traces: }}"
    first = (
        "receivers: {nop: }\nexporters: {nop: }\nservice: {pipelines: {traces: {receivers: [nop], exporters: [nop]}}}"
    )
    files = {"": (first, "yaml"), "a.yaml": (last, "yaml")}
    assert check_files(files) == {"": [], "a.yaml": []}


def test_extensions_are_started_that_any_file_names() -> None:
    """As the supervisor merges them; every other list takes the place of the one before."""
    first = (
        "extensions: {zpages: , health_check: }\nreceivers: {nop: }\nexporters: {nop: }\n"
        "service: {extensions: [zpages], pipelines: {traces: {receivers: [nop], exporters: [nop]}}}"
    )
    second = "service:\n  extensions: [zpages, health_check]"
    assert check_files({"a": (first, "yaml"), "b": (second, "yaml")}) == {"a": [], "b": []}
    alone = check_files({"": (first, "yaml")})[""]
    assert ["health_check is defined but not started" in str(finding.message) for finding in alone] == [True]


def test_an_extension_that_is_not_defined_is_told_in_the_file_that_names_it() -> None:
    first = (
        "receivers: {nop: }\nexporters: {nop: }\n"
        "service: {extensions: [zpages], pipelines: {traces: {receivers: [nop], exporters: [nop]}}}"
    )
    second = "extensions: {health_check: }\nservice:\n  extensions: [health_check]"
    found = check_files({"a": (first, "yaml"), "b": (second, "yaml")})
    assert [str(finding.message) for finding in found["b"]] == []
    (finding,) = found["a"]
    assert (finding.line, finding.path) == (3, "service.extensions[0]")


@pytest.mark.parametrize("said", ["", "null", "x", "{}"])
def test_what_is_no_list_takes_the_place_of_one(said: str) -> None:
    first = (
        "extensions: {zpages: }\nreceivers: {nop: }\nexporters: {nop: }\n"
        "service: {extensions: [zpages], pipelines: {traces: {receivers: [nop], exporters: [nop]}}}"
    )
    found = check_files({"a": (first, "yaml"), "b": (f"service: {{extensions: {said}}}", "yaml")})
    assert found["a"] + found["b"]
