"""Findings in Chinese: all of what is said about broken text, but for parsers' words that no advice is known for."""

from __future__ import annotations

import copy
import re

import pytest
from django.utils import translation

from configurations.checks import check_text
from foundation.languages import in_readers_language

YAML = [
    "a: b: c",
    "a: [1, 2",
    "a: {b: 1",
    'a: "x',
    'a: "\\q"',
    "a: @x",
    "a: 1\n\tb: 2",
    "a: 'x\n---\n",
    "a:\n  - b\n c: d",
    "a: - b",
    "a: &x\n  b: *x",
    "a: *y",
    "a: 1\na: 2",
    "---\na: 1\n---\nb: 2",
    "",
    "- 1",
    "a: \x01",
    "[" * 80,
]
JSON = [
    '{"a": 1,}',
    '{"a" 1}',
    '{"a": 1 "b": 2}',
    '{"a": "x\ny"}',
    '{"a": "x}',
    '{"a": "\\q"}',
    '{"a": "\\uzz"}',
    "{} x",
    '{"a": NaN}',
    '{"a":}',
    '{"a": "\ud800"}',
]
COLLECTOR = """
receivers: {otlp: , idle: }
processors: 3
connectors: {joint: }
extensions: {probe: }
blub: 1
service:
  extensions: [missing]
  telemetri: {}
  telemetry: {metrics: {level: loud}, log: {}}
  pipelines:
    traces: {receivers: [otlp, absent], exporters: []}
    odd: {receivers: [otlp], processors: [twice, twice], exporters: [otlp], more: 1}
    logs: 1
"""
WHOLE = [
    "receivers: {nop: }",
    "receivers: {otlp: {protocols: {grpc: a}}}",
    "receivers: {kafkas: }\nexporters: {de-bug: , debug/a b: , logging: x, debug: '${env:A B}'}",
    "receivers: {nop: }\nsevice: {}",
    "receivers: {nop: }\nservice: {pipeline: {}}",
    "receivers: {nop: }\nservice: text",
    "receivers: {nop: }\nexporters: {nop: }\npipelines: {}",
    "kind: ConfigMap",
    "kind: OpenTelemetryCollector",
    "kind: Pod\napiVersion: v1",
    "config: {receivers: {nop: }}",
]
# Words that configurations and formats are written with.
KEPT = re.compile(
    r"\b(JSON|YAML|UTF-8|U|NaN|Agent|Collector|uXXXX|receivers?|processors?|exporters?|connectors|extensions|service|"
    r"pipelines|traces|metrics|logs|profiles|name|otlp|protocols|grpc|http|telemetry|resource|level|"
    r"memory_limiter|kafkas?|nop|debug|logging|de-bug|sevice|pipeline|telemetri|Kubernetes|ConfigMap|data|"
    r"OpenTelemetry|operator|spec|config|Pod|Helm|chart|values|config|A B|none|basic|normal|detailed|idle|"
    r"joint|probe|missing|absent|twice|odd|more|[a-z])\b|U\+\d+"
)


@pytest.mark.parametrize(
    ("text", "content_type"),
    [(text, "yaml") for text in YAML]
    + [(text, "json") for text in JSON]
    + [(text, "yaml") for text in (COLLECTOR, *WHOLE)],
)
def test_no_english_is_left_in_chinese(text, content_type):
    findings = check_text(text, content_type)
    assert findings
    for finding in findings:
        with translation.override("zh-hans"):
            said = in_readers_language(copy.deepcopy(finding).message)
        assert re.search("[一-鿿]", said)
        assert re.findall("[A-Za-z]{2,}", KEPT.sub("", said)) == []


@pytest.mark.parametrize(
    ("text", "content_type", "words"),
    [("a: |x\n b", "yaml", "block scalar"), ("%YAML 9.0\n---\na: b", "yaml", "YAML")],
)
def test_what_no_advice_is_known_for_is_shown_in_the_parsers_own_words(text, content_type, words):
    (finding,) = check_text(text, content_type)
    assert (finding.message.code, words in str(finding.message)) == ("invalid-yaml", True)
    with translation.override("zh-hans"):
        said = in_readers_language(finding.message)
    assert said == f"不是 YAML：{finding.message.parameters['advice']}"
