"""Checks of configuration text before it is saved: syntax, and the rules of the OpenTelemetry Collector.

Pure: standard library and PyYAML. Text is only walked, never made into objects; where it is stored
is unknown here.
"""

from configurations.checks.component_uses import ComponentUse
from configurations.checks.content_types import InvalidContentType, is_json, is_yaml, normalise_content_type
from configurations.checks.findings import Finding, FindingKind, Severity, shown_value
from configurations.checks.locating import located
from configurations.checks.names import key_problem, line_problem, text_problem
from configurations.checks.text import MAX_BYTES, Judgement, check_files, check_text, judge_files

__all__ = [
    "MAX_BYTES",
    "ComponentUse",
    "Finding",
    "FindingKind",
    "InvalidContentType",
    "Judgement",
    "Severity",
    "check_files",
    "check_text",
    "is_json",
    "is_yaml",
    "judge_files",
    "key_problem",
    "line_problem",
    "located",
    "normalise_content_type",
    "shown_value",
    "text_problem",
]
