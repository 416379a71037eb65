"""The checks of configurations alone: one Collector file of about 14 KB, and an edit of its last line."""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

from benchmarks.figures import show
from configurations.checks import check_text


def collector_file(kilobytes: int = 14) -> str:
    """A valid configuration with many components and pipelines."""
    receivers, processors, exporters, pipelines = [], [], [], []
    number = 0
    while sum(map(len, (*receivers, *processors, *exporters, *pipelines))) < kilobytes * 1024 - 200:
        receivers.append(
            f"  otlp/{number}:\n    protocols:\n      grpc:\n        endpoint: 0.0.0.0:{5_000 + number}\n"
            "        max_recv_msg_size_mib: 16\n"
        )
        processors.append(f"  batch/{number}:\n    timeout: 200ms\n    send_batch_size: 8192\n")
        exporters.append(
            f"  otlphttp/{number}:\n    endpoint: https://collector-{number}.example.org\n    headers:\n"
            f'      authorization: "Bearer ${{env:TOKEN_{number}:-none}}"\n    retry_on_failure:\n'
            "      initial_interval: 1s\n"
        )
        pipelines.append(
            f"    traces/{number}:\n      receivers: [otlp/{number}]\n      processors: [batch/{number}]\n"
            f"      exporters: [otlphttp/{number}]\n"
        )
        number += 1
    return (
        f"receivers:\n{''.join(receivers)}processors:\n{''.join(processors)}exporters:\n{''.join(exporters)}"
        f"service:\n  pipelines:\n{''.join(pipelines)}"
    )


def measure(*, kilobytes: int = 14, rounds: int = 50) -> dict[str, Any]:
    """Milliseconds of CPU for the checks of a file without faults, and of one with a fault in each pipeline."""
    good = collector_file(kilobytes)
    bad = good.replace("exporters: [", "exporters: [gone-")
    assert check_text(good, "yaml") == []
    return {
        "bytes": len(good),
        "good ms": _median(good, rounds),
        "bad ms": _median(bad, rounds),
    }


def _median(text: str, rounds: int) -> float:
    spent = []
    for _round in range(rounds):
        begun = time.thread_time()
        check_text(text, "yaml")
        spent.append(1_000 * (time.thread_time() - begun))
    return round(statistics.median(spent), 2)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kilobytes", type=int, default=14)
    parser.add_argument("--rounds", type=int, default=50)
    show("checks", measure(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
