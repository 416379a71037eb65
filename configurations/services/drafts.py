"""What an edit wants a configuration to be, and whether that can be saved. Writes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.conf import settings

from accounts.models import User
from agents.remote_config import ConfigFile, RemoteConfig
from agents.reports import Json
from agents.selectors import InvalidSelector, parse_selector
from agents.services.revealing import may_reveal
from agents.shown import message_shown
from configurations.checks import (
    Finding,
    FindingKind,
    InvalidContentType,
    Severity,
    judge_files,
    key_problem,
    line_problem,
    normalise_content_type,
    shown_value,
    text_problem,
)
from configurations.models import Configuration, files_from_json
from configurations.placeholders import HiddenValues, with_secrets_restored
from configurations.services.collector_verdict import collector_verdict
from configurations.template_findings import propose_secrets, try_templates
from foundation.errors import Category, DomainError
from foundation.messages import Message
from rollouts.errors import InvalidPolicy
from rollouts.policies import parse_policy
from variables.services.known_values import current_values

MAX_BODY_BYTES = 1024 * 1024
MAX_FILES = 64
_EMPTY = "all-files-empty"
# What is wrong with a whole alone: of a fragment the rest stands in other configurations.
SAID_OF_WHOLES = frozenset(
    {
        "service-missing", "section-missing", "pipeline-missing", "pipeline-without-members", "component-undefined",
        "component-defined-elsewhere", "component-unused", "extension-unused", "connector-without-receiver",
        "connector-without-exporter", "connector-without-feed",
    }
)  # fmt: skip


KIND_FIXED = Message(
    "kind-fixed", "A whole configuration cannot become a fragment, nor the reverse: make another one, and delete this."
)


class InvalidConfiguration(DomainError):
    """What was sent cannot be saved. ``errors`` maps a field to its messages, ``findings`` hold lines and columns.

    Texts are messages, or what Django said in the language of whoever asked. ``can_be_forced``: with ``force`` it can.
    """

    def __init__(
        self,
        errors: Mapping[str, Sequence[Message | str]],
        findings: Sequence[Finding] = (),
        *,
        can_be_forced: bool = False,
    ) -> None:
        super().__init__(self.said(can_be_forced=can_be_forced))
        self.errors = {name: list(texts) for name, texts in errors.items()}
        self.findings = list(findings)
        self.can_be_forced = can_be_forced

    @staticmethod
    def said(*, can_be_forced: bool) -> Message:
        """What was refused, as a whole."""
        if can_be_forced:
            return Message(
                "configuration-hardly-meant",
                "The configuration is hardly what you mean; with force it is saved nevertheless.",
            )
        return Message("invalid-configuration", "The configuration is not valid.")

    def __str__(self) -> str:
        """In English, field by field."""
        return "; ".join(f"{name}: {' '.join(str(text) for text in texts)}" for name, texts in self.errors.items())


class RefusedByAgents(InvalidConfiguration):
    """It can be read, but a Collector would refuse it; nothing was saved."""

    category = Category.REFUSED_BY_AGENTS

    @staticmethod
    def said(*, can_be_forced: bool) -> Message:
        """What was refused, as a whole."""
        return Message(
            "configuration-refused-by-agents",
            "A Collector would refuse this configuration; with force it is published nevertheless.",
        )


@dataclass(frozen=True, slots=True)
class Draft:
    """What an edit wants a configuration to be; every field complete. ``files`` holds ``config_key`` too.

    A `[redacted]` in ``files`` stands for what ``true_files`` have there; ``None`` when ``files`` are true texts themselves.
    ``trusted``: whoever edits may see secrets. ``proven``: the files were published before, and go back.
    """

    kind: str = Configuration.Kind.WHOLE.value
    display_name: str = ""
    description: str = ""
    priority: int = 0
    enabled: bool = True
    selector: Json = field(default_factory=dict)
    match_all: bool = False
    content_type: str = "text/yaml"
    config_key: str = ""
    rollout_policy: Json | None = None
    files: Mapping[str, ConfigFile] = field(default_factory=dict)
    true_files: Mapping[str, ConfigFile] | None = field(default_factory=dict)
    trusted: bool = False
    proven: bool = False

    def edited_by(self, person: User | None) -> Draft:
        """For an edit by ``person``."""
        return replace(self, trusted=may_reveal(person))

    def restored(self) -> Draft:
        """With the true texts in ``files``. Raises `InvalidConfiguration`."""
        if self.true_files is None:
            return self
        try:
            files = with_secrets_restored(self.files, self.true_files, trusted=self.trusted)
        except HiddenValues as error:
            errors = {field_of(key, self): [blocking(item) for item in found] for key, found in error.findings.items()}
            raise InvalidConfiguration(errors, [item for found in error.findings.values() for item in found]) from error
        return replace(self, files=files, true_files=None)


def draft_of(configuration: Configuration) -> Draft:
    """The present state of ``configuration``, to be edited by somebody who may not see secrets."""
    files = files_from_json(configuration.current.files) if configuration.current else {}
    return Draft(
        kind=configuration.kind,
        display_name=configuration.display_name,
        description=configuration.description,
        priority=configuration.priority,
        enabled=configuration.enabled,
        selector=configuration.selector,
        match_all=configuration.match_all,
        content_type=configuration.content_type,
        config_key=configuration.config_key,
        rollout_policy=configuration.rollout_policy,
        files=files,
        true_files=files,
    )


def blank_over(draft: Draft) -> Draft:
    """Defaults in place of everything in ``draft``, for an edit that replaces all but hidden values.

    How revisions are released stays: a program that never heard of it must not make a careful configuration a hasty one. So does
    the kind, which never changes.
    """
    return Draft(
        kind=draft.kind, rollout_policy=draft.rollout_policy, true_files=draft.true_files, trusted=draft.trusted
    )


@dataclass(frozen=True, slots=True)
class Checked:
    """A draft that can be saved: column values, true files, findings that do not block; ``forced`` are those that would."""

    columns: dict[str, Any]
    config: RemoteConfig
    findings: list[Finding]
    forced: list[Finding]


def checked(draft: Draft, *, present: Draft | None = None, force: bool = False) -> Checked:
    """Judge ``draft``, its hidden values put back. Raises `InvalidConfiguration`.

    What ``present`` has already is not judged anew: a configuration can be switched off whatever stands in it, also after
    an upgrade whose checks are stricter. What is ``proven`` is blocked only where nothing at all stands in it. ``force``
    saves what is readable: nothing but empty files, another format around the configuration, a misspelt ``service``, and what
    a Collector would refuse.
    """
    draft = draft.restored()
    before = present or Draft()
    errors = _column_errors(draft, before)
    if present is not None and draft.kind != present.kind:
        errors["kind"] = [KIND_FIXED]
    try:
        parse_selector(draft.selector, match_all=draft.match_all)
    except InvalidSelector as error:
        errors["selector"] = [*error.problems]
    try:
        normalise_content_type(draft.content_type)
    except InvalidContentType as error:
        errors["content_type"] = [error.message]
    known = before.files if present else {}
    if len(draft.files) > MAX_FILES:
        errors["files"] = [
            Message(
                "too-many-files", "At most {most} files; {count} were sent.", most=MAX_FILES, count=len(draft.files)
            )
        ]
    if not draft.files:
        errors["raw_config"] = [Message("file-missing", "A configuration needs at least one file.")]
    legible: dict[str, ConfigFile] = {}
    for key, file in draft.files.items():
        problems = {} if known.get(key) == file else _file_problems(key, file, draft)
        errors |= problems
        if not problems:
            legible[key] = file
    findings = _findings(legible, draft, complete=len(legible) == len(draft.files))
    findings = [item.as_warning() if _is_known(item, draft, known) else item for item in findings]
    forced = [item for item in findings if item.blocks and item.can_be_forced] if force else []
    if force:
        findings = [item.as_warning() if item.can_be_forced else item for item in findings]
    can_be_forced = not errors and all(item.can_be_forced for item in findings if item.blocks)
    for key in draft.files:
        said: list[Message | str] = [blocking(item) for item in findings if item.blocks and item.file == key]
        if said:
            errors[field_of(key, draft)] = said
    if errors:
        refused = can_be_forced and all(item.kind is FindingKind.COLLECTOR for item in findings if item.blocks)
        raise (RefusedByAgents if refused else InvalidConfiguration)(errors, findings, can_be_forced=can_be_forced)
    return Checked(columns_of(draft), RemoteConfig(dict(draft.files)), findings, forced)


def _is_known(item: Finding, draft: Draft, known: Mapping[str, ConfigFile]) -> bool:
    """Whether the finding is of what agents have, or had: that blocks nothing, but for files in which nothing stands."""
    return dict(draft.files) == dict(known) or (draft.proven and item.message.code != _EMPTY)


def columns_of(draft: Draft) -> dict[str, Any]:
    """The column values of a draft that can be saved."""
    return {
        "kind": draft.kind,
        "display_name": draft.display_name,
        "description": draft.description,
        "priority": draft.priority,
        "enabled": draft.enabled,
        "selector": parse_selector(draft.selector, match_all=draft.match_all).as_json(),
        "match_all": draft.match_all,
        "content_type": normalise_content_type(draft.content_type),
        "config_key": draft.config_key,
        "rollout_policy": draft.rollout_policy,
    }


def _column_errors(draft: Draft, before: Draft) -> dict[str, list[Message | str]]:
    errors: dict[str, list[Message | str]] = {}
    problems = {
        "display_name": line_problem(draft.display_name),
        "description": text_problem(draft.description),
        "config_key": key_problem(draft.config_key),
    }
    for name, problem in problems.items():
        if problem is not None and getattr(draft, name) != getattr(before, name):
            errors[name] = [problem]
    if draft.rollout_policy is not None:
        try:
            parse_policy(draft.rollout_policy)
        except InvalidPolicy as error:
            errors["rollout_policy"] = [error.message]
    if not -(2**31) <= draft.priority < 2**31:
        errors["priority"] = [Message("priority-out-of-range", "The priority must fit 32 bits.")]
    return errors


def _findings(files: Mapping[str, ConfigFile], draft: Draft, *, complete: bool) -> list[Finding]:
    """What the checks say of all files of ``draft``. When they are ``complete`` and nothing stands in any, that blocks."""
    main = draft.config_key
    # Opaque bytes are legal (S-68) and not read.
    texts = {
        key: (text, file.content_type)
        for key, file in files.items()
        if not file.template and (text := _text_of(file)) is not None
    }
    tried = try_templates(files, current_values()) if any(file.template for file in files.values()) else None
    if tried is not None:
        texts |= {key: (text, files[key].content_type) for key, text in tried.texts.items()}
    judged = judge_files(texts, allowed=settings.COMPONENTS_ALLOWED, denied=settings.COMPONENTS_DENIED)
    found = [item for key in files for item in judged.findings.get(key, ())]
    if draft.kind == Configuration.Kind.FRAGMENT:
        found = [item for item in found if item.message.problem_code not in SAID_OF_WHOLES]
    elif complete and judged.uses and not any(item.blocks for item in found):
        found += collector_verdict(texts)
    findings = [] if tried is None else list(tried.findings)
    findings += [_without_secrets(item) for item in found]
    broken = {item.file for item in findings if item.blocks}
    findings += propose_secrets({key: text for key, (text, _kind) in texts.items() if key not in broken})
    if not (complete and files and judged.empty == set(files)):
        return findings
    message = Message(
        "all-files-empty",
        "Nothing stands in it: an agent that gets this stops what it runs. Force it if that is meant.",
    )
    file = main if main in files else next(iter(files))
    return [Finding(Severity.ERROR, FindingKind.DOCUMENT, message, 1, 1, file=file)]


def _text_of(file: ConfigFile) -> str | None:
    """The text that an agent would read, NUL included; ``None`` for bytes that are none."""
    try:
        return file.body.decode()
    except UnicodeDecodeError:
        return None


def _without_secrets(item: Finding) -> Finding:
    """The true text was judged; a message may cite some of it."""
    return replace(item, message=item.message.with_texts(message_shown), path=message_shown(item.path))


def blocking(item: Finding) -> Message:
    """What the errors of a field say of a finding."""
    return Message(
        "at-line-and-column",
        "line {line}, column {column}: {problem}",
        line=item.line,
        column=item.column,
        problem=item.message,
    )


def field_of(key: str, draft: Draft, part: str = "") -> str:
    """Where a file is in a request: the main one's text is ``raw_config``."""
    if key == draft.config_key and not part:
        return "raw_config"
    return f"files.{shown_value(key)}{part}"


def _file_problems(key: str, file: ConfigFile, draft: Draft) -> dict[str, list[Message | str]]:
    """What is wrong around the text of a file, by field."""
    errors: dict[str, list[Message | str]] = {}
    if (problem := key_problem(key)) is not None:
        errors["config_key" if key == draft.config_key else field_of(key, draft)] = [problem]
    if (problem := line_problem(file.role)) is not None:
        errors[field_of(key, draft, ".role")] = [problem]
    # A type that the whole request names is told there; none at all is legal.
    if file.content_type and file.content_type != draft.content_type:
        try:
            normalise_content_type(file.content_type)
        except InvalidContentType as error:
            errors[field_of(key, draft, ".content_type")] = [error.message]
    if len(file.body) > MAX_BODY_BYTES:
        said = Message(
            "file-too-large",
            "The text has {count} bytes; at most {most} are kept.",
            count=len(file.body),
            most=MAX_BODY_BYTES,
        )
        errors[field_of(key, draft)] = [said]
    return errors
