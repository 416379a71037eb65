"""The two questions others ask: what is wrong with this text, and what with these files, which one agent merges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from configurations.checks.collector import check_collector
from configurations.checks.component_uses import ComponentUse, component_uses, list_problems
from configurations.checks.content_types import is_json, is_toml, is_yaml
from configurations.checks.documents import wrapped_files
from configurations.checks.findings import START, Finding, FindingKind, Severity, SyntaxProblem
from configurations.checks.json_text import read_json
from configurations.checks.merging import merged_files
from configurations.checks.other_kinds import other_kind
from configurations.checks.toml_text import toml_findings
from configurations.checks.tree import MappingNode, is_empty
from configurations.checks.yaml_text import read_yaml
from foundation.messages import Message

MAX_BYTES = 1024 * 1024
EMPTY = Message("file-empty", "The file is empty: the agent will run with no configuration.")
# Of one file. More help nobody, and each is sent to a browser.
MAX_FINDINGS = 100


def check_text(body: str, content_type: str, *, max_bytes: int = MAX_BYTES) -> list[Finding]:
    """At most 100 problems of one file, in file order; none for types that are neither YAML nor JSON. Never raises.

    ``content_type`` is an alias or a MIME type; ``max_bytes`` counts UTF-8 bytes. Rules of the Collector are applied to
    what looks like its configuration: a mapping with receivers or exporters, or with something like a ``service``.
    """
    return check_files({"": (body, content_type)}, max_bytes=max_bytes)[""]


def check_files(files: Mapping[str, tuple[str, str]], *, max_bytes: int = MAX_BYTES) -> dict[str, list[Finding]]:
    """The findings of `judge_files`."""
    return judge_files(files, max_bytes=max_bytes).findings


@dataclass(frozen=True, slots=True)
class Judgement:
    """The findings per config key, keys as given, the keys of files in which nothing stands, and the types of components."""

    findings: dict[str, list[Finding]]
    empty: frozenset[str]
    uses: tuple[ComponentUse, ...] = ()


def judge_files(
    files: Mapping[str, tuple[str, str]],
    *,
    max_bytes: int = MAX_BYTES,
    allowed: Sequence[str] = (),
    denied: Sequence[str] = (),
) -> Judgement:
    """What is wrong with files given as (body, content type). Never raises.

    ``allowed`` and ``denied`` are an operator's lists of components (`component_uses.list_problems`).

    Agents merge the files of one configuration, so a pipeline may use what another file defines.
    """
    findings: dict[str, list[Finding]] = {}
    roots: dict[str, MappingNode] = {}
    empty: set[str] = set()
    for key, (body, content_type) in files.items():
        root, findings[key] = _read(body, content_type, max_bytes)
        if root is not None:
            roots[key] = root
        holds_nothing = root is not None and not root.entries
        if holds_nothing or not body.strip() or any(item.message == EMPTY for item in findings[key]):
            empty.add(key)
    # What is missing elsewhere may stand in a file that cannot be read.
    unread = any(item.is_unreadable for found in findings.values() for item in found)
    misread = wrapped_files(roots)
    document = merged_files({key: root for key, root in roots.items() if key not in misread.wrapped})
    uses = component_uses(document)
    rules = misread.findings if unread else check_collector(roots, misread, document)
    for finding in (*rules, *list_problems(uses, allowed, denied)):
        findings[finding.file].append(finding)
    ordered = {key: _in_file_order(key, found) for key, found in findings.items()}
    return Judgement(ordered, frozenset(empty), tuple(uses))


def _in_file_order(file: str, findings: list[Finding]) -> list[Finding]:
    """The first `MAX_FINDINGS`, those that block before the others; each names its file."""
    kept = sorted(findings, key=lambda finding: (not finding.blocks, finding.line, finding.column))[:MAX_FINDINGS]
    return [replace(finding, file=file) for finding in sorted(kept, key=lambda finding: (finding.line, finding.column))]


def _read(body: str, content_type: str, max_bytes: int) -> tuple[MappingNode | None, list[Finding]]:
    if not (is_yaml(content_type) or is_json(content_type) or is_toml(content_type)):
        return None, []
    size = len(body) if len(body) > max_bytes else len(body.encode(errors="surrogatepass"))
    if size > max_bytes:
        message = Message(
            "file-too-large-to-check",
            "The file is larger than {most:,} bytes and is not read; split it.",
            most=max_bytes,
        )
        return None, [Finding(Severity.ERROR, FindingKind.SYNTAX, message, START.line, START.column)]
    if is_toml(content_type):
        return None, toml_findings(body)
    other = other_kind(body) if is_yaml(content_type) else None
    try:
        root, findings = read_yaml(body) if is_yaml(content_type) else read_json(body)
    except SyntaxProblem as problem:
        return None, [other or problem.finding]
    if root is None or is_empty(root):
        return None, [*findings, Finding(Severity.WARNING, FindingKind.DOCUMENT, EMPTY, START.line, START.column)]
    if not isinstance(root, MappingNode):
        if other is not None:
            return None, [*findings, other]
        message = Message(
            "file-not-an-object",
            "The file must be an object of named sections at its top, such as receivers: and service:.",
        )
        place = root.place
        return None, [*findings, Finding(Severity.ERROR, FindingKind.SYNTAX, message, place.line, place.column)]
    return root, findings
