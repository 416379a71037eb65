"""Deleted configurations in the admin: looked at, restored, deleted for good."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from accounts.base_admin import Missing, PortalAdmin
from accounts.models import User
from agents.shown import files_shown
from configurations.models import Configuration, DeletedConfiguration
from configurations.services.drafts import InvalidConfiguration
from configurations.services.keeping_deleted import DeletedGone, delete_for_good
from configurations.services.restoring_deleted import restore_configuration
from foundation.clock import clock
from foundation.languages import in_readers_language


class RestoreForm(forms.Form):
    """Under which name to restore it."""

    name = forms.CharField(
        label=_("Name"),
        max_length=100,
        help_text=_("Another one, where its own is taken."),
        widget=forms.TextInput(attrs={"class": "vTextField", "spellcheck": "false", "autocomplete": "off"}),
    )


@admin.register(DeletedConfiguration)
class DeletedConfigurationAdmin(PortalAdmin):
    """Rights are those on configurations: restoring needs *add*, deleting for good *delete*."""

    list_display = ["name", "display_name_then", "revision_then", "deleted_by_name", "deleted_at"]
    search_fields = ["name"]
    search_help_text = _("Name")
    list_per_page = 50
    # fmt: off
    fields = readonly_fields = (
        "name", "display_name_then", "revision_then", "deleted_by_name", "deleted_at", "revisions_then", "files_then",
    )
    # fmt: on
    actions = None
    change_form_template = "admin/configurations/deletedconfiguration/change_form.html"
    delete_confirmation_template = "admin/configurations/deletedconfiguration/delete.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[DeletedConfiguration]:
        """Lists do without the files, which a page of one reads."""
        return DeletedConfiguration.objects.listed()

    @admin.display(description=_("display name"))
    def display_name_then(self, row: DeletedConfiguration) -> str:
        """What it was called."""
        return row.display_name or "–"

    @admin.display(description=_("revision"))
    def revision_then(self, row: DeletedConfiguration) -> str:
        """That was live."""
        return f"r{row.state['revision']}"

    @admin.display(description=_("revisions"))
    def revisions_then(self, row: DeletedConfiguration) -> SafeString:
        """Those that come back with it."""
        context = {"revisions": row.revisions, "present": row.state["revision"]}
        return SafeString(render_to_string("admin/configurations/deletedconfiguration/revisions.html", context))

    @admin.display(description=_("files"))
    def files_then(self, row: DeletedConfiguration) -> SafeString:
        """That were live, without their secrets."""
        files = files_shown(row.present_files).items()
        return SafeString(render_to_string("admin/configurations/configuration/files.html", {"files": files}))

    # --- Rights --------------------------------------------------------------------------------------------------------

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Of whoever sees configurations."""
        return bool(request.user.has_perm("configurations.view_configuration"))

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Deleting a configuration makes them."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """They are what they were."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Of whoever deletes configurations."""
        return bool(request.user.has_perm("configurations.delete_configuration"))

    def _may_restore(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("configurations.add_configuration"))

    # --- Pages ---------------------------------------------------------------------------------------------------------

    def get_urls(self) -> list[Any]:
        """With restoring."""
        restore = path(
            "<int:pk>/restore/", self.admin_site.admin_view(self.restore), name="deleted_configuration_restore"
        )
        return [restore, *super().get_urls()]

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """With the button that restores it, for those who may."""
        context = {"may_restore": self._may_restore(request), **(extra_context or {})}
        return super().changeform_view(request, object_id, form_url, context)

    def restore(self, request: HttpRequest, pk: int) -> HttpResponse:
        """GET asks for the name, POST restores."""
        if not (self.has_view_permission(request) and self._may_restore(request)):
            raise PermissionDenied
        row = self.get_object(request, str(min(pk, 2**63 - 1)))
        form = RestoreForm(request.POST if request.method == "POST" else None, initial={"name": row.name})
        if form.is_valid():
            made = self._restored(request, row, form)
            if made is not None:
                said = _("%(name)s is restored, and disabled: no agent gets it until it is enabled.") % {"name": made}
                self.message_user(request, said, messages.SUCCESS)
                return redirect(reverse("admin:configurations_configuration_change", args=[made.pk]))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Restore %(name)s?") % {"name": row},
            "row": row,
            "form": form,
            "taken": Configuration.objects.filter(name=row.name).exists(),
        }
        return TemplateResponse(request, "admin/configurations/deletedconfiguration/restore.html", context)

    def _restored(self, request: HttpRequest, row: DeletedConfiguration, form: RestoreForm) -> Configuration | None:
        by, name = cast("User", request.user), form.cleaned_data["name"]
        try:
            return restore_configuration(row.pk, by=by, at=clock.now(), name=name)
        except DeletedGone as error:
            raise Missing(in_readers_language(error)) from error
        except InvalidConfiguration as error:
            for texts in error.errors.values():
                form.add_error("name", [in_readers_language(text) for text in texts])
            return None

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """What is kept alone."""
        return [str(row) for row in objs], {}, set(), []

    def delete_model(self, request: HttpRequest, obj: DeletedConfiguration) -> None:
        """Through the service, which audits it."""
        delete_for_good(obj.pk, by=cast("User", request.user))

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        """The audit trail has it."""
