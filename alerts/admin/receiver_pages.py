"""Receivers in the admin: the list, choosing a kind, the form, the test button."""

from __future__ import annotations

from typing import Any, ClassVar, cast

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from accounts.base_admin import PortalAdmin
from accounts.models import User
from alerts.admin.shared import severity_pill, show_refusal
from alerts.models import Receiver
from alerts.services import receiver_edits
from foundation.clock import clock
from foundation.errors import DomainError
from foundation.languages import in_readers_language

_ABOUT = {
    Receiver.Kind.WEBHOOK: _("JSON to an address of yours, with a signature."),
    Receiver.Kind.EMAIL: _("To some people, by the mail server of the portal (EMAIL_URL)."),
    Receiver.Kind.SLACK: _("Slack, Mattermost, Rocket.Chat and others that take incoming webhooks."),
    Receiver.Kind.ALERTMANAGER: _("Prometheus Alertmanager, which routes, groups and silences by itself."),
}


class RecipientsField(forms.CharField):
    """E-mail addresses, one a line."""

    def prepare_value(self, value: Any) -> Any:
        """A stored list as text."""
        return "\n".join(value) if isinstance(value, list) else value

    def clean(self, value: Any) -> Any:
        """As a list."""
        return [part for part in super().clean(value).replace(",", "\n").split() if part]


class ReceiverForm(forms.ModelForm[Receiver]):
    """Who is told, and how."""

    actor: ClassVar[User | None] = None
    kind: ClassVar[str] = ""

    language = forms.ChoiceField(label=_("Language"), choices=settings.LANGUAGES)
    recipients = RecipientsField(
        label=_("Recipients"),
        max_length=20_000,
        widget=forms.Textarea(attrs={"rows": 4, "class": "vLargeTextField"}),
        help_text=_("E-mail addresses, one a line."),
    )
    address = forms.CharField(
        label=_("Address"),
        required=False,
        max_length=2_000,
        widget=forms.TextInput(attrs={"class": "vTextField", "autocomplete": "off", "spellcheck": "false"}),
        help_text=_("https://…; kept encrypted and never shown again."),
    )
    secret = forms.CharField(
        label=_("Secret"),
        required=False,
        max_length=500,
        widget=forms.PasswordInput(attrs={"class": "vTextField", "autocomplete": "new-password"}),
        help_text=_("Kept encrypted and never shown again."),
    )
    no_secret = forms.BooleanField(label=_("Remove the secret"), required=False)
    based_on = forms.IntegerField(required=False, widget=forms.HiddenInput)

    class Meta:
        model = Receiver
        fields = ["name", "enabled", "is_default", "least_severity", "language", "recipients"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial["based_on"] = self.instance.edition
            shown = self.instance.address_shown
            if "address" in self.fields and shown:
                self.fields["address"].help_text = _("Left empty it stays: %(address)s") % {"address": shown}
            if "secret" in self.fields and self.instance.encrypted_secret:
                self.fields["secret"].help_text = _("There is one. Left empty it stays, unless the address is another.")

    def clean(self) -> dict[str, Any]:
        """Have the service save it: what it refuses is said here."""
        values = super().clean() or self.cleaned_data
        if self.errors:
            return values
        wanted = {name: values[name] for name in receiver_edits.FIELDS if name in values}
        wanted |= {"kind": self.kind, "address": values.get("address", "")}
        if values.get("secret") or values.get("no_secret"):
            wanted["secret"] = values.get("secret", "")
        edition = values.get("based_on")
        try:
            if self.instance.pk:
                editions = None if edition is None else {edition}
                self.saved = receiver_edits.update_receiver(
                    self.instance.pk, wanted, by=self.actor, at=clock.now(), editions=editions
                )
            else:
                self.saved = receiver_edits.create_receiver(wanted, by=self.actor, at=clock.now())
        except DomainError as error:
            show_refusal(self, error)
        return values

    def _post_clean(self) -> None:
        """The service has judged the row; Django would judge it once more, with other words."""


@admin.register(Receiver)
class ReceiverAdmin(PortalAdmin):
    """Who is told."""

    form = ReceiverForm
    actions = None
    change_form_template = "admin/alerts/receiver/change_form.html"
    list_display = ["name", "kind", "address_shown", "enabled", "is_default", "from_severity"]
    list_filter = ["kind", "enabled"]
    search_fields = ["name"]
    list_per_page = 100

    @admin.display(description=_("from severity"), ordering="least_severity")
    def from_severity(self, row: Receiver) -> SafeString:
        """Text and sign."""
        return severity_pill(row.least_severity)

    def get_urls(self) -> list[Any]:
        """Choosing a kind, and trying."""
        wrapped = self.admin_site.admin_view
        return [
            path("add/<slug:kind>/", wrapped(self.add_of_kind), name="receiver_add"),
            path("<int:pk>/test/", wrapped(require_POST(self.try_it)), name="receiver_test"),
            *super().get_urls(),
        ]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The kinds to choose from."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("How should it be told?"),
            "choices": [
                (reverse("admin:receiver_add", args=[kind.value]), kind.label, _ABOUT[kind]) for kind in Receiver.Kind
            ],
        }
        return TemplateResponse(request, "admin/alerts/choose.html", context)

    def add_of_kind(self, request: HttpRequest, kind: str) -> HttpResponse:
        """The form of a new receiver of this kind."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        if kind not in Receiver.Kind.values:
            raise Http404
        request.receiver_kind = kind  # type: ignore[attr-defined]  # what Django's own views pass on is the request
        return super().changeform_view(request, None, "", {"show_save_and_add_another": False})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """With the test button for who may change it."""
        context = {"show_save_and_add_another": False, "may_test": self.has_change_permission(request)}
        return super().change_view(request, object_id, form_url, {**context, **(extra_context or {})})

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """The form of the kind, which knows who fills it in."""
        kwargs["fields"] = ReceiverForm.Meta.fields if self._writes(request, obj) else []
        form = super().get_form(request, obj, change, **kwargs)
        kind = self._kind(request, obj)
        mail = kind == Receiver.Kind.EMAIL
        left_out = {"recipients"} if not mail else {"address", "secret", "no_secret"}
        if kind == Receiver.Kind.SLACK:
            left_out |= {"secret", "no_secret"}
        if obj is None or not obj.encrypted_secret:
            left_out.add("no_secret")
        without = dict.fromkeys(left_out)
        return type(form.__name__, (form,), {"actor": request.user, "kind": kind, **without})

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Those of the kind."""
        kind = self._kind(request, obj)
        common = ["name", "enabled", "is_default", "least_severity", "language"]
        if not self._writes(request, obj):
            return ["kind", *common, "address_shown"]
        own = {Receiver.Kind.EMAIL: ["recipients"], Receiver.Kind.SLACK: ["address"]}.get(
            Receiver.Kind(kind) if kind else Receiver.Kind.WEBHOOK, ["address", "secret"]
        )
        removal = ["no_secret"] if obj is not None and obj.encrypted_secret and "secret" in own else []
        return [*common, *own, *removal, *(["based_on"] if obj is not None else [])]

    def _kind(self, request: HttpRequest, obj: Any) -> str:
        return str(obj.kind) if obj is not None else getattr(request, "receiver_kind", "")

    def _writes(self, request: HttpRequest, obj: Any) -> bool:
        return self.has_change_permission(request, obj) if obj else self.has_add_permission(request)

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> Any:
        """It was saved while it was judged."""
        return form.saved

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """See `save_form`."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """See `save_form`."""

    def construct_change_message(self, request: HttpRequest, form: Any, formsets: Any, add: bool = False) -> Any:
        """The audit trail has it."""
        return []

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Its deliveries go with it."""
        _found, _counts, _needed, protected = super().get_deleted_objects(objs, request)
        return [str(obj) for obj in objs], {}, set(), protected

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Through the service."""
        receiver_edits.delete_receiver(obj, by=cast("User", request.user))

    def try_it(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Send a test notice, and say what came of it."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        row = self.get_object(request, str(pk))
        tried = receiver_edits.try_receiver(row, by=cast("User", request.user), at=clock.now())
        if tried.problem is None:
            messages.success(request, _("%(name)s took the test notice.") % {"name": row})
        else:
            said = in_readers_language(tried.problem)
            messages.error(
                request, _("%(name)s did not take the test notice: %(problem)s") % {"name": row, "problem": said}
            )
        return redirect(reverse("admin:alerts_receiver_change", args=[row.pk]))
