"""The page of a person's own preferences."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import translation
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from accounts.preferences import preferences_of, save_preferences, time_zones


class PreferencesForm(forms.Form):
    """All of them; an empty choice leaves it to browser and server."""

    language = forms.ChoiceField(label=_("Language"), required=False)
    time_zone = forms.ChoiceField(
        label=_("Time zone"),
        required=False,
        help_text=_("In which times of day are shown. Hover over “3 hours ago” for the exact time."),
    )
    density = forms.ChoiceField(label=_("Density"), choices=User.Density.choices, widget=forms.RadioSelect)
    start_page = forms.ChoiceField(
        label=_("Start page"), choices=User.StartPage.choices, help_text=_("Where signing in leads.")
    )
    shortcuts = forms.BooleanField(
        label=_("Keyboard shortcuts"), required=False, help_text=_("Single keys that lead somewhere; ? lists them.")
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        languages = [
            ("", _("As the browser asks")),
            *((code, translation.get_language_info(code)["name_local"]) for code, _name in settings.LANGUAGES),
        ]
        zones = [
            ("", _("The server’s (%(name)s)") % {"name": settings.TIME_ZONE}),
            *((name, name) for name in time_zones()),
        ]
        cast("forms.ChoiceField", self.fields["language"]).choices = languages
        cast("forms.ChoiceField", self.fields["time_zone"]).choices = zones


def preferences_page(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """GET shows them, POST keeps them."""
    person = cast("User", request.user)
    form = PreferencesForm(request.POST or None, initial=preferences_of(person))
    if request.method == "POST" and form.is_valid():
        save_preferences(person, form.cleaned_data)
        if person.language:
            translation.activate(person.language)
        messages.success(request, _("Your preferences are saved."))
        return redirect("admin:preferences")
    return TemplateResponse(request, "admin/preferences.html", {**context, "form": form})
