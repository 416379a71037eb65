"""The language of templates: what it does, and that nothing else can be done with it."""

from __future__ import annotations

import json

import pytest
import yaml

from variables.template_language import TemplateProblem
from variables.templating import MOST_RENDERED, RenderingFailure, Scope, Template

SCOPE = Scope(
    {
        "host.name": "web-1",
        "env": "prod",
        "evil": "x\nreceivers: {}",
        "refers": "${env:TOKEN}",
        "quotes": "a\"b': c # d",
    },
    {
        "region": "eu-west",
        "list": "a, b,c",
        "number": "41",
        "yaml": "a: 1\nb: 2",
        "long": "x" * 60_000,
        "many": "1," * 900,
    },
    {"token": 's3cret"\\x', "lost": None},
)


def rendered(text: str) -> str:
    return Template(text).render(SCOPE)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ('host: {{ labels["host.name"] }}\n', "host: web-1\n"),
        ("host: {{ labels.env }}", "host: prod"),
        ("{{ vars.region }}/{{ vars.yaml }}", "eu-west/a: 1\nb: 2"),
        ("{{ secrets.token }}", 's3cret"\\x'),
        ("{% for part in vars.list | split %}- {{ part }}\n{% endfor %}", "- a\n- b\n- c\n"),
        ("{% for part in ['x', 'y'] %}{{ loop.index }}{{ part }}{% endfor %}", "1x2y"),
        ("{% if labels.env == 'prod' and 'web' in labels['host.name'] %}1{% else %}2{% endif %}", "1"),
        ("{{ vars.none | default('z') }}{{ labels.none | default('y') }}", "zy"),
        ("{{ 'a' if vars.none is defined else 'b' }}", "b"),
        ("{{ (vars.number | int) + 1 }}", "42"),
        ("{{ labels.env | upper }}-{{ vars.region | replace('-', '.') }}", "PROD-eu.west"),
        ("{{ (vars.list | split) | join('+') }}", "a+b+c"),
        ("{{ 'a' | b64encode }} {{ '/ ' | urlencode }}", "YQ== %2F%20"),
        ("{{ '{{' }}{% raw %}{{ x }}{% endraw %}{# no #}", "{{{{ x }}"),
        ("a\n", "a\n"),
        ("", ""),
    ],
)
def test_what_templates_do(text: str, result: str) -> None:
    assert rendered(text) == result


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__ }}",
        "{{ ().__class__.__mro__ }}",
        "{{ labels.get('x') }}",
        "{{ vars['region'].upper() }}",
        "{{ self }}",
        "{{ cycler }}",
        "{{ lipsum() }}",
        "{{ range(10) }}",
        "{% for x in range(10) %}{% endfor %}",
        "{{ 'a' * 99999999 }}",
        "{{ 9 ** 99999 }}",
        "{{ '%99999d' % 1 }}",
        "{{ 'a' | attr('__class__') }}",
        "{{ 'a' | format }}",
        "{{ ['a'] | map('upper') }}",
        "{% set x = 1 %}",
        "{% macro m() %}{% endmacro %}",
        "{% import 'x' as x %}",
        "{% include 'x' %}",
        "{% extends 'x' %}",
        "{% block x %}{% endblock %}",
        "{% with x = 1 %}{% endwith %}",
        "{% filter upper %}{% endfilter %}",
        "{% call x() %}{% endcall %}",
        "{% for x in ['a'] recursive %}{{ loop(['a']) }}{% endfor %}",
        "{% for labels in ['a'] %}{% endfor %}",
        "{% for x, y in ['ab'] %}{% endfor %}",
        "{% for x in ['a'] if x %}{% endfor %}",
        "{% for a in ['a'] %}{% for b in ['a'] %}{% for c in ['a'] %}{% endfor %}{% endfor %}{% endfor %}",
        "{% for x in ['a'] %}{{ loop.cycle }}{% endfor %}",
        "{{ vars.region[0] }}",
        "{{ vars[vars.region] }}",
        "{{ {'a': 1} }}",
        "{{ vars.region is sameas vars.region }}",
        "{{ _steps }}",
        "{{ 1 | _steps(1) }}",
        "{{ vars }}",
        "{{ secrets.token ~ 'x' }}",
        "{{ secrets.token | upper }}",
        "{{ [secrets.token] | json }}",
        "{% if secrets.token %}{% endif %}",
        "{% if secrets.token == 'a' %}{% endif %}",
        "{{ 'a' if secrets.token else 'b' }}",
        "{{ vars.region | default(secrets.token) }}",
        "{{ " + "(" * 5_000 + "1" + ")" * 5_000 + " }}",
        "{{ " + " ~ ".join(["vars.long"] * 100) + " }}",
        "{{ 1 }}" * 30_000,
        "{% if 1 %}" * 60 + "{% endif %}" * 60,
        "{{ not",
        "{% nonsense %}",
    ],
)
def test_what_is_no_part_of_the_language_is_refused_before_it_runs(text: str) -> None:
    with pytest.raises(TemplateProblem) as refused:
        Template("first line\n" + text)
    assert refused.value.line >= 1
    assert "s3cret" not in str(refused.value.message)


def test_the_line_is_named() -> None:
    with pytest.raises(TemplateProblem) as refused:
        Template("a\nb\n{{ range(3) }}")
    assert refused.value.line == 3
    with pytest.raises(RenderingFailure) as failed:
        rendered("a\n\n\n{{ vars.none }}\n")
    assert (failed.value.line, failed.value.message.code) == (4, "template-value-missing")
    assert "vars.none" in str(failed.value.message)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{% for x in vars.long | replace('x', 'x,') | split %}{% endfor %}", "template-loops-too-long"),
        (
            "{% for x in vars.many | split %}{% for y in vars.many | split %}{% endfor %}{% endfor %}",
            "template-loops-too-long",
        ),
        ("{% for x in vars.many | split %}{{ vars.long }}{% endfor %}", "rendering-too-long"),
        ("{{ vars.long | replace('x', vars.long) }}", "rendering-too-long"),
        ("{{ (vars.long | replace('x', 'x,') | split(',')) | join(vars.long) }}", "rendering-too-long"),
        ("{{ vars.long ~ vars.long ~ vars.long ~ vars.long ~ vars.long | upper }}", "rendering-too-long"),
        ("{{ vars.region - 1 }}", "template-operation"),
        ("{{ vars.region | int }}", "template-no-number"),
        ("{% for x in vars.region %}{% endfor %}", "template-no-list"),
        ("{{ vars.list | split }}", "template-no-text"),
        ("{{ secrets.lost }}", "secret-unreadable"),
        ("{{ secrets.lost | yaml }}", "secret-unreadable"),
        ("{{ vars.none | yaml }}", "template-value-missing"),
        ("{{ labels.__class__ }}", "template-value-missing"),
        ("{{ labels.items }}", "template-value-missing"),
        ("{{ vars['__init__'] }}", "template-value-missing"),
    ],
)
def test_what_has_no_result_says_why(text: str, code: str) -> None:
    with pytest.raises(RenderingFailure) as failed:
        rendered(text)
    assert failed.value.message.code == code


def test_a_large_result_within_the_bound_is_one() -> None:
    text = "x" * (MOST_RENDERED - 1)
    assert rendered(text) == text


@pytest.mark.parametrize(
    "value",
    [
        "x\nreceivers: {}", "a\rb", "a: b", "a #b", "a:", "{a: b}", "[a]", "'a", '"a', "*a", "&a", "!a", "|", ">", "- a", "? a",
        "%a", "@a", "`a", "a, b", "---", "...", "a\x00", "a\u2028b", "a ", " a", "<<", "a\x85b", "$x", "\ufeffa",
    ],
)  # fmt: skip
def test_a_label_cannot_change_a_file(value: str) -> None:
    scope = Scope({"x": value})
    for text in (
        "a: {{ labels.x }}\n",
        "a: {{ labels.x ~ '' }}\n",
        "a: '{{ labels.x }}'\n",
        "{% for p in labels.x | split %}a: {{ p }}\n{% endfor %}",
    ):
        try:
            read = yaml.safe_load(Template(text).render(scope))
        except RenderingFailure as failure:
            assert failure.message.code == "label-needs-quotes"  # noqa: PT017
        else:
            assert set(read) == {"a"}
            assert read["a"] in (value, *(part.strip() for part in value.split(",")))
    for quoting, read in (("yaml", yaml.safe_load), ("json", json.loads)):
        assert read(Template("{{ labels.x | " + quoting + " }}").render(scope)) == value


@pytest.mark.parametrize(
    "value", ["web-1", "a/b.c:4317", "x@y", "zoë", "1.2.3", "a b", "50%", "key=value", "f(x)", "~a"[1:], ""]
)
def test_an_ordinary_label_stands_as_it_is(value: str) -> None:
    assert Template("{{ labels.x }}").render(Scope({"x": value})) == value


@pytest.mark.parametrize("text", ["{{ labels.refers }}", "{{ labels.refers | yaml }}", "{{ labels.refers | json }}"])
def test_agents_do_not_get_references_from_labels(text: str) -> None:
    with pytest.raises(RenderingFailure) as failed:
        rendered(text)
    assert failed.value.message.code == "label-refers"


def test_it_is_known_what_a_template_uses() -> None:
    template = Template(
        "a: {{ labels.env }}\nb: \"{{ labels['host.name'] }}\"\nc: {{ labels.env | yaml }}\n"
        "{% if labels.role == 'x' %}{{ secrets.token }}{{ vars.a | default(vars.b) }}{% endif %}"
    )
    uses = template.uses
    assert (sorted(uses.labels), sorted(uses.variables), sorted(uses.secrets)) == (
        ["env", "host.name", "role"],
        ["a", "b"],
        ["token"],
    )
    assert (sorted(uses.optional), sorted(uses.deciding)) == (["vars.a"], ["role"])
    assert template.unquoted == [1]
