"""What a soak concludes from its samples."""

from __future__ import annotations

import pytest

from benchmarks.servers import Vitals
from benchmarks.soak import Sample, summary

MIB = 2**20


def samples(*, grows_by: float = 0.0, leaks: float = 0.0) -> list[Sample]:
    """Ten minutes, a sample each ten seconds: one process that grows by ``grows_by`` MiB a minute, and one that does not.

    ``leaks`` is how many files stay open each minute. The first minute is another world.
    """
    found = []
    for number in range(60):
        minutes = number / 6
        rss = round((500 if minutes < 1 else 100 + grows_by * minutes) * MIB)
        worker = Vitals(rss, 1_020 + int(leaks * minutes), 9)
        found.append(Sample(60 * minutes, 1_000, {"server 1": Vitals(50 * MIB, 10, 2), "worker 2": worker}))
    return found


def test_growth_is_told_for_each_process_and_without_the_warm_up() -> None:
    told = summary(samples(grows_by=0.25), warm_up=60)
    assert told["memory, MiB per 10 minutes"] == {"all": 2.5, "server 1": 0.0, "worker 2": 2.5}
    assert told["samples"] == 54
    assert told["memory, MiB"]["most"] < 200


def test_files_are_counted_beside_the_connections() -> None:
    assert summary(samples(), warm_up=60)["files beside connections"] == {"first": 30, "last": 30, "most": 30}
    leaking = summary(samples(leaks=2), warm_up=60)["files beside connections"]
    assert leaking["last"] - leaking["first"] >= 14


def test_a_process_that_was_replaced_is_told_and_not_fitted() -> None:
    found = samples()
    found[-1].processes["worker 3"] = found[-1].processes.pop("worker 2")
    told = summary(found, warm_up=60)
    assert told["processes replaced"] == 1
    assert set(told["memory, MiB per 10 minutes"]) == {"all", "server 1"}


def test_too_few_samples_are_an_error() -> None:
    with pytest.raises(ValueError, match="take more minutes"):
        summary(samples(), warm_up=600)
