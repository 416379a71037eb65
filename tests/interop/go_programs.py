"""The programs in Go that tests run and that take longer to build than a test may: built once from the Go module proxy.

``python -m tests.interop.go_programs`` builds them, as ``make test`` does before the tests.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.interop.programs import BUILD, HERE, build, go_environment, missing_tool, one_at_a_time

_BUILDER = "go.opentelemetry.io/collector/cmd/builder@v0.149.0"
# On two cores that do nothing else all of them take less than five minutes, half of it for downloads.
_BUILD_SECONDS = 1_200.0


@dataclass(frozen=True)
class GoProgram:
    """What it is called, where it is once it is built, and the file that says what it is made of.

    ``package`` is built by the module in whose folder that file is; without one it is a manifest for the Collector's builder.
    """

    title: str
    path: Path
    source: Path
    package: str = ""

    @property
    def is_built(self) -> bool:
        """Of what its source says now."""
        stamp = self._stamp
        return self.path.exists() and stamp.exists() and stamp.read_bytes() == self.source.read_bytes()

    @property
    def _stamp(self) -> Path:
        return self.path.with_suffix(".source")

    def make(self) -> None:
        """Takes minutes."""
        if self.package:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            command, folder = ["go", "build", "-buildvcs=false", "-o", str(self.path), self.package], self.source.parent
        else:
            folder = self.path.parent.parent
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.source, folder / self.source.name)
            command = ["go", "run", _BUILDER, "--config", str(folder / self.source.name)]
        build(command, folder, go_environment(), seconds=_BUILD_SECONDS)
        # Last: a build that was broken off begins anew.
        shutil.copyfile(self.source, self._stamp)


COLLECTOR = GoProgram("a Collector", BUILD / "collector" / "dist" / "otelcol", HERE / "collector" / "manifest.yaml")
SUPERVISOR = GoProgram(
    "opampsupervisor",
    BUILD / "supervisor" / "opampsupervisor",
    HERE / "supervisor" / "go.sum",
    "github.com/open-telemetry/opentelemetry-collector-contrib/cmd/opampsupervisor",
)
OBJECT_STORE = GoProgram(
    "versitygw",
    BUILD / "object_store" / "versitygw",
    HERE / "object_store" / "go.sum",
    "github.com/versity/versitygw/cmd/versitygw",
)
ALL = (COLLECTOR, SUPERVISOR, OBJECT_STORE)


def obstacle(*programs: GoProgram) -> str:
    """Why these are not here, in a few words; empty when they are."""
    return missing_tool("go") or ("" if all(program.is_built for program in programs) else "not built")


def build_all() -> None:
    """Build what is not here, or was made of something else."""
    with one_at_a_time():
        for program in ALL:
            if not program.is_built:
                program.make()


def main() -> None:
    """Builds, where there is Go."""
    if why := missing_tool("go"):
        titles = ", ".join(program.title for program in ALL)
        sys.stdout.write(f"not built ({why}): {titles}\n")
    elif missing := [program.title for program in ALL if not program.is_built]:
        sys.stdout.write(f"building {', '.join(missing)} for the tests; minutes, once\n")
        sys.stdout.flush()
        build_all()


if __name__ == "__main__":
    main()
