"""The configuration form: what a person wrote, as a draft. The service that publishes judges it; every door says the same."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import yaml
from django import forms
from django.http import QueryDict
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.languages import in_readers_language
from accounts.models import User
from accounts.sentence import Sentence
from agents.admin import confirming
from agents.nesting import MAX_DEPTH, NestedTooDeep, check_json, check_yaml
from agents.selectors import InvalidSelector, Selector, parse_selector
from agents.shown import text_shown
from configurations.models import Configuration
from configurations.previewing import Preview, preview
from configurations.remote_config import ConfigFile, RemoteConfig
from configurations.services.drafts import Draft, InvalidConfiguration, draft_of

_MAX_SELECTOR = 65_536
EDIT, PUBLISH = "edit", "publish"


class SelectorField(forms.CharField):
    """A selector as JSON or YAML text; in YAML every value is text, so that 0.100 stays what was written."""

    widget = forms.Textarea(attrs={"class": "labels", "rows": 4, "spellcheck": "false"})

    def prepare_value(self, value: Any) -> Any:
        """Stored selectors as readable JSON; typed text as typed."""
        return value if isinstance(value, str) else json.dumps(value or {}, indent=2, ensure_ascii=False)

    def to_python(self, value: Any) -> Any:
        """Decoded, not yet judged."""
        text = str(value or "").strip()
        try:
            return read_selector(text) if text else {}
        except InvalidSelector as error:
            raise forms.ValidationError([in_readers_language(problem) for problem in error.problems]) from error


def read_selector(text: str) -> Any:
    """Decoded JSON or YAML. Raises `InvalidSelector` with the line."""
    if len(text) > _MAX_SELECTOR:
        raise InvalidSelector([("", Sentence("The selector is too long."))])
    try:
        check_json(text)
        return json.loads(text)
    except NestedTooDeep as error:
        raise InvalidSelector([("", _too_deep(error))]) from None
    except ValueError:
        pass
    try:
        check_yaml(text)
        # Of the base loader every scalar is text, and nothing is constructed.
        return yaml.load(text, yaml.CBaseLoader)  # noqa: S506
    except NestedTooDeep as error:
        raise InvalidSelector([("", _too_deep(error))]) from None
    except yaml.MarkedYAMLError as error:
        # libyaml gives the end of the text a line of its own.
        line = min(error.problem_mark.line, text.count("\n")) + 1 if error.problem_mark else 1
        raise InvalidSelector([("", Sentence("Neither JSON nor YAML: look at line {line}.", line=line))]) from error
    except (yaml.YAMLError, ValueError) as error:
        raise InvalidSelector([("", Sentence("Neither JSON nor YAML."))]) from error


def _too_deep(error: NestedTooDeep) -> Sentence:
    return Sentence("The selector nests deeper than {most} levels in line {line}.", most=MAX_DEPTH, line=error.line + 1)


def selector_rows(selector: Selector) -> list[dict[str, Any]]:
    """The clauses for the row editor."""
    return [
        {"key": item.key, "operator": item.operator.value, "values": list(item.values)}
        for item in selector.requirements
    ]


def drafted(values: Mapping[str, Any], base: Draft) -> Draft:
    """``values`` of the form over the present state; files that the form does not show stay."""
    files = dict(base.files)
    key = values.get("config_key") or ""
    if base.config_key != key:
        files.pop(base.config_key, None)
    text = (values.get("raw_config") or "").replace("\r\n", "\n")
    former = base.files.get(base.config_key)
    files[key] = ConfigFile(
        text.encode(errors="surrogatepass"), values.get("content_type") or "text/yaml", former.role if former else ""
    )
    return dataclasses.replace(
        base,
        display_name=values.get("display_name") or "",
        description=values.get("description") or "",
        priority=values.get("priority") or 0,
        enabled=bool(values.get("enabled")),
        selector=values.get("selector") or {},
        match_all=bool(values.get("match_all")),
        content_type=values.get("content_type") or "text/yaml",
        config_key=key,
        files=files,
    )


def new_files(draft: Draft, current_hash: str) -> bool:
    """Whether agents that run the configuration already would be offered something else."""
    return RemoteConfig(dict(draft.files)).config_hash().hex() != current_hash


class ConfigurationForm(forms.ModelForm[Configuration]):
    """The draft, in three stages: sent first it only asks for confirmation, ``edit`` comes back from there, ``publish`` saves.

    After validation ``found`` is what publishing would do, ``changing`` the number of agents for whom something changes.
    """

    selector = SelectorField(
        label=_("Selector"),
        required=False,
        help_text=_("JSON or YAML: a map of labels, or matchLabels and matchExpressions as in Kubernetes."),
    )
    raw_config = forms.CharField(
        label=_("Text"),
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"class": "code", "spellcheck": "false", "rows": 24, "wrap": "off"}),
    )
    note = forms.CharField(
        label=_("Note for the revision"),
        required=False,
        max_length=500,
        widget=forms.TextInput(attrs={"class": "vTextField"}),
    )
    expected_revision = forms.IntegerField(required=False, widget=forms.HiddenInput)
    # Who fills it in; each request has a class of its own.
    editor: User | None = None

    class Meta:
        model = Configuration
        fields = [
            "name", "display_name", "description", "priority", "enabled", "selector", "match_all", "content_type", "config_key",
        ]  # fmt: skip
        widgets = {
            "description": forms.Textarea(attrs={"rows": 2, "class": "vLargeTextField"}),
            "content_type": forms.TextInput(attrs={"class": "vTextField", "list": "content-types"}),
        }
        help_texts = {
            "content_type": _("text/yaml, application/json, or another media type."),
            "config_key": _("The name of this file within the configuration; agents need it rarely."),
            "enabled": _("A disabled configuration keeps its revisions and matches no agent."),
            "match_all": _("Only without a selector."),
        }

    def __init__(self, data: QueryDict | None = None, *args: Any, **kwargs: Any) -> None:
        if data is not None and data.get("rebase"):
            # The person has seen the newer revision and publishes over it.
            data = data.copy()
            data["expected_revision"] = data.get("rebase", "")
        super().__init__(data, *args, **kwargs)
        self.stage = "" if data is None else data.get("stage", "")
        self.present = self.instance.current if self.instance.pk else None
        if self.present is not None and "raw_config" in self.fields:
            key = self.instance.config_key
            self.fields["raw_config"].initial = text_shown(self.present.files.get(key, {}).get("body", ""))
            self.fields["expected_revision"].initial = self.present.number
        self.found: Preview | None = None
        self.changing = 0
        self.files_differ = False
        self.stale: int | None = None
        self.refusal: str | None = None

    def is_valid(self) -> bool:
        """Only a confirmed form is saved; a complete one that is not gets its confirmation page."""
        if not super().is_valid() or self.stage != PUBLISH:
            return False
        posted = self.data if isinstance(self.data, QueryDict) else QueryDict()
        self.refusal = confirming.problem_of(posted, self.changing)
        return self.refusal is None

    def draft(self) -> Draft:
        """What the form says, over the present state, with its hidden values. Raises `InvalidConfiguration`."""
        row = Configuration.objects.get(pk=self.instance.pk) if self.instance.pk else None
        base = draft_of(row).edited_by(self.editor) if row else Draft()
        return drafted(self.cleaned_data, base).restored()

    def clean(self) -> dict[str, Any]:
        """Have the service judge the draft; its messages go to their fields."""
        values = super().clean() or self.cleaned_data
        if self.errors:
            return values
        name = self.instance.name if self.instance.pk else None
        try:
            draft = self.draft()
            self.found = preview(draft, name=name)
        except InvalidConfiguration as error:
            for field, texts in error.errors.items():
                said = [in_readers_language(text) for text in texts]
                if field in self.fields:
                    self.add_error(field, said)
                else:
                    self.add_error(None, [f"{field}: {text}" for text in said])
            return values
        current = Configuration.objects.select_related("current").get(pk=self.instance.pk).current if name else None
        self.files_differ = current is None or new_files(draft, current.hash)
        self.changing = self.found.changing(new_files=self.files_differ)
        expected = values.get("expected_revision")
        if current is not None and expected is not None and expected != current.number:
            self.stale = current.number
            self.add_error(
                None,
                gettext(
                    "While you edited revision %(expected)d, %(author)s published revision %(current)d. Nothing of yours "
                    "is lost and nothing is saved: compare below, then publish over it or take over what you need."
                )
                % {"expected": expected, "current": current.number, "author": current.author_name},
            )
        return values


def selector_of(text: str, *, match_all: bool) -> Selector:
    """The selector that was typed. Raises `InvalidSelector`."""
    return parse_selector(read_selector(text.strip()) if text.strip() else {}, match_all=match_all)


def whole_number(text: str) -> int:
    """The number, 0 for what is none; bounded, so that no database refuses it."""
    try:
        return max(min(int(text), 2**31 - 1), -(2**31))
    except ValueError:
        return 0
