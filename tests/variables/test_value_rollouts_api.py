"""Changes of values in stages over REST and in the portal: what would start is told, what started is named."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission

from accounts.models import User
from configurations.models import Configuration
from rollouts.models import Rollout
from tests.html_forms import fields_of
from tests.rollouts.fleet import Fleet
from tests.rollouts.test_rolling_out import AT
from variables.models import Secret, Variable

pytestmark = pytest.mark.django_db(transaction=True)
VARIABLES, SECRETS, CONFIGURATIONS = "/api/v1/variables", "/api/v1/secrets", "/api/v1/configurations"
POLICY = {"stages": [{"count": 2}], "gate": {"dwell_seconds": 0}}


@pytest.fixture
def api(alice, api_of):
    api = api_of(alice)
    assert api.post(VARIABLES, {"name": "a", "value": "1"}, format="json").status_code == 201
    body = {
        "name": "c",
        "selector": {"env": "prod"},
        "template": True,
        "raw_config": "x: {{ vars.a }}\n",
        "force": True,
    }
    assert (
        api.post(CONFIGURATIONS, {**body, "rollout_policy": POLICY, "release": "at_once"}, format="json").status_code
        == 201
    )
    fleet = Fleet(AT)
    fleet.join(5, env="prod")
    fleet.answer(fleet.agents)
    return api


def url() -> str:
    return f"{VARIABLES}/{Variable.objects.get().pk}"


def test_a_dry_run_tells_what_would_start_and_the_answer_what_did(api):
    told = api.patch(f"{url()}?dry_run=true", {"value": "2"}, format="json").data
    (planned,) = told["rollouts"]
    assert (planned["id"], planned["configuration"], planned["agents"]) == (None, "c", 5)
    assert [(stage["agents"], stage["everybody_else"]) for stage in planned["stages"]] == [(2, False), (3, True)]
    assert planned["policy"]["stages"][0] == {"count": 2}
    assert told["obstacles"] == []
    assert not Rollout.objects.exists()
    answer = api.patch(url(), {"value": "2"}, format="json")
    assert answer.status_code == 200
    rollout = Rollout.objects.get()
    assert [each["id"] for each in answer.data["rollouts"]] == [rollout.pk]
    assert "obstacles" not in answer.data
    assert rollout.started_by_name == "alice"
    shown = api.get(f"/api/v1/rollouts/{rollout.pk}").data
    assert [stage["everybody_else"] for stage in shown["progress"]] == [False, True]
    again = api.patch(f"{url()}?dry_run=true", {"value": "3"}, format="json").data
    assert [(each["configuration"], each["code"]) for each in again["obstacles"]] == [("c", "rollout-running")]


def test_one_that_runs_is_named_and_can_be_replaced(api):
    api.put(url(), {"name": "a", "value": "2"}, format="json")
    first = Rollout.objects.get()
    refused = api.put(url(), {"name": "a", "value": "3"}, format="json")
    assert (refused.status_code, refused.json()["code"]) == (409, "rollout-running")
    assert str(first.pk) in refused.json()["detail"]
    assert Variable.objects.get().value == "2"
    answer = api.put(url(), {"name": "a", "value": "3", "replace_rollout": True}, format="json")
    assert answer.status_code == 200
    assert "replace_rollout" not in answer.data
    assert Rollout.objects.exclude(pk=first.pk).get().pk == answer.data["rollouts"][0]["id"]
    assert api.patch(url(), {"value": "4", "replace_rollout": "yes, please"}, format="json").status_code == 400


def test_a_deletion_too(api):
    more = {"name": "a", "value": "9", "selector": {"env": "prod"}, "priority": 5}
    made = api.post(VARIABLES, more, format="json")
    assert made.data["rollouts"]
    target = f"{VARIABLES}/{made.data['id']}"
    assert api.delete(target).status_code == 409
    assert api.delete(f"{target}?replace_rollout=perhaps").status_code == 400
    assert api.get(f"{target}?replace_rollout=true").status_code == 400
    assert api.delete(f"{target}?replace_rollout=true&dry_run=true").data["rollouts"][0]["agents"] == 5
    assert api.delete(f"{target}?replace_rollout=true").status_code == 204
    assert Rollout.objects.count() == 2


def test_failures_of_templates_are_told_by_stage_and_agents_only_to_who_may_see_them(api, api_of):
    told = api.patch(f"{url()}?dry_run=true", {"value": "{"}, format="json").data
    stages = told["rollouts"][0]["stages"]
    assert [(stage["agents"], stage["failures"], len(stage["failing"])) for stage in stages] == [(2, 2, 2), (3, 3, 3)]
    assert set(stages[0]["failing"][0]) == {"instance_uid", "name"}
    assert stages[0]["failing"][0]["name"].startswith("agent-")
    someone = User.objects.create_user("erin")
    someone.user_permissions.set(Permission.objects.filter(codename__in=("view_variable", "change_variable")))
    told = api_of(someone).patch(f"{url()}?dry_run=true", {"value": "{"}, format="json").data
    stages = told["rollouts"][0]["stages"]
    assert [(stage["failures"], stage["failing"]) for stage in stages] == [(2, []), (3, [])]


def test_secrets_too_and_their_values_are_in_no_answer(api):
    api.post(SECRETS, {"name": "s", "value": "first-secret-value"}, format="json")
    body = {"raw_config": "x: {{ secrets.s }}\n", "release": "at_once"}
    assert api.patch(f"{CONFIGURATIONS}/c", body, format="json").status_code == 200
    answer = api.patch(f"{SECRETS}/s", {"value": "second-secret-value"}, format="json")
    assert answer.data["rollouts"][0]["id"] == Rollout.objects.get().pk
    for text in (answer.content.decode(), api.get(f"{CONFIGURATIONS}/c").content.decode()):
        assert "secret-value" not in text
    assert Configuration.objects.get().current.number == 3


class TestPortal:
    @pytest.fixture
    def portal(self, client, alice, api):
        client.force_login(alice)
        return client

    def page(self) -> str:
        return f"/admin/variables/variable/{Variable.objects.get().pk}/change/"

    def fields(self, value: str) -> dict[str, str]:
        return {"name": "a", "value": value, "selector": "{}", "match_all": "on", "priority": "0", "description": ""}

    def test_the_stages_are_seen_before_it_starts(self, portal):
        asked = portal.post(self.page(), self.fields("2")).content.decode()
        assert "in stages: 2 agents → everybody else" in asked
        assert "Stage 2" in asked
        assert not Rollout.objects.exists()
        done = portal.post(self.page(), {**fields_of(asked), "match_all": "on"}, follow=True)
        rollout = Rollout.objects.get()
        assert f"/admin/rollouts/rollout/{rollout.pk}/change/" in done.content.decode()

    def test_agents_without_a_result_are_told_by_stage(self, portal):
        asked = portal.post(self.page(), self.fields("{")).content.decode()
        assert "For 2 of them the template has no result" in asked
        assert "agent-00" in asked

    def test_a_rollout_in_the_way_is_ended_by_a_box(self, portal, api):
        api.patch(url(), {"value": "2"}, format="json")
        asked = portal.post(self.page(), self.fields("3")).content.decode()
        assert 'name="replace_rollout"' in asked
        fields = {**fields_of(asked), "match_all": "on"}
        refused = portal.post(self.page(), fields).content.decode()
        assert "A rollout is in the way" in refused
        assert Variable.objects.get().value == "2"
        assert portal.post(self.page(), {**fields, "replace_rollout": "yes"}).status_code == 302
        assert Variable.objects.get().value == "3"
        assert Rollout.objects.count() == 2

    def test_deleting_one_with_a_rollout_in_the_way_says_so(self, portal, api):
        made = api.post(VARIABLES, {"name": "a", "value": "9", "match_all": True, "priority": 3}, format="json")
        pk = made.data["id"]
        answer = portal.post(f"/admin/variables/variable/{pk}/delete/", {"post": "yes"}, follow=True)
        assert "has not ended" in answer.content.decode()
        assert Variable.objects.filter(pk=pk).exists()

    def test_a_secret_is_confirmed_without_its_value(self, portal, api):
        api.post(SECRETS, {"name": "s", "value": "first-secret-value"}, format="json")
        body = {"raw_config": "x: {{ secrets.s }}\n", "release": "at_once"}
        api.patch(f"{CONFIGURATIONS}/c", body, format="json")
        page = f"/admin/variables/secret/{Secret.objects.get().pk}/change/"
        asked = portal.post(page, {"name": "s", "value": "second-secret-value", "description": ""})
        assert "in stages" in asked.content.decode()
        assert "first-secret-value" not in asked.content.decode()
        assert not Rollout.objects.exists()
