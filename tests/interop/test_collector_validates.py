"""A real Collector judges what people may copy from here, and the table of verdicts that our own check is held to."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import not_run
from tests.configurations.test_collector_cases import FOLDER, SEVERAL, VERDICTS
from tests.examples import Example, examples
from tests.interop import collectors

pytestmark = pytest.mark.interop

EXAMPLES = [example for example in examples() if example.is_collectors]


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
