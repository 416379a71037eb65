"""The files for Prometheus and Grafana: valid, and about metrics that the portal really has."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from tests.live_server import ROOT

RULES = ROOT / "deploy" / "prometheus" / "opamp-platform.rules.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "opamp-platform.json"
_NAME = re.compile(r"\bopamp_[a-z0-9_]+")
_SUFFIXES = {
    "counter": ("_total", "_created"),
    "histogram": ("_bucket", "_count", "_sum", "_created"),
    "gauge": ("",),
}


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def expressions() -> dict[str, str]:
    """Of both files, by what they are for."""
    found = {rule["alert"]: rule["expr"] for rule in rules()}
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        found |= {f"{panel['title']} {target['refId']}": target["expr"] for target in panel["targets"]}
    return found


@pytest.mark.django_db
def test_each_metric_exists(client: Client) -> None:
    text = client.get("/metrics").content.decode()
    families = list(text_string_to_metric_families(text))
    known = {f"{family.name}{suffix}" for family in families for suffix in _SUFFIXES.get(family.type, ("",))}
    for place, expression in expressions().items():
        used = set(_NAME.findall(expression))
        assert used <= known, (place, used - known)
        assert used or "up{" in expression, place


def test_brackets_of_expressions_are_closed() -> None:
    for place, expression in expressions().items():
        for opened, closed in ("()", "{}", "[]"):
            assert expression.count(opened) == expression.count(closed), place


def test_rules_say_what_prometheus_needs() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names)) > 5
    for rule in rules():
        assert {"alert", "expr", "for", "labels", "annotations"} == rule.keys()
        assert rule["labels"]["severity"] in {"info", "warning", "critical"}
        assert rule["annotations"]["summary"]
        assert re.fullmatch(r"[0-9]+[smh]", rule["for"])


def test_panels_do_not_overlap() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert {x for x, _y in cells} == set(range(24))
    assert len({panel["id"] for panel in panels}) == len(panels)
