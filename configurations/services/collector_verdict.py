"""What a real Collector says of files that our own checks accept: ``otelcol validate`` in a bounded process of its own.

It runs in the thread of whoever asked, never in an event loop. It gets files and an empty environment; files with references
other than to the environment are not given to it, since it would follow them.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import resource
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from django.conf import settings

from configurations.checks import Finding, located, shown_value
from foundation.messages import Message

log = logging.getLogger(__name__)

_SECONDS = 15.0
_MOST_BYTES = 64 * 1024
_MOST_SHOWN = 400
_REFERENCE = re.compile(r"\$\{(?!env:|[^:}]*\})")
_WITHOUT_DEFAULT = re.compile(r"\$\{(?:env:)?[A-Za-z_][A-Za-z0-9_]*\}")
_PREFIX = re.compile(
    r"^(?:Error: )?(?:failed to get config: )?(?:cannot unmarshal the configuration: )?"
    r"(?:decoding failed due to the following error\(s\):)?\s*"
)


def collector_verdict(files: Mapping[str, tuple[str, str]]) -> list[Finding]:
    """At most one finding, none where there is no Collector to ask. ``files`` are texts with their types by config key.

    It is a warning where the files have no ``service``, or refer to variables that are set at the agents alone.
    """
    program = settings.OTELCOL_BINARY
    bodies = {key: body for key, (body, _type) in files.items()}
    if not program or any(_REFERENCE.search(body) for body in bodies.values()):
        return []
    said = _asked(program, bodies)
    if not said:
        return []
    words = _PREFIX.sub("", said)
    path = _path_in(words)
    message = Message(
        "collector-refuses",
        "The Collector refuses it: {words}",
        words=shown_value(" ".join(words.split()), _MOST_SHOWN),
    )
    certain = not any(_WITHOUT_DEFAULT.search(body) for body in bodies.values())
    return [located(files, path, message, certain=certain)]


def _asked(program: str, bodies: Mapping[str, str]) -> str:
    """The words of its refusal; empty when it accepts, or cannot be asked."""
    with tempfile.TemporaryDirectory(prefix="otelcol-") as folder:
        arguments = [program, "validate"]
        # As the supervisor merges them: by name, the one without a name last.
        for number, key in enumerate(sorted(bodies, key=lambda name: (name == "", name))):
            path = Path(folder, f"{number:03}.yaml")
            path.write_text(bodies[key], encoding="utf-8", errors="replace")
            arguments += ["--config", str(path)]
        output = Path(folder, "output")
        with output.open("wb") as sink:
            try:
                running = subprocess.Popen(  # noqa: S603  the operator names the program, files are its only input
                    arguments,
                    stdin=subprocess.DEVNULL,
                    stdout=sink,
                    stderr=subprocess.STDOUT,
                    cwd=folder,
                    env={"HOME": folder, "GOMEMLIMIT": "256MiB", "GOMAXPROCS": "1"},
                    start_new_session=True,
                )
            except OSError as error:
                log.warning("OTELCOL_BINARY cannot be run: %s", error)
                return ""
            _limit(running.pid)
            try:
                status = running.wait(_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(running.pid, signal.SIGKILL)
                running.wait()
                log.warning("OTELCOL_BINARY gave no verdict within %d seconds", _SECONDS)
                return ""
        if status == 0:
            return ""
        with output.open("rb") as source:
            return source.read(_MOST_BYTES).decode(errors="replace").replace(folder, "")


def _limit(pid: int) -> None:
    """What it writes and how long it computes; it may be gone already."""
    with contextlib.suppress(OSError):
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (4 * _MOST_BYTES, 4 * _MOST_BYTES))
        resource.prlimit(pid, resource.RLIMIT_CPU, (int(_SECONDS) + 1, int(_SECONDS) + 1))


def _path_in(words: str) -> list[str]:
    """Where in the configuration: ``receivers::otlp: …``, or ``'exporters' error reading configuration for "debug": …``."""
    if found := re.search(
        r"(?:^|\s)((?:receivers|processors|exporters|connectors|extensions|service)(?:::[^:\s]+)+)", words
    ):
        return found[1].split("::")
    quoted = re.search(r"'((?:receivers|processors|exporters|connectors|extensions|service)[^']*)'", words)
    if quoted is None:
        return []
    path = [step for step in re.split(r"[.\[\]]+", quoted[1]) if step]
    if (component := re.search(r'(?:error reading configuration for|for id:) "([^"]+)"', words)) is not None:
        path.append(component[1])
    inner = re.findall(r"'([a-z_.]+)'", words[quoted.end() :])
    return [*path, *(step for name in inner for step in name.split("."))]
