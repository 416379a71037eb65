"""The fuzzer runs, is reproducible, and finds what is planted."""

from __future__ import annotations

import time

import pytest

from opamp_transport.protocol import framing, messages
from tests.fuzz.mutations import SeededChooser, mutated, put_together, take_apart
from tests.fuzz.parsers import in_children
from tests.fuzz.run import MOST_GROWTH, generated, one, shrinking
from tests.fuzz.seeds import seeds

pytestmark = pytest.mark.any_database


def far() -> float:
    """A deadline that does not come."""
    return time.monotonic() + 300


class TestMutations:
    def test_a_message_survives_being_taken_apart(self) -> None:
        whole = [(body, fields) for body in seeds() if (fields := take_apart(body)) is not None]
        assert len(whole) > 100
        assert sum(put_together(fields) == body for body, fields in whole) > len(whole) * 0.9

    def test_the_same_number_is_the_same_case(self) -> None:
        bodies = seeds()
        assert [one(bodies, seed=1, number=n) for n in range(50)] == [one(bodies, seed=1, number=n) for n in range(50)]
        assert len({one(bodies, seed=1, number=n) for n in range(50)}) > 40

    def test_many_mutants_still_decode(self) -> None:
        bodies = [body for body in seeds() if take_apart(body)]
        decodable = sum(
            take_apart(mutated(bodies[number % len(bodies)], bodies, SeededChooser(number))) is not None
            for number in range(300)
        )
        assert decodable > 100


class TestParsers:
    def test_nothing_is_found_in_a_process_of_its_own(self) -> None:
        texts, findings = in_children(20, seed=3, names=["YAML depth", "label queries"])
        assert findings == []
        assert texts > 2 * 60

    def test_an_unknown_exception_or_end_is_a_finding(self) -> None:
        _texts, findings = in_children(1, seed=3, names=["no such parser"])
        assert ["no such parser" in finding for finding in findings] == [True]


class TestRun:
    @pytest.mark.rule("S-100", "S-111")
    def test_nothing_is_found_and_memory_stays(self) -> None:
        outcome = generated(3_000, seed=2, deadline=far())
        assert outcome.findings == []
        assert outcome.cases == 3_000
        assert outcome.kinds["answered"] > 500
        assert outcome.kinds["MalformedMessage"] > 500
        assert outcome.growth < MOST_GROWTH

    def test_nul_characters_left_in_texts_are_found(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(messages, "_text", lambda value: value)
        assert any("U+0000" in finding for finding in generated(3_000, seed=2, deadline=far()).findings)

    def test_numbers_that_json_lacks_are_found(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(messages, "_double", lambda value: value)
        assert any("JSON compliant" in finding for finding in generated(3_000, seed=2, deadline=far()).findings)

    def test_a_header_reader_that_runs_over_the_end_is_found(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def careless(frame: bytes) -> bytes:
            position = 0
            while frame[position] & 0x80:
                position += 1
            return frame[position + 1 :]

        monkeypatch.setattr(framing, "unwrap", careless)
        assert any("IndexError" in finding for finding in generated(3_000, seed=2, deadline=far()).findings)

    def test_hypothesis_finds_it_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert shrinking(50).findings == []
        monkeypatch.setattr(framing, "unwrap", lambda frame: bytes([frame[0]]) and frame[1:])
        monkeypatch.setattr(messages, "_text", lambda value: value[10**9])
        assert shrinking(500).findings
