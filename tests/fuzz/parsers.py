"""Every parser that gets foreign text, with deep, long, wide and cyclic input, in processes of their own.

A crash of the interpreter ends a process by a signal and is a finding; so is an exception that the parser does not
promise, and text that takes longer than `MOST_SECONDS`, which only a cost that grows faster than the text does.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from tests.fuzz.mutations import SeededChooser

ROOT = Path(__file__).resolve().parent.parent.parent
MOST_SECONDS = 20.0
SIZE = 100_000

_TOKENS = (
    "[", "]", "{", "}", "- ", "? ", ": ", ", ", "\n", "  ", "a",
    "password", "token: ", "'", '"', "\\", "|\n", ">\n", "&a ", "*a ", "<<: ", "!t ", "#", "---\n",
    "...\n", "%TAG ! x\n", "${env:", "}", "${", ":-", "https://", "u:p@", "?key=",
    "=", "--token ", "<a>", "</a>", "\t", "\r\n", "\x85", "\u2028", "\ufeff", "密码",
    "eyJ", "-----BEGIN PRIVATE KEY-----", "0", "null", "Bearer ", "(", ")", "!=", " in ", "\x00", "\ud800",
)  # fmt: skip


def shapes() -> dict[str, str]:
    """What has ended or held up parsers, by name: `SIZE` levels deep, or some ten thousand parts long or wide."""
    n = SIZE // 5
    return {
        **{f"deep {sign}": sign * SIZE
            for sign in ("[", "{", "{a: ", "- ", "? ", "? [", '{"a":', '[{"a":', "(", "&a [", "!t [", "[\n", "${", "{{", "<a>")},
        **{f"closed {a}{b}": a * SIZE + b * SIZE for a, b in (("[", "]"), ("{a: ", "}"), ('{"a":', "}"), ("(", ")"))},
        "deep lines": "".join(" " * level + "a:\n" for level in range(2_000)),
        "deep in a string": json.dumps({"a": "[" * SIZE}),
        "deep in a block": "a: |\n  " + "[" * SIZE + "\n",
        "deep in a comment": "# " + "[" * n + "\na: b\n",
        "deep in a second document": "a: 1\n---\n" + "[" * SIZE,
        "long word": "a" * 10 * n,
        "long quoted": '"' + "a\\" * 5 * n,
        "long line of pairs": "password=x " * n,
        "long value": "password: " + "x, " * n,
        "long comment": "#" + " token: x" * n,
        "blanks": "password:" + " " * 10 * n + "x",
        "wide list": "[" + "a, " * n + "a]",
        "wide object": json.dumps({f"password{number}": number for number in range(n // 4)}),
        "wide YAML": "".join(f"key_{number}: value {number}\n" for number in range(n // 2)),
        "many documents": "--- a\n" * n,
        "many directives": "".join(f"%TAG !a{number}! b\n" for number in range(n)) + "--- x",
        "many anchors": "".join(f"- &a{number} x\n" for number in range(n // 4)),
        "many aliases": "a: &a [x, y]\nb: [" + "*a, " * n + "]\npassword: *a\n",
        "laughing": "a0: &a0 [x, x]\n" + "".join(f"a{k + 1}: &a{k + 1} [{f'*a{k}, ' * 9}]\n" for k in range(40)),
        "laughing merges": "a0: &a0 {k: v}\n" + "".join(f"a{k + 1}: &a{k + 1} {{<<: [{f'*a{k}, ' * 9}]}}\n" for k in range(40)),
        "cyclic list": "a: &a [*a]\npassword: *a\n",
        "cyclic object": "a: &a {b: *a, password: *a}\n",
        "cyclic merge": "a: &a {<<: *a}\n",
        "cyclic key": "? &a [*a]\n: *a\n",
        "URLs": "https://u:p@h/hooks/x?key=y " * (n // 4),
        "tokens": "eyJaaaaaa.b" * (n // 4) + "-----BEGIN PRIVATE KEY-----" * (n // 20),
        "names": "- name: password\n" * (n // 4),
        "query": "a=b," * n,
        "query of quotes": 'a="' * n,
        "query of values": "a in (" + "b," * n,
    }  # fmt: skip


def parsers() -> dict[str, Callable[[str], object]]:
    """Everything that parses what agents report or people type; of what each promises to raise, nothing comes out."""
    import os

    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "opamp_platform.settings")

    django.setup()
    from rest_framework.exceptions import APIException

    from agents.admin.selector_fields import selector_of
    from agents.redaction import redacted, redacted_message, restored
    from agents.selectors import InvalidSelector, parse_label_query
    from configurations.admin.confirmation_page import difference
    from configurations.checks import check_text
    from configurations.differences import compared
    from foundation.nesting import check_json, check_yaml
    from opamp_platform.api.json_body import BoundedJSONParser
    from simulator.collector import ConfigRejected, run
    from telemetry.otlp import TooManyMetrics, UnreadableMetrics, read_metrics

    def unless(*promised: type[Exception]) -> Callable[[Callable[[str], object]], Callable[[str], object]]:
        def guarding(parse: Callable[[str], object]) -> Callable[[str], object]:
            def guarded(text: str) -> object:
                try:
                    return parse(text)
                except promised:
                    return None

            return guarded

        return guarding

    import yaml

    return {
        "redaction": redacted,
        "messages": redacted_message,
        "restoring": lambda text: restored(redacted(text), text),
        "YAML depth": unless(yaml.YAMLError, ValueError)(check_yaml),
        "JSON depth": unless(ValueError)(check_json),
        "checks of YAML": lambda text: check_text(text, "text/yaml"),
        "checks of JSON": lambda text: check_text(text, "application/json"),
        "comparison": lambda text: compared({"": {"body": text}}, {"": {"body": text + "\nx: y\n"}}),
        "difference": lambda text: difference({"": {"body": text}}, {"": {"body": text[::-1]}}),
        "selectors": unless(InvalidSelector)(lambda text: selector_of(text, match_all=False)),
        "label queries": unless(InvalidSelector)(parse_label_query),
        "bodies": unless(APIException)(
            lambda text: BoundedJSONParser().parse(io.BytesIO(text.encode(errors="replace")))
        ),
        "own metrics in JSON": unless(UnreadableMetrics, TooManyMetrics)(
            lambda text: read_metrics(text.encode(errors="replace"), as_json=True)
        ),
        "own metrics": unless(UnreadableMetrics, TooManyMetrics)(
            lambda text: read_metrics(text.encode(errors="replace"), as_json=False)
        ),
        "simulated Collectors": unless(ConfigRejected)(lambda text: run((("", text.encode(errors="replace")),))),
    }


def mutated_text(number: int, seed: int) -> str:
    """The text of one case: pieces that mean something to a parser, some of them often."""
    choose = SeededChooser(seed * 1_000_003 + number)
    return "".join(
        _TOKENS[choose.below(len(_TOKENS))] * (1 if choose.below(8) else 1 + choose.below(200))
        for _piece in range(1 + choose.below(60))
    )


def in_children(cases: int, *, seed: int, names: list[str] | None = None) -> tuple[int, list[str]]:
    """Texts that were parsed, and the findings; each parser has a process of its own."""
    texts = 0
    findings: list[str] = []
    for name in names or list(parsers()):
        command = [sys.executable, "-m", "tests.fuzz.parsers", name, str(cases), str(seed)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
        lines = done.stdout.splitlines()
        texts += sum(line.startswith("parsed ") for line in lines)
        if done.returncode != 0:
            last = next((line for line in reversed(lines) if line.startswith("reading ")), "reading nothing")
            findings.append(f"{name}, {last}: exit status {done.returncode}\n{done.stderr[-2000:]}")
    return texts, findings


def _child(name: str, cases: int, seed: int) -> int:
    parse = parsers()[name]
    wrong = 0
    inputs = [*shapes().items(), *((f"case {number}", mutated_text(number, seed)) for number in range(cases))]
    for title, text in inputs:
        print(f"reading {title}", flush=True)
        begun = time.process_time()
        try:
            parse(text)
        except Exception:  # noqa: BLE001  anything not promised is what is looked for
            wrong += 1
            print(f"{title}: {text[:200]!r}\n{traceback.format_exc()}", file=sys.stderr)
        if (took := time.process_time() - begun) > MOST_SECONDS:
            wrong += 1
            print(f"{title} took {took:.0f} s", file=sys.stderr)
        print(f"parsed {title}", flush=True)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(_child(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
