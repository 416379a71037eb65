"""Simulated agents on real sockets: one task each, over WebSocket or plain HTTP. Decisions are the agent's."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from opamp_transport.protocol.errors import ProtocolError
from opamp_transport.protocol.framing import PROTOBUF_CONTENT_TYPE, unwrap, wrap
from simulator.agent import NANOSECONDS, Reaction, SimulatedAgent, UnusableReply
from simulator.backoff import Backoff
from simulator.http_connection import HttpAnswer, HttpConnection
from simulator.tally import Tally

_OPEN_SECONDS = 30.0
_CLOSE_SECONDS = 2.0
_RESTART_SECONDS = 0.3
_LARGEST_REPLY = 64 * 1024 * 1024
# An HTTP agent must poll; an offer of 0 cannot stop it.
_POLL_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Server:
    """Where agents connect to, and the headers that let them in."""

    url: str
    headers: Mapping[str, str]


class _ComeBack(Exception):
    """The connection is over; the next one may be tried after ``seconds``, of which 0 leaves it to the back-off."""

    def __init__(self, seconds: float = 0.0) -> None:
        super().__init__()
        self.seconds = seconds


class Client(ABC):
    """One agent and its way to the server."""

    def __init__(self, agent: SimulatedAgent, server: Server, tally: Tally, chance: random.Random) -> None:
        self.agent = agent
        self._server = server
        self._tally = tally
        self._backoff = Backoff(chance)
        self._connected = False
        self._restarting = False
        # It was offered other headers than its connection was opened with, and opens another one.
        self._moving = False
        self._sent_at = 0.0
        # What it was offered last on this connection.
        self._offered = b""

    async def run(self) -> None:
        """Talk to the server, and come back after every end of a connection; for ever, until cancelled."""
        while True:
            seconds = 0.0
            self._offered = b""
            try:
                await self._converse()
            except _ComeBack as end:
                seconds = end.seconds
            except (ConnectionClosed, InvalidHandshake, OSError, TimeoutError) as error:
                self._note_lost(error)
            finally:
                self._set_connected(False)
            if self._restarting or self._moving:
                await asyncio.sleep(_RESTART_SECONDS if self._restarting else 0)
                self._restarting = self._moving = False
                continue
            await asyncio.sleep(self._backoff.next_seconds(seconds))
            self._tally.reconnects += 1

    @abstractmethod
    async def leave(self) -> None:
        """Say goodbye and close; after `run` was cancelled. Raises nothing that a lost connection may cause."""

    @abstractmethod
    async def _converse(self) -> None:
        """One connection. Raises _ComeBack, and whatever the loss of a connection raises."""

    def _set_connected(self, connected: bool) -> None:
        if connected != self._connected:
            self._connected = connected
            self._tally.connected += 1 if connected else -1

    def _note_lost(self, error: Exception) -> None:
        if not self._connected:
            self._tally.note_refusal(f"{type(error).__name__}: {error}"[:120])

    def _receive(self, body: bytes) -> Reaction:
        """Let the agent obey, and count; a message that no agent can use is counted and answered with nothing."""
        self._tally.replies += 1
        former = self.agent.config_status
        try:
            reaction = self.agent.receive(body, time.time_ns())
        except UnusableReply as error:
            self._tally.note_error(str(error))
            return Reaction()
        if reaction.offered:
            self._tally.offers += 1
            self._tally.repeated_offers += self.agent.config_hash == self._offered
            self._offered = self.agent.config_hash
        self._note_status(former)
        if reaction.error:
            note = self._tally.note_error if reaction.back_off_seconds is None else self._tally.note_refusal
            note(reaction.error)
        else:
            self._backoff.reset()
            self._set_connected(True)
        if reaction.restart:
            self._tally.restarts += 1
            self._restarting = True
        return reaction

    def _note_status(self, former: int) -> None:
        if self.agent.config_status != former:
            self._tally.note_status(type(self.agent.config_status)(former), self.agent.config_status)

    def _due(self) -> list[bytes]:
        """What is to be said because time has passed."""
        former = self.agent.config_status
        messages = self.agent.tick(time.time_ns())
        self._note_status(former)
        if not messages and self._seconds_to_heartbeat() <= 0:
            messages = [self.agent.heartbeat()]
        return messages

    def _seconds_to_wait(self) -> float | None:
        """Until `_due` may have something; ``None`` for never."""
        waits = [self._seconds_to_heartbeat()] if self._interval() > 0 else []
        if self.agent.due_at is not None:
            waits.append((self.agent.due_at - time.time_ns()) / NANOSECONDS)
        return max(min(waits), 0.0) if waits else None

    def _seconds_to_heartbeat(self) -> float:
        interval = self._interval()
        return self._sent_at + interval - time.monotonic() if interval > 0 else float("inf")

    def _interval(self) -> float:
        return self.agent.heartbeat_seconds

    def _headers(self) -> dict[str, str]:
        return dict(self._server.headers) if self.agent.headers is None else self.agent.headers

    def _note_sent(self) -> None:
        self._sent_at = time.monotonic()
        self._tally.messages += 1


class WebSocketClient(Client):
    """One socket per agent."""

    _connection: ClientConnection | None = None
    _opened_with: Mapping[str, str] = {}

    async def _converse(self) -> None:
        self._opened_with = self._headers()
        try:
            connection = await connect(
                self._server.url,
                additional_headers=self._opened_with,
                compression=None,
                proxy=None,
                open_timeout=_OPEN_SECONDS,
                close_timeout=_CLOSE_SECONDS,
                ping_interval=None,
                max_size=_LARGEST_REPLY,
            )
        except InvalidStatus as error:
            self._tally.note_refusal(f"HTTP status {error.response.status_code}")
            raise _ComeBack(retry_after(error.response.headers.get("Retry-After"))) from error
        self._connection = connection
        try:
            await self._send([self.agent.first_message(time.time_ns())])
            while True:
                try:
                    async with asyncio.timeout(self._seconds_to_wait()):
                        frame = await connection.recv()
                except TimeoutError:
                    await self._send(self._due())
                    continue
                await self._react(frame)
        except asyncio.CancelledError:
            raise  # the connection stays open for `leave`
        except BaseException:
            await self._close()
            raise

    async def _react(self, frame: str | bytes) -> None:
        try:
            body = unwrap(frame if isinstance(frame, bytes) else frame.encode())
        except ProtocolError as error:
            self._tally.note_error(str(error))
            return
        reaction = self._receive(body)
        await self._send(reaction.messages)
        if reaction.restart:
            raise _ComeBack
        if reaction.back_off_seconds is not None:
            raise _ComeBack(reaction.back_off_seconds)
        if self._headers() != self._opened_with:
            self._moving = True
            raise _ComeBack

    async def leave(self) -> None:
        if self._connection is None:
            return
        with contextlib.suppress(ConnectionClosed, OSError):  # it may be gone already
            await self._send([self.agent.farewell()])
        await self._close()

    async def _send(self, messages: list[bytes]) -> None:
        if self._connection is None:
            return
        for message in messages:
            await self._connection.send(wrap(message))
            self._note_sent()

    async def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


class HttpClient(Client):
    """Polls on a kept connection; a message is repeated byte by byte until it is answered."""

    def __init__(self, agent: SimulatedAgent, server: Server, tally: Tally, chance: random.Random) -> None:
        super().__init__(agent, server, tally, chance)
        headers = {"Content-Type": PROTOBUF_CONTENT_TYPE}
        self._connection = HttpConnection(server.url, headers, timeout_seconds=_OPEN_SECONDS)
        self._waiting: deque[bytes] = deque()
        self._opened = False

    async def _converse(self) -> None:
        while True:
            if not self._opened:
                self._opened = True
                self._waiting.append(self.agent.first_message(time.time_ns()))
            while self._waiting:
                await self._exchange(self._waiting[0])
            await asyncio.sleep(self._seconds_to_wait() or 0.0)
            self._waiting.extend(self._due())

    async def _exchange(self, message: bytes) -> None:
        answer = await self._post(message)
        if answer.status in {401, 403, 429, 503}:
            self._tally.note_refusal(f"HTTP status {answer.status}")
            raise _ComeBack(retry_after(answer.headers.get("retry-after")))
        self._waiting.popleft()
        if answer.status != 200:
            # As shipped clients do: this message is lost, the next one shows the gap.
            self._tally.note_error(_described(answer))
            return
        if answer.headers.get("content-type") != PROTOBUF_CONTENT_TYPE:
            self._tally.note_error(f"content type {answer.headers.get('content-type')!r} (S-20)")
            return
        reaction = self._receive(answer.body)
        self._waiting.extend(reaction.messages)
        if reaction.back_off_seconds is not None:
            self._opened = False
            raise _ComeBack(reaction.back_off_seconds)
        if reaction.restart:
            await self._exchange_last(reaction.messages)
            self._opened = False
            raise _ComeBack

    async def _exchange_last(self, messages: list[bytes]) -> None:
        """The farewell of the process that ends; its successor starts with an empty queue."""
        self._waiting.clear()
        for message in messages:
            await self._post(message)

    async def _post(self, message: bytes) -> HttpAnswer:
        uid = str(self.agent.instance_uid)
        answer = await self._connection.post(message, {"OpAMP-Instance-UID": uid, **self._headers()})
        self._note_sent()
        return answer

    async def leave(self) -> None:
        if self._opened:
            with contextlib.suppress(OSError):  # it may be gone already
                await self._exchange_last([self.agent.farewell()])
        self._connection.abort()

    def _interval(self) -> float:
        return self.agent.heartbeat_seconds or _POLL_SECONDS


def _described(answer: HttpAnswer) -> str:
    return f"HTTP status {answer.status}: {answer.body[:80].decode('utf-8', 'replace')}"


def retry_after(value: str | None) -> float:
    """Seconds that a ``Retry-After`` asks for, from seconds or from a date; 0 when it is absent or strange."""
    if value is None:
        return 0.0
    if value.strip().isdecimal():
        return float(value)
    try:
        return max(parsedate_to_datetime(value).timestamp() - time.time(), 0.0)
    except ValueError:
        return 0.0
