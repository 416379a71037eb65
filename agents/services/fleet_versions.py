"""The versions of the fleet, and since when they are here: when one was published is not known, only when agents had it first."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from django.db.models import Count

from agents.models import Agent, SeenVersion
from agents.selectors.versions import version_key

SECONDS = 60
MOST_KEPT = 2_000
_MOST_NOTED = 500


class FleetVersion(NamedTuple):
    """``number`` agents have it. ``behind`` counts the newer versions of the fleet; ``None``: it is no version that has an order.

    ``seen`` is when agents had it first, ``newer`` the same of what is newer and came first. Of either ``None`` is not known yet.
    """

    version: str
    number: int
    behind: int | None
    seen: SeenVersion | None
    newer: SeenVersion | None


def note_versions(at: datetime) -> None:
    """Write down versions that are new here; two processes that both lead write the same."""
    had = set(Agent.objects.exclude(version="").order_by().values_list("version", flat=True).distinct())
    known = set(SeenVersion.objects.order_by().values_list("version", flat=True))
    began = not known
    added = [SeenVersion(version=text, first_seen_at=at, since_earlier=began) for text in sorted(had - known)]
    SeenVersion.objects.bulk_create(added if began else added[:_MOST_NOTED], ignore_conflicts=True)
    surplus = len(known) + len(added) - MOST_KEPT
    if surplus > 0:
        gone = SeenVersion.objects.exclude(version__in=had).order_by("first_seen_at").values("pk")[:surplus]
        SeenVersion.objects.filter(pk__in=list(gone.values_list("pk", flat=True))).delete()


def fleet_versions(counts: Mapping[str, int] | None = None) -> list[FleetVersion]:
    """The newest first, then what is in no order; ``counts`` are agents by version, where somebody has counted them."""
    if counts is None:
        counts = dict(Agent.objects.order_by().values_list("version").annotate(number=Count("*")))
    seen = {row.version: row for row in SeenVersion.objects.filter(version__in=counts)}
    numbered = [(key, version) for version in counts if (key := version_key(version)) is not None]
    ordered = [version for _key, version in sorted(numbered, reverse=True)]
    found, newer = [], None
    for behind, version in enumerate(ordered):
        found.append(FleetVersion(version, counts[version], behind, seen.get(version), newer))
        newer = _earlier(newer, seen.get(version))
    left = (version for version in counts if version not in ordered)
    return [*found, *(FleetVersion(version, counts[version], None, seen.get(version), None) for version in left)]


def _earlier(one: SeenVersion | None, other: SeenVersion | None) -> SeenVersion | None:
    if one is None or other is None:
        return one or other
    return min(one, other, key=lambda row: (row.first_seen_at, not row.since_earlier))
