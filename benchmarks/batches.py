"""Batches of reports alone, without sockets: what one costs the database thread, by kind of report and by size.

Small batches are what a calm fleet makes, large ones what a crowd makes. The portal is started for an empty database with a
configuration in it, and stopped before anything is measured.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import uuid5

from benchmarks import frames
from benchmarks.figures import UID_NAMESPACE, show
from benchmarks.servers import ROOT, portal

# So many rounds of batches of this size, each with agents of its own; one round more warms up.
_ROUNDS = {1: 300, 16: 60, 256: 8}
_INSIDE = "--inside"


def measure() -> dict[str, Any]:
    """Median CPU of the database thread (ms) and most SQL statements for each batch, by size and kind."""
    with portal(workers=1) as server:
        server.offer_to_all()
        server.terminate()
        ran = subprocess.run(
            [sys.executable, "-m", "benchmarks.batches", _INSIDE],
            cwd=ROOT, env=server.environment, check=True, stdout=subprocess.PIPE, timeout=300,
        )  # fmt: skip
    results: dict[str, Any] = json.loads(ran.stdout)
    return results


def _inside() -> dict[str, Any]:
    """In a process that has the portal's settings and its database."""
    import django

    django.setup()
    return {f"batches of {size}": _of_size(size, rounds) for size, rounds in _ROUNDS.items()}


def _of_size(size: int, rounds: int) -> dict[str, Any]:
    from agents.services.quotas import Quotas

    # As a server keeps them; what of one address is too many is another matter.
    quotas = Quotas()
    costs: dict[str, list[float]] = defaultdict(list)
    statements: dict[str, int] = defaultdict(int)
    for number in range(rounds + 1):
        for kind, (milliseconds, count) in _round(size, number * size, quotas).items():
            if number:
                costs[kind].append(milliseconds)
                statements[kind] = max(statements[kind], count)
    return {
        kind: {
            "CPU ms": round(statistics.median(found), 2),
            "CPU µs each": round(statistics.median(found) / size * 1_000),
            "SQL statements": statements[kind],
        }
        for kind, found in costs.items()
    }


def _round(size: int, first: int, quotas: Any) -> dict[str, tuple[float, int]]:
    """Agents that register, answer their offer, fall ill and recover: what each step cost (ms) and took (statements)."""
    from django.utils import timezone

    from agents.models import Transport
    from agents.services.arrivals import Arrival, Lease
    from benchmarks.instruments import STATEMENTS
    from opamp_transport.batch import Processed, process_reports
    from opamp_transport.protocol.messages import decode_report

    uids = [uuid5(UID_NAMESPACE, f"batch of {size}, {first + number}") for number in range(size)]
    leases = {uid: Lease(f"ws-{uid.hex}", "bench", Transport.WEBSOCKET, "127.0.0.1", timezone.now()) for uid in uids}

    def process(sequence_num: int, bodies: Sequence[bytes]) -> tuple[list[Processed], tuple[float, int]]:
        reports = [
            decode_report(frames.head(uid) + frames.varint(sequence_num) + body)
            for uid, body in zip(uids, bodies, strict=True)
        ]
        known = sequence_num - 1 or None
        arrivals = [
            Arrival(report, leases[report.instance_uid], known, claimed=bool(known), first_word=not known)
            for report in reports
        ]
        before, begun = _statements(STATEMENTS), time.thread_time()
        processed = process_reports(arrivals, at=timezone.now(), quotas=quotas)
        return processed, (1_000 * (time.thread_time() - begun), _statements(STATEMENTS) - before)

    processed, first_cost = process(1, [frames.full_report(first + number, uid) for number, uid in enumerate(uids)])
    replies = [result.reply for result in processed]
    hashes = [reply.config_hash for reply in replies if reply is not None and reply.remote_config is not None]
    if len(hashes) != size:
        raise AssertionError(f"{len(hashes)} of {size} agents were offered their configuration")
    _, applied_cost = process(2, [frames.CAPABILITIES_FIELD + frames.applied_status(value) for value in hashes])
    _, ill_cost = process(3, [frames.health_report(first + number, healthy=False) for number in range(size)])
    return {"first report, offered": first_cost, "APPLIED": applied_cost, "health change": ill_cost}


def _statements(counter: Any) -> int:
    return round(
        sum(sample.value for metric in counter.collect() for sample in metric.samples if sample.name.endswith("_total"))
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(_INSIDE, action="store_true", help=argparse.SUPPRESS)
    if parser.parse_args().inside:
        print(json.dumps(_inside()))
    else:
        show("batches", measure())


if __name__ == "__main__":
    main()
