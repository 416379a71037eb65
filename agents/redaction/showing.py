"""What people see: documents, messages, decoded JSON. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from agents.redaction.documents import read_document
from agents.redaction.names import Verdict, is_about, section_verdict, verdict
from agents.redaction.spans import text_spans, with_spans_hidden
from agents.redaction.values import HIDDEN, worth_hiding
from agents.reports import Json, JsonObject


def redacted(text: str) -> str:
    """``text`` (YAML, JSON, or anything else by its names and shapes) with each secret replaced by `HIDDEN`.

    Outside secrets every character stays; what was YAML or JSON still is.
    """
    document = read_document(text)
    return with_spans_hidden(text, document.spans)


def redacted_message(text: str) -> str:
    """An error text or a line for people with its secrets replaced by `HIDDEN`; its sentences stay readable."""
    return with_spans_hidden(text, text_spans(text, prose=True))


def redacted_files(files: Mapping[str, JsonObject]) -> dict[str, dict[str, Json]]:
    """A copy of ``{key: {"body": text, …}}`` with the secrets of every text hidden; bodies that are no text are left out."""
    result: dict[str, dict[str, Json]] = {}
    for key, file in files.items():
        body = file.get("body")
        kept = {name: value for name, value in file.items() if name != "body_base64"}
        if isinstance(body, str):
            kept["body"] = redacted(body)
        elif "body_base64" in file:
            kept["body_base64"] = HIDDEN
        result[key] = kept
    return result


def redacted_json(value: Json, name: str = "") -> Json:
    """A copy of decoded JSON, such as attributes or a health tree, with its secrets replaced by `HIDDEN`.

    Nothing recurses: what agents report may nest deeper than documents do.
    """
    root: list[Json] = [value]
    # Containers still to be copied: the copy, what it is a copy of, its name, and whether all in it is secret.
    waiting: list[tuple[list[Json] | dict[str, Json], list[Json] | JsonObject, str, bool]] = []
    first: list[Json] = []
    waiting.append((first, root, name, section_verdict(name)))
    while waiting:
        copy, source, around, secret = waiting.pop()
        entries = source.items() if isinstance(source, Mapping) else enumerate(source)
        for step, item in entries:
            own = step if isinstance(step, str) else around
            hidden = (secret and not is_about(own)) if isinstance(step, str) else secret
            made: Json
            if isinstance(item, str | int | float) and not isinstance(item, bool):
                judged = Verdict.YES if hidden else verdict(own, around if isinstance(step, str) else "")
                text = item if isinstance(item, str) else str(item)
                made = (
                    HIDDEN
                    if worth_hiding(text, judged, own)
                    else redacted_message(item)
                    if isinstance(item, str)
                    else item
                )
            elif isinstance(item, Mapping):
                inner: dict[str, Json] = {}
                made = inner
                waiting.append((inner, item, own, hidden or section_verdict(own)))
            elif isinstance(item, list | tuple):
                listed: list[Json] = []
                made = listed
                waiting.append((listed, list(item), own, hidden or section_verdict(own)))
            else:
                made = item
            if isinstance(copy, dict):
                copy[str(step)] = made
            else:
                copy.append(made)
    return first[0]
