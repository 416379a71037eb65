"""Pages of rollouts: names of stages, states as they are now, and the form that a way of releasing is typed into."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from django.utils.translation import override

from configurations.services.publishing import ReleasePlan, create_configuration, update_configuration
from rollouts.admin.descriptions import policy_words, stage_typed, stages_typed
from rollouts.admin.forms import ReleaseForm
from rollouts.audiences import EVERYONE
from rollouts.models import Rollout
from rollouts.policies import Policy, parse_policy
from rollouts.services.freezing import end_freeze, start_freeze
from tests.rollouts.fleet import Fleet
from tests.rollouts.test_rolling_out import NEW, OLD, draft

NAMED: dict[str, Any] = {"stages": [{"name": "canary", "count": 2, "gate": {"failed_max": 1}}, {"percent": 50}]}


def policy_of(form: dict[str, Any]) -> Policy:
    policy = parse_policy(form)
    assert policy is not None
    return policy


@pytest.fixture
def scheduled(transactional_db: None) -> Rollout:
    """One with a named stage whose window is closed."""
    now = timezone.now()
    create_configuration("c", draft(OLD), by=None, at=now, force=True)
    Fleet(now).join(6, env="prod")
    opens = now + timedelta(hours=12)
    window = {"from": f"{opens:%H:%M}", "to": f"{opens + timedelta(hours=1):%H:%M}", "timezone": "UTC"}
    plan = ReleasePlan(policy_of({**NAMED, "window": window}))
    update_configuration("c", draft(NEW), by=None, at=now, force=True, plan=plan)
    return Rollout.objects.get()


class TestForms:
    def test_names_are_typed_before_stages_and_come_back(self):
        text = "canary: 5%\nfirst ten: 10\nlab: env=lab\nhost=a:1\n50%"
        stages = policy_of({"stages": stages_typed(text)}).stages
        assert [stage.name for stage in stages] == ["canary", "first ten", "lab", "", "", ""]
        assert stages_typed("\n".join(stage_typed(stage) for stage in stages)) == [stage.as_json() for stage in stages]

    def test_a_stage_that_stays_keeps_a_gate_of_its_own(self):
        default = policy_of(NAMED)
        sent = {
            "release-how": "staged", "release-stages": "canary: 2\n60%", "release-failed_max": "7",
            "release-on_gate_failure": "roll_back",
        }  # fmt: skip
        form = ReleaseForm(sent, default=default)
        assert form.is_valid(), form.errors
        assert form.policy is not None
        assert [form.policy.gate_of(number).failed_max for number in range(3)] == [1, 7, 7]
        assert form.policy.as_json()["on_gate_failure"] == "roll_back"

    def test_in_a_line(self):
        assert policy_words(policy_of(NAMED)) == "in stages: canary: 2 agents → 50 % of the agents → everybody else"


class TestPages:
    def test_a_scheduled_one_is_called_so_and_begins_by_its_button(
        self, scheduled: Rollout, alice: Any, client: Client
    ):
        client.force_login(alice)
        page = f"/admin/rollouts/rollout/{scheduled.pk}/change/"
        for language, words in (("en", ["Scheduled", "Begin now"]), ("zh-hans", ["已排期", "在窗口外立即开始"])):
            with override(language):
                text = client.get(page, headers={"Accept-Language": language}).content.decode()
            assert [word for word in [*words, "canary"] if word not in text] == []
        listed = "/admin/rollouts/rollout/?state={}"
        for state, count in (("scheduled", 1), ("running", 0), ("odd", 0)):
            assert client.get(listed.format(state)).content.decode().count("c r2") == count
        freeze = start_freeze(EVERYONE, reason="r", by=None, at=timezone.now())
        assert "Begin now" not in client.get(page).content.decode()
        end_freeze(freeze.pk, by=None, at=timezone.now())
        begun = client.post(f"/admin/rollouts/rollout/{scheduled.pk}/act/start/", {"reason": "now"}, follow=True)
        assert "Begun, although the window is closed." in begun.content.decode()
        assert "Begin now" not in begun.content.decode()
        assert "canary" in client.get("/admin/rollouts/rollout/").content.decode()
