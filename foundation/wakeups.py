"""Wakes the processes that hold agents' connections: "look at these agents again".

A wake-up says nothing about *what* changed: the row is the truth, so a lost, doubled or late one is harmless, and every
process also looks for missed changes by itself. Processes are woken, not agents: one message carries a list of uids.
The only file that knows a channel layer: other broadcasts (`notifications`) go through `broadcast` and `receive_group`.

On the same way processes say that somebody listens to changes there (`announce_listener`), so that all others need not tell
what nobody hears.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from uuid import UUID

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.conf import settings
from django.db import transaction
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

GROUP = "opamp.wakeups"
_UIDS_PER_MESSAGE = 5_000
_SEND_SECONDS = 5.0
_CLOSE_SECONDS = 2.0
_FIRST_PAUSE_SECONDS = 0.2
# So long without a wake-up, and the subscription is put to the test.
_SILENCE_SECONDS = 5.0
_ECHO_SECONDS = 5.0
# Who listens says so this often; so long it is believed.
ANNOUNCE_SECONDS, _BELIEVED_SECONDS = 5.0, 15.0
_WAKEUP, _LISTENER, _CHORE = "opamp.wakeup", "opamp.listener", "opamp.chore"
# Other processes are told of a chore this often at most (seconds).
_HASTENED_SECONDS = 1.0
BROKER_ERRORS = (OSError, TimeoutError, RedisError)

Listener = Callable[[Sequence[UUID]], None]
Message = dict[str, Any]


class _Here:
    """This process's own listener, and the loop it runs on."""

    loop: asyncio.AbstractEventLoop | None = None
    listener: Listener | None = None
    origin: str = ""
    tasks: set[asyncio.Task[Any]] = set()
    # Until when other processes are believed to listen (`time.monotonic`), and what is called when they begin to.
    others_listen_until: float = -math.inf
    on_listener: Callable[[], None] | None = None
    # Whom to tell of chores that are wanted soon, and when other processes were told of each last (`time.monotonic`).
    on_hastened: Callable[[str], bool] | None = None
    hastened_at: dict[str, float] = {}


def attach(listener: Listener, *, origin: str, hastened: Callable[[str], bool] | None = None) -> None:
    """Have wake-ups of this process call ``listener`` on the running loop; ``origin`` marks them for other processes.

    ``hastened`` is called there with the name of each chore that is wanted soon, and says whether this process does it.
    """
    _Here.loop, _Here.listener, _Here.origin = asyncio.get_running_loop(), listener, origin
    _Here.on_hastened, _Here.hastened_at = hastened, {}


def detach(listener: Listener) -> None:
    """Stop calling ``listener`` (the runtime stops)."""
    if _Here.listener is listener:
        _Here.loop, _Here.listener, _Here.origin = None, None, ""
        _Here.on_hastened = None


def wake(uids: Iterable[UUID]) -> None:
    """After the current transaction commits, wake whoever holds these agents. Never raises for a lost broker."""
    wanted = list(uids)
    if wanted:
        transaction.on_commit(lambda: _wake_now(wanted))


def _wake_now(uids: Sequence[UUID]) -> None:
    loop, listener = _Here.loop, _Here.listener
    if loop is not None and listener is not None and not loop.is_closed():
        loop.call_soon_threadsafe(_deliver, uids)
    elif settings.REDIS_URL:
        # A command, or a worker without agents yet: no loop of ours to send from.
        async_to_sync(_broadcast)(uids)


def _deliver(uids: Sequence[UUID]) -> None:
    """On the loop: this process first, then the others."""
    if _Here.listener is not None:
        _Here.listener(uids)
    if settings.REDIS_URL:
        task = asyncio.ensure_future(_broadcast(uids))
        _Here.tasks.add(task)
        task.add_done_callback(_Here.tasks.discard)


async def _broadcast(uids: Sequence[UUID]) -> None:
    for start in range(0, len(uids), _UIDS_PER_MESSAGE):
        # The rows are committed; processes that miss it find them with their next look.
        if not await broadcast(GROUP, _message(uids[start : start + _UIDS_PER_MESSAGE])):
            return


async def broadcast(group: str, message: Message) -> bool:
    """Send to all processes that receive ``group``; false when the broker is out of reach. Never raises for that."""
    layer = get_channel_layer()
    if layer is None or not settings.REDIS_URL:
        return True
    try:
        await asyncio.wait_for(layer.group_send(group, message), _SEND_SECONDS)
    except BROKER_ERRORS as error:
        logger.warning("wakeups: other processes could not be reached", extra={"error": repr(error), "group": group})
        return False
    return True


def _message(uids: Sequence[UUID]) -> Message:
    return {"type": _WAKEUP, "origin": _Here.origin, "uids": b"".join(uid.bytes for uid in uids)}


def listening_elsewhere() -> bool:
    """Whether another process has said of late that somebody listens there."""
    return time.monotonic() < _Here.others_listen_until


def when_somebody_listens(called: Callable[[], None] | None) -> None:
    """Have ``called`` run on the loop with each word of another process that somebody listens there."""
    _Here.on_listener = called


def tell_wanted_chore(name: str) -> None:
    """Have whichever process leads do the chore ``name`` soon. Nothing in a process without a loop."""
    loop = _Here.loop
    if loop is not None and _Here.on_hastened is not None and not loop.is_closed():
        loop.call_soon_threadsafe(_hasten, name)


def _hasten(name: str) -> None:
    """On the loop."""
    if _Here.on_hastened is None or _Here.on_hastened(name) or not settings.REDIS_URL:
        return
    now = time.monotonic()
    if now - _Here.hastened_at.get(name, -math.inf) >= _HASTENED_SECONDS:
        _Here.hastened_at[name] = now
        task = asyncio.ensure_future(broadcast(GROUP, {"type": _CHORE, "origin": _Here.origin, "name": name}))
        _Here.tasks.add(task)
        task.add_done_callback(_Here.tasks.discard)


async def announce_listener() -> None:
    """Say that somebody listens here; again every `ANNOUNCE_SECONDS`."""
    await broadcast(GROUP, {"type": _LISTENER, "origin": _Here.origin})


def _receive_message(message: Message) -> None:
    """On the loop: what another process, or this one, has sent to all."""
    if message.get("type") == _LISTENER:
        if message.get("origin") != _Here.origin:
            _Here.others_listen_until = time.monotonic() + _BELIEVED_SECONDS
            if _Here.on_listener is not None:
                _Here.on_listener()
        return
    if message.get("type") == _CHORE:
        if message.get("origin") != _Here.origin and _Here.on_hastened is not None:
            _Here.on_hastened(str(message.get("name")))
        return
    sender, uids = unpack(message)
    if sender != _Here.origin and uids and _Here.listener is not None:
        _Here.listener(uids)


def unpack(message: Message) -> tuple[str, list[UUID]]:
    """Origin and uids of a received wake-up; a message of another shape gives none."""
    origin, packed = message.get("origin"), message.get("uids")
    if not isinstance(origin, str) or not isinstance(packed, bytes):
        return "", []
    return origin, [UUID(bytes=packed[start : start + 16]) for start in range(0, len(packed) - 15, 16)]


async def listen() -> None:
    """Receive other processes' wake-ups for ever; cancelled by its owner."""
    await receive_group(GROUP, _receive_message, lambda: _message([]))


async def receive_group(group: str, heard: Callable[[Message], None], probe: Callable[[], Message]) -> None:
    """Have ``heard`` called on the loop with what processes send to ``group``, for ever; cancelled by its owner.

    Reconnects with growing pauses (at most 5 s). ``probe`` makes a message that means nothing, sent after a silence.
    """
    layer = get_channel_layer()
    if layer is None or not settings.REDIS_URL:
        return
    pause = _FIRST_PAUSE_SECONDS
    while True:
        try:
            channel = await asyncio.wait_for(layer.new_channel(), _SEND_SECONDS)
            await asyncio.wait_for(layer.group_add(group, channel), _SEND_SECONDS)
            if pause > _FIRST_PAUSE_SECONDS:
                logger.info("wakeups: the broker is back")
            pause = _FIRST_PAUSE_SECONDS
            await _receive_from(layer, channel, group, heard, probe)
        except BROKER_ERRORS as error:
            logger.warning("wakeups: the broker is out of reach", extra={"error": repr(error)})
            # Forgets the subscription and ends the layer's own attempts, which would log a traceback each second.
            await close()
            await asyncio.sleep(pause)
            pause = min(pause * 2, 5.0)


async def _receive_from(
    layer: Any, channel: str, group: str, heard: Callable[[Message], None], probe: Callable[[], Message]
) -> None:
    """Pass messages on until the subscription is dead: after a silence this process sends itself one, and must hear it."""
    waiting = asyncio.ensure_future(layer.receive(channel))
    probing = False
    try:
        while True:
            await asyncio.wait({waiting}, timeout=_ECHO_SECONDS if probing else _SILENCE_SECONDS)
            if waiting.done():
                message = waiting.result()
                waiting = asyncio.ensure_future(layer.receive(channel))
                probing = False
                heard(message)
            elif probing:
                raise ConnectionError("the subscription is dead")
            else:
                probing = True
                await asyncio.wait_for(layer.group_send(group, probe()), _SEND_SECONDS)
    finally:
        waiting.cancel()
        await asyncio.wait({waiting}, timeout=_CLOSE_SECONDS)


async def close() -> None:
    """Close the layer's connections of the running loop; bounded, for the broker may be gone."""
    layer = get_channel_layer()
    if layer is not None and settings.REDIS_URL:
        try:
            await asyncio.wait_for(layer.flush(), _CLOSE_SECONDS)
        except BROKER_ERRORS as error:
            logger.info("wakeups: the broker did not take leave", extra={"error": repr(error)})
