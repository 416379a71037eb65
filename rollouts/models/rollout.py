"""Rows about rollouts: how far each is, and every step it took."""

from __future__ import annotations

from typing import Any, Self

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from rollouts.audiences import Audience, parse_audience
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


class Rollout(models.Model):
    """One release on its way to its audience, stage by stage.

    ``version_id`` of ``subject_id`` is what is rolled out, as in `Release`; ``name`` and ``version_number`` say it to people
    when those rows are gone. ``stages`` holds the audience of each stage as it was at the start (`rollouts.audiences.stored`), so
    membership is stable; ``stage`` counts from 0, -1 before the first. ``admitted`` is how far the limit of agents in
    flight has let the present stage come: a place in the order of ``salt``, empty when the whole stage is in.
    ``turn`` counts the changes: every change compares it, so that two processes never make the same step.
    """

    class State(models.TextChoices):
        """Where it stands."""

        PENDING_APPROVAL = "pending_approval", _("Waits for approval")
        RUNNING = "running", _("Running")
        PAUSED = "paused", _("Paused")
        FINISHED = "finished", _("Finished")
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

    def parsed_policy(self) -> Policy:
        """The stored policy as a value; it was valid when it was stored."""
        policy = parse_policy(self.policy)
        assert policy is not None  # noqa: S101  at once makes no rollout
        return policy

    def stage_audiences(self) -> list[Audience]:
        """The audience of each stage."""
        return [parse_audience(form) for form in self.stages]


ACTIVE = (Rollout.State.PENDING_APPROVAL.value, Rollout.State.RUNNING.value, Rollout.State.PAUSED.value)


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
        ABORTED = "aborted", _("Aborted")
        ROLLED_BACK = "rolled_back", _("Rolled back")
        REPLACED = "replaced", _("Replaced")
        FINISHED = "finished", _("Finished")

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
