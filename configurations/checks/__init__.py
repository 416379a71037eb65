"""Checks of configuration text before it is saved: syntax, and the rules of the OpenTelemetry Collector.

Pure: standard library and PyYAML. Text is only walked, never made into objects; where it is stored
is unknown here.
"""

from configurations.checks.content_types import InvalidContentType, is_json, is_yaml, normalise_content_type
from configurations.checks.findings import Finding, Kind, Severity
from configurations.checks.text import MAX_BYTES, check_files, check_text

__all__ = [
    "MAX_BYTES",
    "Finding",
    "InvalidContentType",
    "Kind",
    "Severity",
    "check_files",
    "check_text",
    "is_json",
    "is_yaml",
    "normalise_content_type",
]
