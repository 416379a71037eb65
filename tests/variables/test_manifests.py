"""Templates in folders of files: what is exported can be applied."""

from __future__ import annotations

import pytest
import yaml

from configurations.manifests import written
from configurations.models import Configuration

pytestmark = pytest.mark.django_db


def test_a_manifest_says_which_files_are_templates(api_of, alice):
    files = {"a": {"body": "x: {{ labels.env | yaml }}\n", "template": True}, "b": {"body": "y: 1\n"}}
    answer = api_of(alice).post("/api/v1/configurations", {"name": "t", "config_key": "a", "files": files})
    assert answer.status_code == 201, answer.json()
    row = Configuration.objects.select_related("current").get()
    entries = yaml.safe_load(written(row, row.current.files).manifest)["files"]
    assert (entries["a"]["template"], "template" in entries["b"]) == (True, False)
    listed = [{**api_of(alice).get("/api/v1/configurations/t").json(), "files": files}]
    plan = api_of(alice).post("/api/v1/configurations:apply", {"configurations": listed, "dry_run": True})
    assert plan.status_code == 200, plan.json()
    assert [item["action"] for item in plan.json()["plan"]] == ["unchanged"]
