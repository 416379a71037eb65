"""The two questions others ask: what is wrong with this text, and what with these files, which one agent merges."""

from __future__ import annotations

from collections.abc import Mapping

from accounts.sentence import Sentence
from configurations.checks.collector import check_collector
from configurations.checks.content_types import is_json, is_yaml
from configurations.checks.findings import START, Finding, Kind, Severity, SyntaxProblem
from configurations.checks.json_text import read_json
from configurations.checks.tree import MappingNode, is_empty
from configurations.checks.yaml_text import read_yaml

MAX_BYTES = 1024 * 1024
# Of one file. More help nobody, and each is sent to a browser.
MAX_FINDINGS = 100


def check_text(body: str, content_type: str, *, max_bytes: int = MAX_BYTES) -> list[Finding]:
    """At most 100 problems of one file, in file order; none for types that are neither YAML nor JSON. Never raises.

    ``content_type`` is an alias or a MIME type; ``max_bytes`` counts UTF-8 bytes. Rules of the Collector are applied to
    what looks like its configuration: a mapping with ``service`` and ``pipelines`` in it.
    """
    return check_files({"": (body, content_type)}, max_bytes=max_bytes)[""]


def check_files(files: Mapping[str, tuple[str, str]], *, max_bytes: int = MAX_BYTES) -> dict[str, list[Finding]]:
    """The findings per config key of files given as (body, content type), keys as given. Never raises.

    Agents merge the files of one configuration, so a pipeline may use what another file defines.
    """
    findings: dict[str, list[Finding]] = {}
    roots: dict[str, MappingNode] = {}
    for key, (body, content_type) in files.items():
        root, findings[key] = _read(body, content_type, max_bytes)
        if root is not None:
            roots[key] = root
    for key, collector_findings in check_collector(roots).items():
        findings[key] += collector_findings
    return {key: _in_file_order(found) for key, found in findings.items()}


def _in_file_order(findings: list[Finding]) -> list[Finding]:
    """The first `MAX_FINDINGS`, those that block before the others."""
    kept = sorted(findings, key=lambda finding: (not finding.blocks, finding.line, finding.column))[:MAX_FINDINGS]
    return sorted(kept, key=lambda finding: (finding.line, finding.column))


def _read(body: str, content_type: str, max_bytes: int) -> tuple[MappingNode | None, list[Finding]]:
    if not (is_yaml(content_type) or is_json(content_type)):
        return None, []
    size = len(body) if len(body) > max_bytes else len(body.encode(errors="surrogatepass"))
    if size > max_bytes:
        message = Sentence("The file is larger than {most:,} bytes and is not read; split it.", most=max_bytes)
        return None, [Finding(Severity.ERROR, Kind.SYNTAX, message, START.line, START.column)]
    try:
        root, findings = read_yaml(body) if is_yaml(content_type) else read_json(body)
    except SyntaxProblem as problem:
        return None, [problem.finding]
    if root is None or is_empty(root):
        message = Sentence("The file is empty: the agent will run with no configuration.")
        return None, [*findings, Finding(Severity.WARNING, Kind.SYNTAX, message, START.line, START.column)]
    if not isinstance(root, MappingNode):
        message = Sentence("The file must be an object of named sections at its top, such as receivers: and service:.")
        place = root.place
        return None, [*findings, Finding(Severity.ERROR, Kind.SYNTAX, message, place.line, place.column)]
    return root, findings
