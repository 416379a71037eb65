"""What the parsers of YAML (libyaml) and JSON (Python's) say, as sentences, so that it can be translated.

Only what a configuration's text can make them say. Anything else, and what later versions say, is shown as it comes.
"""

from __future__ import annotations

from configurations.checks.findings import shown_value
from foundation.messages import Sentence

_JSON = (
    Sentence("Expecting value"),
    Sentence("Expecting property name enclosed in double quotes"),
    Sentence("Expecting ':' delimiter"),
    Sentence("Expecting ',' delimiter"),
    Sentence("Illegal trailing comma before end of object"),
    Sentence("Illegal trailing comma before end of array"),
    Sentence("Extra data"),
    Sentence("Invalid control character at"),
    Sentence("Unterminated string starting at"),
    Sentence("Invalid \\escape"),
    Sentence("Invalid \\uXXXX escape"),
)
_YAML = (
    Sentence("mapping values are not allowed in this context"),
    Sentence("mapping keys are not allowed in this context"),
    Sentence("block sequence entries are not allowed in this context"),
    Sentence("could not find expected ':'"),
    Sentence("did not find expected key"),
    Sentence("did not find expected node content"),
    Sentence("did not find expected '-' indicator"),
    Sentence("did not find expected ',' or ']'"),
    Sentence("did not find expected ',' or '}}'"),
    Sentence("did not find expected <document start>"),
    Sentence("did not find expected alphabetic or numeric character"),
    Sentence("did not find expected comment or line break"),
    Sentence("did not find expected whitespace or line break"),
    Sentence("found character that cannot start any token"),
    Sentence("found a tab character that violates indentation"),
    Sentence("found a tab character where an indentation space is expected"),
    Sentence("found unexpected ':'"),
    Sentence("found unexpected document indicator"),
    Sentence("found unexpected end of stream"),
    Sentence("found unknown escape character"),
    Sentence("found undefined tag handle"),
    Sentence("found incompatible YAML document"),
    Sentence("found unknown directive name"),
)
# Where libyaml was when it met the problem.
_CONTEXTS = (
    Sentence("while parsing a block mapping"),
    Sentence("while parsing a block collection"),
    Sentence("while parsing a block node"),
    Sentence("while parsing a flow mapping"),
    Sentence("while parsing a flow sequence"),
    Sentence("while parsing a flow node"),
    Sentence("while parsing a node"),
    Sentence("while parsing a quoted scalar"),
    Sentence("while scanning for the next token"),
    Sentence("while scanning a simple key"),
    Sentence("while scanning a block scalar"),
    Sentence("while scanning a plain scalar"),
    Sentence("while scanning a quoted scalar"),
    Sentence("while scanning an alias"),
    Sentence("while scanning an anchor"),
    Sentence("while scanning a tag"),
    Sentence("while scanning a directive"),
)
_KNOWN: dict[str, Sentence] = {str(said): said for said in (*_JSON, *_YAML, *_CONTEXTS)}


def parsers_words(text: str) -> Sentence | str:
    """``text`` as a sentence if it is one of those above, else as it may be shown."""
    return _KNOWN.get(text) or shown_value(text)
