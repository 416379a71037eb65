"""Runs a function of the project in a process of its own, so that a crash of the interpreter is seen as what it is."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from typing import Any

_SPAWN = multiprocessing.get_context("spawn")


def in_child(function: Callable[..., Any], *arguments: Any, seconds: float = 60.0) -> Any:
    """What ``function`` returns there. Raises `AssertionError` when the process ends by a signal, an exception or not in time.

    Function and arguments are pickled: module-level functions only.
    """
    receiving, sending = _SPAWN.Pipe(duplex=False)
    child = _SPAWN.Process(target=_told, args=(sending, function, arguments))
    child.start()
    sending.close()
    try:
        if not receiving.poll(seconds):
            raise AssertionError(f"{function.__name__} took more than {seconds:g} s")
        outcome, value = receiving.recv()
    except EOFError:
        child.join()
        raise AssertionError(f"{function.__name__} ended the process: exit status {child.exitcode}") from None
    finally:
        child.kill()
        child.join()
        receiving.close()
    assert outcome == "returned", value
    return value


def _told(sending: Any, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    try:
        sending.send(("returned", function(*arguments)))
    except Exception as error:  # noqa: BLE001  told to the parent
        sending.send(("raised", repr(error)))
