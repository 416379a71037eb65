"""The page that says how the versions of one package go out when nobody says otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from foundation.clock import clock
from foundation.errors import DomainError
from foundation.languages import in_readers_language
from packages.admin.forms import PolicyForm
from packages.models import RELEASE_SUBJECT, Package
from packages.services import package_edits
from packages.services.version_releases import named_agents
from rollouts.admin.released_pages import planned_context


class PolicyPage:
    """For `package_pages.PackageAdmin`, which finds packages and asks."""

    changeable: Callable[..., Package]
    ask: Callable[..., TemplateResponse]
    message_user: Callable[..., None]

    def policy_url(self, wrapped: Callable[..., Any]) -> Any:
        """Below the page of a package."""
        return path("<int:pk>/policy/", wrapped(self.change_policy), name="package_policy")

    def change_policy(self, request: HttpRequest, pk: int) -> HttpResponse:
        """GET shows it, POST changes it, or shows whom its stages would have now."""
        package = self.changeable(request, pk)
        form = PolicyForm(request.POST if request.method == "POST" else None, package)
        problem = None
        if form.is_bound and form.is_valid() and request.POST.get("stage") != "stages":
            edition, values = form.cleaned_data["edition"], {"rollout_policy": form.stored}
            editions = None if edition is None else {edition}
            by, at = cast("User", request.user), clock.now()
            try:
                package_edits.update_package(package.pk, values, by=by, at=at, editions=editions)
            except DomainError as error:
                problem = in_readers_language(error)
            else:
                self.message_user(request, _("Later versions go out as you chose."), messages.SUCCESS)
                return redirect(reverse("admin:packages_package_change", args=[package.pk]))
        policy = form.policy if form.is_usable else None
        agents = named_agents(package) if policy else []
        context = {
            "title": _("How versions of %(name)s go out") % {"name": package},
            "verb": _("Save"),
            "crumb": _("How versions go out"),
            "text": _(
                "It holds for versions that are released from now on; whoever releases one may choose another way."
            ),
            "release": form,
            "planned": planned_context(policy, RELEASE_SUBJECT, package.name, agents),
            "problem": problem,
        }
        return self.ask(request, package, context)
