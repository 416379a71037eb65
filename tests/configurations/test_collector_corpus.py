"""Some hundred configurations: what the checks say of each, held to what a real Collector said of it."""

from __future__ import annotations

from collections import Counter

import pytest

from configurations.checks import check_text
from tests.configurations.collector_corpus import Case, cases

CORPUS = cases()


def test_there_are_enough_of_each_kind_and_no_name_twice() -> None:
    assert len(CORPUS) >= 300
    assert sum(case.accepted for case in CORPUS) >= 120
    assert sum(not case.accepted for case in CORPUS) >= 120
    assert max(Counter(case.name for case in CORPUS).values()) == 1


@pytest.mark.parametrize("case", CORPUS, ids=lambda case: case.name)
def test_findings(case: Case) -> None:
    found = [f"{item.severity}:{item.message.problem_code}:{item.line}" for item in check_text(case.text, "yaml")]
    assert tuple(found) == case.findings
    assert any(item.startswith("error:") for item in found) is not case.accepted


@pytest.mark.parametrize(
    "case", [case for case in CORPUS if case.name.startswith("fault_")], ids=lambda case: case.name
)
def test_one_fault_is_one_finding(case: Case) -> None:
    assert len(case.findings) == 1
