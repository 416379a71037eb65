"""What policies, gates and states were called before: read wherever it is stored or sent, never both at once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from rollouts.errors import InvalidPolicy
from rollouts.former_names import present_names, present_state
from rollouts.gates import Counts
from rollouts.policies import CANARY, parse_policy

FORMER: dict[str, Any] = {
    "stages": [{"percent": 5, "gate": {"max_failed": 1, "max_disconnected_percent": 9}}, {"count": 70}],
    "gate": {"max_failed": 2},
    "on_failure": "roll_back",
}
COUNTED = {
    "applied": 3, "failed": 1, "waiting": 2, "unhealthy": 1, "lost": 4, "offline": 5, "held": 6, "incapable": 7,
}  # fmt: skip
PRESENT: dict[str, Any] = {
    "stages": [{"percent": 5, "gate": {"failed_max": 1, "disconnected_percent_max": 9}}, {"count": 70}],
    "gate": {"failed_max": 2},
    "on_gate_failure": "roll_back",
}


def test_both_mean_the_same() -> None:
    assert present_names(FORMER) == PRESENT == present_names(PRESENT)
    assert parse_policy(FORMER) == parse_policy(PRESENT)
    assert [present_state(state) for state in ("pending_approval", "finished", "running")] == [
        "awaiting_approval", "completed", "running",
    ]  # fmt: skip


@pytest.mark.parametrize("form", ["canary", None, 7, [], {"stages": 5, "gate": []}, {"stages": [3, {"gate": "no"}]}])
def test_what_is_no_policy_is_left_to_others(form: Any) -> None:
    assert present_names(form) == form


@pytest.mark.parametrize(
    "form",
    [
        {"on_failure": "pause", "on_gate_failure": "pause"},
        {"gate": {"max_failed": 1, "failed_max": 1}},
        {"stages": [{"percent": 5, "gate": {"max_disconnected_percent": 1, "disconnected_percent_max": 2}}]},
    ],
)
def test_both_at_once_are_an_error(form: Any) -> None:
    with pytest.raises(InvalidPolicy, match=r"\w+ is the former name of \w+: say one of them\."):
        parse_policy(form)


@pytest.mark.django_db(transaction=True)
def test_an_upgrade_renames_what_is_stored_and_loses_nothing() -> None:
    newest = MigrationExecutor(connection).loader.graph.leaf_nodes()
    before = [
        ("rollouts", "0003_freezes"), ("configurations", "0012_held_values"), ("packages", "0002_whole_names"),
        ("connections", "0002_whole_names"),
    ]  # fmt: skip
    MigrationExecutor(connection).migrate(before)
    try:
        old = MigrationExecutor(connection).loader.project_state(before).apps
        at, whole = datetime(2026, 1, 5, tzinfo=UTC), {**CANARY.as_json(), **FORMER}
        del whole["on_gate_failure"]
        for number, state in enumerate(("pending_approval", "finished", "aborted"), start=1):
            rollout = old.get_model("rollouts", "Rollout").objects.create(
                subject="configuration", subject_id=number, version_id=1, name="c", version_number=1, policy=whole,
                salt="", stages=[], state=state, started_at=at, started_by_name="a",
                ended_at=None if number == 1 else at,
            )  # fmt: skip
            steps = old.get_model("rollouts", "RolloutStep").objects
            steps.create(
                rollout=rollout, at=at, kind="started", stage=-1, by_name="a", data={"policy": whole, "agents": 3}
            )
            steps.create(rollout=rollout, at=at, kind="finished", stage=-1, by_name="a", data=COUNTED)
        kept = old.get_model("configurations", "Configuration").objects
        kept.create(name="own", rollout_policy=FORMER, created_at=at, updated_at=at)
        kept.create(name="none", rollout_policy=None, created_at=at, updated_at=at)
        kept.create(name="named", rollout_policy="canary", created_at=at, updated_at=at)
        old.get_model("packages", "Package").objects.create(name="p", rollout_policy=FORMER)
        old.get_model("connections", "ConnectionSettings").objects.create(name="s", rollout_policy=FORMER)
        state = {"rollout_policy": FORMER, "files": {"": {"body": "a: 1\n"}}}
        old.get_model("configurations", "ConfigurationDraft").objects.create(
            name="own", author_name="a", saved_by_name="a", state=state
        )
        old.get_model("configurations", "DeletedConfiguration").objects.create(
            name="gone", deleted_by_name="a", state={**state, "revision": 1}
        )
    finally:
        MigrationExecutor(connection).migrate(newest)
    new = MigrationExecutor(connection).loader.project_state(newest).apps

    def values(model: str, *columns: str) -> list[Any]:
        return list(new.get_model(model).objects.order_by("pk").values_list(*columns))

    whole = {**CANARY.as_json(), **PRESENT}
    assert values("rollouts.Rollout", "state", "policy") == [
        ("awaiting_approval", whole), ("completed", whole), ("aborted", whole),
    ]  # fmt: skip
    assert values("rollouts.RolloutStep", "kind", "data") == [
        ("started", {"policy": whole, "agents": 3}), ("completed", Counts(**COUNTED).as_json()),
    ] * 3  # fmt: skip
    policies = [("own", PRESENT), ("none", None), ("named", "canary")]
    assert values("configurations.Configuration", "name", "rollout_policy") == policies
    assert values("packages.Package", "rollout_policy") == [(PRESENT,)]
    assert values("connections.ConnectionSettings", "rollout_policy") == [(PRESENT,)]
    state = {"rollout_policy": PRESENT, "files": {"": {"body": "a: 1\n"}}}
    assert values("configurations.ConfigurationDraft", "state") == [(state,)]
    assert values("configurations.DeletedConfiguration", "state") == [({**state, "revision": 1},)]
