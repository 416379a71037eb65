"""What the author of broken YAML or JSON most likely has to do, in our own words.

The kind of mistake is known by a few words of what the parser says. Of any other kind, and of those of later versions,
its own English text is shown_value, as a parameter that nothing translates.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

import yaml

from configurations.checks.findings import shown_value
from foundation.messages import Message

# The first that fits counts.
_YAML = (
    (
        "mapping values",
        Message("yaml-colon", "a colon too many on this line, or wrong indentation; quote texts that contain ': '."),
    ),
    (
        "expected ':'",
        Message("yaml-colon-expected", "a key without a colon, or a text over several lines without quotes."),
    ),
    (
        "expected key",
        Message("yaml-indentation", "the indentation does not fit the lines above, or a closing quote is missing."),
    ),
    ("'-' indicator", Message("yaml-list-indentation", "list items must be indented alike.")),
    (
        "',' or ']'",
        Message("yaml-open-list", "a list opened with [ is not closed; quote items that contain ${{…}}, # or colons."),
    ),
    (
        "',' or '}'",
        Message(
            "yaml-open-object", "an object opened with {{ is not closed; quote values that contain ${{…}} or colons."
        ),
    ),
    ("end of stream", Message("yaml-open-quote", "a quote is opened and never closed.")),
    (
        "document indicator",
        Message("yaml-open-quote-above", "a quote is opened and never closed before this line."),
    ),
    (
        "escape character",
        Message("yaml-invalid-escape", "inside double quotes write \\\\ for a backslash, or use single quotes."),
    ),
    (
        "cannot start any token",
        Message("yaml-reserved-sign", "quote texts that begin with @, ` or %."),
    ),
    ("node content", Message("yaml-value-expected", "a value is missing here.")),
    (
        "sequence entries",
        Message("yaml-list-item", "a list item stands where a value was begun; start the list on its own line."),
    ),
)
_JSON = (
    (
        "property name",
        Message("json-key-expected", "keys stand in double quotes, and no comma follows the last one"),
    ),
    ("trailing comma", Message("json-trailing-comma", "remove the comma")),
    ("',' delimiter", Message("json-comma-expected", "a comma or a closing bracket is missing before this")),
    ("':' delimiter", Message("json-colon-expected", "write a colon between key and value")),
    (
        "value",
        Message(
            "json-value-expected", "a value is missing here; texts stand in double quotes, and JSON has no comments"
        ),
    ),
    ("extra", Message("json-extra-data", "the file ends before this; it holds one object only")),
    (
        "control character",
        Message("json-control-character", "write line breaks and tabs inside texts as \\n and \\t"),
    ),
    ("unterminated", Message("json-open-quote", "close the text that begins here with a double quote")),
    ("escape", Message("json-invalid-escape", "write \\\\ for a backslash")),
)


def yaml_advice(error: yaml.MarkedYAMLError) -> Message | str:
    """A text that ends with a full stop."""
    problem = error.problem or "not readable"
    advice = _advice(problem, _YAML)
    return advice or f"{shown_value(problem if error.context is None else f'{error.context}: {problem}')}."


def json_advice(error: json.JSONDecodeError) -> Message | str:
    """A text without a full stop."""
    return _advice(error.msg.lower(), _JSON) or shown_value(error.msg.rstrip(": "))


def _advice(text: str, kinds: Iterable[tuple[str, Message]]) -> Message | None:
    return next((advice for words, advice in kinds if words in text), None)
