"""Forms about people: adding one, editing one, and passwords. What nobody may give is refused where it is typed."""

from __future__ import annotations

from typing import Any, ClassVar, cast

from django import forms
from django.contrib import messages
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.admin.forms import AdminPasswordChangeForm as OwnPasswordForm
from django.contrib.auth.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from django.contrib.auth.models import Group, Permission
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from accounts import people, sign_in
from accounts.guessing import SignInPaused
from accounts.models import User
from accounts.rights import BeyondOwnRights, Rights, must_cover, rights_in, rights_of
from accounts.rights_fields import RightsField, RolesField
from accounts.services import ADMINISTRATOR, OPERATOR, VIEWER
from foundation.clock import clock
from foundation.languages import in_readers_language

_ROLE_WORDS = {
    VIEWER: gettext_lazy("viewer: sees the fleet"),
    OPERATOR: gettext_lazy("operator: changes the fleet"),
}


class SignInForm(AdminAuthenticationForm):
    """``paused`` is set when the password was not looked at."""

    paused: SignInPaused | None = None

    def clean(self) -> dict[str, Any]:
        """Raises ValidationError also for a pause."""
        try:
            return super().clean()
        except SignInPaused as pause:
            self.paused = pause
            raise forms.ValidationError(pause_words(pause.seconds), code="paused") from pause


def pause_words(seconds: int) -> str:
    """What a person is told who typed too many wrong passwords."""
    return ngettext(
        "Too many wrong passwords: try again in %(count)d second. Nobody else has to wait.",
        "Too many wrong passwords: try again in %(count)d seconds. Nobody else has to wait.",
        seconds,
    ) % {"count": seconds}


class EndTokens(forms.Form):
    """The choice that a change of a password comes with."""

    end_tokens = forms.BooleanField(
        label=gettext_lazy("Revoke all API tokens too"),
        required=False,
        help_text=gettext_lazy(
            "Other sessions end in any case. API tokens do not depend on the password and go on unless they are revoked."
        ),
    )


class ChangeOwnPassword(OwnPasswordForm, EndTokens):
    """The present password is asked for, and guessing it meets the same pauses as signing in."""

    paused: SignInPaused | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.request = kwargs.pop("request")
        super().__init__(*args, **kwargs)

    def clean_old_password(self) -> str:
        """Raises ValidationError when it is wrong, or was not looked at."""
        old = str(self.cleaned_data["old_password"])
        try:
            right = sign_in.password_is_right(self.user, old, self.request)
        except SignInPaused as pause:
            self.paused = pause
            raise forms.ValidationError(pause_words(pause.seconds), code="paused") from pause
        if not right:
            raise forms.ValidationError(self.error_messages["password_incorrect"], code="password_incorrect")
        return old


class SetPassword(AdminPasswordChangeForm, EndTokens):  # type: ignore[type-arg]
    """Of somebody else."""

    field_order = ("usable_password", "password1", "password2", "end_tokens")

    def __init__(self, *args: Any, request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.request = request
        self.fields["usable_password"].help_text = _("Without a password nobody signs in under this name.")

    def save(self, commit: bool = True) -> User:
        """With what follows from it, and a word on the tokens."""
        person = cast("User", super().save(commit))
        note_password(self.request, person, end_tokens=self.cleaned_data["end_tokens"])
        return person


def note_password(request: HttpRequest, person: User, *, end_tokens: bool) -> None:
    """Audit the new password of ``person``, end their tokens if so wished, and tell what became of them."""
    by = cast("User", request.user)
    revoked = people.password_changed(person, by=by, at=clock.now(), end_tokens=end_tokens)
    if end_tokens:
        messages.info(request, _("API tokens revoked: %(count)d.") % {"count": revoked})
    else:
        messages.info(request, _("API tokens go on as they were."))


class AddPerson(UserCreationForm):  # type: ignore[type-arg]
    """Name, password and role; whoever is added here signs in to the portal."""

    actor: ClassVar[User]

    role = forms.ChoiceField(
        label=gettext_lazy("Role"), required=False, help_text=gettext_lazy("Roles are groups; more can be given later.")
    )

    class Meta(UserCreationForm.Meta):
        model = User
        fields = ("username", "first_name", "last_name", "email")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = [role.name for role in people.roles_to_give(self.actor)]
        choices: list[tuple[str, Any]] = [(name, _ROLE_WORDS.get(name, name)) for name in names]
        if self.actor.is_superuser:
            choices.append((ADMINISTRATOR, gettext_lazy("administrator: may do everything")))
        choices.append(("", gettext_lazy("none: signs in and sees nothing yet")))
        field = cast("forms.ChoiceField", self.fields["role"])
        field.choices = choices
        field.initial = choices[0][0] if VIEWER not in names else VIEWER
        field.widget.choices = field.choices

    def save(self, commit: bool = True) -> User:
        """As staff, which is what lets people in."""
        self.instance.is_staff = True
        return cast("User", super().save(commit))


class EditPerson(UserChangeForm):  # type: ignore[type-arg]
    """All about one person; the editor gives nothing that he has not himself."""

    actor: ClassVar[User]

    groups = RolesField(
        label=gettext_lazy("Roles"), help_text=gettext_lazy("Who has several may what any of them gives.")
    )
    user_permissions = RightsField(
        label=gettext_lazy("Rights"), help_text=gettext_lazy("Of this person alone, beside those of the roles.")
    )

    class Meta:
        model = User
        fields = "__all__"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if field := self.fields.get("user_permissions"):
            cast("RightsField", field).show_what_people_see()

    def clean_user_permissions(self) -> Any:
        """With those that are not shown."""
        field = cast("RightsField", self.fields["user_permissions"])
        return field.with_those_not_shown(self.cleaned_data["user_permissions"], self.instance.user_permissions.all())

    def clean(self) -> dict[str, Any]:
        """Each field that gives too much has the error. `accounts.people.editing_person` checks once more."""
        values = super().clean() or self.cleaned_data
        own = rights_of(self.actor)
        self._refuse("is_superuser", own, Rights(everything=bool(values.get("is_superuser"))))
        if values.get("groups") is not None:
            self._refuse("groups", own, rights_in(Permission.objects.filter(group__in=values["groups"])))
        if values.get("user_permissions") is not None:
            self._refuse("user_permissions", own, rights_in(values["user_permissions"]))
        return values

    def _refuse(self, field: str, own: Rights, given: Rights) -> None:
        try:
            must_cover(own, given)
        except BeyondOwnRights as error:
            if field in self.fields:
                self.add_error(field, in_readers_language(error))


class EditRole(forms.ModelForm[Group]):
    """A role gives no more than the editor has."""

    actor: ClassVar[User]

    permissions = RightsField(label=gettext_lazy("Rights"))

    class Meta:
        model = Group
        fields = ("name", "permissions")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if field := self.fields.get("permissions"):
            cast("RightsField", field).show_what_people_see()

    def clean_permissions(self) -> Any:
        """With those that are not shown. Raises ValidationError with what is too much."""
        present = self.instance.permissions.all() if self.instance.pk else Permission.objects.none()
        field = cast("RightsField", self.fields["permissions"])
        chosen = field.with_those_not_shown(self.cleaned_data["permissions"], present)
        try:
            must_cover(rights_of(self.actor), rights_in(chosen))
        except BeyondOwnRights as error:
            raise forms.ValidationError(in_readers_language(error)) from error
        return chosen

    def clean_name(self) -> str:
        """Administrators are no group."""
        name = str(self.cleaned_data["name"])
        if name == ADMINISTRATOR:
            raise forms.ValidationError(_("That is what people are who may do everything; take another name."))
        return name
