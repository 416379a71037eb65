"""What is kept of configurations that were deleted, so that they can be restored."""

from __future__ import annotations

from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class DeletedConfigurationQuerySet(models.QuerySet["DeletedConfiguration"]):
    """The vocabulary of reading deleted configurations."""

    def visible_to(self, user: Any) -> Self:
        """What ``user`` may see: whoever sees configurations sees deleted ones."""
        return self if user.has_perm("configurations.view_configuration") else self.none()

    def listed(self) -> Self:
        """As lists show them: without texts."""
        return self.defer("files")


class DeletedConfiguration(models.Model):
    """A configuration as it was when it was deleted, with its newest revisions.

    ``state`` holds its columns, and as ``revision`` the number of the present one. ``revisions``, newest first, hold
    targeting, author, note and the hash of their files, which stand once under it in ``files``, in the form of `Revision.files`.
    """

    name = models.CharField(_("name"), max_length=100, db_index=True)
    state = models.JSONField()
    revisions = models.JSONField(default=list)
    files = models.JSONField(default=dict)
    deleted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+", verbose_name=_("deleted by")
    )
    deleted_by_name = models.CharField(_("deleted by"), max_length=150)
    deleted_at = models.DateTimeField(_("deleted at"), db_default=Now(), db_index=True)

    objects = DeletedConfigurationQuerySet.as_manager()

    class Meta:
        verbose_name = _("deleted configuration")
        verbose_name_plural = _("deleted configurations")
        ordering = ["-deleted_at", "-id"]
        # Rights are those on configurations.
        default_permissions = ()

    def __str__(self) -> str:
        return self.name

    @property
    def display_name(self) -> str:
        """What people called it."""
        return str(self.state.get("display_name", ""))

    @property
    def present(self) -> dict[str, Any]:
        """The revision that was the present one; empty when there was none."""
        return next((dict(entry) for entry in self.revisions if entry["number"] == self.state["revision"]), {})

    @property
    def present_files(self) -> dict[str, Any]:
        """Its files, true texts."""
        return dict(self.files.get(self.present.get("hash", ""), {}))
