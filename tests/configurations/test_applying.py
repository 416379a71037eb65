"""Many configurations at once over REST: the plan, all or nothing, rights, and what stands in the way."""

from __future__ import annotations

import threading

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.utils import timezone

from accounts.models import AuditEntry
from agents.remote_config import ConfigFile
from configurations.models import Assignment, Configuration, Revision
from configurations.services import applying, publishing
from configurations.services.applying import Action, Outpaced, Wanted, apply_configurations, fingerprint
from configurations.services.drafts import Draft
from rollouts.models import Rollout

pytestmark = pytest.mark.django_db
URL = "/api/v1/configurations"
APPLY = f"{URL}:apply"


def web(**fields):
    return {"name": "web", "raw_config": "receivers:\n  otlp: {}\n", "selector": {"env": "prod"}, **fields}


def draft(text="receivers:\n  otlp: {}\n", **fields):
    return Draft(files={"": ConfigFile(text.encode(), "text/yaml")}, selector={"env": "prod"}, **fields)


def actions(answer):
    assert answer.status_code == 200, answer.json()
    return {step["name"]: step["action"] for step in answer.json()["plan"]}


def rows():
    return Revision.objects.count(), AuditEntry.objects.filter(verb__startswith="configuration.").count()


def test_a_list_is_made_once_and_then_is_as_wanted(api_of, alice, report):
    agent = report(env="prod")
    listed = {"configurations": [web(), web(name="db", selector={"role": "db"}, priority=3)]}
    assert actions(api_of(alice).post(APPLY, listed)) == {"web": "create", "db": "create"}
    assert Assignment.objects.get(agent=agent).configuration.name == "web"
    before = rows()
    assert before == (2, 2)
    assert actions(api_of(alice).post(APPLY, listed)) == {"web": "unchanged", "db": "unchanged"}
    assert rows() == before
    listed["configurations"][1]["priority"] = 4
    listed["configurations"][1]["note"] = "more"
    assert actions(api_of(alice).post(APPLY, listed)) == {"web": "unchanged", "db": "update"}
    assert rows() == (3, 3)
    assert Revision.objects.get(configuration__name="db", number=2).note == "more"


def test_what_get_answers_is_unchanged(api_of, alice):
    secret = "exporters:\n  otlp:\n    endpoint: a:4317\n    headers:\n      authorization: Bearer abcdefgh12345678\n"
    api_of(alice).post(URL, web(raw_config=secret, description="of the shop"))
    shown = api_of(alice).get(f"{URL}/web").json()
    assert "abcdefgh" not in str(shown)
    assert actions(api_of(alice).post(APPLY, {"configurations": [shown], "dry_run": True})) == {"web": "unchanged"}
    shown["priority"] = 7
    assert actions(api_of(alice).post(APPLY, {"configurations": [shown]})) == {"web": "update"}
    assert "abcdefgh" in str(Configuration.objects.get(name="web").current.files)


def test_a_dry_run_changes_nothing_and_a_viewer_may_ask_for_one(api_of, alice, bob):
    api_of(alice).post(URL, web())
    before = rows()
    listed = {"configurations": [web(name="new")], "prune": True, "dry_run": True}
    assert actions(api_of(bob).post(APPLY, listed)) == {"new": "create", "web": "delete"}
    assert rows() == before
    for refused in ([web(name="new")], [web(priority=1)]):
        answer = api_of(bob).post(APPLY, {"configurations": refused})
        assert answer.status_code == 403, answer.json()
    assert rows() == before
    assert actions(api_of(bob).post(APPLY, {"configurations": [web()]})) == {"web": "unchanged"}


@pytest.mark.parametrize("right", ["add", "change", "delete"])
def test_each_action_needs_its_own_right(api_of, alice, bob, right):
    api_of(alice).post(APPLY, {"configurations": [web(), web(name="gone", selector={"role": "x"})]})
    bob.user_permissions.set(
        Permission.objects.filter(
            codename__in={f"{item}_configuration" for item in ("add", "change", "delete")} - {f"{right}_configuration"}
        )
    )
    listed = {"configurations": [web(priority=2), web(name="new", selector={"role": "y"})], "prune": True}
    before = rows()
    answer = api_of(bob).post(APPLY, listed)
    assert (answer.status_code, right in answer.json()["detail"]) == (403, True)
    assert rows() == before


def test_nobody_without_the_right_to_see_learns_anything(api_of, charlie):
    assert api_of(charlie).post(APPLY, {"configurations": [], "dry_run": True}).status_code == 403


def test_all_or_nothing_and_all_errors_by_name(api_of, alice):
    listed = [
        web(),
        web(name="bad", raw_config="a: [\n"),
        web(name="worse", selector={"a": {"b": 1}}),
        web(name="preview"),
    ]
    answer = api_of(alice).post(APPLY, {"configurations": listed})
    body = answer.json()
    assert (answer.status_code, body["code"]) == (400, "configurations-not-applicable")
    assert set(body["errors"]["configurations"]) == {"bad", "worse", "preview"}
    assert "line" in body["errors"]["configurations"]["bad"]["raw_config"][0]
    assert ("bad", "syntax") in {(item["name"], item["kind"]) for item in body["findings"]}
    assert rows() == (0, 0)


def test_what_is_no_configuration_is_told_by_name_or_place(api_of, alice):
    listed = [web(prio=1), {"raw_config": "a: 1"}, 5, web(name="", raw_config="a: 1")]
    answer = api_of(alice).post(APPLY, {"configurations": listed})
    assert (answer.status_code, answer.json()["code"]) == (400, "configurations-unreadable")
    errors = answer.json()["errors"]["configurations"]
    assert set(errors) == {"web", "[1]", "[2]", "[3]"}
    assert "prio" in errors["web"]


def test_a_name_given_twice(api_of, alice):
    answer = api_of(alice).post(APPLY, {"configurations": [web(), web(priority=1)]})
    assert answer.json()["errors"]["configurations"]["web"]["name"]
    assert rows() == (0, 0)


def test_prune_deletes_what_is_not_listed_but_never_for_an_empty_list(api_of, alice):
    api_of(alice).post(APPLY, {"configurations": [web(), web(name="old", selector={"role": "x"})]})
    answer = api_of(alice).post(APPLY, {"configurations": [], "prune": True})
    assert (answer.status_code, answer.json()["code"]) == (400, "nothing-wanted")
    assert actions(api_of(alice).post(APPLY, {"configurations": []})) == {}
    assert Configuration.objects.count() == 2
    assert actions(api_of(alice).post(APPLY, {"configurations": [web()], "prune": True})) == {
        "web": "unchanged",
        "old": "delete",
    }
    assert [row.name for row in Configuration.objects.all()] == ["web"]
    assert AuditEntry.objects.filter(verb="configuration.delete").count() == 1


def test_an_old_revision_is_a_conflict_and_nothing_else_is_saved(api_of, alice):
    api_of(alice).post(URL, web())
    api_of(alice).put(f"{URL}/web", web(priority=2))
    listed = [web(revision=1), web(name="new", selector={"role": "x"})]
    answer = api_of(alice).post(APPLY, {"configurations": listed})
    assert (answer.status_code, list(answer.json()["errors"]["configurations"])) == (409, ["web"])
    assert not Configuration.objects.filter(name="new").exists()


def test_a_rollout_on_its_way_stops_all_of_it(api_of, alice, report):
    report(env="prod")
    api_of(alice).post(URL, web())
    staged = {"stages": [{"percent": 50}], "gate": {"dwell_seconds": 600}}
    answer = api_of(alice).put(f"{URL}/web", web(priority=2, release=staged))
    assert answer.status_code == 200, answer.json()
    assert Rollout.objects.exists()
    listed = [web(name="a-new", selector={"role": "x"}), web(priority=3)]
    answer = api_of(alice).post(APPLY, {"configurations": listed})
    assert (answer.status_code, list(answer.json()["errors"]["configurations"])) == (409, ["web"])
    assert not Configuration.objects.filter(name="a-new").exists()
    listed[1]["replace_rollout"] = True
    assert actions(api_of(alice).post(APPLY, {"configurations": listed})) == {"a-new": "create", "web": "update"}


def test_the_policy_stays_when_nothing_is_said_of_it(api_of, alice):
    policy = {"stages": [{"percent": 50}]}
    api_of(alice).post(URL, web(rollout_policy=policy))
    assert actions(api_of(alice).post(APPLY, {"configurations": [web()]})) == {"web": "unchanged"}
    assert actions(api_of(alice).post(APPLY, {"configurations": [web(rollout_policy=None)]})) == {"web": "update"}
    assert Configuration.objects.get().rollout_policy is None


def test_an_edit_between_planning_and_writing_is_planned_anew(monkeypatch):
    now = timezone.now()
    publishing.create_configuration("web", draft(), by=None, at=now)
    planned = applying.plan_configurations
    edits = iter([1, 2])

    def meanwhile(*args, **kwargs):
        steps = planned(*args, **kwargs)
        if (number := next(edits, None)) is not None:
            publishing.update_configuration("web", draft(priority=number), by=None, at=now)
        return steps

    monkeypatch.setattr(applying, "plan_configurations", meanwhile)
    steps = apply_configurations([Wanted("web", draft(priority=9))], by=None, at=now)
    assert [step.action for step in steps] == [Action.UPDATE]
    assert Configuration.objects.get().priority == 9
    assert Configuration.objects.get().current.number == 4


def test_a_plan_that_was_agreed_to_is_the_one_carried_out():
    now = timezone.now()
    wanted = [Wanted("web", draft())]
    shown = fingerprint(applying.plan_configurations(wanted, by=None, at=now))
    publishing.create_configuration("web", draft(priority=5), by=None, at=now)
    with pytest.raises(Outpaced):
        apply_configurations(wanted, by=None, at=now, shown=shown)
    assert Configuration.objects.get().priority == 5
    shown = fingerprint(applying.plan_configurations(wanted, by=None, at=now))
    apply_configurations(wanted, by=None, at=now, shown=shown)
    assert Configuration.objects.get().priority == 0


def test_the_schema_says_what_it_takes(api_of, alice):
    document = api_of(alice).get("/api/v1/schema?format=json").json()
    operation = document["paths"]["/api/v1/configurations:apply"]["post"]
    assert {"200", "400", "403", "409", "413"} <= set(operation["responses"])
    page = api_of(alice).get(APPLY, HTTP_ACCEPT="text/html")
    assert page.status_code == 405


@pytest.mark.django_db(transaction=True)
def test_two_that_apply_at_once_make_everything_once():
    now = timezone.now()
    publishing.create_configuration("old", draft(), by=None, at=now)
    wanted = [Wanted(name, draft(priority=2)) for name in ("a", "b", "old")]
    barrier = threading.Barrier(2)
    raised = []

    def one(names):
        try:
            barrier.wait(timeout=30)
            apply_configurations(names, by=None, at=now)
        except Exception as error:  # noqa: BLE001  whatever it is, the test says it
            raised.append(repr(error))
        finally:
            connection.close()

    threads = [threading.Thread(target=one, args=[names]) for names in (wanted, wanted[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert not any(thread.is_alive() for thread in threads)
    assert raised == []
    revisions = Revision.objects.order_by("configuration__name").values_list("configuration__name", "number")
    assert sorted(revisions) == [("a", 1), ("b", 1), ("old", 1), ("old", 2)]
