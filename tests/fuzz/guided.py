"""The coverage-guided part, in a process of its own: the fuzzer ends its process when it is done.

``python -m tests.fuzz.guided RUNS SEED``; exit status 0 means that nothing was found.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["opamp_transport.protocol", "agents.reports"]):
    from tests.fuzz.target import exercise

from tests.fuzz.mutations import SeededChooser, mutated, wrapped
from tests.fuzz.seeds import seeds


def main() -> None:
    runs, seed = sys.argv[1:3]
    bodies = seeds()

    def change(data: bytes, max_size: int, number: int) -> bytes:
        """Half of the time by structure, else by the fuzzer's own mutations."""
        choose = SeededChooser(number)
        if choose.below(2):
            return bytes(atheris.Mutate(data, max_size))
        return wrapped(mutated(data[1:], bodies, choose), choose)[:max_size]

    with tempfile.TemporaryDirectory() as folder:
        for index, body in enumerate(bodies):
            Path(folder, f"{index:04}").write_bytes(b"\x03" + body)
        artifacts = f"-artifact_prefix={tempfile.gettempdir()}/opamp-fuzz-"
        limits = ["-max_len=16384", "-rss_limit_mb=1024", "-timeout=20"]
        options = [f"-runs={runs}", f"-seed={seed}", *limits, artifacts, "-verbosity=0", "-print_final_stats=1"]
        atheris.Setup([sys.argv[0], *options, folder], exercise, custom_mutator=change)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
