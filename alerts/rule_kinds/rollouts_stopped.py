"""Rollouts that do not go on."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Exists, Max, OuterRef, Q
from django.utils.translation import gettext_lazy as _

from alerts.models import MOST_SAMPLED, AlertRule
from alerts.parameters import Parameter
from alerts.rule_kinds.base import MOST_GROUPS, OTHERS, AlertKind, keys_with_alerts
from alerts.subjects_firing import FiringSubject, Sampled
from foundation.messages import Message
from rollouts.models import Rollout, RolloutStep

_MOST_LOOKED_AT = 1_000


class RolloutStopped(AlertKind):
    """A gate failed, or somebody paused it and nobody went on. One alert for each rollout."""

    name = "rollout_stopped"
    title = _("A rollout stopped")
    about = _("The gate of a rollout failed, or a rollout has been paused for some minutes.")
    right = "rollouts.view_rollout"
    parameters = (
        Parameter(
            "paused_minutes",
            _("Paused for so many minutes"),
            60,
            0,
            30 * 24 * 60,
            _("Of one whose gate failed it is told at once."),
        ),
        Parameter(
            "rolled_back_hours",
            _("Hours to tell of one that rolled itself back"),
            24,
            0,
            30 * 24,
            _("Unless another one has been started since; 0: not at all."),
        ),
    )

    def evaluate(self, rule: AlertRule, now: datetime) -> list[FiringSubject]:
        """The newest first; those that have an alert keep it, and what there is no room for has one together."""
        failed = RolloutStep.objects.filter(rollout=OuterRef("pk"), kind=RolloutStep.Kind.GATE_FAILED)
        resumed = RolloutStep.objects.filter(
            rollout=OuterRef("rollout"), kind=RolloutStep.Kind.RESUMED, pk__gt=OuterRef("pk")
        )
        later = Rollout.objects.filter(
            subject=OuterRef("subject"), subject_id=OuterRef("subject_id"), pk__gt=OuterRef("pk")
        )
        gone_back = Q(
            state=Rollout.State.ROLLED_BACK,
            ended_at__gt=now - timedelta(hours=rule.number("rolled_back_hours")),
            failed=True,
            replaced=False,
        )
        limit = now - timedelta(minutes=rule.number("paused_minutes"))
        rows = (
            Rollout.objects.annotate(
                failed=Exists(failed.filter(~Exists(resumed))),
                replaced=Exists(later),
                paused_at=Max("steps__at", filter=Q(steps__kind=RolloutStep.Kind.PAUSED)),
            )
            .filter(Q(state=Rollout.State.PAUSED) & (Q(failed=True) | Q(paused_at__lte=limit)) | gone_back)
            .order_by("-pk")
        )
        found = [self._subject(row) for row in rows[:_MOST_LOOKED_AT]]
        if len(found) <= MOST_GROUPS:
            return found
        present = keys_with_alerts(rule)
        found.sort(key=lambda subject: subject.key not in present)
        rest = found[MOST_GROUPS:]
        said = Message(
            "alert-more-rollouts", "{count} more rollouts stopped: {names}", count=len(rest),
            names=", ".join(subject.sample[0].name for subject in rest[:5]),
        )  # fmt: skip
        sample = [subject.sample[0] for subject in rest[:MOST_SAMPLED]]
        return [*found[:MOST_GROUPS], FiringSubject(OTHERS, said, len(rest), None, sample)]

    def _subject(self, row: Rollout) -> FiringSubject:
        if getattr(row, "failed", False):
            said = Message("alert-gate-failed", "The gate of rollout {name} failed.", name=str(row))
        else:
            said = Message("alert-rollout-paused", "Rollout {name} is paused.", name=str(row))
        labels = {row.subject: row.name, "rollout": str(row.pk)}
        return FiringSubject(f"rollout={row.pk}: {row}", said, 1, None, [Sampled(str(row), "rollout", row.pk)], labels)
