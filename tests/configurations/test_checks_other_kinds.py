"""TOML, and text of another kind that is sent as YAML."""

from __future__ import annotations

import pytest

from configurations.checks import FindingKind, check_text, normalise_content_type


class TestToml:
    @pytest.mark.parametrize("kind", ["toml", "application/toml", "text/toml; charset=utf-8"])
    def test_a_mistake_has_its_place(self, kind: str) -> None:
        (finding,) = check_text('[a]\nb = "x"\nc = = 1\n', kind)
        assert (finding.line, finding.column, finding.kind) == (3, 5, FindingKind.SYNTAX)
        assert finding.message.code == "invalid-toml"

    def test_what_is_right_has_none(self) -> None:
        assert check_text('[a]\nb = "x"\n[[c]]\nd = 2026-01-01\n', "toml") == []

    def test_the_end_and_depth(self) -> None:
        assert check_text('a = "x', "toml")[0].line == 1
        assert check_text("a = " + "[" * 5_000, "toml")[0].message.code == "invalid-toml"

    def test_the_alias(self) -> None:
        assert normalise_content_type("TOML") == "application/toml"


class TestAnotherKind:
    @pytest.mark.parametrize(
        ("text", "kind"),
        [
            ('[agent]\ninterval = "10s"\n', "TOML"),
            ('# top\nname = "x"\n', "TOML"),
            ("[SERVICE]\n    Flush 1\n[INPUT]\n    Name cpu\n", "Fluent Bit"),
            ('otelcol.receiver.otlp "default" {\n  grpc { }\n}\n', "Alloy"),
            ("<!doctype html>\n<html></html>\n", "HTML"),
            ('<?xml version="1.0"?>\n<a/>\n', "XML"),
            ("module.exports = {\n  a: 1,\n};\n", "JavaScript"),
        ],
    )
    def test_it_is_told_so(self, text: str, kind: str) -> None:
        (finding,) = check_text(text, "yaml")
        assert finding.message.code == "text-of-another-kind"
        assert f"This is {kind} and not YAML" in str(finding.message)

    @pytest.mark.parametrize("text", ["a: |\n  [x]\n  b = 1\n", "a: [b]\n", "{a: 1}\n", "a: |\n  <html>\n"])
    def test_yaml_is_not(self, text: str) -> None:
        assert check_text(text, "yaml") == []

    @pytest.mark.parametrize("kind", ["text/plain", "application/x-fluent-bit", "text/x-alloy"])
    def test_other_types_are_not_read(self, kind: str) -> None:
        assert check_text("[SERVICE]\n  x", kind) == []
