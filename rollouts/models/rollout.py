"""Rows about rollouts: how far each is, and every step it took."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from rollouts.audiences import Audience, parse_audience
from rollouts.former_names import present_state
from rollouts.models.releases import Release
from rollouts.policies import Policy, parse_policy


class RolloutQuerySet(models.QuerySet["Rollout"]):
    """The vocabulary of reading rollouts."""

    def visible_to(self, user: Any) -> Self:
        """What ``user`` may see: all rollouts with the view right, else none."""
        return self if user.has_perm("rollouts.view_rollout") else self.none()

    def active(self) -> Self:
        """Those that have not ended."""
        return self.filter(state__in=ACTIVE)

    def of(self, subject: str, subject_id: int) -> Self:
        """Those of one thing."""
        return self.filter(subject=subject, subject_id=subject_id)

    def in_states(self, states: Collection[str], at: datetime) -> Self:
        """Those that `Rollout.state_at` says to be in one of these; former names of states count as well."""
        wanted = {present_state(state) for state in states}
        if wanted.isdisjoint({Rollout.State.RUNNING.value, Rollout.State.SCHEDULED.value}):
            return self.filter(state__in=wanted)
        # Of each thing there is one at most that runs, and whether its window is open the database cannot tell.
        running = Rollout.objects.filter(state=Rollout.State.RUNNING)
        found = [row.pk for row in running if row.state_at(at) in wanted]
        return self.filter(models.Q(state__in=wanted - {Rollout.State.RUNNING.value}) | models.Q(pk__in=found))


class Rollout(models.Model):
    """One release on its way to its audience, stage by stage.

    ``version_id`` of ``subject_id`` is what is rolled out, as in `Release`; ``name`` and ``version_number`` say it to people
    when those rows are gone. ``stages`` holds the audience of each stage as it was at the start (`rollouts.audiences.stored`), so
    membership is stable; ``stage`` counts from 0, -1 before the first. ``admitted`` is how far the limit of agents in
    flight has let the present stage come: a place in the order of ``salt``, empty when the whole stage is in.
    ``windowless_stage`` is the stage that a person lets go on while the maintenance window is closed.
    ``turn`` counts the changes: every change compares it, so that two processes never make the same step.
    """

    class State(models.TextChoices):
        """Where it stands. A scheduled one is stored as running: only the clock tells them apart (`Rollout.state_at`)."""

        AWAITING_APPROVAL = "awaiting_approval", _("Awaiting approval")
        SCHEDULED = "scheduled", _("Scheduled")
        RUNNING = "running", _("Running")
        PAUSED = "paused", _("Paused")
        COMPLETED = "completed", _("Completed")
        ABORTED = "aborted", _("Aborted")
        ROLLED_BACK = "rolled_back", _("Rolled back")
        REPLACED = "replaced", _("Replaced")

    subject = models.CharField(_("subject"), max_length=40)
    subject_id = models.BigIntegerField(_("subject key"))
    version_id = models.BigIntegerField(_("version key"))
    name = models.CharField(_("name"), max_length=100)
    version_number = models.PositiveIntegerField(_("revision"))
    release = models.OneToOneField(
        Release, on_delete=models.SET_NULL, null=True, related_name="rollout", verbose_name=_("release")
    )
    policy = models.JSONField(_("policy"))
    salt = models.CharField(max_length=100)
    stages = models.JSONField(_("stages"))
    state = models.CharField(_("state"), max_length=20, choices=State.choices, default=State.RUNNING)
    stage = models.SmallIntegerField(_("stage"), default=-1)
    admitted = models.CharField(max_length=20, blank=True)
    stage_began_at = models.DateTimeField(_("stage began"), null=True)
    held_since = models.DateTimeField(_("gate met since"), null=True)
    windowless_stage = models.SmallIntegerField(null=True)
    # Why it is where it is, as `Message.as_json`: what a gate lacks, what a person wrote.
    reasons = models.JSONField(_("reasons"), default=list)
    turn = models.PositiveIntegerField(default=0)
    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+", verbose_name=_("started by")
    )
    started_by_name = models.CharField(_("started by"), max_length=150)
    approved_by_name = models.CharField(_("approved by"), max_length=150, blank=True)
    started_at = models.DateTimeField(_("started at"))
    ended_at = models.DateTimeField(_("ended at"), null=True)

    objects = RolloutQuerySet.as_manager()

    class Meta:
        verbose_name = _("rollout")
        verbose_name_plural = _("rollouts")
        ordering = ["-pk"]
        permissions = [("approve_rollout", _("Can approve rollouts of others"))]
        indexes = [
            models.Index(fields=["state", "id"], name="rollout_state"),
            models.Index(fields=["subject", "subject_id", "id"], name="rollout_subject"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["subject", "subject_id"],
                condition=models.Q(ended_at=None),
                name="one_active_rollout",
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} r{self.version_number}"

    @property
    def is_active(self) -> bool:
        """Whether it has not ended."""
        return self.state in ACTIVE

    @property
    def stage_name(self) -> str:
        """What people call the present stage; empty for none, and before the first."""
        return self.parsed_policy().name_of(self.stage)

    def state_at(self, at: datetime) -> Rollout.State:
        """Where it stands at ``at``: one that runs is scheduled while all it waits for is its start, or its window.

        Whoever has the present stage, and is judged by its gate, does not wait for the window: then it runs.
        """
        state = Rollout.State(self.state)
        if state is not Rollout.State.RUNNING:
            return state
        if self.stage < 0:
            return Rollout.State.SCHEDULED
        policy = self.parsed_policy()
        if self.admitted:
            waits = not self.may_go_on(policy, self.stage, at)
        elif self.stage == len(self.stages) - 1 or self.held_since is None:
            waits = False
        else:
            has_held = at - self.held_since >= timedelta(seconds=policy.gate_of(self.stage).dwell_seconds)
            waits = has_held and not self.may_go_on(policy, self.stage + 1, at)
        return Rollout.State.SCHEDULED if waits else state

    def may_go_on(self, policy: Policy, stage: int, at: datetime) -> bool:
        """Whether stage ``stage``, counted from 0, may begin or let agents in at ``at``, as far as the window is concerned."""
        return policy.window is None or policy.window.is_open(at) or self.windowless_stage == stage

    def parsed_policy(self) -> Policy:
        """The stored policy as a value; it was valid when it was stored."""
        policy = parse_policy(self.policy)
        assert policy is not None  # noqa: S101  at once makes no rollout
        return policy

    def stage_audiences(self) -> list[Audience]:
        """The audience of each stage."""
        return [parse_audience(form) for form in self.stages]


ACTIVE = (Rollout.State.AWAITING_APPROVAL.value, Rollout.State.RUNNING.value, Rollout.State.PAUSED.value)


class RolloutStep(models.Model):
    """One transition of a rollout: what happened, to which stage, by whom, and how its agents stood then."""

    class Kind(models.TextChoices):
        """What happened."""

        STARTED = "started", _("Started")
        APPROVED = "approved", _("Approved")
        STAGE_BEGAN = "stage_began", _("Stage began")
        GATE_PASSED = "gate_passed", _("Gate passed")
        GATE_FAILED = "gate_failed", _("Gate failed")
        PAUSED = "paused", _("Paused")
        RESUMED = "resumed", _("Resumed")
        BEGUN_NOW = "begun_now", _("Begun outside the window")
        ABORTED = "aborted", _("Aborted")
        ROLLED_BACK = "rolled_back", _("Rolled back")
        REPLACED = "replaced", _("Replaced")
        COMPLETED = "completed", _("Completed")

    rollout = models.ForeignKey(Rollout, on_delete=models.CASCADE, related_name="steps")
    at = models.DateTimeField(_("at"))
    kind = models.CharField(_("step"), max_length=20, choices=Kind.choices)
    stage = models.SmallIntegerField(_("stage"))
    by_name = models.CharField(_("by"), max_length=150)
    reasons = models.JSONField(_("reasons"), default=list)
    data = models.JSONField(default=dict)

    class Meta:
        verbose_name = _("rollout step")
        verbose_name_plural = _("rollout steps")
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.rollout_id} {self.kind}"
