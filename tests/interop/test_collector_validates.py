"""A real Collector judges what people may copy from here, and the table of verdicts that our own check is held to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from configurations.checks import Severity, judge_files
from configurations.services.collector_verdict import collector_verdict
from configurations.starting_points import starting_points
from tests import not_run
from tests.configurations.collector_corpus import cases
from tests.configurations.test_collector_cases import FOLDER, SEVERAL, VERDICTS
from tests.examples import Example, examples
from tests.interop import collectors

pytestmark = [pytest.mark.interop, pytest.mark.any_database]

# What the Collector of the manifest has, but for what no example uses.
_BUILT = {
    "receivers": {"otlp", "nop", "filelog", "hostmetrics"},
    "processors": {"batch", "memory_limiter", "resource", "tail_sampling"},
    "exporters": {"debug", "nop", "otlp", "otlphttp", "otlp_grpc", "otlp_http"},
    "connectors": {"forward"},
    "extensions": {"opamp", "health_check", "zpages"},
}


def missing(example: Example) -> set[str]:
    """The types of components it names that are not built."""
    return {use.kind for use in judge_files(example.files).uses if use.kind not in _BUILT[use.section]}


EXAMPLES = [example for example in examples() if example.is_collectors and not missing(example)]
# Those that need more: what is not built is left out of them.
REDUCED = [example for example in examples() if example.is_collectors and missing(example)]


@pytest.fixture(autouse=True)
def _buildable(request: pytest.FixtureRequest) -> None:
    """Only where the Collector can be built."""
    if why := collectors.obstacle():
        not_run.note(request.node, "interop", why, "otelcol validate")
        pytest.skip(f"otelcol validate: {why}")


def written(folder: Path, example: Example) -> list[Path]:
    """Its files in the order in which a supervisor merges them: by name, the one without a name last."""
    paths = []
    for number, (_key, (text, _kind)) in enumerate(
        sorted(example.files.items(), key=lambda item: (item[0] == "", item[0]))
    ):
        path = folder / f"{number}.yaml"
        path.write_text(text, encoding="utf-8")
        paths.append(path)
    return paths


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.source)
def test_it_runs_what_we_show(example: Example, tmp_path: Path) -> None:
    assert collectors.validation_error(*written(tmp_path, example)) == ""


def reduced(text: str) -> str:
    """Without the components that are not built; pipelines that lose their receivers have ``nop``."""
    whole = yaml.safe_load(text)
    for section in _BUILT:
        whole[section] = {key: value for key, value in whole.get(section, {}).items() if built(section, key)}
    whole["receivers"]["nop"] = None
    for pipeline in whole["service"]["pipelines"].values():
        for section in ("receivers", "processors", "exporters"):
            pipeline[section] = [key for key in pipeline.get(section, []) if built(section, key)]
        pipeline["receivers"] = pipeline["receivers"] or ["nop"]
    return yaml.safe_dump({key: value for key, value in whole.items() if value})


def built(section: str, key: str) -> bool:
    return key.partition("/")[0] in _BUILT[section]


@pytest.mark.parametrize("example", REDUCED, ids=lambda example: example.source)
def test_the_rest_of_what_needs_more_runs(example: Example, tmp_path: Path) -> None:
    """Of the templates that need components that take long to build; the settings of those are judged by our schemas alone."""
    ((text, kind),) = example.files.values()
    rest = Example(example.source, {"": (reduced(text), kind)})
    assert collectors.validation_error(*written(tmp_path, rest)) == ""


def test_which_templates_are_judged_whole_and_what_the_others_lack() -> None:
    whole = {example.source for example in EXAMPLES} & {f"template {name}" for name in starting_points()}
    assert whole == {"template gateway", "template tail-sampling"}
    assert {example.source: missing(example) for example in REDUCED} == {
        "template host-metrics": {"resourcedetection"},
        "template kubernetes-cluster": {"k8s_cluster"},
        "template logs-to-otlp": {"resourcedetection"},
        "template prometheus-scrape": {"prometheus"},
    }


def test_the_table_of_verdicts_is_its_own() -> None:
    """What our check is held to is what this very Collector says."""
    said = {name: collectors.validation_error(FOLDER / f"{name}.yaml") for name in VERDICTS}
    assert {name: not error for name, error in said.items()} == {
        name: accepted for name, (accepted, _) in VERDICTS.items()
    }


@pytest.mark.parametrize("name", SEVERAL)
def test_so_is_that_of_several_files(name: str) -> None:
    accepted, _findings = SEVERAL[name]
    files = [FOLDER / "several" / f"{name}_{part}.yaml" for part in "ab"]
    assert (collectors.validation_error(*files) == "") is accepted


def test_so_are_those_of_the_corpus(tmp_path: Path) -> None:
    """Those that this Collector has the components for."""
    file = tmp_path / "case.yaml"
    differing = []
    for case in cases():
        if case.collector == "small":
            file.write_text(case.text, encoding="utf-8")
            if (collectors.validation_error(file) == "") is not case.accepted:
                differing.append(case.name)
    assert differing == []


def test_its_words_are_mapped_to_lines(settings: Any) -> None:
    settings.OTELCOL_BINARY = str(collectors.COLLECTOR)
    text = (
        "receivers: {nop: }\nexporters:\n  nop:\n  otlp:\n    endpoint: a:1\n    balancer_name: loud\n"
        "service: {pipelines: {traces: {receivers: [nop], exporters: [nop, otlp]}}}\n"
    )
    (finding,) = collector_verdict({"": (text, "yaml")})
    assert (finding.severity, finding.message.code) == (Severity.ERROR, "collector-refuses")
    assert (finding.line, finding.path) == (4, "exporters.otlp")
    assert "balancer_name" in str(finding.message)
    part = "exporters: {otlp: {endpoint: 'a:1'}}\n"
    assert [item.severity for item in collector_verdict({"": (part, "yaml")})] == [Severity.WARNING]
    assert collector_verdict({"": (text.replace("loud", "round_robin"), "yaml")}) == []
