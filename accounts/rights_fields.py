"""Choosing roles and rights in a form: boxes, of which each says in the reader's language what it gives."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.db.models import Q, QuerySet
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

_ACTIONS = {
    "view": gettext_lazy("see"),
    "add": gettext_lazy("add"),
    "change": gettext_lazy("edit"),
    "delete": gettext_lazy("delete"),
}


class RightsField(forms.ModelMultipleChoiceField):  # type: ignore[type-arg]
    """Permissions, by what they are about."""

    def __init__(self, **options: Any) -> None:
        boxes = forms.CheckboxSelectMultiple(attrs={"class": "choices-of-rights"})
        super().__init__(Permission.objects.none(), required=False, widget=boxes, **options)

    def show_what_people_see(self) -> None:
        """Offer the rights to what has a page; the rest is for the server's own books."""
        shown = Q()
        for model in admin.site._registry:  # noqa: SLF001
            shown |= Q(content_type__app_label=model._meta.app_label, content_type__model=model._meta.model_name)
        rows = Permission.objects.filter(shown).select_related("content_type")
        self.queryset = rows.order_by("content_type__app_label", "content_type__model", "id")

    def with_those_not_shown(self, chosen: Iterable[Permission], present: QuerySet[Permission]) -> QuerySet[Permission]:
        """What was chosen, and of the ``present`` rights those that the form does not show: it does not change them."""
        others = present.exclude(pk__in=self.queryset.values("pk")) if self.queryset is not None else present
        return Permission.objects.filter(pk__in=[right.pk for right in (*chosen, *others)])

    def label_from_instance(self, obj: Any) -> str:
        """The model's name and what may be done; a right of the project's own as it names itself."""
        kind = obj.content_type
        action, _separator, model = obj.codename.partition("_")
        if action not in _ACTIONS or model != kind.model:
            return _(obj.name)
        try:
            name = apps.get_model(kind.app_label, kind.model)._meta.verbose_name_plural
        except LookupError:  # of an app that is not installed any more
            name = kind.model
        return _("%(things)s: %(action)s") % {"things": capfirst(str(name)), "action": _ACTIONS[action]}


class RolesField(forms.ModelMultipleChoiceField):  # type: ignore[type-arg]
    """Groups."""

    def __init__(self, **options: Any) -> None:
        boxes = forms.CheckboxSelectMultiple(attrs={"class": "choices"})
        super().__init__(Group.objects.order_by("name"), required=False, widget=boxes, **options)
