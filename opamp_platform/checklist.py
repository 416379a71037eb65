"""The first steps of who begins: what is done of them is told by facts, and they go away when all are, or when a person says so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.models import User
from agents.models import Agent, AgentEvent
from configurations.models import Configuration

# Who may not do the steps is not asked to.
RIGHTS = ("agents.view_agent", "configurations.view_configuration", "configurations.add_configuration")
_DISMISSED = "checklist-{person}"
_KEPT_SECONDS = 365 * 24 * 3600
# An agent that applies a newer revision is not in sync for a moment; what it applied before still counts.
_LINES_READ = 1_000


@dataclass(frozen=True, slots=True)
class FirstStep:
    """One thing to do, with where it is done; ``is_next`` of the first that is not."""

    title: str
    text: str
    done: bool
    url: str
    link: str
    is_next: bool = False


def checklist(request: HttpRequest) -> list[FirstStep] | None:
    """The steps in order; ``None`` when there is nothing to show."""
    person = cast("User", request.user)
    if not person.has_perms(RIGHTS) or request.COOKIES.get(_cookie_of(person)) == "dismissed" or _arrived():
        return None
    agents = Agent.objects.all()
    published = Configuration.objects.filter(current__isnull=False).order_by("-pk").first()
    list_of_agents = reverse("admin:agents_agent_changelist")
    page = reverse("admin:configurations_configuration_changelist")
    if published is not None:
        page = reverse("admin:configurations_configuration_change", args=[published.pk]) + "#progress"
    steps = [
        (
            _("Connect an agent"),
            _("Give a Collector or its supervisor the address of this portal; the page shows what to paste."),
            agents.exists(),
            reverse("admin:connect"),
            _("Show the settings"),
        ),
        (
            _("See it here"),
            _("It registers itself, with its labels and its health."),
            agents.filter(connected=True).exists(),
            list_of_agents,
            _("Open the agents"),
        ),
        (
            _("Publish a configuration"),
            _("Begin with a template, and say by labels which agents it is for."),
            published is not None,
            reverse("admin:configuration_templates"),
            _("Start from a template"),
        ),
        (
            _("Watch it arrive"),
            _("The agent gets it and answers whether it applied it. Nothing arrives where no label matches."),
            False,
            page,
            _("Show the progress"),
        ),
    ]
    following = next(number for number, step in enumerate(steps) if not step[2])
    return [FirstStep(*step, is_next=number == following) for number, step in enumerate(steps)]


def _arrived() -> bool:
    """Whether an agent has ever applied what it should run, as far as the latest lines of timelines tell."""
    if Agent.objects.filter(in_sync=True).exists():
        return True
    return AgentEvent.Kind.APPLIED in set(
        AgentEvent.objects.order_by("-pk").values_list("kind", flat=True)[:_LINES_READ]
    )


def dismiss_checklist(request: HttpRequest) -> HttpResponse:
    """POST: do not show it to this person any more, in this browser."""
    answer = redirect("admin:index")
    answer.set_cookie(
        _cookie_of(cast("User", request.user)),
        "dismissed",
        max_age=_KEPT_SECONDS,
        path=reverse("admin:index"),
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )
    return answer


def _cookie_of(person: User) -> str:
    return _DISMISSED.format(person=person.pk)
