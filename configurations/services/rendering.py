"""What templated revisions are for one agent: files, their hash, or why there are none.

Nothing rendered is stored, since secrets may stand in it: an agent's row has the hash, and the files are made again when they
are offered. Who assigns the result is `assigning`'s and `targeting`'s business.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from agents.recent import Recent
from agents.redaction.known import known_hidden
from agents.remote_config import ConfigFile, RemoteConfig
from agents.shown import message_shown
from configurations.checks import FindingKind, judge_files
from configurations.models import Revision, files_from_json
from configurations.recent_configs import RecentConfigs
from configurations.services.assigning import Target
from configurations.services.former_values import held_values
from foundation.messages import Message
from variables.encryption import keyed_hash
from variables.services.known_values import Values, current_values
from variables.services.value_versions import with_former
from variables.templating import RenderingFailure, Scope, Template, TemplateProblem, Uses
from variables.value_users import Former

# Of each process: texts of templates, some of the files rendered last, and which of them were found readable.
_TEMPLATE_BYTES = 4 * 1024 * 1024
_RENDERED_BYTES = 8 * 1024 * 1024
_VERDICT_BYTES = 1024 * 1024
# A compiled template is about so many times as large as its text.
_COMPILED = 20
_LONGEST_ERROR = 2_000


@dataclass(frozen=True, slots=True)
class Rendered:
    """The files for one agent, with the hash (hex) that they are offered under."""

    config: RemoteConfig
    hash: str


@dataclass(frozen=True, slots=True)
class _Compiled:
    files: Mapping[str, ConfigFile]
    templates: Mapping[str, Template]
    uses: Uses

    @property
    def size(self) -> int:
        return _COMPILED * sum(len(file.body) for file in self.files.values()) + 1024


_compiled: Recent[_Compiled] = Recent(_TEMPLATE_BYTES, lambda item: item.size)
_rendered = RecentConfigs(_RENDERED_BYTES)
# By what a rendering was made of: an empty text, or what is wrong with it.
_verdicts: Recent[tuple[Message | None]] = Recent(_VERDICT_BYTES, lambda _verdict: 400)


def _always(_use: str) -> bool:
    return True


class Renderer:
    """Renders for many agents with the same values; without any given it reads the present ones when it needs them.

    A revision that holds former values is rendered with those, as far as ``heeds`` says so of their uses. ``adapt`` changes
    the values that anything is rendered with.
    """

    def __init__(
        self,
        values: Values | None = None,
        *,
        heeds: Callable[[str], bool] = _always,
        adapt: Callable[[Values], Values] | None = None,
    ) -> None:
        self._values = values
        self._heeds, self._adapt = heeds, adapt
        self._held: Mapping[int, Mapping[str, Former]] | None = None
        # What revisions are rendered with, by their keys.
        self._own: dict[int, Values] = {}
        # Files that are no revision, as they were rendered last.
        self._draft: tuple[Mapping[str, ConfigFile], _Compiled] | None = None
        # Of revisions by their keys, of this transaction: a key may be given again after a rollback, a hash says everything.
        self._hashes: dict[int, str] = {}

    @property
    def values(self) -> Values:
        """Variables and secrets."""
        if self._values is None:
            self._values = current_values()
        return self._values

    def _values_for(self, revision_id: int) -> Values:
        own = self._own.get(revision_id)
        if own is None:
            own = self.values
            if self._held is None:
                self._held = held_values(own.generation)
            held = {use: item for use, item in self._held.get(revision_id, {}).items() if self._heeds(use)}
            if held:
                own = with_former(own, held)
            self._own[revision_id] = own = own if self._adapt is None else self._adapt(own)
        return own

    def for_agent(self, target: Target | None, labels: Mapping[str, str]) -> Target | None:
        """``target`` as it is for an agent with these labels: with the hash of its files, or with the error."""
        if target is None or not target.templated:
            return target
        self._hashes[target.revision_id] = target.hash
        try:
            found = self.render(target.revision_id, labels)
        except RenderingFailure as failure:
            return replace(target, error=known_hidden(str(failure.message))[:_LONGEST_ERROR])
        _rendered.put(found.hash, found.config)
        return replace(target, hash=found.hash)

    def render(self, revision_id: int, labels: Mapping[str, str]) -> Rendered:
        """Raises `RenderingFailure`, which names the file and its line. In the text nothing secret stands."""
        config_hash = self._hashes.get(revision_id)
        if config_hash is None:
            config_hash = self._hashes[revision_id] = Revision.objects.values_list("hash", flat=True).get(
                pk=revision_id
            )
        return self._rendered(_compiled_of(revision_id, config_hash), labels, self._values_for(revision_id))

    def render_files(self, files: Mapping[str, ConfigFile], labels: Mapping[str, str]) -> Rendered:
        """`render` for files that are no revision yet; raises `TemplateProblem` too."""
        values = self.values if self._adapt is None else self._adapt(self.values)
        if self._draft is None or self._draft[0] is not files:
            self._draft = files, _compile(files)
        return self._rendered(self._draft[1], labels, values)

    def _rendered(self, compiled: _Compiled, labels: Mapping[str, str], values: Values) -> Rendered:
        scope = values.scope(labels)
        files: dict[str, ConfigFile] = {}
        for key, file in compiled.files.items():
            template = compiled.templates.get(key)
            if template is None:
                files[key] = file
                continue
            try:
                body = template.render(scope).encode(errors="surrogatepass")
            except RenderingFailure as failure:
                raise RenderingFailure(_in_file(key, failure.line, failure.message), failure.line) from None
            files[key] = ConfigFile(body, file.content_type, file.role)
        config = RemoteConfig(files)
        self._check(compiled, config, scope, labels)
        digest = config.config_hash()
        return Rendered(config, (keyed_hash(digest) if compiled.uses.secrets else digest).hex())

    def _check(self, compiled: _Compiled, config: RemoteConfig, scope: Scope, labels: Mapping[str, str]) -> None:
        """Raises `RenderingFailure` for files that cannot be read any more.

        Labels change nothing about that where nothing is decided by them, so that most agents share one verdict.
        """
        uses, variables, secrets = compiled.uses, scope.variables, scope.secrets
        made_of = [
            [(key, file.body, file.content_type) for key, file in sorted(compiled.files.items())],
            [(name, variables.get(name)) for name in sorted(uses.variables)],
            [(name, secrets.get(name)) for name in sorted(uses.secrets)],
            [(name, labels.get(name)) for name in sorted(uses.deciding)],
            [name in labels for name in sorted(uses.labels)],
        ]
        key = hashlib.sha256(repr(made_of).encode(errors="surrogatepass")).hexdigest()
        (verdict,) = _verdicts.found(key, lambda: (_problem_of(config, compiled),))
        if verdict is not None:
            raise RenderingFailure(verdict)


def rendered_config(
    revision_id: int, config_hash: str, labels: Mapping[str, str], renderer: Renderer
) -> RemoteConfig | None:
    """The files behind the hash (hex) of an agent's rendering; ``None`` when they are not to be had.

    That is so for a revision without templates, and after values were changed that this agent has not been given.
    """
    known = _rendered.get(config_hash)
    if known is not None:
        return known
    try:
        found = renderer.render(revision_id, labels)
    except (RenderingFailure, Revision.DoesNotExist):
        return None
    _rendered.put(found.hash, found.config)
    return found.config if found.hash == config_hash else None


def uses_of(files: Mapping[str, ConfigFile]) -> dict[str, list[str]] | None:
    """The names in templates, as a revision keeps them; ``None`` without templates. Raises `TemplateProblem`."""
    if not any(file.template for file in files.values()):
        return None
    uses = _compile(files).uses
    return {"labels": sorted(uses.labels), "vars": sorted(uses.variables), "secrets": sorted(uses.secrets)}


def forget_renderings() -> None:
    """Forget all that this process rendered."""
    _rendered.clear()
    _verdicts.clear()
    _compiled.clear()


def _compiled_of(revision_id: int, config_hash: str) -> _Compiled:
    def read() -> _Compiled:
        stored = Revision.objects.values_list("files", flat=True).get(pk=revision_id)
        try:
            return _compile(files_from_json(stored))
        except TemplateProblem as problem:
            # Published by a version that knew a larger language.
            raise RenderingFailure(problem.message, problem.line) from problem

    return _compiled.found(config_hash, read)


def _compile(files: Mapping[str, ConfigFile]) -> _Compiled:
    templates = {key: Template(file.text or "") for key, file in files.items() if file.template}
    uses = Uses()
    for template in templates.values():
        uses |= template.uses
    return _Compiled(files, templates, uses)


def _problem_of(config: RemoteConfig, compiled: _Compiled) -> Message | None:
    """What makes a rendered file unreadable, without what is secret in it."""
    texts = {key: (config.files[key].text or "", config.files[key].content_type) for key in compiled.templates}
    for key, findings in judge_files(texts).findings.items():
        for item in findings:
            if item.blocks and item.kind is FindingKind.SYNTAX:
                return _in_file(key, item.line, item.message.with_texts(message_shown))
    return None


def _in_file(key: str, line: int, problem: Message) -> Message:
    return Message("in-rendered-file", "{file}, line {line}: {problem}", file=key or "-", line=line, problem=problem)
