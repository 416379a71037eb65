"""Secrets in what is no YAML, or nested too deeply or too long for it: line by line, hiding more than a tree would. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from agents.redaction.names import Verdict, is_about, may_name_secrets, section_verdict, verdict
from agents.redaction.spans import Span, merged_spans, text_spans
from agents.redaction.values import HIDDEN, is_reference, worth_hiding

_LINE = re.compile(r"[^\r\n]+")
_ENTRY = re.compile(
    r"(?P<indent>[ \t]{0,400}(?:- {1,20}){0,20})(?P<quote>[\"']?)"
    r"(?P<name>[^\s:=\"'#{}\[\],][^:=\"'{}\[\],]{0,120}?)(?P=quote)[ \t]{0,20}[:=][ \t]{0,200}"
    r"(?P<value>[^\r\n]*)"
)
_NOTHING = re.compile(r"(?:[|>][-+0-9]{0,3}|[&!][\w/!-]{1,60}|\\)?[ \t]*(?:#.*)?")
_OPENING = re.compile(r"(?P<quote>\\{0,3}[\"']?)(?P<name>[\w.-]{1,100})(?P=quote)[ \t]{0,20}[:=][ \t]{0,20}(?=[{\[])")
_BRACKET = re.compile(r"[{}\[\]]")
_LABEL = re.compile(
    r"(?:name|key|header|field|variable|param|parameter"
    r"|property)\\{0,3}[\"']?[ \t]{0,10}[:=][ \t]{0,10}\\{0,3}[\"']?(?P<name>[\w.-]{1,100})",
    re.IGNORECASE,
)
_LABELLED = re.compile(
    r"(?:\b|_)val(?:ue)?s?\\{0,3}[\"']?[ \t]{0,10}[:=][ \t]{0,10}(?:(?P<quote>\\{0,3}[\"'])"
    r"(?P<quoted>(?:(?!(?P=quote))[^\r\n])*)"
    r"|(?P<value>[^\s,}\]\"'\\][^\r\n,}]*))",
    re.IGNORECASE,
)
_TWO_WORDS = re.compile(
    r"^[ \t]{0,100}(?P<name>[\w.-]{2,100})[ \t]{1,100}(?P<value>[^\s=:]{3,1000})[ \t]{0,100}\r?$", re.MULTILINE
)
_FLAG_LINE = re.compile(
    r"(?P<name>--?[A-Za-z][\w-]{1,60})[\"']?[ \t]{0,10},?[ \t]{0,10}\r?\n[ \t]{0,100}(?:- {1,20})?"
    r"(?P<value>[^\r\n]{1,4000})"
)
_LISTED = re.compile(
    r"\[[\"']?(?P<name>[\w.-]{1,100})[\"']?,[ \t]{0,10}(?P<value>\"[^\"\r\n]*|'[^'\r\n]*|[^\"'\]\[,\r\n]+)"
)
_KUBERNETES_SECRET = re.compile(r"^[\"']?kind[\"']?:[ \t]{0,10}[\"']?Secret\b", re.MULTILINE)
_NEAR = 300


def line_spans(text: str) -> list[Span]:
    """What is hidden of ``text``."""
    found = [*text_spans(text, keys=True)]
    if may_name_secrets(text) or "Secret" in text:
        found += [*_below_names(text), *_in_brackets(text), *_labelled(text), *_after_flags(text)]
    return merged_spans(found)


def _below_names(text: str) -> Iterator[Span]:
    """What is indented below a secret name, and a member that is one together with its section."""
    secret: int | None = None
    sealed = ("data", "stringData") if _KUBERNETES_SECRET.search(text) else ()
    around: list[tuple[int, str]] = []
    for line in _LINE.finditer(text):
        content = line[0].lstrip(" \t")
        if not content:
            continue
        indent = len(line[0]) - len(content)
        if secret is not None:
            if indent > secret or (indent == secret and content.startswith("- ")):
                yield from _hidden_line(text, line)
                continue
            secret = None
        entry = _ENTRY.match(line[0])
        if entry is None:
            continue
        indent = len(entry["indent"])
        while around and around[-1][0] >= indent:
            around.pop()
        parent = around[-1][1] if around else ""
        name = entry["name"].strip()
        if _NOTHING.fullmatch(entry["value"]):
            around.append((indent, name))
            if (
                name in sealed
                or section_verdict(name, parent)
                or (entry["value"][:1] in ("|", ">") and verdict(name, parent) >= Verdict.KEY)
            ):
                secret = indent
        elif (
            parent
            and verdict(name) < Verdict.KEY
            and worth_hiding(entry["value"].strip("\"' \t,"), verdict(name, parent))
        ):
            yield Span(line.start() + entry.start("value"), line.end())


def _hidden_line(text: str, line: re.Match[str]) -> Iterator[Span]:
    entry = _ENTRY.match(line[0])
    begin = line.start() + len(line[0]) - len(line[0].lstrip(" \t"))
    if entry is not None:
        if is_about(entry["name"]) or _NOTHING.fullmatch(entry["value"]):
            return
        begin = line.start() + entry.start("value")
    elif text.startswith("- ", begin):
        begin += 2
    value = text[begin : line.end()].strip("\"', \t")
    if worth_hiding(value, Verdict.YES) or (value and not is_reference(value) and value != HIDDEN and entry is None):
        yield Span(begin, line.end())


def _in_brackets(text: str) -> Iterator[Span]:
    """A list or an object of a secret name, to its end or that of the text."""
    position = 0
    while (found := _OPENING.search(text, position)) is not None:
        position = found.end()
        if not section_verdict(found["name"]):
            continue
        depth = 0
        end = len(text)
        for bracket in _BRACKET.finditer(text, found.end()):
            depth += 1 if bracket[0] in "{[" else -1
            if not depth:
                end = bracket.end()
                break
        if not is_reference(text[found.end() : end]) and text[found.end() : end] != HIDDEN:
            yield Span(found.end(), end)
        position = end


def _labelled(text: str) -> Iterator[Span]:
    for found in _LABEL.finditer(text):
        named = verdict(found["name"])
        if named < Verdict.LIKELY:
            continue
        for value in _LABELLED.finditer(text, max(0, found.start() - _NEAR), min(len(text), found.end() + _NEAR)):
            begin, end = value.span("value" if value["quoted"] is None else "quoted")
            if worth_hiding(text[begin:end].strip("\\\"' \t"), named):
                if end == found.end() + _NEAR:
                    # Cut by the window: the rest of the line is the value's.
                    end = line.end() if (line := _LINE.match(text, begin)) else end
                yield Span(begin, end)


def _after_flags(text: str) -> Iterator[Span]:
    for found in _TWO_WORDS.finditer(text):
        is_word = found["name"].islower() and found["name"].isalpha()
        if not is_word and verdict(found["name"]) >= Verdict.KEY and worth_hiding(found["value"], Verdict.YES):
            yield Span(*found.span("value"))
    for found in _LISTED.finditer(text):
        if verdict(found["name"]) >= Verdict.KEY and not found["value"].strip("\"' ").islower():
            yield Span(*found.span("value"))
    for found in _FLAG_LINE.finditer(text):
        if verdict(found["name"]) >= Verdict.KEY and worth_hiding(found["value"].strip("\"' ,"), Verdict.YES):
            yield Span(*found.span("value"))
