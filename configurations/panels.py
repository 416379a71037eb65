"""The sections of an agent's page that say what it should run, why, how what it runs differs, and which pipelines that has."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from agents.extensions import Act, PagePart, Panel, component_rates, register_heading, register_panel
from agents.models import Agent
from agents.shown import MOST_SHOWN, files_shown
from configurations.advice import advice_on
from configurations.differences import compared_once
from configurations.drift import drift_once
from configurations.failures import failure_of
from configurations.models import Assignment, Configuration
from configurations.outcome import AssignmentStatus
from configurations.pending_stages import waits_for
from configurations.pins_shown import pin_of, pin_words
from configurations.pipelines_shown import pipelines_shown
from configurations.rendered_files import rendered_for
from configurations.targets import explained, fragments_for, running
from foundation.clock import clock
from rollouts.freezes_shown import held_words
from rollouts.services.freezing import holding

# Of two large configurations the page shows the beginning of what differs; comparing line by line is a page of its own.
_MOST_ROWS, _MOST_OF_DESIRED = 100, 16 * 1024
# As over REST.
RETRY_RIGHTS = ("agents.change_agent", "configurations.view_configuration")


def reasons(request: HttpRequest, agent: Agent) -> dict[str, Any]:
    """The assignment and all candidates, strongest first; after a failure also what runs instead."""
    assignment = Assignment.objects.filter(agent=agent).first()
    now = clock.now()
    pin, held = pin_of(agent), holding(agent, now)
    failure = assignment and failure_of(assignment.failures, agent.configuration_hash, assignment.newest_id)
    candidates, fragments = explained(agent, Configuration.objects.all())
    return {
        "agent": agent,
        "assignment": assignment,
        "failure": failure,
        "running": running(agent) if agent.config_failed else None,
        "advice": advice_on(agent, assignment),
        "candidates": candidates,
        "fragments": fragments,
        "pin": pin_words(pin) if pin else "",
        "held": held_words(held) if held else "",
        "waits": [(each, each.rollout.state_at(now).label) for each in waits_for(agent)],
        "may_retry": request.user.has_perms(RETRY_RIGHTS),
    }


def difference_panel(request: HttpRequest, agent: Agent) -> dict[str, Any]:
    """What is desired against what the agent says it runs; secrets hidden on both sides."""
    assignment = Assignment.objects.filter(agent=agent).select_related("revision").first()
    desired = assignment is not None and assignment.newest_id is not None
    effective = agent.reported.effective_config
    context: dict[str, Any] = {"agent": agent, "desired": desired, "effective": effective is not None}
    if assignment is None or not desired or effective is None:
        return context
    files = rendered_for(assignment, agent)
    if files is None:
        return context
    # What reported documents have of known secrets was replaced when they were stored; the same is done on this side.
    hashes = (agent.configuration_hash, effective.hash)
    found = compared_once(files, effective.content, hashes=hashes)
    return context | {
        "comparison": found,
        "drift": drift_once(files, effective.content, hashes=hashes) if agent.config_drifted else None,
        "may_compare": request.user.has_perm("configurations.view_configuration"),
        # One that has a configuration is compared with that; else each fragment is a side.
        "fragments": [] if agent.configuration_name else [each for each in fragments_for(agent) if each["wins"]],
        "may_retry": request.user.has_perms(RETRY_RIGHTS),
        "files": sorted(files_shown(files, most=_MOST_OF_DESIRED).items()),
        "differing": found.differing[:_MOST_ROWS],
        "extra": found.extra[:_MOST_ROWS],
    }


def pipelines_panel(request: HttpRequest, agent: Agent) -> dict[str, Any]:
    """The pipelines that the agent says it runs, with the health of their components and what they pass on."""
    effective = agent.reported.effective_config
    if effective is None:
        return {"reported": False}
    files = files_shown(effective.content, most=MOST_SHOWN)
    # As the page numbers the elements that show them.
    targets = {name: f"effective-{place}" for place, name in enumerate(sorted(files), 1)}
    rates = component_rates(agent.pk, clock.now())
    shown = pipelines_shown(files, targets=targets, health=agent.reported.health, rates=rates)
    return {"reported": True, "pipelines": shown}


def failed_heading(request: HttpRequest, agent: Agent) -> PagePart:
    """An agent that refused what it should run is offered it once more; that is what its state asks for first."""
    if not agent.config_failed or not request.user.has_perms(RETRY_RIGHTS):
        return PagePart()
    failed = Assignment.objects.filter(agent=agent, status=AssignmentStatus.FAILED).exists()
    again = Act(reverse("admin:configuration_retry", args=[agent.pk]), gettext("Offer once more"), posts=True)
    return PagePart(primary=again if failed else None)


def register() -> None:
    """Show them on every agent's page."""
    register_heading(failed_heading)
    register_panel(Panel("why", "panels/configuration.html", reasons, _("Why this configuration?")))
    register_panel(Panel("pipelines", "panels/pipelines.html", pipelines_panel, _("Pipelines"), tab="effective"))
    register_panel(Panel("difference", "panels/difference.html", difference_panel, _("Desired and effective")))
