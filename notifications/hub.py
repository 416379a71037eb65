"""One process's listeners, and what has changed since they were last told: once a second at most, however much that is.

Rows that change here are noted by the feed in whatever thread committed, told to listeners of this process, and broadcast to
processes that have others. Where nobody listens anywhere the feed is closed, and nothing of this costs anything. A hint that is
lost is no harm: pages read themselves again now and then in any case.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from uuid import uuid4

from django.conf import settings
from django.db import DatabaseError

from foundation import wakeups
from foundation.clock import clock
from foundation.topics import personal_key, registered_topics
from notifications import live_messages, people
from notifications.changes import Changed, Changes, packed, unpack_into
from notifications.concerning import TopicNews, concerned
from notifications.feed import Feed
from notifications.listeners import Index, Listener
from notifications.live_messages import Subscription
from notifications.metrics import EVICTED, SOCKETS
from notifications.people import Person
from opamp_transport.limits import AddressLimit
from opamp_transport.threads import DatabaseThreads

logger = logging.getLogger(__name__)

GROUP = "opamp.changes"
TELL_SECONDS = 1.0
# The first change after a silence waits so long for others that come with it.
GATHER_SECONDS = 0.05
LOOK_AGAIN_SECONDS = 5.0
# Handshakes of one address, a second; ten times as many at once.
_HANDSHAKES = 20.0
_FAREWELL_SECONDS = 2.0


class Hub:
    """Begins when the first listener comes, rests when the last one goes. ``now`` in seconds, as `time.monotonic`."""

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        self.listeners: set[Listener] = set()
        self.leaving = False
        self.handshakes = AddressLimit(_HANDSHAKES)
        self.threads = DatabaseThreads(1)
        self.feed = Feed(self.note)
        self._origin = uuid4().hex
        self._now = now
        self._loop = asyncio.get_running_loop()
        self._index = Index()
        self._of_person: Counter[int] = Counter()
        self._here, self._elsewhere = Changes(), Changes()
        self._empty = asyncio.Event()
        self._empty.set()
        self._told_at = -math.inf
        self._armed = False
        self._telling = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._chores: list[asyncio.Task[None]] = []
        wakeups.when_somebody_listens(self.feed.open)

    # --- Who listens --------------------------------------------------------------------------------------------------

    def has_room(self) -> bool:
        """Whether this process takes another socket."""
        return len(self.listeners) < settings.LIVE_SOCKETS

    def has_room_for(self, person: Person) -> bool:
        """Whether this person may have another one here."""
        return self._of_person[person.user_id] < settings.LIVE_SOCKETS_PER_PERSON

    def add(self, person: Person) -> Listener:
        """Somebody has come, for whom there was room."""
        listener = Listener(person)
        self.listeners.add(listener)
        self._empty.clear()
        self._of_person[person.user_id] += 1
        SOCKETS.set(len(self.listeners))
        if not self._chores:
            self.feed.open()
            chores = {self.look_again: LOOK_AGAIN_SECONDS, wakeups.announce_listener: wakeups.ANNOUNCE_SECONDS}
            self._chores = [self._loop.create_task(_every(seconds, chore)) for chore, seconds in chores.items()]
            self._chores.append(self._loop.create_task(wakeups.receive_group(GROUP, self._take_in, self._probe)))
        return listener

    def remove(self, listener: Listener) -> None:
        """They have gone."""
        self._index.set(listener, [])
        self.listeners.discard(listener)
        self._of_person[listener.person.user_id] -= 1
        if not self._of_person[listener.person.user_id]:
            del self._of_person[listener.person.user_id]
        SOCKETS.set(len(self.listeners))
        if not self.listeners:
            self._empty.set()
            for chore in self._chores:
                chore.cancel()
            self._chores = []
            self._close_unheard()

    def subscribe(self, listener: Listener, wanted: Iterable[Subscription]) -> tuple[list[Subscription], list[str]]:
        """Replace the subscriptions; returns those that the person's rights allow, and the texts of the others."""
        wanted = list(wanted)
        accepted = [_own(item, listener.person) for item in wanted if item.topic in listener.person.topics]
        refused = [item.text for item in wanted if item.topic not in listener.person.topics]
        self._index.set(listener, accepted)
        return accepted, refused

    async def look_again(self) -> None:
        """Close the sockets of whoever has signed out, was switched off, or lost a right that a subscription needs."""
        asked = {listener.person.credential for listener in self.listeners}
        found = await self.threads.run(people.look_again, asked, at=clock.now())
        for listener in list(self.listeners):
            if listener.person.credential not in asked:
                continue
            person = found.get(listener.person.credential)
            if person is None:
                self._evict(listener, live_messages.SIGNED_OUT, "signed out")
            elif any(item.topic not in person.topics for item in listener.subscriptions.values()):
                self._evict(listener, live_messages.RIGHT_LOST, "a right was taken away")
            elif person != listener.person:
                listener.person = person
                # Whoever became an administrator, or is none any more, hears of other people's things, or does not.
                self.subscribe(listener, listener.subscriptions.values())

    async def leave(self) -> None:
        """Send everybody away, because the process stops; they come back elsewhere, or later."""
        self.leaving = True
        for listener in list(self.listeners):
            self._evict(listener, live_messages.GOING_AWAY, "the server restarts")
        with suppress(TimeoutError):
            await asyncio.wait_for(self._empty.wait(), _FAREWELL_SECONDS)

    async def stop(self) -> None:
        """End everything; the sockets are closed by then."""
        self.feed.close()
        wakeups.when_somebody_listens(None)
        ending = [*self._chores, *self._tasks]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        await self._loop.run_in_executor(None, self.threads.close)

    # --- What has changed ---------------------------------------------------------------------------------------------

    def note(self, model: str, keys: Iterable[str], *, more: bool = False) -> None:
        """Rows have changed in this process. From any thread, after the commit."""
        named = list(keys)
        if self.listeners:
            self._here.add(model, named, more=more)
        if wakeups.listening_elsewhere():
            self._elsewhere.add(model, named, more=more)
        if not self._armed and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._arm)

    def wait(self) -> float:
        """Seconds until listeners may be told."""
        return max(self._told_at + TELL_SECONDS - self._now(), GATHER_SECONDS)

    async def tell(self) -> None:
        """Tell listeners here what concerns them, and other processes all of it."""
        async with self._telling:
            # Before taking: what is noted from now on finds nothing armed, or is taken below.
            self._armed = False
            self._told_at = self._now()
            elsewhere, here = self._elsewhere.take(), self._here.take()
            if elsewhere:
                message = {"type": GROUP, "origin": self._origin, "changes": packed(elsewhere)}
                self._start(wakeups.broadcast(GROUP, message))
            if here and self.listeners:
                await self._tell_here(here)
        self._close_unheard()

    async def _tell_here(self, here: Mapping[str, Changed]) -> None:
        try:
            news = await self.threads.run(concerned, here, self._index.wanted())
        except DatabaseError as error:
            # Pages cannot be read now either; they are told when they can.
            logger.warning("listeners are told later", extra={"error": str(error)[:200]})
            for model, changed in here.items():
                self._here.add(model, changed.keys, more=changed.more)
            self._arm()
            return
        for item in news:
            self._spread(item)

    def _spread(self, news: TopicNews) -> None:
        text = f"{news.topic}:{news.thing}" if news.thing else news.topic
        for listener in self._index.of(news.topic, news.key):
            listener.add(text, news.names, more=news.more)

    def _arm(self) -> None:
        """On the loop: have it told as soon as it may be."""
        if not self._armed:
            self._armed = True
            self._loop.call_later(self.wait(), lambda: self._start(self.tell()))

    def _take_in(self, message: wakeups.Message) -> None:
        """What changed in another process."""
        if message.get("origin") != self._origin and self.listeners:
            unpack_into(self._here, message.get("changes"))
            if self._here:
                self._arm()

    def _probe(self) -> wakeups.Message:
        return {"type": GROUP, "origin": self._origin, "changes": []}

    def _close_unheard(self) -> None:
        if self.feed.is_open and not self.listeners and not wakeups.listening_elsewhere():
            self.feed.close()

    def _evict(self, listener: Listener, code: int, reason: str) -> None:
        EVICTED.labels(str(code)).inc()
        listener.close(code, reason)

    def _start(self, work: Awaitable[object]) -> None:
        async def whole() -> None:
            await work

        task = self._loop.create_task(whole())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _own(item: Subscription, person: Person) -> Subscription:
    """Of a personal topic with the key of the person's own things, or of everybody's."""
    if not registered_topics()[item.topic].personal:
        return item
    return replace(item, key=personal_key(None if person.everything else person.user_id, item.text.partition(":")[2]))


async def _every(seconds: float, chore: Callable[[], Awaitable[None]]) -> None:
    """Run ``chore`` now and then, the first time at once; neither a database that is away nor a mistake ends it."""
    while True:
        try:
            await chore()
        except DatabaseError as error:
            logger.warning("listeners could not be looked at", extra={"error": str(error)[:200]})
        except Exception:
            logger.exception("a chore of the hub failed by a mistake, will be tried again")
        await asyncio.sleep(seconds)


_current: Hub | None = None


def current_hub() -> Hub:
    """The hub of the running loop, made on first use."""
    global _current  # noqa: PLW0603
    if _current is None or _current._loop is not asyncio.get_running_loop():  # noqa: SLF001  its own module
        _current = Hub()
    return _current


async def stop_hub() -> None:
    """Stop the running loop's hub, if there is one."""
    global _current  # noqa: PLW0603
    hub = _current
    if hub is not None and hub._loop is asyncio.get_running_loop():  # noqa: SLF001  its own module
        _current = None
        await hub.stop()
