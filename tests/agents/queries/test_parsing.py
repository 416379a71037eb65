"""What a query text says, and where it is wrong; no text takes long or recurses deep."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.queries import (
    MAX_DEPTH,
    MAX_LENGTH,
    MAX_TERMS,
    Conjunction,
    Disjunction,
    FreeText,
    InvalidQuery,
    Negation,
    Node,
    Operation,
    Term,
    chosen_terms,
    parse_query,
    quoted_value,
    with_term,
    without_terms,
)


def said(node: Node) -> str:
    """The tree in one line."""
    match node:
        case Conjunction():
            return f"all({' '.join(map(said, node.parts))})"
        case Disjunction():
            return f"any({' '.join(map(said, node.parts))})"
        case Negation():
            return f"not({said(node.part)})"
        case FreeText():
            return repr(node.text)
        case Term():
            values = ",".join(value.text + "*" * value.prefix for value in node.values)
            key = f"[{node.key}]" if node.quoted else node.key
            return f"{key}{node.operation.value}{values}"


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("", "all()"),
        ("  ", "all()"),
        ("edge", "all('edge')"),
        ('"free text"', "all('free text')"),
        ("status:connected os.type=linux", "all(status:connected os.type=linux)"),
        ("-env=prod", "all(not(env=prod))"),
        ("not env=prod", "all(not(env=prod))"),
        ("NOT a OR b AND c", "any(not('a') all('b' 'c'))"),
        ("!env", "all(not(envhas))"),
        ("!env=prod", "all(not(env=prod))"),
        ("has:env", "all(envhas)"),
        ("a or b c or d", "any('a' all('b' 'c') 'd')"),
        ("(a or b) -(c d)", "all(any('a' 'b') not(all('c' 'd')))"),
        ("((a))", "all('a')"),
        ("a,b and c", "all('a' 'b' 'c')"),
        ("env!=prod", "all(env!=prod)"),
        ("env in (a, b)", "all(env=a,b)"),
        ("env notin (a b)", "all(env!=a,b)"),
        ("status:(connected or error, configuring)", "all(status:connected,error,configuring)"),
        ("config:prod-*", "all(config:prod-*)"),
        ('env="pr*"', "all(env=pr*)"),
        ("version<0.120 version>=0.100", "all(version<0.120 version>=0.100)"),
        ("seen<5m", "all(seen<5m)"),
        ('"version"<1', "all([version]<1)"),
        ("env==prod", "all(env=prod)"),
        ("env=", "all(env=)"),
        ('env=""', "all(env=)"),
        ("env = prod", "all(env=prod)"),
        ("at=10:00 url=http://x/y", "all(at=10:00 url=http://x/y)"),
        ("n=-5 edge-1", "all(n=-5 'edge-1')"),
        ('"or" "a\\"b"', "all('or' 'a\"b')"),
        ("or:x and=1", "all(or:x and=1)"),
        ("at in (10:00, -x)", "all(at=10:00,-x)"),
        ("--a", "all(not(not('a')))"),
        ("名称=边缘", "all(名称=边缘)"),
        ('地区="华东（一）"', "all(地区=华东（一）)"),
        ("a=- b", "all(a=- 'b')"),
    ],
)
def test_what_a_text_says(text, tree):
    assert said(parse_query(text)) == tree


@pytest.mark.parametrize(
    ("text", "place", "code"),
    [
        ("env==", 3, "query-value-missing"),
        ("status:", 7, "agent-query-value-missing"),
        ("version<", 8, "agent-query-value-missing"),
        ("env=prod)", 8, "agent-query-close-bracket"),
        ("a (b or c", 2, "agent-query-open-bracket"),
        ("()", 1, "agent-query-expected-condition"),
        ("(a) )", 4, "agent-query-close-bracket"),
        ("a or", 4, "agent-query-expected-condition"),
        ("or a", 0, "agent-query-expected-condition"),
        ("a and or b", 6, "agent-query-expected-condition"),
        ("a,,b", 2, "agent-query-expected-condition"),
        ("=x", 0, "agent-query-expected-condition"),
        ("a=b=c", 3, "agent-query-expected-condition"),
        ("-", 0, None),
        ("not", 3, "agent-query-expected-condition"),
        ('a "b', 2, "query-open-quote"),
        ('"\\x"', 0, "query-invalid-escape"),
        ('"\\u0000"', 0, "query-invalid-escape"),
        ('"\\ud800"', 0, "query-invalid-escape"),
        ('""', 0, "agent-query-empty-text"),
        ("a\x00b", 1, "agent-query-unwritable"),
        ("a \x07", 2, "agent-query-unwritable"),
        ("config:a*b", 8, "agent-query-star"),
        ("status:(a", 9, "query-expected-list-end"),
        ("status:()", 8, "agent-query-value-missing"),
        ("status:(a (", 10, "query-expected-list-end"),
        ("w" * 256, 0, "search-too-long"),
        ("k=" + "v" * 1025, 2, "label-text-too-long"),
        ("k" * 256 + "=v", 0, "label-text-too-long"),
        ("status：connected", 6, "query-fullwidth-sign"),
        ("env＝prod", 3, "query-fullwidth-sign"),
        ("env=“prod”", 4, "query-fullwidth-sign"),
        ("env in （a，b）", 7, "query-fullwidth-sign"),
        ("a，b", 1, "query-fullwidth-sign"),
        ("！env", 0, "query-fullwidth-sign"),
        ("版本＜2", 2, "query-fullwidth-sign"),
        ("- env=prod", 0, "agent-query-lone-minus"),
        ("edge - 7", 5, "agent-query-lone-minus"),
        ("a" * (MAX_LENGTH + 1), MAX_LENGTH, "agent-query-too-long"),
        ("(" * (MAX_DEPTH + 1) + "a", MAX_DEPTH, "agent-query-too-deep"),
        ("-" * (MAX_DEPTH + 1) + "a", MAX_DEPTH, "agent-query-too-deep"),
        ("a " * (MAX_TERMS + 1), 2 * MAX_TERMS, "agent-query-too-many-terms"),
        (f"k in ({'v ' * (MAX_TERMS + 1)})", 6 + 2 * MAX_TERMS, "agent-query-too-many-terms"),
    ],
)
def test_where_it_is_wrong(text, place, code):
    if code is None:
        assert said(parse_query(text)) == f"all({text!r})"
        return
    with pytest.raises(InvalidQuery) as caught:
        parse_query(text)
    assert (caught.value.position, caught.value.code) == (place, code)
    assert f"character {place + 1}" in str(caught.value.message)


def test_as_much_as_is_allowed_is_read():
    assert len(parse_query("a " * MAX_TERMS).parts) == MAX_TERMS
    deep = "(" * MAX_DEPTH + "a" + ")" * MAX_DEPTH
    assert said(parse_query(deep)) == "all('a')"


PIECES = [*'ab:=<>!()",*- \t\\', "or ", "not ", "in ("]
SIGNS = st.lists(st.sampled_from(PIECES), max_size=60).map("".join)


@given(SIGNS | st.text(max_size=200))
def test_any_text_is_read_or_refused_at_a_place_in_it(text):
    refused = None
    try:
        root = parse_query(text)
    except InvalidQuery as error:
        refused = error
    if refused is not None:
        assert 0 <= refused.position <= len(text)
        return
    again = parse_query(" ".join(shown for _node, shown in chosen_terms(text)))
    assert said(again) == said(root) or isinstance(root, Disjunction)


@pytest.mark.parametrize("sign", ["(", "-", "!", "not ", '"', "a:", "a=", "a in (", ",", "(a or ", "*", "\\"])
def test_no_text_takes_long(sign):
    begun = time.process_time()
    for text in (sign * 1_900, (sign * (MAX_LENGTH // len(sign)))[:MAX_LENGTH]):
        with contextlib.suppress(InvalidQuery):
            parse_query(text)
    assert time.process_time() - begun < 1


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=30))
def test_a_value_that_is_put_in_is_read_as_it_was(value):
    (term,) = parse_query(f"k:{quoted_value(value)}").parts
    assert isinstance(term, Term)
    assert [(each.text, each.prefix) for each in term.values] == [(value, False)]


def test_conditions_are_put_in_and_taken_out():
    def is_status(node: Node) -> bool:
        return isinstance(node, Term) and node.key == "status" and node.operation is Operation.IS

    assert with_term("", "status:error") == "status:error"
    assert with_term("env=prod", "status:error") == "env=prod status:error"
    assert with_term("a or b", "status:error") == "(a or b) status:error"
    assert with_term("(a) or (b)", "x") == "((a) or (b)) x"
    assert with_term("(a or b) c", "x") == "(a or b) c x"
    assert without_terms("env=prod, status:error and b", is_status) == "env=prod b"
    assert without_terms("status:error", is_status) == ""
    assert without_terms("-status:error", is_status) == "-status:error"
    assert without_terms("(status:error)", is_status) == ""
    with pytest.raises(InvalidQuery):
        with_term("a (", "x")
