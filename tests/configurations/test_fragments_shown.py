"""What people are told of fragments: label previews, who was last heard with one, links to compare."""

from __future__ import annotations

import re

import pytest

from agents.models import Agent
from configurations.admin.last_known import count_last_known
from configurations.models import Assignment, Configuration
from configurations.outcome import AssignmentStatus
from tests.configurations.test_fragments import LOGS, METRICS, fragment, make
from tests.rollouts.test_rolling_out import OLD, draft

pytestmark = pytest.mark.django_db
PREVIEW = "/api/v1/agents/labels/preview"


@pytest.fixture
def fragments() -> None:
    """A whole for prod, a fragment for prod, and one for who has a tier."""
    make("c", draft(OLD))
    make("logs", fragment("logs", LOGS))
    make(
        "metrics", fragment("metrics", METRICS, selector={"matchExpressions": [{"key": "tier", "operator": "Exists"}]})
    )


def moved(name: str, added: int, removed: int) -> dict[str, object]:
    return {"name": name, "added": added, "removed": removed}


class TestLabelPreviews:
    def test_programs_are_told_which_fragments_come_and_go(self, fragments, report, alice, api_of):
        report("a", env="prod")
        report("b", env="prod", tier="front")
        report("c", env="lab")
        api = api_of(alice)
        answer = api.post(PREVIEW, {"match_all": True, "set": {"tier": "back"}}).json()
        assert answer["moves"] == []
        assert answer["fragments"] == [moved("metrics", 2, 0)]
        answer = api.post(PREVIEW, {"match_all": True, "set": {"env": "lab"}}).json()
        assert answer["moves"] == [{"from": "c", "to": None, "agents": 2}]
        assert answer["fragments"] == [moved("logs", 0, 2)]
        answer = api.post(PREVIEW, {"match_all": True, "set": {"env": "prod", "tier": "x"}}).json()
        assert answer["fragments"] == [moved("logs", 1, 0), moved("metrics", 2, 0)]
        api.post("/api/v1/agents/labels", {"match_all": True, "set": {"env": "prod", "tier": "x"}})
        parts = Assignment.objects.filter(composition__parts__configuration__name="metrics")
        assert parts.count() == 3, "the preview said something else"

    def test_a_page_asks_when_nothing_but_a_fragment_changes(self, fragments, report, signed_in):
        agent = report("a", env="prod")
        url = f"/admin/agents/agent/{agent.pk}/change/"
        form = {"custom_name": "", "notes": "", "label_lines": "tier=front"}
        body = re.sub(r"\s+(?=<)|(?<=>)\s+", "", signed_in.post(url, form).content.decode())
        assert "<td>metrics</td><td>1</td><td>0</td>" in body
        assert "keeps the configuration" not in body
        assert signed_in.post(url, {**form, "confirmed": "1"}).status_code == 302
        agent.refresh_from_db()
        assert agent.labels["tier"] == "front"


def test_who_applied_a_fragment_and_went_away_is_last_known(fragments, report, signed_in):
    gone, _here, waiting = (report(name, env="prod") for name in ("a", "b", "c"))
    Assignment.objects.update(status=AssignmentStatus.APPLIED)
    Assignment.objects.filter(agent=waiting).update(status=AssignmentStatus.PENDING)
    Agent.objects.filter(pk__in=[gone.pk, waiting.pk]).update(connected=False)
    rows = {row.name: row for row in count_last_known(Configuration.objects.with_outcomes())}
    assert (rows["logs"].applied_count, rows["logs"].last_known_count, rows["logs"].certain_count) == (2, 1, 1)
    assert rows["metrics"].last_known_count == 0
    page = signed_in.get("/admin/configurations/configuration/").content.decode()
    assert "1 of them last known, not connected" in re.sub(r"\s+", " ", page)


def test_an_agent_that_has_fragments_alone_is_compared_with_each(fragments, report, signed_in):
    agent = report("edge", tier="front")
    assert Agent.objects.get().configuration_name == ""
    page = signed_in.get(f"/admin/agents/agent/{agent.pk}/change/").content.decode()
    links = re.findall(r'href="(/admin/compare/\?left=configuration:[^"]*)"', page)
    assert links == [f"/admin/compare/?left=configuration:metrics%401&amp;right=agent:{agent.instance_uid}"]
    assert signed_in.get(links[0].replace("&amp;", "&")).status_code == 200
    other = report("prod", env="prod")
    page = signed_in.get(f"/admin/agents/agent/{other.pk}/change/").content.decode()
    assert "left=configuration:c%401" in page
    assert "left=configuration:logs" not in page
