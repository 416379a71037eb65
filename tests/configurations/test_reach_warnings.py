"""Selectors that reach nobody, or more than twice as many as before: confirmed by people, told to programs."""

from __future__ import annotations

import pytest
from django.core.management import call_command

from configurations.models import Configuration, Revision
from tests.html_forms import fields_of

pytestmark = pytest.mark.django_db
URL = "/api/v1/configurations"
EDITOR = "/admin/configurations/configuration/"
TEXT = "receivers:\n  otlp: {}\n"


def body(selector, **more):
    return {"name": "c", "raw_config": TEXT, "selector": selector, "force": True, **more}


def codes(answer):
    assert answer.status_code in (200, 201), answer.json()
    found = answer.json()
    return [item["code"] for item in found.get("warnings", found.get("findings")) if item["code"].startswith("reach-")]


@pytest.fixture
def fleet(report):
    return [report("a", env="prod"), report("b", env="dev"), report("c", env="dev")]


@pytest.fixture
def api(api_of, alice, fleet):
    return api_of(alice)


class TestPrograms:
    @pytest.mark.parametrize(
        ("before", "after", "said"),
        [
            ({"env": "prod"}, {"env": "none"}, ["reach-zero"]),
            ({"env": "prod"}, {"os.type": "linux"}, ["reach-doubled"]),
            ({"env": "dev"}, {"os.type": "linux"}, []),
            ({"env": "prod"}, {"env": "dev"}, []),
            ({"env": "none"}, {"os.type": "linux"}, []),
            ({"env": "none"}, {"env": "none"}, []),
        ],
    )
    def test_a_put_is_saved_and_warned_of(self, api, before, after, said):
        api.put(f"{URL}/c", body(before), format="json")
        previewed = api.post(f"{URL}/c/preview", body(after), format="json")
        assert codes(previewed) == said
        assert codes(api.put(f"{URL}/c", body(after), format="json")) == said
        assert Configuration.objects.get().selector == after
        # Of what stays there is nothing to say.
        assert codes(api.put(f"{URL}/c", body(after), format="json")) == []

    def test_a_new_one_that_reaches_nobody(self, api):
        assert codes(api.post(f"{URL}/preview", body({"env": "none"}), format="json")) == ["reach-zero"]
        assert codes(api.post(URL, body({"env": "none"}), format="json")) == ["reach-zero"]
        off = body({"env": "none"}, enabled=False) | {"name": "off"}
        assert codes(api.post(URL, off, format="json")) == []

    def test_a_plan_has_it(self, api, tmp_path, capsys):
        api.post(URL, body({"env": "prod"}), format="json")
        listed = {"configurations": [body({"os.type": "linux"})], "dry_run": True}
        (step,) = api.post(f"{URL}:apply", listed, format="json").json()["plan"]
        assert [item["code"] for item in step["findings"] if item["code"].startswith("reach-")] == ["reach-doubled"]
        call_command("export_configurations", str(tmp_path))
        for path in tmp_path.rglob("*.y*ml"):
            path.write_text(path.read_text().replace("env: prod", "os.type: linux"))
        call_command("apply_configurations", str(tmp_path), "--dry-run")
        assert "more than twice as many as before (1)" in capsys.readouterr().out


def test_nothing_is_said_in_a_portal_without_agents(api_of, alice):
    assert codes(api_of(alice).post(URL, body({"env": "none"}), format="json")) == []


class TestPeople:
    @pytest.fixture
    def portal(self, client, alice, api):
        client.force_login(alice)
        api.post(URL, body({"env": "prod"}), format="json")
        return client

    @pytest.mark.parametrize(
        ("selector", "said"),
        [({"env": "none"}, "reaches no agent"), ({"os.type": "linux"}, "more than twice as many as before (1)")],
    )
    def test_it_is_confirmed_with_a_box(self, portal, selector, said):
        page = f"{EDITOR}{Configuration.objects.get().pk}/change/"
        fields = fields_of(portal.get(page).content.decode())
        key, value = next(iter(selector.items()))
        fields |= {"selector": f'{{"{key}": "{value}"}}'}
        asked = portal.post(page, fields).content.decode()
        assert said in asked
        assert 'name="reach_seen"' in asked
        fields = {**fields_of(asked), "stage": "publish", "force": "on"}
        assert "reach_seen" not in fields
        refused = portal.post(page, fields)
        assert refused.status_code == 200
        assert "Confirm below whom the selector reaches." in refused.content.decode()
        assert Revision.objects.count() == 1
        answer = portal.post(page, {**fields, "reach_seen": "yes"})
        assert answer.status_code == 302
        assert Configuration.objects.get().selector == selector

    def test_an_edit_of_the_files_asks_nothing(self, portal):
        page = f"{EDITOR}{Configuration.objects.get().pk}/change/"
        fields = fields_of(portal.get(page).content.decode()) | {"raw_config": "a: 1\n", "force": "on"}
        assert 'name="reach_seen"' not in portal.post(page, fields).content.decode()

    def test_going_back_to_a_revision_asks_as_well(self, portal, api):
        row = Configuration.objects.get()
        api.put(f"{URL}/c", body({"env": "none"}), format="json")
        api.put(f"{URL}/c", body({"env": "prod"}), format="json")
        page = f"{EDITOR}{row.pk}/rollback/2/"
        asked = portal.get(page).content.decode()
        assert 'name="reach_seen"' in asked
        fields = {**fields_of(asked), "force": "on"}
        assert portal.post(page, fields).status_code == 200
        assert Revision.objects.count() == 3
        assert portal.post(page, {**fields, "reach_seen": "yes"}).status_code == 302
        assert Revision.objects.count() == 4


class TestStages:
    """What the stages of a draft would be, with the agents for which its templates have no result."""

    POLICY = {"stages": [{"selector": {"env": "prod"}}]}

    def test_a_preview_has_them(self, api):
        text = "a: {{ labels.zone }}\n"
        asked = body({"os.type": "linux"}, raw_config=text, template=True, release=self.POLICY)
        stages = api.post(f"{URL}/preview", asked, format="json").json()["stages"]
        assert [(stage["agents"], stage["failures"]) for stage in stages] == [(1, 1), (2, 2)]
        assert [stage["everybody_else"] for stage in stages] == [False, True]
        assert [each["name"] for each in stages[1]["failing"]] == ["b", "c"]
        assert api.post(f"{URL}/preview", {**asked, "release": "at_once"}, format="json").json()["stages"] == []
        made = api.post(URL, body({"os.type": "linux"}, release="at_once"), format="json")
        assert made.status_code == 201
        edit = {"raw_config": text, "template": True, "rollout_policy": self.POLICY, "force": True}
        stages = api.post(f"{URL}/c/preview", edit, format="json").json()["stages"]
        assert [(stage["stage"], stage["failures"]) for stage in stages] == [(1, 1), (2, 2)]

    def test_the_form_shows_them(self, client, alice, api):
        client.force_login(alice)
        fields = {
            "name": "c", "priority": "0", "enabled": "on", "selector": '{"os.type": "linux"}', "config_key": "",
            "content_type": "text/yaml", "raw_config": "a: {{ labels.zone }}\n", "template": "on", "template_asked": "1",
            "release-how": "staged", "release-stages": "env=prod", "stage": "stages",
        }  # fmt: skip
        page = client.post(f"{EDITOR}add/", fields).content.decode()
        assert "everybody else" in page
        assert "For 1 of them the template has no result: it keeps what it runs, and counts as failed." in page
        assert "For 2 of them the template has no result" in page
        assert not Configuration.objects.exists()
