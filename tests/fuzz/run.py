"""Fuzz the decoder, the answers and every parser of foreign text:
``python -m tests.fuzz.run --cases 50000 [--seconds 60] [--seed 7]``.

Three drivers share one target and one set of mutations: a seeded generator (most cases, reproducible by number),
hypothesis (few cases, shrinks what it finds) and a coverage-guided fuzzer in a process of its own. Exit status 1 when
something other than a `ProtocolError` came out, a promise was broken, or memory grew.
"""

from __future__ import annotations

import argparse
import gc
import os
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.fuzz.mutations import SeededChooser, mutated, wrapped
from tests.fuzz.parsers import in_children
from tests.fuzz.seeds import seeds
from tests.fuzz.target import exercise
from tests.raw_socket import resident_bytes

ROOT = Path(__file__).resolve().parent.parent.parent
# What the process may grow by after the first tenth of the cases: allocators keep some of what they once needed.
MOST_GROWTH = 64 * 1024**2
_SHOWN = 5


@dataclass
class Outcome:
    """What a run found. ``findings``: how to repeat each, and its traceback."""

    cases: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    growth: int = 0


def generated(cases: int, *, seed: int, deadline: float, target: Callable[[bytes], str] = exercise) -> Outcome:
    """Mutations by a seeded generator; case ``n`` of a seed is always the same."""
    outcome = Outcome()
    bodies = seeds()
    base = 0
    for number in range(cases):
        if time.monotonic() > deadline:
            break
        data = one(bodies, seed=seed, number=number)
        outcome.cases += 1
        try:
            outcome.kinds[target(data)] += 1
        except Exception:  # noqa: BLE001  any exception that is no ProtocolError is what is looked for
            outcome.findings.append(f"--seed {seed}, case {number}: {data[:200].hex()}\n{traceback.format_exc()}")
            if len(outcome.findings) >= _SHOWN:
                break
        if number == cases // 10:
            gc.collect()
            base = resident_bytes(os.getpid())
    gc.collect()
    outcome.growth = resident_bytes(os.getpid()) - base if base else 0
    return outcome


def one(bodies: list[bytes], *, seed: int, number: int) -> bytes:
    """The input of one case."""
    choose = SeededChooser(seed * 1_000_003 + number)
    return wrapped(mutated(bodies[choose.below(len(bodies))], bodies, choose), choose)


class _Drawn:
    """Choices by hypothesis."""

    def __init__(self, data: st.DataObject) -> None:
        self._data = data

    def below(self, bound: int) -> int:
        return int(self._data.draw(st.integers(0, bound - 1)))

    def raw(self, size: int) -> bytes:
        return bytes(self._data.draw(st.binary(min_size=size, max_size=size)))


def shrinking(cases: int, *, target: Callable[[bytes], str] = exercise) -> Outcome:
    """Mutations by hypothesis."""
    outcome = Outcome()
    bodies = seeds()

    @settings(
        max_examples=cases, deadline=None, database=None, phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.data())
    def case(data: st.DataObject) -> None:
        choose = _Drawn(data)
        outcome.cases += 1
        outcome.kinds[target(wrapped(mutated(bodies[choose.below(len(bodies))], bodies, choose), choose))] += 1

    try:
        case()
    except Exception:  # noqa: BLE001  see above
        outcome.findings.append(traceback.format_exc())
    return outcome


def guided(cases: int, *, seed: int, seconds: float) -> Outcome:
    """Mutations by coverage, in a process of its own."""
    outcome = Outcome()
    command = [sys.executable, "-m", "tests.fuzz.guided", str(cases), str(seed)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False)
    for line in done.stderr.splitlines():
        if "stat::number_of_executed_units" in line:
            outcome.cases = int(line.split()[-1])
    outcome.kinds["guided by coverage"] = outcome.cases
    if done.returncode != 0 or not outcome.cases:
        outcome.findings.append(f"exit status {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return outcome


def parsed(cases: int, *, seed: int) -> Outcome:
    """Texts for every parser, each in a process of its own: a crash of the interpreter is a finding."""
    outcome = Outcome()
    outcome.cases, outcome.findings = in_children(cases, seed=seed)
    outcome.kinds["texts in processes of their own"] = outcome.cases
    return outcome


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=50_000)
    parser.add_argument("--seconds", type=float, default=600.0, help="stop after this time, whatever is left")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    begun = time.monotonic()
    by_hypothesis = max(1, options.cases // 100)
    by_coverage = options.cases // 4
    outcomes = {
        "parsers": parsed(options.cases // 500, seed=options.seed),
        "generator": generated(
            options.cases - by_hypothesis - by_coverage, seed=options.seed, deadline=begun + options.seconds * 0.6
        ),
        "hypothesis": shrinking(by_hypothesis),
        "coverage": guided(by_coverage, seed=options.seed, seconds=max(60.0, options.seconds)),
    }
    for name, outcome in outcomes.items():
        kinds = ", ".join(f"{kind} {count}" for kind, count in outcome.kinds.most_common())
        print(f"{name:<11}{outcome.cases:>8} cases  {len(outcome.findings)} findings  {kinds}")
    growth = outcomes["generator"].growth
    total = sum(outcome.cases for outcome in outcomes.values())
    findings = [finding for outcome in outcomes.values() for finding in outcome.findings]
    print(f"{'together':<11}{total:>8} cases  {len(findings)} findings  {time.monotonic() - begun:.0f} s, "
          f"memory {growth / 1024**2:+.1f} MiB")  # fmt: skip
    for finding in findings:
        print("\n" + finding)
    if growth > MOST_GROWTH:
        print(f"memory grew by more than {MOST_GROWTH // 1024**2} MiB")
    return bool(findings) or growth > MOST_GROWTH


if __name__ == "__main__":
    sys.exit(main())
