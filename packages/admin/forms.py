"""The forms of packages, versions and files. What is wrong is said by the services, at its field."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.conf import settings
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from foundation.clock import clock
from foundation.errors import DomainError
from foundation.languages import in_readers_language
from packages.errors import InvalidPackage
from packages.models import Package
from packages.services import package_edits
from rollouts.admin.descriptions import policy_words
from rollouts.admin.forms import AS_SET, AT_ONCE, STAGED, ReleaseForm
from rollouts.admin.released_pages import TargetedForm
from rollouts.policies import Policy, parse_policy


def tell(form: forms.BaseForm, error: DomainError) -> None:
    """Put what a service said to its fields, or above the form."""
    if not isinstance(error, InvalidPackage):
        form.add_error(None, in_readers_language(error))
        return
    for name, texts in error.errors.items():
        form.add_error(name if name in form.fields else None, [in_readers_language(text) for text in texts])


def stored_policy(policy: Policy | None) -> Any:
    """As a package keeps it."""
    return AT_ONCE if policy is None else policy.as_json()


class PolicyForm(ReleaseForm):
    """How the versions of ``package`` go out when nobody says otherwise; ``stored`` is what the package keeps."""

    edition = forms.IntegerField(required=False, widget=forms.HiddenInput)

    def __init__(self, data: Any, package: Package) -> None:
        site, own = parse_policy(settings.ROLLOUT_POLICY), package.rollout_policy
        present = site if own is None else parse_policy(own)
        super().__init__(data, default=present, may_remember=False)
        del self.fields["replace"]
        self.default, self.policy = site, present
        how = self.fields["how"]
        assert isinstance(how, forms.ChoiceField)  # noqa: S101  as declared
        how.choices = [
            (AS_SET, _("As for everything: %(how)s") % {"how": policy_words(site)}),
            (AT_ONCE, _("At once")),
            (STAGED, _("In stages")),
        ]
        self.initial["how"] = AS_SET if own is None else AT_ONCE if present is None else STAGED
        self.initial["edition"] = package.edition

    @property
    def stored(self) -> Any:
        """Of a valid form."""
        how = self.cleaned_data["how"] or AS_SET
        return None if how == AS_SET else stored_policy(self.policy)


class PackageForm(TargetedForm):
    """What it is called and who should have it."""

    actor: ClassVar[User | None] = None

    class Meta:
        model = Package
        fields = ["name", "kind", "selector", "match_all", "priority", "enabled", "notes"]
        widgets = {"notes": forms.Textarea(attrs={"rows": 2, "class": "vLargeTextField"})}
        help_texts = {"match_all": _("Only without a selector.")}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial["based_on"] = self.instance.edition
            for name in ("name", "kind"):
                if name in self.fields:
                    self.fields[name].disabled = True

    def clean(self) -> dict[str, Any]:
        """Have the service save it: what it refuses is said here."""
        values = super().clean() or self.cleaned_data
        if self.errors:
            return values
        wanted = {name: values[name] for name in package_edits.FIELDS if name in values}
        try:
            if self.instance.pk:
                saved = package_edits.update_package(
                    self.instance.pk, wanted, by=self.actor, at=clock.now(), editions=self.editions()
                )
            else:
                saved = package_edits.create_package(wanted, by=self.actor, at=clock.now())
        except DomainError as error:
            tell(self, error)
        else:
            self.saved = saved
        return values


class VersionForm(forms.Form):
    """A new version."""

    version = forms.CharField(label=_("Version"), max_length=100, help_text=_("As the agent will report it: 1.2.3."))
    note = forms.CharField(label=_("Note"), max_length=500, required=False)


class UploadedFileForm(forms.Form):
    """A file to upload, or where somebody else keeps it."""

    file = forms.FileField(label=_("File"), required=False, allow_empty_file=True)
    url = forms.CharField(
        label=_("or its https address"),
        max_length=2_000,
        required=False,
        help_text=_("Then agents fetch it there, and its SHA-256 is needed."),
    )
    os_type = forms.CharField(
        label=_("Operating system"), max_length=40, required=False, help_text=_("As in the label os.type; empty: any.")
    )
    architecture = forms.CharField(
        label=_("Architecture"), max_length=40, required=False, help_text=_("As in the label host.arch; empty: any.")
    )
    sha256 = forms.CharField(label="SHA-256", max_length=64, required=False)
    signature = forms.CharField(
        label=_("Signature"),
        max_length=200,
        required=False,
        help_text=_("Ed25519, of the SHA-256 of the file (32 bytes), in base64."),
    )
