"""Versions that go out in stages: gates count what agents installed, and going back gives what was before."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from agents.models import Agent
from packages.installation_outcome import NOTHING, InstallationStatus
from packages.models import Installation, PackageSet, PackageVersion
from packages.services.version_releases import publish_version
from rollouts.models import Rollout
from rollouts.policies import parse_policy
from rollouts.progress import progress_of, staged_members
from rollouts.services import rolling_out
from rollouts.services.ticking import tick_all
from rollouts.services.version_publishing import VersionPlan
from tests.people import CAPABLE

pytestmark = pytest.mark.django_db(transaction=True)
ACCEPTS = CAPABLE | 0x08 | 0x10


@pytest.fixture
def fleet(report: Any) -> list[Agent]:
    return [report(f"host-{number}", env="prod", capabilities=ACCEPTS) for number in range(4)]


def stand(status: InstallationStatus, *, of: PackageVersion) -> int:
    """Have all agents that should have this version say so."""
    return Installation.objects.filter(version=of).update(status=status.value, error_message="broken")


def rolled_out(version: PackageVersion, policy: Any) -> Rollout:
    rollout = publish_version(version, by=None, at=timezone.now(), plan=VersionPlan(parse_policy(policy)))
    assert rollout is not None
    return rollout


def ticked(rollout: Rollout, seconds: int = 0) -> Rollout:
    tick_all(timezone.now() + timedelta(seconds=seconds))
    rollout.refresh_from_db()
    return rollout


def has(version: PackageVersion) -> int:
    return Installation.objects.filter(version=version).count()


def test_stages_follow_what_agents_installed(fleet, make):
    first = make(version="1.0.0")
    stand(InstallationStatus.INSTALLED, of=first)
    second = make(version="2.0.0", package=first.package, released=False)
    rollout = rolled_out(second, {"stages": [{"count": 1}, {"count": 3}]})
    assert (has(first), has(second)) == (3, 1)
    assert ticked(rollout).stage == 0, "before anybody answered"
    stand(InstallationStatus.INSTALLED, of=second)
    assert (ticked(rollout).stage, has(second)) == (1, 3)
    stand(InstallationStatus.INSTALLED, of=second)
    assert (ticked(rollout).stage, has(second)) == (2, 4)
    stand(InstallationStatus.INSTALLED, of=second)
    assert ticked(rollout).state == "completed"
    assert [stage.counts.applied for stage in progress_of(rollout, timezone.now())] == [1, 2, 1]


def test_a_failure_pauses_and_going_back_gives_the_former_version(fleet, make):
    first = make(version="1.0.0")
    second = make(version="2.0.0", package=first.package, released=False)
    rollout = rolled_out(second, {"stages": [{"count": 2}]})
    stand(InstallationStatus.FAILED, of=second)
    assert ticked(rollout).state == "paused"
    failed = [each for each in staged_members(rollout, timezone.now()) if each.state_value == "failed"]
    assert (len(failed), failed[0].error_message) == (2, "broken")
    rolling_out.roll_back_rollout(rollout.pk, by=None, at=timezone.now())
    assert (has(first), has(second)) == (4, 0)


def test_going_back_from_a_first_version_removes_it(fleet, make):
    version = make(released=False)
    rollout = rolled_out(version, {"stages": [{"count": 2}], "on_gate_failure": "roll_back"})
    assert has(version) == 2
    stand(InstallationStatus.FAILED, of=version)
    assert ticked(rollout).state == "rolled_back"
    assert (has(version), set(PackageSet.objects.values_list("desired_hash", flat=True))) == (0, {NOTHING})


def test_who_takes_no_packages_and_who_is_away_are_counted_apart(fleet, make, report):
    report("old", env="prod")
    version = make(released=False)
    Agent.objects.filter(pk=fleet[0].pk).update(connected=False)
    rollout = rolled_out(version, {"stages": [{"percent": 100}]})
    (stage,) = progress_of(rollout, timezone.now())
    assert (stage.counts.waiting, stage.counts.offline, stage.counts.incapable) == (3, 1, 1)


def test_labels_decide_anew(fleet, make):
    from agents.services.editing import edit_agent

    version = make()
    assert has(version) == 4
    edit_agent(fleet[0].pk, operator_labels={"env": "dev"}, by=None, at=timezone.now())
    assert has(version) == 3


def test_the_command_uploads_and_releases(fleet, tmp_path):
    file = tmp_path / "agent-3.0.tar.gz"
    file.write_bytes(b"three")
    out = StringIO()
    call_command("upload_package", "agent", "3.0", str(file), "--selector", "env=prod", "--release", stdout=out)
    assert "Released to everybody it matches." in out.getvalue()
    assert Installation.objects.count() == 4
    with pytest.raises(CommandError, match="was released"):
        call_command("upload_package", "agent", "3.0", str(file), "--os-type", "linux")
    with pytest.raises(CommandError, match="SHA-256"):
        call_command("upload_package", "agent", "4.0", str(file), "--sha256", "0" * 64)
