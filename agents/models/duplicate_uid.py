"""What is known of a second agent that may speak under an agent's instance uid (S-31)."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from agents.models.agent import Agent, SequenceNumberField, Transport


class DuplicateUid(models.Model):
    """One row at most for an agent, and none for most of them; `agents.services.identity` alone writes it.

    Columns of another stage than the row's have their defaults. For `Stage.CONNECTIONS` ``lease_id`` to ``sequence_num`` are
    the displaced connection's, ``sequence_num`` its last number; ``successor_sequence_num`` is the number with which the
    other one took over, at ``displaced_at``. For `Stage.ADDRESSES` ``remote_address`` is the one that is silent now,
    ``sequence_num`` its last number, and ``returns`` counts how often an address continued its own series although the
    other one spoke in between.
    """

    class Stage(models.TextChoices):
        """What there is to know: a displaced connection that may still speak; two HTTP addresses that poll in turn; or that
        the other agent got a uid, so that the stored state may be the one it told."""

        CONNECTIONS = "connections"
        ADDRESSES = "addresses"
        TOLD_APART = "told_apart"

    agent = models.OneToOneField(Agent, on_delete=models.CASCADE, primary_key=True, related_name="duplicate_uid")
    stage = models.CharField(max_length=16)

    # `POLLS` stands for the lease of an agent that polled: a stay over HTTP is not bound to a connection.
    lease_id = models.CharField(max_length=64, blank=True)
    lease_process = models.CharField(max_length=64, blank=True)
    lease_opened_at = models.DateTimeField(null=True)
    transport = models.CharField(max_length=16, choices=Transport.choices, blank=True)
    remote_address = models.CharField(max_length=64, blank=True)
    sequence_num = SequenceNumberField(default=0)
    successor_sequence_num = SequenceNumberField(default=0)
    displaced_at = models.DateTimeField(null=True)

    # How often it came back after the other one had spoken, and whether that one has been silent since.
    returns = models.PositiveIntegerField(default=0)
    has_returned = models.BooleanField(default=False)
    # The last return was later than a message on its way can be; so were so many, unanswered.
    returned_late = models.BooleanField(default=False)
    late_returns_unanswered = models.PositiveIntegerField(default=0)
    # Its numbers were of another counter than the other one's.
    has_other_counter = models.BooleanField(default=False)
    # Proven, and the displaced one is who must take another uid.
    must_move = models.BooleanField(default=False)

    # The HTTP address that came second.
    newcomer_address = models.CharField(max_length=64, blank=True)

    POLLS = "http"

    class Meta:
        verbose_name = _("duplicate instance UID")
        verbose_name_plural = _("duplicate instance UIDs")
        indexes = [models.Index(fields=["lease_id"], name="duplicate_uid_lease", condition=~Q(lease_id=""))]

    def __str__(self) -> str:
        return f"{self.agent_id}: {self.stage}"
