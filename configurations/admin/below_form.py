"""What stands below the configuration form: its revisions and its agents."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from configurations.admin import confirmation_page
from configurations.models import RELEASE_SUBJECT, Assignment, Configuration
from configurations.outcome import AssignmentStatus
from rollouts.models import Rollout

_REVISIONS = 20
_AGENTS = 100


def revisions_shown(row: Configuration) -> list[dict[str, Any]]:
    """The newest revisions, each with its difference to the one before."""
    rows = list(row.revisions.defer("files")[: _REVISIONS + 1])
    return [
        {"revision": new, "difference": confirmation_page.revision_difference(old, new)}
        for new, old in zip(rows, [*rows[1:], None], strict=True)
    ][:_REVISIONS]


def assignments_shown(request: HttpRequest, row: Configuration) -> dict[str, Any]:
    """What changes by itself on the page."""
    return {
        "rollout": Rollout.objects.active().of(RELEASE_SUBJECT, row.pk).first(),
        "assignments": _assignments_of(row) if request.user.has_perm("agents.view_agent") else None,
        "most_agents": _AGENTS,
    }


def _assignments_of(row: Configuration) -> list[Assignment]:
    """Some of the agents that should run it, failures first."""
    rows = row.assignments.select_related("agent").order_by("agent_id")
    failed = AssignmentStatus.FAILED.value
    found = list(rows.filter(status=failed)[:_AGENTS])
    found += rows.exclude(status=failed)[: _AGENTS - len(found)]
    return found
