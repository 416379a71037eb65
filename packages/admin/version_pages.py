"""The pages of one version: uploading a file, releasing, deleting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from accounts.models import User
from agents.admin import typed_count
from foundation.clock import clock
from foundation.errors import DomainError
from foundation.languages import in_readers_language
from packages.admin.forms import UploadedFileForm, stored_policy, tell
from packages.models import RELEASE_SUBJECT, Package, PackageVersion
from packages.services import package_edits, uploading
from packages.services.uploading import FileFacts
from packages.services.version_releases import named_agents, publish_version
from rollouts.admin.forms import ReleaseForm
from rollouts.admin.released_pages import chosen_plan, is_meant, release_form, version_release_context
from rollouts.models import Rollout

_FACTS = ("url", "os_type", "architecture", "sha256", "signature")


class VersionPages:
    """For `package_pages.PackageAdmin`, which finds packages and asks."""

    changeable: Callable[..., Package]
    ask: Callable[..., TemplateResponse]
    message_user: Callable[..., None]
    admin_site: Any
    opts: Any

    def version_urls(self, wrapped: Callable[..., Any]) -> list[Any]:
        """Below the page of a package."""
        one = "<int:pk>/versions/<int:number>"
        return [
            path(f"{one}/upload/", wrapped(self.upload), name="package_upload"),
            path(f"{one}/release/", wrapped(self.release), name="package_release"),
            path(f"{one}/delete/", wrapped(self.delete_version), name="package_delete_version"),
            path(
                f"{one}/files/<int:file_id>/delete/",
                wrapped(require_POST(self.delete_file)),
                name="package_delete_file",
            ),
        ]

    def upload(self, request: HttpRequest, pk: int, number: int) -> HttpResponse:
        """A form with a file. A script that sends it asks for JSON: where to go then, or the page with what is wrong."""
        package = self.changeable(request, pk)
        version = _version(package, number)
        form = UploadedFileForm(request.POST, request.FILES) if request.method == "POST" else UploadedFileForm()
        if form.is_valid() and self._added(request, version, form):
            page = reverse("admin:packages_package_change", args=[package.pk])
            if request.headers.get("Accept") == "application/json":
                return JsonResponse({"page": page})
            return redirect(page)
        context = {
            "title": _("Add a file to %(name)s %(version)s") % {"name": package, "version": version},
            "form": form,
            "verb": _("Add file"),
            "text": _("One file for each platform; agents get the one that fits them closest."),
            "uploads": True,
        }
        return self.ask(request, package, context)

    def _added(self, request: HttpRequest, version: PackageVersion, form: UploadedFileForm) -> bool:
        values = form.cleaned_data
        facts = FileFacts(
            filename=values["file"].name if values["file"] else "", **{name: values[name].strip() for name in _FACTS}
        )
        if bool(facts.url) == bool(values["file"]):
            form.add_error("file", _("Choose a file, or write where it is kept."))
            return False
        by, at = cast("User", request.user), clock.now()
        try:
            if values["file"]:
                uploading.add_file(version, values["file"], facts, by=by, at=at)
            else:
                uploading.add_address(version, facts, by=by, at=at)
        except DomainError as error:
            tell(form, error)
            return False
        self.message_user(request, _("The file was added."), messages.SUCCESS)
        return True

    def release(self, request: HttpRequest, pk: int, number: int) -> HttpResponse:
        """How it goes out, and to how many; then it does."""
        package = self.changeable(request, pk)
        version = _version(package, number)
        chosen = release_form(request, package, may_remember=True)
        chosen.fields["remember"].label = _("Let this be the way for later versions too")
        agents = named_agents(package)
        problem = None
        if is_meant(request, chosen):
            problem = typed_count.problem_of(request.POST, len(agents))
            try:
                if problem is None:
                    return self._released(request, package, version, _publish(request, version, chosen))
            except DomainError as error:
                problem = in_readers_language(error)
        context = {
            "title": _("Release %(name)s %(version)s?") % {"name": package, "version": version},
            "verb": _("Release"),
            "text": _("Agents that match get it; who has another version of it is moved to this one."),
            **version_release_context(RELEASE_SUBJECT, package, package.name, chosen, agents, problem),
        }
        return self.ask(request, package, context)

    def _released(
        self, request: HttpRequest, package: Package, version: PackageVersion, rollout: Rollout | None
    ) -> HttpResponse:
        if rollout is not None and request.user.has_perm("rollouts.view_rollout"):
            return redirect(reverse("admin:rollouts_rollout_change", args=[rollout.pk]))
        said = _("%(name)s %(version)s is released.") % {"name": package, "version": version}
        self.message_user(request, said, messages.SUCCESS)
        return redirect(reverse("admin:packages_package_change", args=[package.pk]))

    def delete_version(self, request: HttpRequest, pk: int, number: int) -> HttpResponse:
        """GET asks, POST deletes."""
        package = self.changeable(request, pk)
        version = _version(package, number)
        if request.method == "POST":
            try:
                package_edits.delete_version(version, by=cast("User", request.user), at=clock.now())
            except DomainError as error:
                self.message_user(request, in_readers_language(error), messages.ERROR)
            else:
                self.message_user(request, _("The version was deleted."), messages.SUCCESS)
            return redirect(reverse("admin:packages_package_change", args=[package.pk]))
        context = {
            "title": _("Delete %(name)s %(version)s?") % {"name": package, "version": version},
            "verb": _("Delete"),
            "text": _("Its files are deleted too."),
            "danger": True,
        }
        return self.ask(request, package, context)

    def delete_file(self, request: HttpRequest, pk: int, number: int, file_id: int) -> HttpResponse:
        """Of a version that nobody got."""
        package = self.changeable(request, pk)
        artefact = _version(package, number).artefacts.filter(pk=min(file_id, 2**63 - 1)).first()
        if artefact is None:
            raise Http404
        try:
            uploading.delete_artefact(artefact, by=cast("User", request.user))
        except DomainError as error:
            self.message_user(request, in_readers_language(error), messages.ERROR)
        return redirect(reverse("admin:packages_package_change", args=[package.pk]))


def _version(package: Package, number: int) -> PackageVersion:
    version = package.versions.filter(number=min(number, 2**31 - 1)).first()
    if version is None:
        raise Http404
    return version


@transaction.atomic
def _publish(request: HttpRequest, version: PackageVersion, chosen: ReleaseForm) -> Rollout | None:
    """As it was chosen, which may be the way of later versions too."""
    by, at = cast("User", request.user), clock.now()
    values = chosen.cleaned_data if chosen.is_bound else {}
    if values.get("remember"):
        policy = {"rollout_policy": stored_policy(chosen.policy)}
        package_edits.update_package(version.package_id, policy, by=by, at=at)
    return publish_version(version, by=by, at=at, plan=chosen_plan(chosen))
