"""The files of a configuration with secrets in clear, for those with the right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from agents.admin import revealing
from configurations.models import Configuration


class RevealedFiles(admin.ModelAdmin[Configuration]):
    """The part of the configurations' admin that shows secrets of the present revision."""

    def reveal(self, request: HttpRequest, pk: int) -> HttpResponse:
        """All files on a page."""
        row = self._visible(request, pk)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("%(name)s with secrets") % {"name": row},
            "list": reverse("admin:configurations_configuration_changelist"),
            "back": reverse("admin:configurations_configuration_change", args=[pk]),
            "back_title": _("Files"),
            "download": reverse("admin:configuration_secrets_file", args=[pk]),
        }
        return revealing.secrets_page(self, request, row, _files(row), context, what=_what(row))

    def reveal_file(self, request: HttpRequest, pk: int) -> HttpResponse:
        """One file as a download."""
        row = self._visible(request, pk)
        key, back = request.POST.get("key", ""), reverse("admin:configurations_configuration_change", args=[pk])
        return revealing.secrets_file(self, request, row, _files(row), key, what=_what(row), back=back)

    def _visible(self, request: HttpRequest, pk: int) -> Configuration:
        row = get_object_or_404(Configuration.objects.select_related("current"), pk=pk)
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        return row


def _files(row: Configuration) -> Mapping[str, Any]:
    return row.current.files if row.current else {}


def _what(row: Configuration) -> str:
    return f"revision {row.current.number if row.current else 0}"
