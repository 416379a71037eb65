"""The files of a configuration as a person edits them: each with its key, type, role and text.

Only what is posted is changed: files that are not shown stay, a body that is no text stays, and so do the line breaks of a
text that nobody edited. Texts are shown without their secrets, and posted back with placeholders for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from agents.remote_config import ConfigFile
from agents.shown import text_shown
from configurations.checks import key_problem
from configurations.services.drafts import Draft
from configurations.services.file_edits import FileEdit, edit_files

COUNT = "file_count"
# The first file has the names that the API gives to the main one.
_FIRST = {
    "former": "main_file",
    "key": "config_key",
    "content_type": "content_type",
    "role": "role",
    "template": "template",
    "template_asked": "template_asked",
    "body": "raw_config",
    "removed": "main_removed",
}
# Of a new file that names none; the form says so.
_USUAL_TYPE = "text/yaml"
# A key that a file has now, as posted: the empty key is one too, and no mark means a new file.
_MARK = "="


class FileForm(forms.Form):
    """One file. ``opaque`` is the size of a body that is no text and is not shown; else ``None``."""

    former = forms.CharField(required=False, strip=False, widget=forms.HiddenInput)
    key = forms.CharField(
        label=_("Config key"),
        required=False,
        max_length=255,
        strip=False,
        help_text=_("The name of this file within the configuration; agents need it rarely."),
        widget=forms.TextInput(attrs={"class": "vTextField", "spellcheck": "false", "autocomplete": "off"}),
    )
    content_type = forms.CharField(
        label=_("Content type"),
        required=False,
        max_length=100,
        strip=False,
        help_text=_("text/yaml, application/json, or another media type."),
        widget=forms.TextInput(attrs={"class": "vTextField", "list": "content-types", "placeholder": _USUAL_TYPE}),
    )
    role = forms.CharField(
        label=_("Role"),
        required=False,
        max_length=255,
        strip=False,
        help_text=_("What the agent is to do with it; most know none."),
        widget=forms.TextInput(attrs={"class": "vTextField", "spellcheck": "false", "autocomplete": "off"}),
    )
    template = forms.BooleanField(
        label=_("Template: filled in for each agent"),
        required=False,
        help_text=_('{{ labels["host.name"] | yaml }}, {{ vars.name }} and {{ secrets.name }} stand for values.'),
    )
    # An empty box is not posted, so this says that there was one.
    template_asked = forms.CharField(required=False, initial="1", widget=forms.HiddenInput)
    body = forms.CharField(
        label=_("Text"),
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"class": "code", "spellcheck": "false", "rows": 24, "wrap": "off"}),
    )
    removed = forms.BooleanField(label=_("Remove this file"), required=False)

    def __init__(self, data: QueryDict | None, place: int | str, base: Draft, *, shown: str | None = None) -> None:
        self.place = place
        self._posted = data
        self._base = base
        self.former_key = shown if data is None else self._former_of(data)
        self.file = None if self.former_key is None else base.files.get(self.former_key)
        super().__init__(data, initial=self._initial())
        self.opaque = len(self.file.body) if self.file is not None and self.file.text is None else None

    @property
    def facts(self) -> list[forms.BoundField]:
        """What stands above the text."""
        return [self[name] for name in ("key", "content_type", "role")]

    def add_prefix(self, field_name: str) -> str:
        """`raw_config` and its like for the first, ``files-1-body`` for the second."""
        return _FIRST.get(field_name, field_name) if self.place == 0 else f"files-{self.place}-{field_name}"

    def _former_of(self, data: QueryDict) -> str | None:
        posted = data.get(self.add_prefix("former"))
        if posted is not None:
            return posted.removeprefix(_MARK) if posted.startswith(_MARK) else None
        # Whoever posts only the main file's fields means the main file.
        return self._base.config_key if self.place == 0 and self._base.config_key in self._base.files else None

    def _initial(self) -> dict[str, Any]:
        if self.former_key is None or self.file is None:
            return {"template_asked": "1", **({"content_type": _USUAL_TYPE} if self.place == 0 else {})}
        return {
            "former": _MARK + self.former_key,
            "key": self.former_key,
            "content_type": self.file.content_type,
            "role": self.file.role,
            "template": self.file.template,
            "template_asked": "1",
            "body": text_shown(self.file.text or ""),
        }

    def edit(self) -> FileEdit | None:
        """What is wanted of the file; ``None`` for a form that was left empty."""
        values = self.cleaned_data
        new = self.former_key is None
        if new and not values["body"].strip() and (self._base.files if self.place == 0 else not values["key"]):
            return None
        return FileEdit(
            key=self.key_typed,
            former=self.former_key,
            body=_body_typed(values["body"], self.file) if self._is_posted("body") else b"" if new else None,
            content_type=(values["content_type"] or (_USUAL_TYPE if new else ""))
            if new or self._is_posted("content_type")
            else None,
            role=values["role"] if self._is_posted("role") else None,
            template=values["template"] if self._is_posted("template_asked") or values["template"] else None,
            removed=values["removed"],
        )

    @property
    def key_typed(self) -> str:
        """The key it is to have; only of a form that was judged."""
        typed: str = self.cleaned_data.get("key", "") if self._is_posted("key") else self.former_key or ""
        return typed

    def _is_posted(self, field_name: str) -> bool:
        return self._posted is not None and self.add_prefix(field_name) in self._posted


class FileForms:
    """All files of ``base``, the main one first; or as many as were posted.

    ``base`` without files is a new configuration, whose text is ``begun`` at first.
    """

    def __init__(self, data: QueryDict | None, base: Draft, *, more: int = 0, begun: str = "") -> None:
        self._base = base
        self.empty = FileForm(None, "__N__", base)
        if data is None:
            keys: list[str | None] = [*sorted(base.files, key=lambda key: (key != base.config_key, key))] or [None]
            self.forms = [FileForm(None, place, base, shown=key) for place, key in enumerate(keys)]
            if not base.files:
                self.forms[0].initial["body"] = begun
        else:
            posted = data.get(COUNT, "")
            number = int(posted) if posted.isascii() and posted.isdecimal() and len(posted) < 4 else 1
            self.forms = [FileForm(data, place, base) for place in range(max(number, 1) + more)]

    def __iter__(self) -> Iterator[FileForm]:
        return iter(self.forms)

    def __len__(self) -> int:
        return len(self.forms)

    @property
    def has_several(self) -> bool:
        """One alone cannot be removed."""
        return len(self.forms) > 1

    def is_valid(self) -> bool:
        """Whether every form can be read."""
        judged = [form.is_valid() for form in self.forms]
        return all(judged)

    def drafted(self, base: Draft) -> Draft:
        """``base`` with what was posted. Raises `InvalidConfiguration`; only for valid forms."""
        edits = [edit for form in self.forms if (edit := form.edit()) is not None]
        if not base.files and edits:
            # A new configuration: its first file is the main one, unless it was left empty for another.
            edits = [edit for edit in edits if edit.key or (edit.body or b"").strip()] or edits[:1]
            kind = edits[0].content_type or base.content_type
            base = replace(base, config_key=edits[0].key, content_type=kind)
        return edit_files(base, edits)

    def tell(self, errors: Mapping[str, list[str]], draft: Draft) -> dict[str, list[str]]:
        """Show errors at the fields they are about; returns those that are about none of them."""
        left = dict(errors)
        for form in self.forms:
            key = form.key_typed
            names = {f"files.{key}.content_type": "content_type", f"files.{key}.role": "role"}
            names[f"files.{key}"] = "body" if key_problem(key) is None and "body" in form.fields else "key"
            if key == draft.config_key:
                names |= {"raw_config": "body", "config_key": "key", "content_type": "content_type"}
            for name, field in names.items():
                if name in left:
                    form.add_error(field, left.pop(name))
        return left

    def place_of(self, key: str) -> int:
        """The form that has this file; the first for one that is not shown."""
        return next((place for place, form in enumerate(self.forms) if form.key_typed == key), 0)

    def lines(self, marks: Mapping[str, dict[str, str]]) -> list[dict[str, str]]:
        """``marks`` by config key, in the order of the forms."""
        return [marks.get(form.key_typed, {}) for form in self.forms]


def as_shown(stored: str, typed: str) -> str:
    """``stored`` where nobody changed it: browsers post every line break as CR LF, and forms strip blanks at the ends."""
    return stored if _plain(stored).strip() == _plain(typed).strip() else _plain(typed)


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _body_typed(text: str, before: ConfigFile | None) -> bytes | None:
    """The bytes to keep; ``None`` for a body that nobody edited, or could not. Line breaks stay of the kind they were."""
    former = None if before is None else before.text
    if before is not None and (former is None or _plain(text) in (_plain(text_shown(former)), _plain(former))):
        return None
    plain = _plain(text)
    if former is not None and "\r\n" in former and former.count("\n") == former.count("\r\n"):
        plain = plain.replace("\n", "\r\n")
    return plain.encode(errors="replace")
