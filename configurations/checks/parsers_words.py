"""What the parsers of YAML (libyaml) and JSON (Python's) say, as messages, so that it can be translated.

Only what a configuration's text can make them say. Anything else, and what later versions say, is shown as it comes.
"""

from __future__ import annotations

from configurations.checks.findings import shown
from foundation.messages import Message

_JSON = (
    Message("Expecting value"),
    Message("Expecting property name enclosed in double quotes"),
    Message("Expecting ':' delimiter"),
    Message("Expecting ',' delimiter"),
    Message("Illegal trailing comma before end of object"),
    Message("Illegal trailing comma before end of array"),
    Message("Extra data"),
    Message("Invalid control character at"),
    Message("Unterminated string starting at"),
    Message("Invalid \\escape"),
    Message("Invalid \\uXXXX escape"),
)
_YAML = (
    Message("mapping values are not allowed in this context"),
    Message("mapping keys are not allowed in this context"),
    Message("block sequence entries are not allowed in this context"),
    Message("could not find expected ':'"),
    Message("did not find expected key"),
    Message("did not find expected node content"),
    Message("did not find expected '-' indicator"),
    Message("did not find expected ',' or ']'"),
    Message("did not find expected ',' or '}}'"),
    Message("did not find expected <document start>"),
    Message("did not find expected alphabetic or numeric character"),
    Message("did not find expected comment or line break"),
    Message("did not find expected whitespace or line break"),
    Message("found character that cannot start any token"),
    Message("found a tab character that violates indentation"),
    Message("found a tab character where an indentation space is expected"),
    Message("found unexpected ':'"),
    Message("found unexpected document indicator"),
    Message("found unexpected end of stream"),
    Message("found unknown escape character"),
    Message("found undefined tag handle"),
    Message("found incompatible YAML document"),
    Message("found unknown directive name"),
)
# Where libyaml was when it met the problem.
_CONTEXTS = (
    Message("while parsing a block mapping"),
    Message("while parsing a block collection"),
    Message("while parsing a block node"),
    Message("while parsing a flow mapping"),
    Message("while parsing a flow sequence"),
    Message("while parsing a flow node"),
    Message("while parsing a node"),
    Message("while parsing a quoted scalar"),
    Message("while scanning for the next token"),
    Message("while scanning a simple key"),
    Message("while scanning a block scalar"),
    Message("while scanning a plain scalar"),
    Message("while scanning a quoted scalar"),
    Message("while scanning an alias"),
    Message("while scanning an anchor"),
    Message("while scanning a tag"),
    Message("while scanning a directive"),
)
_KNOWN: dict[str, Message] = {str(said): said for said in (*_JSON, *_YAML, *_CONTEXTS)}


def parsers_words(text: str) -> Message | str:
    """``text`` as a message if it is one of those above, else as it may be shown."""
    return _KNOWN.get(text) or shown(text)
