"""Any two revisions or agents, compared over REST and on a page."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse

from accounts.models import User
from agents.models import Agent
from agents.remote_config import ConfigFile
from agents.reports import EffectiveConfig
from agents.shown import MOST_SHOWN
from configurations.models import Configuration
from configurations.services.drafts import Draft
from configurations.services.publishing import create_configuration, update_configuration

pytestmark = pytest.mark.django_db(transaction=True)
AT = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
FIRST = "exporters: {otlp: {endpoint: one, headers: {authorization: Bearer one-long-secret}}}\n"
SECOND = """exporters: {otlp: {endpoint: two, headers: {authorization: Bearer two-long-secret}}, debug: {}}
service: {pipelines: {traces: {processors: [b, a]}}}
"""


def draft(text: str) -> Draft:
    return Draft(selector={"env": "none"}, files={"": ConfigFile(text.encode(), "text/yaml")})


@pytest.fixture
def agent(report, alice) -> Agent:
    """An agent that runs something, beside a configuration of two revisions."""
    create_configuration("c", draft(FIRST), by=alice, at=AT, force=True)
    update_configuration("c", draft(SECOND), by=alice, at=AT, force=True)
    return report(effective_config=EffectiveConfig({"x.yaml": {"body": SECOND.replace("[b, a]", "[a, b]")}}))


def compared(api, left: str, right: str):
    return api.get("/api/v1/compare", {"left": left, "right": right})


def test_two_revisions(agent, alice, api_of):
    found = compared(api_of(alice), "configuration:c@1", "configuration:c").json()
    assert (found["left"], found["right"]) == ("configuration:c@1", "configuration:c@2")
    assert [(item["name"], item["change"]) for item in found["components"]] == [("debug", "added"), ("otlp", "changed")]
    values = {item["path"]: (item["left"], item["right"]) for item in found["components"][1]["values"]}
    assert values["exporters.otlp.endpoint"] == ("one", "two")
    assert [(item["name"], item["change"]) for item in found["pipelines"]] == [("traces", "added")]
    assert "+service: " in found["text"]
    assert "long-secret" not in str(found)


def test_a_revision_and_an_agent(agent, alice, api_of):
    found = compared(api_of(alice), "configuration:c@2", f"agent:{agent.instance_uid}").json()
    assert found["readable"]
    assert found["components"] == found["settings"] == []
    (pipeline,) = found["pipelines"]
    assert pipeline["change"] == "reordered"
    assert (pipeline["left"]["processors"], pipeline["right"]["processors"]) == (["b", "a"], ["a", "b"])


def test_the_same_side_twice(agent, alice, api_of):
    found = compared(api_of(alice), f"agent:{agent.instance_uid}", f"agent:{agent.instance_uid}").json()
    assert found["text"] == ""
    assert found["components"] == found["pipelines"] == found["settings"] == []


def test_other_files_are_compared_by_line_alone_and_large_ones_not_at_all(report, alice, api_of):
    uids = [
        report(effective_config=EffectiveConfig({"": {"body": text}})).instance_uid
        for text in ("[INPUT]\nName cpu\n", "[INPUT]\nName mem\n", "x" * (MOST_SHOWN + 1))
    ]
    found = compared(api_of(alice), f"agent:{uids[0]}", f"agent:{uids[1]}").json()
    assert not found["readable"]
    assert "+Name mem" in found["text"]
    found = compared(api_of(alice), f"agent:{uids[0]}", f"agent:{uids[2]}").json()
    assert found["text"] is None


@pytest.mark.parametrize(
    ("side", "status", "code"),
    [
        ("c", 400, "compare-unreadable-side"),
        ("agent:7", 400, "compare-unreadable-side"),
        ("configuration:", 400, "compare-unreadable-side"),
        ("configuration:nobody", 404, "compare-unknown-side"),
        ("configuration:c@3", 404, "compare-unknown-side"),
        ("configuration:c@", 404, "compare-unknown-side"),
        ("configuration:c@²", 404, "compare-unknown-side"),
        ("configuration:c@" + "9" * 30, 404, "compare-unknown-side"),
        ("agent:018f0000-0000-7000-8000-000000000001", 404, "compare-unknown-side"),
    ],
)
def test_what_is_no_side_is_refused(agent, alice, api_of, side, status, code):
    answer = compared(api_of(alice), "configuration:c", side)
    assert answer.status_code == status
    assert answer.json()["code"] == code


def test_both_sides_must_be_named(agent, alice, api_of):
    answer = api_of(alice).get("/api/v1/compare", {"left": "configuration:c"})
    assert answer.status_code == 400
    assert api_of(alice).get("/api/v1/compare", {"left": "a", "right": "b", "more": "c"}).status_code == 400


def test_an_agent_that_reported_nothing_says_so(report, alice, api_of):
    silent = report(effective_config=None)
    answer = compared(api_of(alice), f"agent:{silent.instance_uid}", f"agent:{silent.instance_uid}")
    assert answer.status_code == 404
    assert answer.json()["code"] == "compare-nothing-reported"


def test_who_may_not_see_a_side_learns_nothing_of_it(agent, api_of, client, charlie):
    names = f"agent:{agent.instance_uid}", "configuration:c"
    assert compared(api_of(charlie), *names).status_code == 403
    client.force_login(charlie)
    assert client.get(reverse("admin:compare")).status_code == 403
    charlie.user_permissions.add(Permission.objects.get(codename="view_configuration"))
    charlie = User.objects.get(pk=charlie.pk)
    assert compared(api_of(charlie), *names).json()["code"] == "compare-unknown-side"
    assert compared(api_of(charlie), "configuration:c@1", "configuration:c").status_code == 200
    page = client.get(reverse("admin:compare"), {"left": names[0], "right": names[1]}).content.decode()
    assert "There is no" in page
    assert agent.hostname not in page


class TestPage:
    def test_it_offers_sides_and_shows_what_differs(self, agent, signed_in):
        url = reverse("admin:compare")
        empty = signed_in.get(url).content.decode()
        assert 'value="configuration:c"' in empty
        assert f'value="agent:{agent.instance_uid}"' in empty
        page = signed_in.get(
            url, {"left": "configuration:c@1", "right": f"agent:{agent.instance_uid}"}
        ).content.decode()
        assert "exporters.debug" in page
        assert "exporters.otlp.endpoint" in page
        assert "another value, hidden" in page
        assert "long-secret" not in page
        assert (
            "Both mean the same"
            in signed_in.get(url, {"left": "configuration:c", "right": "configuration:c"}).content.decode()
        )

    def test_a_wrong_name_is_told_beside_the_fields(self, agent, signed_in):
        page = signed_in.get(reverse("admin:compare"), {"left": "<b>", "right": "configuration:c"}).content.decode()
        assert "is none of them" in page
        assert "<b>" not in page.split("<main", 1)[-1]

    def test_revisions_lead_there(self, agent, signed_in):
        row = Configuration.objects.get(name="c")
        address = reverse("admin:configurations_configuration_change", args=[row.pk])
        page = signed_in.get(f"{address}?tab=revisions").content.decode()
        assert "left=configuration:c%401&amp;right=configuration:c" in page
