"""What a server process sets for itself before it serves."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

from tests import not_run
from tests.live_server import ROOT

pytestmark = pytest.mark.any_database

# Threads that allocate at the same time, and then how many heaps the C library has made, by its own account.
_HEAPS = """
import ctypes, sys, threading
from opamp_server.serving import keep_heap_small
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
if sys.argv[1] == "small":
    keep_heap_small()
together = threading.Barrier(6)
def allocate():
    together.wait()
    libc.malloc(2_000)
    together.wait()
threads = [threading.Thread(target=allocate) for _ in range(6)]
for thread in threads: thread.start()
for thread in threads: thread.join()
stdout = ctypes.c_void_p.in_dll(libc, "stdout")
libc.malloc_info(0, stdout)
libc.fflush(stdout)
"""


def heaps(how: str) -> int:
    """The number of heaps of a process that was started so."""
    ran = subprocess.run(
        [sys.executable, "-c", _HEAPS, how], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True, timeout=60
    )
    return ran.stdout.count("<heap nr=")


def test_threads_share_one_heap(request: pytest.FixtureRequest) -> None:
    if not hasattr(ctypes.CDLL(None), "mallopt"):
        not_run.note(request.node, "heaps", "another C library than glibc", request.node.originalname)
        pytest.skip("needs glibc: other C libraries have no mallopt, and other habits")
    assert heaps("as it is") > 1
    assert heaps("small") == 1
