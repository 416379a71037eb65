"""What may stand where somebody types in the search box of the list: words, labels, and values with how many agents have them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from django.core.exceptions import PermissionDenied
from django.db.models import Count
from django.http import HttpRequest, JsonResponse
from django.utils.translation import gettext as _

from agents.admin import facets
from agents.label_conditions import begins_with, has_label, label_text
from agents.models import Agent
from agents.queries import MAX_LENGTH, quoted_key, quoted_value
from agents.query_words import MOST_SUGGESTED, SAMPLED, ChoiceWord, query_words
from agents.shown import pair_shown

_NEWEST = 2_000
# The condition at the end of a text: what it begins with, the key, the sign, and as much of a value as is there.
_TYPED = re.compile(r'(?:^|(?<=[\s,(]))[-!]*(?P<key>[^\s,()":=<>!]*)(?P<sign>:|!=|==?)?(?P<value>"?[^\s,()"]*)$')


class Suggested(NamedTuple):
    """``text`` takes the place of what was typed from ``start`` on."""

    text: str
    title: str
    number: int | None


def suggest_page(request: HttpRequest) -> JsonResponse:
    """``q`` is the text up to where somebody types. Values of labels that look like secrets are not suggested."""
    if not request.user.has_perm("agents.view_agent"):
        raise PermissionDenied
    text = request.GET.get("q", "")[: MAX_LENGTH + 1]
    start, found = suggested(text, request.user)
    rows = [{"text": each.text, "title": str(each.title), "count": each.number} for each in found]
    return JsonResponse({"start": start, "suggestions": rows})


def suggested(text: str, user: Any) -> tuple[int, list[Suggested]]:
    """Where what was typed begins, and what may stand there instead; nothing within quotes and behind a comparison."""
    typed = _TYPED.search(text) if len(text) <= MAX_LENGTH and "\x00" not in text else None
    if typed is None or text.count('"') % 2:
        return len(text), []
    key, sign, value = typed["key"], typed["sign"], typed["value"]
    start = typed.start("key")
    if not sign:
        return (start, _keys(key, user)) if not value else (len(text), [])
    if sign == ":":
        return start, _values(key, value, user)
    return start, _label_values(key, sign, value)


def _keys(typed: str, user: Any) -> list[Suggested]:
    fold = typed.casefold()
    words = [
        Suggested(f"{name}:" if not _is_time(word) else f"{name}<", word.title, None)
        for name, word in query_words(user).items()
        if name.startswith(fold)
    ]
    counts: Counter[str] = Counter()
    for labels in Agent.objects.order_by("-id").values_list("labels", flat=True)[:_NEWEST]:
        counts.update(key for key in labels if key.casefold().startswith(fold))
    labels_found = sorted(counts, key=lambda key: (-counts[key], key))
    more = [Suggested(f"{quoted_key(key)}=", _("label"), None) for key in labels_found]
    return [*words, *more][:MOST_SUGGESTED]


def _is_time(word: Any) -> bool:
    return bool(type(word).compares is True)


def _values(name: str, typed: str, user: Any) -> list[Suggested]:
    word = query_words(user).get(name)
    if word is None:
        return []
    counts = _facet_counts(name) if isinstance(word, ChoiceWord) else {}
    return [
        Suggested(f"{name}:{quoted_value(value)}", "", counts.get(value, number))
        for value, number in word.suggestions(typed)[:MOST_SUGGESTED]
    ]


def _facet_counts(name: str) -> dict[str, int]:
    """The numbers of the filter of that word, over the fleet."""
    for kind in facets.COUNTED:
        if kind.asked_as == name:
            counts: Counter[str] = Counter()
            for group in facets.groups():
                value = group.values[str(kind.parameter_name)]
                counts[kind.values_asked.get(value, value)] += group.number
            return {
                kind.values_asked.get(each, each): counts[kind.values_asked.get(each, each)]
                for each in kind.words or counts
            }
    return {}


def _label_values(key: str, sign: str, typed: str) -> list[Suggested]:
    agents = Agent.objects.filter(has_label(key)).order_by()
    if typed:
        agents = agents.filter(begins_with(label_text(key), typed))
    some = Agent.objects.filter(pk__in=agents.values("pk")[:SAMPLED]).order_by()
    rows: Iterable[tuple[str, int]] = (
        some.annotate(label_value=label_text(key))
        .values_list("label_value")
        .annotate(number=Count("*"))
        .order_by("-number", "label_value")[:MOST_SUGGESTED]
    )
    return [
        Suggested(f"{key}{sign}{quoted_value(value)}", "", number)
        for value, number in rows
        if pair_shown(key, value) == value
    ]
