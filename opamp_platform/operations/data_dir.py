"""The folder with everything the portal keeps on disk: made, and closed to other users of the machine.

`settings` names the folder; nothing here knows what is in the files.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Sequence
from pathlib import Path

from opamp_platform.environment import StrangeValue

# What is made from here on is its owner's alone.
PRIVATE_UMASK = 0o077
# Commands of developers, who write into the project's own source: an image built from it must be readable.
_SOURCE_COMMANDS = frozenset(
    {
        "collectstatic",
        "compilemessages",
        "makemessages",
        "makemigrations",
        "squashmigrations",
        "optimizemigration",
        "spectacular",
    }
)
_PRIVATE_DIRECTORY, _OTHERS = 0o700, stat.S_IRWXG | stat.S_IRWXO


def keep_private(arguments: Sequence[str]) -> None:
    """Have files that this process and its children make be their owner's alone, whichever command writes data."""
    if not _SOURCE_COMMANDS.intersection(arguments[1:2]):
        os.umask(PRIVATE_UMASK)


def prepare(folder: Path, variable: str, *, within: Sequence[str] = (), written: bool = True) -> None:
    """Make the folder that ``variable`` names and those ``within``, unless they are there.

    Raises `StrangeValue` when it cannot be used.
    """
    try:
        for path in (folder, *(folder / name for name in within)):
            path.mkdir(mode=_PRIVATE_DIRECTORY, parents=True, exist_ok=True)
    except OSError as error:
        raise StrangeValue(f"{variable}={folder} cannot be used ({error.strerror}): name another folder.") from error
    if written and not os.access(folder, os.W_OK | os.X_OK):
        raise StrangeValue(f"{variable}={folder} cannot be written: name another folder, or change its owner.")


def close_to_others(folder: Path, names: Sequence[str]) -> list[Path]:
    """Take other users' rights from what we made in ``folder`` under these names (patterns); returns what had some.

    The folder itself stays as it is: it may have been there before, with other people's things in it.
    """
    changed = []
    for path in (found for name in names for found in sorted(folder.glob(name))):
        try:
            status = path.lstat()
            if status.st_uid == os.geteuid() and status.st_mode & _OTHERS and not stat.S_ISLNK(status.st_mode):
                path.chmod(stat.S_IMODE(status.st_mode) & ~_OTHERS)
                changed.append(path)
        except FileNotFoundError:
            continue  # SQLite removes its journal by itself
    return changed


def open_to_others(folder: Path) -> str:
    """The folder's rights (octal) when other users have some, else an empty text."""
    mode = stat.S_IMODE(folder.stat().st_mode)
    return f"{mode:o}" if mode & _OTHERS else ""


def secret_key(value: str, folder: Path) -> str:
    """``value``, else one made once and kept in ``folder``, readable by its owner alone."""
    if value:
        if len(value) < 32:
            raise StrangeValue("SECRET_KEY is shorter than 32 characters.")
        return value
    path = folder / "secret_key"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        # Another process may be between creating and writing it; an empty key must never be used.
        value = path.read_text(encoding="utf-8").strip()
        if not value:
            raise StrangeValue(f"{path} is empty: delete it, or set SECRET_KEY.") from None
        return value
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        value = secrets.token_urlsafe(64)
        file.write(value)
    return value
