"""Figures: how many values are summed up, and how a scenario's results are printed. Knows neither servers nor agents."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

UID_NAMESPACE = UUID("6f70616d-7062-5e6e-8c68-000000000000")


def spread(values: Iterable[float]) -> dict[str, float]:
    """Number, median, 99th percentile and maximum; empty without values."""
    ordered = sorted(values)
    if not ordered:
        return {}
    last = len(ordered) - 1
    return {
        "count": len(ordered),
        "p50": round(ordered[last // 2], 3),
        "p99": round(ordered[min(last, int(last * 0.99))], 3),
        "max": round(ordered[-1], 3),
    }


def machine() -> dict[str, Any]:
    """What the figures were made on."""
    return {
        "cpus": os.cpu_count(),
        "load average": [round(load, 2) for load in os.getloadavg()],
        "kernel": platform.release(),
        "python": platform.python_version(),
        "database": "PostgreSQL" if os.environ.get("DATABASE_URL", "").startswith("postgres") else "SQLite",
    }


def show(name: str, results: Mapping[str, Any]) -> None:
    """Print a table for people and one line of JSON for programs."""
    rows = list(_flat(results))
    width = max(len(key) for key, _value in rows)
    print(f"\n{name}\n{'-' * len(name)}")
    for key, value in rows:
        print(f"{key.ljust(width)}  {value}")
    print(json.dumps({"scenario": name, "machine": machine(), "results": results}, ensure_ascii=False), flush=True)


def _flat(results: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in results.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}: ")
        else:
            yield prefix + key, value
