"""The password is asked once more before a page shows what a stolen session should not: secrets, above all.

A session in which it was typed a little while ago need not again. A view of a ModelAdmin
answers with `password_question` until it was; REST asks `may_show_secrets`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

from django import forms
from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from rest_framework.authentication import SessionAuthentication
from rest_framework.request import Request

from accounts import sign_in
from accounts.guessing import SignInPaused
from accounts.models import User
from foundation.clock import clock

CONFIRMED_FOR = timedelta(minutes=5)
_SESSION_KEY = "password_confirmed_at"
# What the question adds to the form that it carries along.
_PASSWORD, _ASKED_BY = "confirm_password", "confirm_asked_by"


class ConfirmPasswordForm(forms.Form):
    """The password of whoever is signed in."""

    confirm_password = forms.CharField(
        label=gettext_lazy("Your password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password", "autofocus": True}),
    )

    def __init__(self, request: HttpRequest, data: Any = None) -> None:
        self.request = request
        super().__init__(data)

    def clean_confirm_password(self) -> str:
        """Raises ValidationError for a wrong one; `SignInPaused` passes through."""
        password = str(self.cleaned_data[_PASSWORD])
        if not sign_in.password_is_right(cast("User", self.request.user), password, self.request):
            raise forms.ValidationError(_("That is not your password."))
        return password


def note_confirmed(request: HttpRequest) -> None:
    """The password was typed just now."""
    request.session[_SESSION_KEY] = clock.now().timestamp()


def confirmed_lately(request: HttpRequest) -> bool:
    """True when the password was typed in this session within `CONFIRMED_FOR`."""
    at = request.session.get(_SESSION_KEY)
    return isinstance(at, int | float) and 0 <= clock.now().timestamp() - at <= CONFIRMED_FOR.total_seconds()


def may_show_secrets(request: Request) -> None:
    """For REST: a token was made to be used unattended; of a session the password is asked. Raises PermissionDenied."""
    by_session = isinstance(request.successful_authenticator, SessionAuthentication)
    if by_session and not confirmed_lately(request._request):  # noqa: SLF001  DRF has no other way to its session
        raise PermissionDenied(
            _(
                "Signed in by a session, you are asked for your password first: show the secrets on a page of the portal."
            )
        )


def password_question(admin: ModelAdmin[Any], request: HttpRequest, *, back: str) -> HttpResponse | None:
    """What a view answers instead of going on; ``None`` once the password was typed. Rights are checked before.

    What was posted to the view is carried along. ``back`` is where whoever would rather not goes.
    """
    if confirmed_lately(request):
        return None
    answered = _PASSWORD in request.POST
    form = ConfirmPasswordForm(request, request.POST if answered else None)
    try:
        right = answered and form.is_valid()
    except SignInPaused as pause:
        return paused(_question(admin, request, ConfirmPasswordForm(request), back), pause)
    if not right:
        return _question(admin, request, form, back)
    note_confirmed(request)
    return HttpResponseRedirect(request.get_full_path()) if request.POST.get(_ASKED_BY) == "GET" else None


def paused(response: HttpResponse, pause: SignInPaused) -> HttpResponse:
    """``response`` as 429 that says when to come back; a page shows it by ``paused_seconds``."""
    response.status_code = 429
    response.headers["Retry-After"] = str(pause.seconds)
    if isinstance(response, TemplateResponse):
        response.context_data = {**(response.context_data or {}), "paused_seconds": pause.seconds}
    return response


def _question(admin: ModelAdmin[Any], request: HttpRequest, form: ConfirmPasswordForm, back: str) -> TemplateResponse:
    asked_by = request.POST.get(_ASKED_BY) or ("POST" if request.method == "POST" else "GET")
    own = {_PASSWORD, _ASKED_BY, "csrfmiddlewaretoken"}
    context = {
        **admin.admin_site.each_context(request),
        "opts": admin.opts,
        "title": _("Your password, please"),
        "subtitle": None,
        "form": form,
        "minutes": int(CONFIRMED_FOR.total_seconds()) // 60,
        "asked_by": asked_by,
        "carried": [(name, value) for name, values in request.POST.lists() if name not in own for value in values],
        "back": back,
    }
    response = TemplateResponse(request, "admin/confirm_password.html", context)
    response.headers["Cache-Control"] = "no-store"
    return response
