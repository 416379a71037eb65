"""Selectors: meaning, JSON and query syntax, explanation, versions."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.reports import Json
from agents.selectors import (
    ClauseResult,
    InvalidSelector,
    Operator,
    Requirement,
    Selector,
    parse_label_query,
    parse_selector,
)
from agents.selectors.versions import version_key
from foundation.messages import Message

PRODUCTION = {"env": "prod", "region": "us-east", "os.type": "linux", "service.version": "0.120.1"}

label_text = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=12)
keys = label_text.filter(lambda text: text == text.strip())
versions = st.from_regex(r"\Av?[0-9]{1,3}(\.[0-9]{1,3}){0,3}(-[a-z0-9]{1,4})?\Z")


@st.composite
def requirements(draw: st.DrawFn) -> Requirement:
    operator = draw(st.sampled_from(Operator))
    if operator in (Operator.IN, Operator.NOT_IN):
        values = draw(st.lists(st.just("") | label_text, min_size=1, max_size=3))
    elif operator in (Operator.GT, Operator.LT):
        values = [draw(versions)]
    else:
        values = []
    return Requirement(draw(keys), operator, tuple(values))


def errors_of(data: object) -> dict[str, str]:
    with pytest.raises(InvalidSelector) as refused:
        parse_selector(data)
    return {path: str(said) for path, said in refused.value.errors}


def expression(key: str, operator: str, *values: str) -> dict[str, object]:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


class TestEqualityMap:
    def test_every_pair_must_hold(self) -> None:
        selector = parse_selector({"env": "prod", "region": "us-east"})
        assert selector.matches(PRODUCTION)
        assert not selector.matches(PRODUCTION | {"region": "us-west"})
        assert not selector.matches({"env": "prod"})

    @pytest.mark.parametrize(("value", "label"), [(True, "true"), (False, "false"), (8080, "8080"), ("", "")])
    def test_booleans_and_whole_numbers_compare_as_labels_show_them(self, value: object, label: str) -> None:
        assert parse_selector({"k": value}).matches({"k": label})

    @pytest.mark.parametrize("value", [None, ["prod"], {"a": "b"}, b"x"])
    def test_other_values_are_refused_by_key(self, value: object) -> None:
        assert errors_of({"env": value}) == {"env": "Must be text; a label is never null, a list or an object."}

    def test_a_fraction_is_refused_because_json_drops_its_zeros(self) -> None:
        assert errors_of({"version": 0.1}) == {"version": "A fraction is ambiguous as a label; put it in quotes."}

    @pytest.mark.parametrize("data", [None, [], "env=prod", 1, True])
    def test_only_an_object_is_a_selector(self, data: object) -> None:
        assert "JSON object" in errors_of(data)[""]

    @pytest.mark.parametrize("key", ["", " ", "a\x00", "\ud800", "k" * 256, 7])
    def test_impossible_keys_are_refused(self, key: object) -> None:
        assert len(errors_of({key: "x"})) == 1

    def test_all_problems_are_reported_at_once(self) -> None:
        assert set(errors_of({"a": None, "b": [], "c": "ok"})) == {"a", "b"}

    def test_the_count_of_clauses_is_bounded(self) -> None:
        assert "at most 64" in errors_of({f"k{n}": "x" for n in range(65)})[""]


class TestEmptySelector:
    @pytest.mark.parametrize("data", [{}, {"matchLabels": {}}, {"matchLabels": None, "matchExpressions": []}])
    def test_it_matches_nothing_unless_told(self, data: object) -> None:
        assert not parse_selector(data).matches(PRODUCTION)
        assert parse_selector(data, match_all=True).matches({})

    def test_match_all_never_widens_clauses(self) -> None:
        selector = parse_selector({"env": "prod"}, match_all=True)
        assert not selector.match_all
        assert not selector.matches({"env": "dev"})


class TestKubernetesStyle:
    @pytest.mark.parametrize(
        ("operator", "values", "present", "other", "absent"),
        [
            ("In", ["linux", "darwin"], True, False, False),
            ("NotIn", ["linux", "darwin"], False, True, True),
            ("Exists", [], True, True, False),
            ("DoesNotExist", [], False, False, True),
        ],
    )
    def test_the_operators(self, operator: str, values: list[str], present: bool, other: bool, absent: bool) -> None:
        selector = parse_selector(expression("os.type", operator, *values))
        assert selector.matches({"os.type": "linux"}) is present
        assert selector.matches({"os.type": "windows"}) is other
        assert selector.matches({}) is absent

    def test_labels_and_expressions_must_all_hold(self) -> None:
        selector = parse_selector({"matchLabels": {"env": "prod"}} | expression("os.type", "In", "linux"))
        assert selector.matches(PRODUCTION)
        assert not selector.matches(PRODUCTION | {"env": "dev"})
        assert not selector.matches(PRODUCTION | {"os.type": "darwin"})

    def test_clauses_on_one_key_must_all_hold(self) -> None:
        between = parse_selector(
            {
                "matchExpressions": [
                    {"key": "v", "operator": "Gt", "values": ["1.0"]},
                    {"key": "v", "operator": "Lt", "values": ["2.0"]},
                ]
            }
        )
        assert [between.matches({"v": v}) for v in ("1.0", "1.5", "2.0")] == [False, True, False]

    def test_absent_values_may_be_null(self) -> None:
        assert parse_selector({"matchExpressions": [{"key": "a", "operator": "Exists", "values": None}]}).matches(
            {"a": ""}
        )

    def test_an_unknown_member_beside_them_is_an_error(self) -> None:
        assert "move it into matchLabels" in errors_of({"matchLabels": {}, "env": "prod"})["env"]

    @pytest.mark.parametrize(
        ("data", "path"),
        [
            ({"matchLabels": "env=prod"}, "matchLabels"),
            ({"matchLabels": {"env": None}}, "matchLabels.env"),
            ({"matchExpressions": {}}, "matchExpressions"),
            ({"matchExpressions": "x"}, "matchExpressions"),
            ({"matchExpressions": ["x"]}, "matchExpressions[0]"),
            ({"matchExpressions": [{"operator": "Exists"}]}, "matchExpressions[0].key"),
            ({"matchExpressions": [{"key": "a"}]}, "matchExpressions[0].operator"),
            (expression("a", "in", "x"), "matchExpressions[0].operator"),
            (expression("a", "Gte", "1"), "matchExpressions[0].operator"),
            (expression("a", "In"), "matchExpressions[0].values"),
            (expression("a", "NotIn"), "matchExpressions[0].values"),
            (expression("a", "Exists", "x"), "matchExpressions[0].values"),
            (expression("a", "DoesNotExist", "x"), "matchExpressions[0].values"),
            (expression("a", "Gt"), "matchExpressions[0].values"),
            (expression("a", "Gt", "1", "2"), "matchExpressions[0].values"),
            (expression("a", "Lt", "newest"), "matchExpressions[0].values"),
            ({"matchExpressions": [{"key": "a", "operator": "In", "values": "x"}]}, "matchExpressions[0].values"),
            (
                {"matchExpressions": [{"key": "a", "operator": "In", "values": ["x", 1.5]}]},
                "matchExpressions[0].values[1]",
            ),
            (
                {"matchExpressions": [{"key": "a", "operator": "In", "values": ["x"] * 257}]},
                "matchExpressions[0].values",
            ),
            ({"matchExpressions": [{"key": "a", "operator": "Exists", "value": []}]}, "matchExpressions[0].value"),
        ],
    )
    def test_each_mistake_has_its_path(self, data: object, path: str) -> None:
        assert list(errors_of(data)) == [path]

    def test_the_text_of_the_error_names_every_path(self) -> None:
        with pytest.raises(
            InvalidSelector, match=r"matchLabels\.a: .*; matchExpressions\[0\]\.operator: Must be one of In, "
        ):
            parse_selector({"matchLabels": {"a": None}, "matchExpressions": [{"key": "k", "operator": "Is"}]})


class TestVersionOrder:
    @pytest.mark.parametrize(
        ("lower", "higher"),
        [
            ("0.9.0", "0.100.0"),
            ("1.0.0-rc1", "1.0.0"),
            ("v1.0.0-alpha", "1.0.0-alpha.1"),
            ("1.0.0-alpha.1", "1.0.0-alpha.beta"),
            ("1.0.0-2", "1.0.0-11"),
            ("1.0.0-9", "1.0.0-a"),
            ("1", "1.0.1"),
            ("1.2.3", "1.2.3.1"),
            ("0.0.0", "0.0.1-dev"),
        ],
    )
    def test_lower_and_higher(self, lower: str, higher: str) -> None:
        above = parse_selector(expression("v", "Gt", lower))
        below = parse_selector(expression("v", "Lt", higher))
        assert above.matches({"v": higher})
        assert below.matches({"v": lower})
        assert not above.matches({"v": lower})
        assert not below.matches({"v": higher})

    @pytest.mark.parametrize("same", ["1.2", "v1.2.0", "V1.2.0.0", "1.2.0+build.7", "01.02"])
    def test_spellings_of_one_version(self, same: str) -> None:
        assert version_key(same) == version_key("1.2.0")

    @pytest.mark.parametrize(
        "label", ["", "latest", "1.", ".1", "1..2", "v", "1.0-", "1.0+", " 1.0", "1.0\n", "１.0", "9" * 256, "1 2"]
    )
    def test_a_label_that_is_no_version_never_matches(self, label: str) -> None:
        assert not parse_selector(expression("v", "Gt", "0")).matches({"v": label})
        assert not parse_selector(expression("v", "Lt", "999")).matches({"v": label})
        assert not parse_selector(expression("v", "Lt", "999")).matches({})


class TestExplain:
    def test_each_clause_tells_the_label_it_saw(self) -> None:
        selector = parse_label_query("env=prod,os.type in (darwin,windows),!canary,version>0.100")
        assert selector.explain({"env": "prod", "os.type": "linux"}) == [
            ClauseResult(clause="!canary", key="canary", satisfied=True, actual=None),
            ClauseResult(clause="env=prod", key="env", satisfied=True, actual="prod"),
            ClauseResult(clause="os.type in (darwin, windows)", key="os.type", satisfied=False, actual="linux"),
            ClauseResult(clause="version>0.100", key="version", satisfied=False, actual=None),
        ]

    def test_an_empty_selector_explains_itself(self) -> None:
        assert Selector().explain(PRODUCTION) == [
            ClauseResult(Message("no-agent", "no agent"), "", satisfied=False, actual=None)
        ]
        assert Selector(match_all=True).explain({}) == [
            ClauseResult(Message("every-agent", "every agent"), "", satisfied=True, actual=None)
        ]

    @given(st.lists(requirements(), max_size=4), st.booleans(), st.dictionaries(keys, label_text, max_size=4))
    def test_it_agrees_with_matches(self, clauses: list[Requirement], match_all: bool, labels: dict[str, str]) -> None:
        selector = Selector(tuple(clauses), match_all=match_all)
        assert selector.matches(labels) is all(line.satisfied for line in selector.explain(labels))


class TestWrittenForms:
    @pytest.mark.parametrize(
        "data",
        [
            {},
            {"env": "prod", "region": "us-east"},
            {"matchExpressions": [{"key": "a", "operator": "Exists"}]},
            {"matchLabels": {"env": "prod"}, "matchExpressions": [{"key": "v", "operator": "Gt", "values": ["0.100"]}]},
            {"matchLabels": {"matchLabels": "x"}},
        ],
    )
    def test_canonical_json_is_kept_as_given(self, data: dict[str, Json]) -> None:
        assert parse_selector(data).as_json() == data

    def test_one_meaning_has_one_form(self) -> None:
        wordy = parse_selector({"matchLabels": {"b": 1}} | expression("a", "In", "x", "x"))
        assert wordy == parse_selector({"a": "x", "b": "1"})
        assert wordy.as_json() == {"a": "x", "b": "1"}

    def test_two_equalities_on_one_key_survive(self) -> None:
        never = parse_selector({"matchLabels": {"a": "x"}} | expression("a", "In", "y"))
        assert parse_selector(never.as_json()) == never
        assert not never.matches({"a": "x"})

    def test_text_for_people(self) -> None:
        query = (
            'version>0.100, env=prod, os.type in (linux, darwin), !gone, here, tier!=front, zone notin (b, a), n="x y"'
        )
        assert str(parse_label_query(query)) == (
            'env=prod, !gone, here, n="x y", os.type in (darwin, linux), tier!=front, version>0.100, zone notin (a, b)'
        )

    @given(st.lists(requirements(), max_size=5))
    def test_json_reads_back(self, clauses: list[Requirement]) -> None:
        selector = Selector(tuple(clauses))
        assert parse_selector(selector.as_json()) == selector

    @given(st.lists(requirements(), min_size=1, max_size=5))
    def test_text_reads_back_as_a_label_query(self, clauses: list[Requirement]) -> None:
        selector = Selector(tuple(clauses))
        assert parse_label_query(str(selector)) == selector


class TestLabelQuery:
    def test_the_whole_language(self) -> None:
        selector = parse_label_query("env=prod,tier!=front,os.type in (linux,windows),!gone,present,version>0.120")
        labels = {"env": "prod", "os.type": "linux", "present": "", "version": "0.120.1"}
        assert selector.matches(labels)
        for broken in ({"env": "dev"}, {"tier": "front"}, {"os.type": "darwin"}, {"gone": ""}, {"version": "0.120"}):
            assert not selector.matches(labels | broken)

    @pytest.mark.parametrize(
        ("query", "same"),
        [
            ("env==prod", "env=prod"),
            (" env = prod ", "env=prod"),
            ("a notin(x)", "a!=x"),
            ("in in (in)", "in=in"),
            ('"a,b"="c=d"', '"a,b" = "c=d"'),
            ("a=,b", 'a="",b'),
        ],
    )
    def test_spellings(self, query: str, same: str) -> None:
        assert parse_label_query(query) == parse_label_query(same)

    @pytest.mark.parametrize("query", ["", "  "])
    def test_an_empty_query_is_no_filter(self, query: str) -> None:
        assert parse_label_query(query).matches({})

    @pytest.mark.parametrize(
        ("query", "position"),
        [
            ("env＝prod", 3),
            ("env=“prod”", 4),
            ("env in （a）", 7),
            ("env=a，b=c", 5),
            (",", 0),
            ("a,", 2),
            ("a b", 2),
            ("=x", 0),
            ("a=b=c", 3),
            ("a in x", 5),
            ("a in ()", 6),
            ("a in (x", 7),
            ("a in (x y)", 8),
            ("!", 1),
            ("!!a", 1),
            ("a>latest", 1),
            ("a>", 1),
            ("a>=1.0", 1),
            ('env="prod', 4),
            (r'a="\x"', 2),
            ('a="x\x00"', 2),
            ("a=x\x00", 2),
            ('""', 0),
            ("k" * 256, 0),
            ("a" * 65_537, 65_536),
            (",".join(["a"] * 65), 127),
            (f"a in ({','.join(['x'] * 257)})", 517),
        ],
    )
    def test_a_mistake_is_told_with_its_place(self, query: str, position: int) -> None:
        with pytest.raises(InvalidSelector) as refused:
            parse_label_query(query)
        assert refused.value.position == position
        assert f"At character {position + 1}: " in str(refused.value)


class TestAnyInput:
    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["matchLabels", "matchExpressions", "key", "operator", "values"]) | st.text(),
                    inner,
                    max_size=4,
                )
            ),
        )
    )
    def test_json_is_a_selector_or_refused(self, data: object) -> None:
        try:
            parse_selector(data).matches(PRODUCTION)
        except InvalidSelector as refused:
            str(refused).encode()

    @given(st.text() | st.text(string.ascii_lowercase + ' ,=!<>()"\\'))
    def test_text_is_a_query_or_refused(self, query: str) -> None:
        position: int | None = 0
        try:
            parse_label_query(query).matches(PRODUCTION)
        except InvalidSelector as refused:
            position = refused.position
        assert position is not None
        assert 0 <= position <= len(query)
