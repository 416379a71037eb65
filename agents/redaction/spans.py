"""Parts of a text that are replaced, and putting the text together. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from agents.redaction.known import known_places
from agents.redaction.pairs import default_spans, pair_spans
from agents.redaction.tokens import token_spans
from agents.redaction.url_secrets import address_spans
from agents.redaction.values import HIDDEN


class Span(NamedTuple):
    """``text[begin:end]`` is shown as ``shown``."""

    begin: int
    end: int
    shown: str = HIDDEN


def merged_spans(spans: Iterable[Span]) -> list[Span]:
    """In order and without overlaps: of overlapping ones the first, or the longer, as long as all of them reach."""
    result: list[Span] = []
    for span in sorted(spans, key=lambda item: (item.begin, -item.end)):
        if span.end <= span.begin:
            continue
        if result and span.begin < result[-1].end:
            if span.end > result[-1].end:
                result[-1] = Span(result[-1].begin, span.end, result[-1].shown)
        else:
            result.append(span)
    return result


def with_spans_hidden(text: str, spans: Sequence[Span], begin: int = 0, end: int | None = None) -> str:
    """``text[begin:end]`` with the ``spans`` in it replaced; these are in order, without overlaps."""
    parts: list[str] = []
    position = begin
    for span in spans:
        parts += [text[position : span.begin], span.shown]
        position = span.end
    parts.append(text[position : len(text) if end is None else end])
    return "".join(parts)


def shape_spans(text: str) -> list[Span]:
    """What is secret by its own shape, wherever it stands: tokens, keys, parts of URLs; and what is known to be secret."""
    return merged_spans(
        Span(begin, end)
        for found in (token_spans(text), address_spans(text), known_places(text))
        for begin, end in found
        if text[begin:end] != HIDDEN
    )


def text_spans(text: str, *, prose: bool = False, keys: bool = False) -> list[Span]:
    """What is secret in running text: by its shape, or by the name before it."""
    named = (
        Span(begin, end)
        for found in (pair_spans(text, prose=prose, keys=keys), default_spans(text))
        for begin, end in found
    )
    return merged_spans([*shape_spans(text), *named])
