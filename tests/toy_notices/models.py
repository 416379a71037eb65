"""A text for agents, its versions, and what each agent was told."""

from django.db import models

from agents.models import Agent
from rollouts.models import Generation, ReleasedVersion, Targeted, TargetedQuerySet, only_one


class Notice(Targeted):
    """Of all that match an agent the one of the highest priority counts."""

    name, priority = models.CharField(max_length=64), models.IntegerField(default=0)
    objects = TargetedQuerySet.as_manager()


class NoticeVersion(ReleasedVersion):
    notice = models.ForeignKey(Notice, on_delete=models.CASCADE, related_name="versions")
    text = models.CharField(max_length=200)


class NoticeGeneration(Generation):
    class Meta:
        constraints = [only_one("only_one_notice_generation")]


class ToldNotice(models.Model):  # noqa: DJ008
    """What an agent should be told; ``status`` is pending or told."""

    agent = models.OneToOneField(Agent, on_delete=models.CASCADE, related_name="notice")
    version = models.ForeignKey(NoticeVersion, on_delete=models.CASCADE)
    status, error_message = models.CharField(max_length=16, default="pending"), models.TextField(blank=True)
