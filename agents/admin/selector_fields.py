"""Selectors in forms: a text of JSON or YAML, and rows of conditions over it where scripts run (`static/portal/selector.js`)."""

from __future__ import annotations

import json
from typing import Any

import yaml
from django import forms
from django.http import HttpRequest, JsonResponse
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from agents.label_conditions import selector_condition
from agents.models import Agent
from agents.selectors import InvalidSelector, Operator, Selector, parse_selector
from foundation.form_fields import NameTwice, typed_json
from foundation.languages import in_readers_language
from foundation.messages import Message
from foundation.nesting import MAX_DEPTH, NestedTooDeep, check_yaml

_LONGEST = 65_536
_SAMPLE = 5
# Keys are looked for among the newest agents alone, so that it costs the same whatever the fleet.
_SAMPLED_FOR_LABELS = 200
_MOST_LABELS = 200
OPERATOR_WORDS = {
    Operator.IN: _("is one of"),
    Operator.NOT_IN: _("is none of"),
    Operator.EXISTS: _("exists"),
    Operator.DOES_NOT_EXIST: _("does not exist"),
    Operator.GT: _("is a later version than"),
    Operator.LT: _("is an earlier version than"),
}


class _SelectorLoader(yaml.CBaseLoader):
    """Every scalar is text, nothing is constructed, and of a key that is there twice no value is lost in silence."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """Raises `NameTwice`."""
        found = super().construct_mapping(node, deep=deep)
        if len(found) < len(node.value):
            seen = set[str]()
            for key, _value in node.value:
                if key.value in seen:
                    raise NameTwice(key.value[:100])
                seen.add(key.value)
        return found


def read_selector(text: str) -> Any:
    """Decoded JSON or YAML. Raises `InvalidSelector` with the line."""
    if len(text) > _LONGEST:
        raise _invalid(Message("selector-too-long", "The selector is too long."))
    try:
        return _decoded(text)
    except NestedTooDeep as error:
        raise _invalid(
            Message(
                "selector-nests-too-deep",
                "The selector nests deeper than {most} levels in line {line}.",
                most=MAX_DEPTH,
                line=error.line + 1,
            )
        ) from None
    except NameTwice as error:
        raise _invalid(Message("selector-key-twice", "“{key}” is there twice.", key=str(error))) from None
    except yaml.MarkedYAMLError as error:
        # libyaml gives the end of the text a line of its own.
        line = min(error.problem_mark.line, text.count("\n")) + 1 if error.problem_mark else 1
        raise _invalid(
            Message("neither-json-nor-yaml-at", "Neither JSON nor YAML: look at line {line}.", line=line)
        ) from error
    except (yaml.YAMLError, ValueError) as error:
        raise _invalid(Message("neither-json-nor-yaml", "Neither JSON nor YAML.")) from error


def _decoded(text: str) -> Any:
    try:
        return typed_json(text)
    except (NestedTooDeep, NameTwice):
        raise
    except ValueError:
        check_yaml(text)
        return yaml.load(text, _SelectorLoader)  # noqa: S506  constructs nothing


def _invalid(message: Message) -> InvalidSelector:
    return InvalidSelector([("", message)])


def selector_of(text: str, *, match_all: bool) -> Selector:
    """The selector that was typed. Raises `InvalidSelector`."""
    return parse_selector(read_selector(text.strip()) if text.strip() else {}, match_all=match_all)


def selector_rows(selector: Selector) -> list[dict[str, Any]]:
    """The clauses for the row editor."""
    return [
        {"key": item.key, "operator": item.operator.value, "values": list(item.values)}
        for item in selector.requirements
    ]


def rows_typed(shown: Any) -> list[dict[str, Any]] | None:
    """The clauses of what a form shows; ``None`` when that is no selector, so that it stays raw text."""
    try:
        return selector_rows(selector_of(shown if isinstance(shown, str) else json.dumps(shown), match_all=False))
    except InvalidSelector:
        return None


def rows_context(shown: Any) -> dict[str, Any]:
    """What ``admin/agents/selector_rows.html`` needs for the text that a form shows."""
    return {
        "operators": [(item.value, OPERATOR_WORDS[item]) for item in Operator],
        "rows_json": json.dumps(rows_typed(shown)),
    }


def selector_keys(request: HttpRequest) -> list[str]:
    """Keys of labels that agents have, for who may see agents; those of the newest agents alone are looked at."""
    if not request.user.has_perm("agents.view_agent"):
        return []
    keys: set[str] = set()
    for labels in Agent.objects.order_by("-id").values_list("labels", flat=True)[:_SAMPLED_FOR_LABELS]:
        keys.update(labels)
    return sorted(keys)[:_MOST_LABELS]


class SelectorText(forms.Textarea):
    """The text alone."""

    def __init__(self) -> None:
        super().__init__({"class": "labels", "rows": 4, "spellcheck": "false"})


class SelectorRows(SelectorText):
    """The text with rows of conditions over it, and how many agents it means while it is typed."""

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        """Of the one selector of a form, which says in ``match_all`` whether it means all agents."""
        area = super().render(name, value, attrs, renderer)
        return render_to_string("admin/agents/selector_field.html", {"area": area, **rows_context(value or "")})


class SelectorFormField(forms.CharField):
    """A selector as JSON or YAML text; in YAML every value is text, so that 0.100 stays what was written."""

    widget = SelectorText

    def __init__(self, **kwargs: Any) -> None:
        usual = _("JSON or YAML: a map of labels, or matchLabels and matchExpressions as in Kubernetes.")
        super().__init__(**{"label": _("Selector"), "required": False, "help_text": usual, **kwargs})

    def prepare_value(self, value: Any) -> Any:
        """Stored selectors as readable JSON; typed text as typed."""
        return value if isinstance(value, str) else json.dumps(value or {}, indent=2, ensure_ascii=False)

    def to_python(self, value: Any) -> Any:
        """Decoded, not yet judged."""
        text = str(value or "").strip()
        try:
            return read_selector(text) if text else {}
        except InvalidSelector as error:
            raise forms.ValidationError([in_readers_language(problem) for problem in error.problems]) from error


def selector_page(request: HttpRequest) -> JsonResponse:
    """Of the selector in a form: its clauses for the rows, keys of labels, and for who may see agents how many it means."""
    posted = request.POST
    found: dict[str, Any] = {"rows": None, "keys": selector_keys(request)}
    context: dict[str, Any] = {}
    try:
        selector = selector_of(posted.get("selector", ""), match_all="match_all" in posted)
    except InvalidSelector as error:
        context["errors"] = [in_readers_language(problem) for problem in error.problems]
    else:
        found["rows"] = selector_rows(selector)
        agents = Agent.objects.visible_to(request.user).filter(selector_condition(selector))
        if request.user.has_perm("agents.view_agent"):
            context |= {"count": agents.count(), "sample": agents.in_order("name")[:_SAMPLE]}
    html = render_to_string("admin/agents/selector_reach.html", context, request)
    return JsonResponse({**found, "html": html})
