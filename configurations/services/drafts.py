"""What an edit wants a configuration to be, and whether that can be saved. Writes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from accounts.models import User
from accounts.sentence import Sentence
from agents.reports import Json
from agents.selectors import InvalidSelector, parse_selector
from agents.services.revealing import may_reveal
from agents.shown import message_shown
from configurations.checks import Finding, InvalidContentType, check_files, normalise_content_type
from configurations.models import Configuration, files_from_json
from configurations.placeholders import HiddenValues, restored
from configurations.remote_config import ConfigFile, RemoteConfig

MAX_BODY_BYTES = 1024 * 1024
MAX_FILES = 64


class InvalidConfiguration(ValueError):
    """What was sent cannot be saved. ``errors`` maps a field to its messages, ``findings`` hold lines and columns.

    Messages are sentences, or what Django said in the language of whoever asked.
    """

    def __init__(self, errors: Mapping[str, Sequence[str]], findings: Sequence[Finding] = ()) -> None:
        super().__init__("; ".join(f"{name}: {' '.join(texts)}" for name, texts in errors.items()))
        self.errors = {name: list(texts) for name, texts in errors.items()}
        self.findings = list(findings)


@dataclass(frozen=True, slots=True)
class Draft:
    """What an edit wants a configuration to be; every field complete. ``files`` holds ``config_key`` too.

    A `[redacted]` in ``files`` stands for what ``present`` has there; ``None`` when ``files`` are true texts. ``trusted``:
    whoever edits may see secrets.
    """

    display_name: str = ""
    description: str = ""
    priority: int = 0
    enabled: bool = True
    selector: Json = field(default_factory=dict)
    match_all: bool = False
    content_type: str = "text/yaml"
    config_key: str = ""
    files: Mapping[str, ConfigFile] = field(default_factory=dict)
    present: Mapping[str, ConfigFile] | None = field(default_factory=dict)
    trusted: bool = False

    def edited_by(self, person: User | None) -> Draft:
        """For an edit by ``person``."""
        return replace(self, trusted=may_reveal(person))

    def restored(self) -> Draft:
        """With the true texts in ``files``. Raises `InvalidConfiguration`."""
        if self.present is None:
            return self
        try:
            files = restored(self.files, self.present, trusted=self.trusted)
        except HiddenValues as error:
            errors = {
                _field_of(key, self): [_blocking(item) for item in found] for key, found in error.findings.items()
            }
            raise InvalidConfiguration(errors, [item for found in error.findings.values() for item in found]) from error
        return replace(self, files=files, present=None)


def draft_of(configuration: Configuration) -> Draft:
    """The present state of ``configuration``, to be edited by somebody who may not see secrets."""
    files = files_from_json(configuration.current.files) if configuration.current else {}
    return Draft(
        display_name=configuration.display_name,
        description=configuration.description,
        priority=configuration.priority,
        enabled=configuration.enabled,
        selector=configuration.selector,
        match_all=configuration.match_all,
        content_type=configuration.content_type,
        config_key=configuration.config_key,
        files=files,
        present=files,
    )


def blank_over(draft: Draft) -> Draft:
    """Defaults in place of everything in ``draft``, for an edit that replaces all but hidden values."""
    return Draft(present=draft.present, trusted=draft.trusted)


def checked(draft: Draft) -> tuple[dict[str, Any], RemoteConfig, list[Finding]]:
    """Validate a draft: column values, true files, and findings that do not block. Raises `InvalidConfiguration`."""
    draft = draft.restored()
    errors: dict[str, list[str]] = {}
    findings: list[Finding] = []
    selector: dict[str, Json] = {}
    try:
        selector = parse_selector(draft.selector, match_all=draft.match_all).as_json()
    except InvalidSelector as error:
        errors["selector"] = [*error.problems]
    try:
        content_type = normalise_content_type(draft.content_type)
    except InvalidContentType as error:
        content_type = draft.content_type
        errors["content_type"] = [error.problem]
    if not -(2**31) <= draft.priority < 2**31:
        errors["priority"] = [Sentence("The priority must fit 32 bits.")]
    texts_of_draft = f"{draft.display_name}{draft.description}{draft.config_key}"
    if "\x00" in texts_of_draft or not _is_text(texts_of_draft):
        errors["display_name"] = [Sentence("Texts must not contain NUL characters or lone surrogates.")]
    if len(draft.files) > MAX_FILES:
        errors["files"] = [Sentence("At most {most} files; {count} were sent.", most=MAX_FILES, count=len(draft.files))]
    if not draft.files:
        errors["raw_config"] = [Sentence("A configuration needs at least one file; its text may be empty.")]
    texts: dict[str, tuple[str, str]] = {}
    for key, file in draft.files.items():
        problem = _file_problem(key, file)
        if problem:
            errors[_field_of(key, draft)] = [problem]
        else:
            texts.update(_text_of(key, file))
    for key, true in check_files(texts).items():
        found = [_without_secrets(item) for item in true]
        findings.extend(found)
        blocking: list[str] = [_blocking(item) for item in found if item.blocks]
        if blocking:
            errors[_field_of(key, draft)] = blocking
    if errors:
        raise InvalidConfiguration(errors, findings)
    columns = {
        "display_name": draft.display_name,
        "description": draft.description,
        "priority": draft.priority,
        "enabled": draft.enabled,
        "selector": selector,
        "match_all": draft.match_all,
        "content_type": content_type,
        "config_key": draft.config_key,
    }
    return columns, RemoteConfig(dict(draft.files)), findings


def _without_secrets(item: Finding) -> Finding:
    """The true text was judged; a message may cite some of it."""
    return replace(item, message=item.message.with_texts(message_shown), path=message_shown(item.path))


def _blocking(item: Finding) -> Sentence:
    return Sentence("line {line}, column {column}: {problem}", line=item.line, column=item.column, problem=item.message)


def _field_of(key: str, draft: Draft) -> str:
    return "raw_config" if key == draft.config_key else f"files.{key}"


def _file_problem(key: str, file: ConfigFile) -> Sentence | None:
    if len(key) > 255 or "\x00" in key or not _is_text(key + file.content_type + file.role):
        return Sentence("A config key has at most 255 characters, without NUL or lone surrogates.")
    if len(file.body) > MAX_BODY_BYTES:
        return Sentence(
            "The text has {count} bytes; at most {most} are kept.", count=len(file.body), most=MAX_BODY_BYTES
        )
    return None


def _is_text(text: str) -> bool:
    """False for lone surrogates, which JSON can carry and UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _text_of(key: str, file: ConfigFile) -> dict[str, tuple[str, str]]:
    """The text to check; nothing for opaque bytes, which are legal (S-68)."""
    try:
        return {key: (file.body.decode(), file.content_type)}
    except UnicodeDecodeError:
        return {}
