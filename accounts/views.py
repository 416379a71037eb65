"""Signing in and out of the portal, and changing one's own password: Django's views, audited, and slowed for who guesses.

`opamp_platform.portal` puts them at the admin's URLs.
"""

from __future__ import annotations

from typing import Any, cast

from django.contrib.auth.views import LoginView, LogoutView, PasswordChangeView
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from accounts import reauthentication, sign_in
from accounts.forms import ChangeOwnPassword, SignInForm, note_password
from accounts.guessing import SignInPaused
from accounts.models import User
from accounts.preferences import START_PAGES


class SignIn(LoginView):
    """Name and password."""

    authentication_form = SignInForm
    template_name = "admin/login.html"

    def get_success_url(self) -> str:
        """Where the person was going; without that to their start page."""
        going, index = super().get_success_url(), reverse("admin:index")
        person = self.request.user
        return reverse(START_PAGES[person.start_page]) if going == index and isinstance(person, User) else going

    def form_valid(self, form: Any) -> HttpResponse:
        """In; the password counts as typed just now."""
        response = super().form_valid(form)
        reauthentication.note_confirmed(self.request)
        sign_in.record_sign_in(self.request, cast("User", self.request.user))
        return response

    def form_invalid(self, form: Any) -> HttpResponse:
        """429 while it is too early to try again."""
        return _with_pause(super().form_invalid(form), form.paused)


class SignOut(LogoutView):
    """Out."""

    template_name = "registration/logged_out.html"

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Noted while it is known who goes."""
        if isinstance(request.user, User):
            sign_in.record_sign_out(request, request.user)
        return super().post(request, *args, **kwargs)


class ChangePassword(PasswordChangeView):
    """One's own."""

    form_class = ChangeOwnPassword

    def get_form_kwargs(self) -> dict[str, Any]:
        """The form asks for the present password."""
        return {**super().get_form_kwargs(), "request": self.request}

    def form_valid(self, form: Any) -> HttpResponse:
        """Saved; said is what became of the tokens."""
        response = super().form_valid(form)
        note_password(self.request, cast("User", form.user), end_tokens=form.cleaned_data["end_tokens"])
        reauthentication.note_confirmed(self.request)
        return response

    def form_invalid(self, form: Any) -> HttpResponse:
        """429 while it is too early to try again."""
        return _with_pause(super().form_invalid(form), form.paused)


def _with_pause(response: HttpResponse, pause: SignInPaused | None) -> HttpResponse:
    return response if pause is None else reauthentication.paused(response, pause)
