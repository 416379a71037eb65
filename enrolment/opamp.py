"""Enrolment in the batch: nothing is offered, but revoked tokens are looked for in case a wake-up was lost."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from agents.models import Agent
from agents.services.batch import BatchAgent
from agents.services.offers import MOST_PENDING, Offer
from enrolment.models import EnrolmentToken


class LostRevocations(Offer):
    """Has agents looked at that came by a token which was revoked lately: their connection may have to be closed."""

    def part(self, agent: BatchAgent) -> None:
        """Nothing."""

    @classmethod
    def pending_since(cls, at: datetime) -> Iterable[UUID]:
        """Those connected."""
        names = list(EnrolmentToken.objects.filter(revoked_at__gte=at).values_list("name", flat=True))
        if not names:
            return ()
        rows = Agent.objects.filter(enrolled_by__in=names, connected=True)
        return rows.values_list("instance_uid", flat=True)[:MOST_PENDING]
