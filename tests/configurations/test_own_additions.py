"""What agents and supervisors add to their files is taken out; where placeholders stand for values is found."""

from __future__ import annotations

import json

import pytest

from agents.remote_config import ConfigFile
from configurations.masked_values import masked_values
from configurations.own_additions import without_additions
from tests.configurations.test_drift import SUPERVISED

UID = "018f0000-0000-7000-8000-000000000001"


class TestOwnAdditions:
    def test_what_a_supervisor_adds_is_taken_out_and_named(self):
        given = without_additions(SUPERVISED, {"service.instance.id": UID})
        assert given.taken == (
            "extensions.opamp",
            "service.extensions.opamp",
            "service.telemetry.resource.service.instance.id",
        )
        assert "opamp" not in given.text
        assert UID not in given.text
        assert "health_check" in given.text
        assert "encoding: json" in given.text

    def test_the_supervisors_own_metrics_go_and_named_extensions_too(self):
        text = (
            "receivers: {prometheus/own_metrics: {}, otlp: {}}\nexporters: {otlphttp/own_metrics: {}}\n"
            "extensions: {opamp/2: {}}\nservice:\n  extensions: [opamp/2]\n  pipelines: {metrics/own_metrics: {}, traces: {}}\n"
        )
        given = without_additions(text, {})
        assert given.text == "receivers: {otlp: {}}\nservice:\n  pipelines: {traces: {}}\n"

    def test_resource_attributes_of_the_operator_stay(self):
        text = "service: {telemetry: {resource: {team: core, host.name: other}}}\n"
        assert without_additions(text, {"host.name": "web-1"}).text == text

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "# only a comment\n",
            "a: [",
            "- 1\n",
            "a: 1 # stays\n",
            "[INPUT]\n  Name cpu\n",
            "{" * 100,
            "a: &a [*a]\n",
            "a: 1\n---\nb: 1\n",
        ],
    )
    def test_what_has_none_stays_as_it_is(self, text):
        assert without_additions(text, {}) == (type(without_additions("", {})))(text)

    @pytest.mark.parametrize("value", ["0777", '"yes"', "yes", "1e3", "2026-01-01", "0o17", "~", '"5"', "'a: b'", "é"])
    def test_values_are_written_as_they_were(self, value):
        assert without_additions(f"a: {value}\nextensions: {{opamp: {{}}}}\n", {}).text == f"a: {value}\n"

    def test_json_stays_json(self):
        text = '{"n": [1.50, 1e3, null, true, {}, []], "s": "a: \\"b\\"", "extensions": {"opamp": {}}}'
        given = without_additions(text, {})
        assert json.loads(given.text) == {"n": [1.5, 1e3, None, True, {}, []], "s": 'a: "b"'}
        assert "1.50" in given.text

    def test_a_bomb_of_aliases_is_not_written_out(self):
        lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40)]
        text = "\n".join(lines) + "\nextensions: {opamp: {}}\n"
        assert len(without_additions(text, {}).text) < 2 * len(text)


class TestMaskedValues:
    @pytest.mark.parametrize(
        "text",
        [
            'a: "[REDACTED]"', "a: [redacted]", 'a: "Bearer [REDACTED]"', "a: <hidden>", "a: '****'", "a: xxxxxx",
            "a: postgres://u:[redacted]@h/d", "b: 1\na: [unreadable\nc: '[redacted]'",
        ],
    )  # fmt: skip
    def test_are_found_at_their_place(self, text):
        (found,) = masked_values({"": ConfigFile(text.encode())})
        assert found.blocks
        assert found.can_be_forced
        assert found.line >= 1

    @pytest.mark.parametrize(
        "text", ["a: 1", "a: text/xxxxxx-1", "a: '** bold **'", "a: ${env:X}", "# [redacted]\na: 1"]
    )
    def test_nothing_else_is(self, text):
        assert masked_values({"": ConfigFile(text.encode())}) == []
