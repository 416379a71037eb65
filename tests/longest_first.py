"""In which order the processes of a run take the files of tests: the longest first, so that all of them end together.

Of their own they take the files with the most tests first, and those are short ones: what starts servers came last, and one
process went on for minutes when the others had ended. Besides, files that mostly wait for servers are mixed with those that
only compute, so that the cores are busy from the beginning to the end. An estimate that is wrong costs time and nothing else.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
# Seconds of files that take another time than `_SECONDS_OF_WAITING` or `_SECONDS_OF_COMPUTING` for each of their tests, when that
# is long: of a whole run with --durations=0 on two cores, as a fast machine takes them. Only how they compare matters.
KNOWN = {
    "agents/redaction/test_corpus.py": 30,
    "agents/test_large_pages.py": 25,
    "benchmarks/test_driver.py": 60,
    "browser/test_api_pages.py": 17,
    "browser/test_columns.py": 20,
    "browser/test_drafts.py": 25,
    "browser/test_edited_pages.py": 35,
    "browser/test_editor.py": 120,
    "browser/test_every_page.py": 280,
    "browser/test_first_steps.py": 30,
    "browser/test_five_steps.py": 75,
    "browser/test_live.py": 60,
    "browser/test_other_pages.py": 70,
    "browser/test_page_sizes.py": 35,
    "ci/test_retried_tests.py": 2,
    "configurations/test_api.py": 8,
    "configurations/test_pipeline_graph.py": 3,
    "conformance/test_page.py": 7,
    "docs/test_commands.py": 175,
    "faults/test_clock_jumps.py": 50,
    "faults/test_kill9.py": 55,
    "faults/test_nodes.py": 20,
    "faults/test_postgres_lost.py": 45,
    "faults/test_redis_lost.py": 40,
    "faults/test_rollout_killed.py": 85,
    "fuzz/test_fuzz.py": 5,
    "interop/test_not_run.py": 12,
    "interop/test_own_telemetry.py": 16,
    "interop/test_package_syncer.py": 13,
    "interop/test_reference_server_subjects.py": 45,
    "interop/test_s3.py": 45,
    "interop/test_supervised_enrolment.py": 30,
    "interop/test_supervised_rollout.py": 20,
    "interop/test_supervisor_and_collector.py": 70,
    "interop/test_third_party.py": 160,
    "interop/test_third_party_extended.py": 95,
    "jobs/test_workers.py": 35,
    "opamp_platform/test_command_failures.py": 19,
    "opamp_platform/test_contract_commands.py": 30,
    "opamp_platform/test_exposure.py": 40,
    "opamp_platform/test_people_and_entry_points.py": 140,
    "opamp_platform/test_schema.py": 100,
    "opamp_platform/test_serve.py": 85,
    "opamp_platform/test_strange_urls.py": 240,
    "opamp_platform/test_tls_server.py": 20,
    "opamp_transport/protocol/test_messages.py": 5,
    "opamp_transport/test_connection_settings.py": 3,
    "opamp_transport/test_convergence.py": 20,
    "opamp_transport/test_corpus.py": 20,
    "opamp_transport/test_raw_frames.py": 9,
    "simulator/test_agent.py": 5,
    "simulator/test_simulate_agents.py": 145,
}
_SECONDS_OF_WAITING = 2.0
_SECONDS_OF_COMPUTING = 0.05
_STARTS_SERVERS = re.compile(r"\b(LiveServer|live_server|Visitor|Popen|Cluster)\b|subprocess\.")
_OF_SERVERS = frozenset({"benchmarks", "browser", "faults", "interop", "simulator"})


def install(config: pytest.Config) -> None:
    """In a run of several processes: the one that hands out the files keeps the order in which the others collected them."""
    config.option.loadscopereorder = False
    if hasattr(config, "workerinput"):
        config.pluginmanager.register(sys.modules[__name__], "longest_first")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files in order; the tests of each stay as they are, and so does which tests there are."""
    files: dict[Path, list[pytest.Item]] = defaultdict(list)
    for item in items:
        files[item.path].append(item)
    tests = {path: len(of_file) for path, of_file in files.items()}
    items[:] = [item for path in ordered(tests) for item in files[path]]


def ordered(tests: dict[Path, int]) -> list[Path]:
    """Files, by their numbers of tests: the longest first, each kind spread evenly over the time that all of them take."""
    kinds: dict[bool, list[tuple[float, Path]]] = {True: [], False: []}
    for path, number in tests.items():
        kinds[starts_servers(path)].append((seconds(path, number), path))
    places: list[tuple[float, Path]] = []
    for files in kinds.values():
        total, before = sum(took for took, _path in files), 0.0
        for took, path in sorted(files, reverse=True):
            places.append((before / total, path))
            before += took
    return [path for _place, path in sorted(places)]


def seconds(path: Path, number: int) -> float:
    """About how long so many tests of a file take."""
    known = KNOWN.get(path.relative_to(TESTS).as_posix() if path.is_relative_to(TESTS) else "")
    return known or number * (_SECONDS_OF_WAITING if starts_servers(path) else _SECONDS_OF_COMPUTING)


@cache
def starts_servers(path: Path) -> bool:
    """Whether its tests mostly wait for other processes, going by its words."""
    return path.parent.name in _OF_SERVERS or bool(_STARTS_SERVERS.search(path.read_text(encoding="utf-8")))
