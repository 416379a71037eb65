"""Checks of configuration text: YAML and JSON syntax with places, content types, any input."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from configurations.checks import (
    MAX_BYTES,
    Finding,
    FindingKind,
    InvalidContentType,
    Severity,
    check_files,
    check_text,
    is_json,
    is_yaml,
    normalise_content_type,
)

# Nine lists of nine aliases each: 9 ** 9 values when written out.
BILLION_LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join(['*' + before] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


def only(body: str, content_type: str = "yaml") -> Finding:
    findings = check_text(body, content_type)
    assert len(findings) == 1, findings
    return findings[0]


def place(finding: Finding) -> tuple[int, int]:
    return finding.line, finding.column


class TestYamlSyntax:
    @pytest.mark.parametrize(
        "body",
        [
            "a: 1",
            "---\na: 1\n...\n",
            "a: ${env:NAME}\nb: '${env:OTHER:-x}'",
            "base: &b {x: 1}\nmore:\n  <<: [*b, *b]\n  x: 2\n",
            "\N{BYTE ORDER MARK}a: 1",
            "键: 值 🙂",
            "a:\t1",
            "custom: !something {a: 1}",
            "? [a, b]\n: c",
            "{a: [1, 2], b: {c: d}}",
        ],
    )
    def test_a_mapping_has_no_findings(self, body: str) -> None:
        assert check_text(body, "yaml") == []

    @pytest.mark.parametrize(
        ("body", "where", "says"),
        [
            ("a: 1\nb: c: d\n", (2, 5), "a colon too many"),
            ("a: 1\nb: [1, 2\n", (2, 4), "not closed"),
            ("a: 1\nb: 'x\nc: 2\n", (2, 4), "never closed"),
            ("a:\n  - b\n c: 1\n", (3, 2), "indentation"),
            ("a: 1\nb: [${env:X}, y]\n", (2, 6), "quote items"),
            ("a: @x\n", (1, 4), "quote texts that begin with"),
            ("a:\n\tb: 1\n", (2, 1), "a tab indents this line; use spaces"),
            ("a: {{ .Values.x }}\n", (1, 5), "in quotes"),
            ("<<: 3", (1, 5), "Behind << stands an object"),
            ("base: &b {x: 1}\nmore:\n  <<: *b\n  <<: *b\n", (4, 3), "already stands in line 3"),
            ("a: *nobody\n", (1, 4), "No anchor &nobody"),
            ("a: &x [*x]\n", (1, 8), "would never end"),
            ("键: 1\n🙂 值: \x07\n", (2, 6), "U+0007"),
            ("a: 1\r\nb: \x00", (2, 4), "U+0000"),
            ("a: \ud800", (1, 4), "U+D800"),
            ("- a\n- b\n", (1, 1), "must be an object"),
            ("\njust text\n", (2, 1), "must be an object"),
        ],
    )
    def test_each_mistake_has_its_place_and_a_hint(self, body: str, where: tuple[int, int], says: str) -> None:
        finding = only(body)
        assert place(finding) == where
        assert says in str(finding.message)
        assert finding.kind is FindingKind.SYNTAX
        assert finding.blocks

    @pytest.mark.parametrize("second", ["b: 1\n", "b: [\n", "@\n"])
    def test_agents_read_the_first_document_only(self, second: str) -> None:
        finding = only(f"a: 1\n---\n{second}")
        assert (finding.severity, place(finding)) == (Severity.WARNING, (2, 1))
        assert "A second document begins here" in str(finding.message)

    @pytest.mark.parametrize("body", ["", "\n", "# only a comment\n", "---\n", "null", "~"])
    def test_an_empty_file_is_legal_but_told(self, body: str) -> None:
        finding = only(body)
        assert finding.severity is Severity.WARNING
        assert not finding.blocks
        assert "no configuration" in str(finding.message)

    def test_a_repeated_key_is_told_at_the_second(self) -> None:
        finding = only('a:\n  - b: 1\n    c: 2\n    "b": 3\n')
        assert place(finding) == (4, 5)
        assert finding.path == "a[0].b"
        assert 'The key "b" already stands in line 2' in str(finding.message)
        assert finding.blocks

    def test_all_repeated_keys_are_told_up_to_a_hundred(self) -> None:
        assert len(check_text("a: 1\na: 2\nb: 3\nb: 4\n", "yaml")) == 2
        assert len(check_text("a: 1\n" * 300, "yaml")) == 100


class TestLimits:
    def test_size(self) -> None:
        assert check_text("a: " + "x" * (MAX_BYTES - 3), "yaml") == []
        assert "larger than 1,048,576 bytes" in str(only("a: " + "x" * (MAX_BYTES - 2)).message)
        assert check_text("a: éé", "yaml", max_bytes=6)[0].blocks

    @pytest.mark.parametrize("content_type", ["yaml", "json"])
    def test_depth(self, content_type: str) -> None:
        deepest = '{"a":' + "[" * 62 + "1" + "]" * 62 + "}"
        assert check_text(deepest, content_type) == []
        finding = only('{"a":' + "[" * 63 + "1" + "]" * 63 + "}", content_type)
        assert place(finding) == (1, 69)
        assert "64 levels" in str(finding.message)

    @pytest.mark.parametrize("content_type", ["yaml", "json"])
    def test_depth_without_end(self, content_type: str) -> None:
        assert "64 levels" in str(only("[" * 500_000, content_type).message)

    def test_depth_through_aliases(self) -> None:
        body = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 80))
        finding = only(body)
        assert "64 levels" in str(finding.message)
        assert finding.line == 63

    def test_aliases_are_counted_as_written_out(self) -> None:
        finding = only(BILLION_LAUGHS)
        assert "More than 200,000 values" in str(finding.message)
        assert finding.line == 6

    def test_merged_aliases_are_counted_too(self) -> None:
        body = "a: &a {k: v}\n" + "".join(
            f"{name}: &{name} {{<<: [{','.join(['*' + before] * 9)}]}}\n"
            for before, name in zip("abcdefgh", "bcdefghi", strict=True)
        )
        assert "More than 200,000 values" in str(only(body).message)

    @pytest.mark.parametrize("content_type", ["yaml", "json"])
    def test_count_of_values(self, content_type: str) -> None:
        assert "More than 200,000 values" in str(only('{"a":[' + "1," * 250_000 + "1]}", content_type).message)

    def test_unfinished_quotes_are_read_once(self) -> None:
        """Each of these quotes could begin a text that never ends; reading from every one would take hours."""
        assert "close the text that begins here" in str(only('"' + '\\"' * 500_000, "json").message)


class TestJsonSyntax:
    @pytest.mark.parametrize(
        "body", ["{}", '{"a": [1, 2.5e3, true, null, "\\u00e9\\n"], "b": {}}', '{"n": ' + "9" * 5000 + "}"]
    )
    def test_an_object_has_no_findings(self, body: str) -> None:
        assert check_text(body, "json") == []

    @pytest.mark.parametrize(
        ("body", "where", "says"),
        [
            ("", (1, 1), "a value is missing here"),
            ('{\n  "a": 1,\n}', (3, 1), "no comma follows the last one"),
            ('{"a" 1}', (1, 6), "colon"),
            ('{"a": 1\n"b": 2}', (2, 1), "a comma or a closing bracket"),
            ("{'a': 1}", (1, 2), "double quotes"),
            ('{"a": // why\n1}', (1, 7), "no comments"),
            ("{}\n{}", (2, 1), "one object only"),
            ('{"a": "x\ny"}', (1, 9), "\\n"),
            ('{\r\n"a": \x00}', (2, 6), "a value is missing here"),
            ('{"a": "\ud800"}', (1, 8), "no UTF-8 form"),
            ('{"a": NaN}', (1, 7), "not a JSON number"),
            ('{"a": -Infinity}', (1, 7), "not a JSON number"),
            ("[]", (1, 1), "must be an object"),
            ("12", (1, 1), "must be an object"),
        ],
    )
    def test_each_mistake_has_its_place_and_a_hint(self, body: str, where: tuple[int, int], says: str) -> None:
        finding = only(body, "json")
        assert place(finding) == where
        assert says in str(finding.message)
        assert finding.blocks

    def test_a_repeated_key_is_told_at_the_second(self) -> None:
        finding = only('{"a": [0, {"b": 1,\n "\\u0062": 2}]}', "application/json")
        assert place(finding) == (2, 2)
        assert finding.path == "a[1].b"
        assert finding.blocks

    def test_null_is_an_empty_file(self) -> None:
        assert not only("null", "json").blocks


class TestContentTypes:
    @pytest.mark.parametrize(
        ("given_type", "sent"),
        [
            ("yaml", "text/yaml"),
            ("YML", "text/yaml"),
            (" json ", "application/json"),
            ("text/yaml", "text/yaml"),
            ("Application/X-YAML", "application/x-yaml"),
            ("text/plain; charset=UTF-8", "text/plain; charset=UTF-8"),
            ("application/vnd.acme.agent+json", "application/vnd.acme.agent+json"),
            ('text/x; a="b c"', 'text/x; a="b c"'),
        ],
    )
    def test_short_names_and_mime_types(self, given_type: str, sent: str) -> None:
        assert normalise_content_type(given_type) == sent
        assert normalise_content_type(sent) == sent

    @pytest.mark.parametrize(
        "wrong",
        ["", "text", "text/", "/yaml", "text/ya ml", "text/yaml;", "a/b\nc", "text/yaml/x", "a/" + "b" * 300],
    )
    def test_anything_else_is_refused(self, wrong: str) -> None:
        with pytest.raises(InvalidContentType, match="Use yaml, json, toml or a MIME type"):
            normalise_content_type(wrong)

    @pytest.mark.parametrize("name", ["yaml", "text/yaml", "text/yaml; charset=utf-8", "application/yaml", "a/b+yaml"])
    def test_what_is_yaml(self, name: str) -> None:
        assert is_yaml(name)
        assert not is_json(name)

    @pytest.mark.parametrize("name", ["json", "application/json", "text/json", "application/x+json"])
    def test_what_is_json(self, name: str) -> None:
        assert is_json(name)
        assert not is_yaml(name)

    @pytest.mark.parametrize("other", ["", "text/plain"])
    def test_other_types_have_no_findings(self, other: str) -> None:
        assert check_text("a: [\x00", other) == []


class TestAnyInput:
    @given(st.text(), st.sampled_from(["yaml", "json"]))
    @example("\x00", "yaml")
    @example("[", "yaml")
    @example("\ud800", "json")
    def test_any_text_is_judged_within_it(self, body: str, content_type: str) -> None:
        self.assert_sound(body, content_type)

    @given(st.text("abservicepipelines:-[]{}&*!|>'\"#%@`,?<~ \t\n\r\\\u2028\ufeff0"), st.sampled_from(["yaml", "json"]))
    def test_text_of_signs_is_judged_within_it(self, body: str, content_type: str) -> None:
        self.assert_sound(body, content_type)

    @given(
        st.recursive(
            st.none() | st.text() | st.integers() | st.booleans(),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["service", "pipelines", "receivers", "exporters", "connectors", "traces"]), inner
                )
            ),
        )
    )
    def test_any_shape_is_judged(self, data: object) -> None:
        body = json.dumps({"service": {"pipelines": data}, "receivers": data, "connectors": data})
        self.assert_sound(body, "json")
        assert not any(finding.is_unreadable for finding in check_text(body, "json"))

    def assert_sound(self, body: str, content_type: str) -> None:
        lines = (
            body.count("\n") + body.count("\r") + body.count("\u2028") + body.count("\u2029") + body.count("\x85") + 1
        )
        for finding in check_text(body, content_type):
            assert 1 <= finding.line <= lines
            assert 1 <= finding.column <= len(body) + 1
            (str(finding.message) + finding.path).encode()


class TestFiles:
    def test_findings_stay_with_their_file(self) -> None:
        found = check_files({"a": ("x: 1", "yaml"), "b": ("x: [", "yaml"), "c": ("{", "text/plain")})
        assert [len(found[key]) for key in "abc"] == [0, 1, 0]
