"""What templated revisions are for one agent: files, their hash, or why there are none.

Nothing rendered is stored, since secrets may stand in it: an agent's row has the hash, and the files are made again when they
are offered. Who assigns the result is `assigning`'s and `targeting`'s business.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from agents.recent import Recent
from agents.redaction.known import known_hidden
from agents.remote_config import ConfigFile, RemoteConfig
from agents.shown import message_shown
from configurations.checks import FindingKind, judge_files
from configurations.models import Assignment, Composition, Revision, files_from_json
from configurations.recent_configs import RecentConfigs
from configurations.services.assigning import Target
from configurations.services.composing import Compositions, composed_files, composed_sources
from configurations.services.files_by_hash import remote_config_of
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


_ValuesOf = Callable[[str], Values]
"""What the file under a config key is rendered with."""


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
        self._compositions = Compositions()
        # From files of compositions to the keys of their revisions.
        self._sources: dict[int, Mapping[str, int]] = {}

    @property
    def values(self) -> Values:
        """Variables and secrets."""
        if self._values is None:
            self._values = current_values()
        return self._values

    @property
    def _all_held(self) -> Mapping[int, Mapping[str, Former]]:
        if self._held is None:
            self._held = held_values(self.values.generation)
        return self._held

    @property
    def _present(self) -> Values:
        return self.values if self._adapt is None else self._adapt(self.values)

    def _values_for(self, revision_id: int) -> Values:
        own = self._own.get(revision_id)
        if own is None:
            own = self.values
            held = {use: item for use, item in self._all_held.get(revision_id, {}).items() if self._heeds(use)}
            if held:
                own = with_former(own, held)
            self._own[revision_id] = own = own if self._adapt is None else self._adapt(own)
        return own

    def _values_of_files(self, composition_id: int) -> _ValuesOf:
        """Each file of a composition is rendered with the values of the revision that it comes from."""
        if not self._all_held:
            present = self._present
            return lambda _key: present
        sources = self._sources.get(composition_id)
        if sources is None:
            sources = self._sources[composition_id] = composed_sources(composition_id)
        return lambda key: self._values_for(sources[key])

    def for_agent(self, target: Target | None, labels: Mapping[str, str]) -> Target | None:
        """``target`` as it is for an agent with these labels: with the hash of its files, or with the error."""
        if target is not None and target.fragments:
            target = self._compositions.composed(target)
        if target is None or not target.templated:
            return target
        try:
            found = self._render_target(target, labels)
        except RenderingFailure as failure:
            return replace(target, error=known_hidden(str(failure.message))[:_LONGEST_ERROR])
        _rendered.put(found.hash, found.config)
        return replace(target, hash=found.hash)

    def prepare(self, targets: Iterable[Target | None]) -> None:
        """Find what these are together with their fragments, so that `for_agent` need not do it one by one."""
        self._compositions.prepare(targets)

    def _render_target(self, target: Target, labels: Mapping[str, str]) -> Rendered:
        if target.composition_id is not None:
            return self.render_composition(target.composition_id, target.hash, labels)
        assert target.revision_id is not None  # noqa: S101  without one there are fragments
        self._hashes[target.revision_id] = target.hash
        return self.render(target.revision_id, labels)

    def render_composition(self, composition_id: int, config_hash: str, labels: Mapping[str, str]) -> Rendered:
        """`render` for revisions together, whose templates have this hash."""
        compiled = _compiled_of(config_hash, lambda: composed_files(composition_id))
        return self._rendered(compiled, labels, self._values_of_files(composition_id))

    def render(self, revision_id: int, labels: Mapping[str, str]) -> Rendered:
        """Raises `RenderingFailure`, which names the file and its line. In the text nothing secret stands."""
        config_hash = self._hashes.get(revision_id)
        if config_hash is None:
            config_hash = self._hashes[revision_id] = Revision.objects.values_list("hash", flat=True).get(
                pk=revision_id
            )
        compiled = _compiled_of(config_hash, lambda: _files_of(revision_id))
        values = self._values_for(revision_id)
        return self._rendered(compiled, labels, lambda _key: values)

    def render_files(self, files: Mapping[str, ConfigFile], labels: Mapping[str, str]) -> Rendered:
        """`render` for files that are no revision yet; raises `TemplateProblem` too."""
        values = self._present
        if self._draft is None or self._draft[0] is not files:
            self._draft = files, _compile(files)
        return self._rendered(self._draft[1], labels, lambda _key: values)

    def _rendered(self, compiled: _Compiled, labels: Mapping[str, str], values_of: _ValuesOf) -> Rendered:
        if not compiled.templates:
            config = RemoteConfig(compiled.files)
            return Rendered(config, config.config_hash().hex())
        made: dict[int, Scope] = {}
        scopes: dict[str, Scope] = {}
        for key in compiled.templates:
            values = values_of(key)
            scopes[key] = made.get(id(values)) or made.setdefault(id(values), values.scope(labels))
        files: dict[str, ConfigFile] = {}
        for key, file in compiled.files.items():
            template = compiled.templates.get(key)
            if template is None:
                files[key] = file
                continue
            try:
                body = template.render(scopes[key]).encode(errors="surrogatepass")
            except RenderingFailure as failure:
                raise RenderingFailure(_in_file(key, failure.line, failure.message), failure.line) from None
            files[key] = ConfigFile(body, file.content_type, file.role)
        config = RemoteConfig(files)
        self._check(compiled, config, scopes, labels)
        digest = config.config_hash()
        return Rendered(config, (keyed_hash(digest) if compiled.uses.secrets else digest).hex())

    def _check(
        self, compiled: _Compiled, config: RemoteConfig, scopes: Mapping[str, Scope], labels: Mapping[str, str]
    ) -> None:
        """Raises `RenderingFailure` for files that cannot be read any more. ``scopes`` are those of templates, by file.

        Labels change nothing about that where nothing is decided by them, so that most agents share one verdict.
        """
        uses = compiled.uses
        # Most often one for all files.
        distinct = list({id(scope): scope for _key, scope in sorted(scopes.items())}.values())
        made_of = [
            [(key, file.body, file.content_type) for key, file in sorted(compiled.files.items())],
            [[distinct.index(scope) for _key, scope in sorted(scopes.items())]] if len(distinct) > 1 else [],
            [[(name, scope.variables.get(name)) for name in sorted(uses.variables)] for scope in distinct],
            [[(name, scope.secrets.get(name)) for name in sorted(uses.secrets)] for scope in distinct],
            [(name, labels.get(name)) for name in sorted(uses.deciding)],
            [name in labels for name in sorted(uses.labels)],
        ]
        key = hashlib.sha256(repr(made_of).encode(errors="surrogatepass")).hexdigest()
        (verdict,) = _verdicts.found(key, lambda: (_problem_of(config, compiled),))
        if verdict is not None:
            raise RenderingFailure(verdict)


def desired_files(
    assignment: Assignment, config_hash: str, labels: Mapping[str, str], renderer: Renderer
) -> RemoteConfig | None:
    """The files behind the hash (hex) that an agent should run, as it is assigned; ``None`` when they are not to be had.

    That is so after values were changed that this agent has not been given, and when they were deleted.
    """
    if assignment.composition_id is None:
        found = remote_config_of(config_hash)
        if found is not None:
            return found
    known = _rendered.get(config_hash)
    if known is not None:
        return known
    try:
        rendered = rendering_of(assignment, labels, renderer)
    except (RenderingFailure, Revision.DoesNotExist, Composition.DoesNotExist):
        return None
    if rendered is None:
        return None
    _rendered.put(rendered.hash, rendered.config)
    return rendered.config if rendered.hash == config_hash else None


def rendering_of(assignment: Assignment, labels: Mapping[str, str], renderer: Renderer) -> Rendered | None:
    """What is assigned, for an agent with these labels; ``None`` when it is nothing of ours.

    Raises `RenderingFailure`, ``DoesNotExist`` for what was deleted.
    """
    if assignment.composition_id is not None:
        config_hash = Composition.objects.values_list("hash", flat=True).get(pk=assignment.composition_id)
        return renderer.render_composition(assignment.composition_id, config_hash, labels)
    return None if assignment.revision_id is None else renderer.render(assignment.revision_id, labels)


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


def _files_of(revision_id: int) -> dict[str, ConfigFile]:
    return files_from_json(Revision.objects.values_list("files", flat=True).get(pk=revision_id))


def _compiled_of(config_hash: str, files: Callable[[], Mapping[str, ConfigFile]]) -> _Compiled:
    def read() -> _Compiled:
        found = files()
        try:
            return _compile(found)
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
