"""How a person wants the portal: language, time zone, density, first page, keys. Kept on the person, audited as edits are."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils import timezone, translation
from django.views.i18n import set_language

from accounts.models import User
from accounts.services import record

_PAGES = "/admin/"
NAMES = ("language", "time_zone", "density", "start_page", "shortcuts")
START_PAGES = {
    User.StartPage.OVERVIEW.value: "admin:index",
    User.StartPage.AGENTS.value: "admin:agents_agent_changelist",
    User.StartPage.CONFIGURATIONS.value: "admin:configurations_configuration_changelist",
    User.StartPage.ROLLOUTS.value: "admin:rollouts_rollout_changelist",
}


@functools.cache
def time_zones() -> tuple[str, ...]:
    """The names there are, by region."""
    return tuple(sorted(name for name in available_timezones() if "/" in name or name == "UTC"))


def preferences_of(person: User) -> dict[str, Any]:
    """All of them by name."""
    return {name: getattr(person, name) for name in NAMES}


def save_preferences(person: User, wanted: Mapping[str, Any]) -> None:
    """Keep those in ``wanted``, which were judged; one entry of the audit trail, none when nothing changes."""
    with transaction.atomic():
        row = User.objects.select_for_update().get(pk=person.pk)
        changed = {name: value for name, value in wanted.items() if getattr(row, name) != value}
        if not changed:
            return
        before = {name: getattr(row, name) for name in changed}
        for name, value in changed.items():
            setattr(row, name, value)
            setattr(person, name, value)
        row.save(update_fields=[*changed])
        record(by=person, verb="user.preferences", target=row, name=str(row), data={"before": before, "after": changed})


class Preferences:
    """Middleware: pages in the language and with the times of whoever is signed in at them."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Of the admin alone: nothing else asks for a session that it does not need."""
        page = request.path.startswith(_PAGES) and settings.SESSION_COOKIE_NAME in request.COOKIES
        person = request.user if page else None
        if not isinstance(person, User):
            return self._get_response(request)
        if person.language in dict(settings.LANGUAGES):
            translation.activate(person.language)
            request.LANGUAGE_CODE = person.language
        if person.time_zone not in time_zones():
            return self._get_response(request)
        with timezone.override(ZoneInfo(person.time_zone)):
            return self._get_response(request)


def switch_language(request: HttpRequest) -> HttpResponse:
    """Django's, which a browser keeps; whoever has chosen a language for themselves has chosen another one now."""
    answer = set_language(request)
    chosen = request.POST.get("language", "")
    if isinstance(request.user, User) and request.user.language and chosen in dict(settings.LANGUAGES):
        save_preferences(request.user, {"language": chosen})
    return answer
