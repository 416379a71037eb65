"""Every example that the project shows passes its own checks, and would run."""

from __future__ import annotations

import pytest

from configurations.checks import check_files
from tests.examples import Example, examples

EXAMPLES = examples()


def test_they_are_found_where_people_look() -> None:
    sources = " ".join(example.source for example in EXAMPLES)
    for place in (
        "README.md",
        "README.zh-CN.md",
        "docs/api.md",
        "docs/agents.md",
        "create_samples",
        "the form",
        "template gateway",
    ):
        assert place in sources
    assert sum(example.is_collectors for example in EXAMPLES) >= 9


@pytest.mark.parametrize("example", EXAMPLES, ids=[example.source for example in EXAMPLES])
def test_nothing_is_wrong_with_it(example: Example) -> None:
    findings = [finding for found in check_files(example.files).values() for finding in found]
    assert findings == []


def test_the_form_shows_one_to_begin_with(client, alice) -> None:
    client.force_login(alice)
    page = client.get("/admin/configurations/configuration/add/").content.decode()
    assert "limit_mib: 256" in page
