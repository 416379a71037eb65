"""What becomes of files when their keys, types, roles or texts change: one rule for the form and for the API. Writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from agents.remote_config import ConfigFile
from configurations.checks import InvalidContentType, normalise_content_type
from configurations.services.drafts import Draft, InvalidConfiguration
from foundation.messages import Message


@dataclass(frozen=True, slots=True)
class FileEdit:
    """What is wanted of one file: the one that stands under ``former`` now, or a new one. ``None`` means "as it is"."""

    key: str
    former: str | None = None
    body: bytes | None = None
    content_type: str | None = None
    role: str | None = None
    template: bool | None = None
    removed: bool = False


def edit_files(base: Draft, edits: Sequence[FileEdit]) -> Draft:
    """``base`` with these edits made at once, so that two files may swap keys; files that no edit names stay.

    The main file takes the configuration's ``config_key`` and ``content_type`` along. Raises `InvalidConfiguration` when two
    files would stand under one key, and for a file that is gone.
    """
    named = {edit.former for edit in edits}
    files = {key: file for key, file in base.files.items() if key not in named}
    draft = base
    for edit in edits:
        if edit.removed:
            continue
        before = ConfigFile(b"") if edit.former is None else base.files.get(edit.former)
        if before is None:
            problem = Message("file-gone", "The file {key} is gone; somebody removed it.", key=repr(edit.former))
            raise InvalidConfiguration({f"files.{edit.key}": [problem]})
        if edit.key in files:
            problem = Message("config-key-taken", "Another file has the config key {key} already.", key=repr(edit.key))
            raise InvalidConfiguration({f"files.{edit.key}": [problem]})
        file = _edited(before, edit, base)
        files[edit.key] = file
        if edit.former is not None and edit.former == base.config_key:
            kind = file.content_type if file.content_type != before.content_type else draft.content_type
            draft = replace(draft, config_key=edit.key, content_type=kind or draft.content_type)
    return replace(draft, files=files)


def with_main_file(base: Draft, key: str) -> Draft:
    """``base`` with ``key`` as its ``config_key``: the main file moves there, unless another one stands there, which then
    is the main one. No file is lost.
    """
    if key in base.files or base.config_key not in base.files:
        return replace(base, config_key=key)
    return edit_files(base, [FileEdit(key, former=base.config_key)])


def needs_own_key(base: Draft) -> bool:
    """Whether the main file of a fragment that is edited so is to get a config key: it has none, and nobody chose that."""
    return not base.config_key and "" not in base.files


def mime_type(text: str) -> str:
    """The MIME type that ``text`` means; what means none stays as it is, to be refused with the rest."""
    try:
        return normalise_content_type(text) if text else ""
    except InvalidContentType:
        return text


def _edited(before: ConfigFile, edit: FileEdit, base: Draft) -> ConfigFile:
    file = before
    if edit.body is not None:
        file = replace(file, body=edit.body)
    if edit.content_type is not None and edit.content_type != before.content_type:
        file = replace(file, content_type=mime_type(edit.content_type))
    elif edit.former is None and edit.content_type is None:
        file = replace(file, content_type=base.content_type)
    if edit.role is not None:
        file = replace(file, role=edit.role)
    return file if edit.template is None else replace(file, template=edit.template)
