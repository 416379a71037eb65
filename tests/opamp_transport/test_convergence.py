"""One agent and the server as two machines that lose messages, repeat them, deliver them late, restart, and change their minds.

Whatever happened: once messages flow again the stored state is what the agent last said, the agent runs what is desired, and
no answer was followed by an offer of the hash it names, nor any offer by the same one on the same connection. What failed is
shown as failed, and never offered again but by a person's act, which always reaches the agent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, TypeVar

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.db.models import F
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from agents.models import Agent, ReportedState
from configurations.models import Assignment, Configuration, Revision
from opamp_transport import runtime
from opamp_transport.proto import opamp_pb2
from tests.fake_agent import APPLIED, FAILED
from tests.opamp_transport.conversations import GOODBYE, Line, processed, publish, retry, row_of
from tests.opamp_transport.failure_ledger import Ledger
from tests.opamp_transport.obeying_client import ACCEPTS_REMOTE_CONFIG, PARTS, Client, Ending

pytestmark = pytest.mark.django_db(transaction=True)
T = TypeVar("T")
ENVIRONMENTS = st.sampled_from(["prod", "dev"])
ENDINGS = st.sampled_from(Ending)
# How often the agent speaks after a person did something: one that fails in three words may be interrupted.
EXCHANGES = st.integers(0, 3)
BODIES = st.sampled_from(["a: 1\n", "a: 2\n"])
CHANGES = st.sets(st.sampled_from(PARTS), max_size=3)
# Attempts to offer are bounded (S-63), so losses between two quiet times are too.
MOST_LOSSES = 3
ROUNDS = 25


class Convergence(RuleBasedStateMachine):
    """Rules are what may happen; `messages_flow_again` is what must hold after whatever happened."""

    transport = "websocket"

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.agent = Client(self.transport)
        self.ledger = Ledger()
        self.losses = 0
        self.do(self._publish("prod", "a: 1\n", narrow=False))
        self.do(self._connect())
        self.do(self._talk(set(PARTS)))

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run on the machine's own loop."""
        return self.loop.run_until_complete(asyncio.wait_for(work, 30))

    def teardown(self) -> None:
        try:
            self.do(self._messages_flow_again())
        finally:
            self.do(self._end())
            self.loop.close()

    # --- What may happen -------------------------------------------------------------------------------------------

    @rule(changes=CHANGES)
    def a_report(self, changes: set[str]) -> None:
        """Parts told again without a change, or nothing: a heartbeat."""
        self.do(self._talk(changes | self.agent.untold))

    @rule(environment=ENVIRONMENTS)
    def attributes_change(self, environment: str) -> None:
        if self.agent.labels["env"] != environment:
            self.agent.offered.clear()
        self.agent.labels = {"env": environment, **({"only": "here"} if environment == "dev" else {})}
        self.agent.untold.add("agent_description")

    @rule()
    def health_changes(self) -> None:
        self.agent.healthy = not self.agent.healthy
        self.agent.untold.add("health")

    @rule()
    def the_capability_to_be_configured_comes_and_goes(self) -> None:
        self.agent.capabilities ^= ACCEPTS_REMOTE_CONFIG

    @rule(environment=ENVIRONMENTS, body=BODIES, narrow=st.booleans(), ending=ENDINGS, exchanges=EXCHANGES)
    def an_operator_publishes(self, environment: str, body: str, narrow: bool, ending: Ending, exchanges: int) -> None:
        """Other files, other targeting, both or none."""
        self.do(self._publish_again(environment, body, narrow, ending))
        self.do(self._talk_on(exchanges))

    @rule(ending=ENDINGS, exchanges=EXCHANGES)
    def an_operator_has_it_offered_once_more(self, ending: Ending, exchanges: int) -> None:
        self.do(self._offer_once_more(ending))
        self.do(self._talk_on(exchanges))

    @precondition(lambda self: self.losses < MOST_LOSSES)
    @rule(changes=CHANGES)
    def a_message_is_lost(self, changes: set[str]) -> None:
        """Its number is used and its content forgotten; a socket does not survive that."""
        lost = self.agent.next_message(changes | self.agent.untold)
        if lost.HasField("remote_config_status"):
            # The server never hears this answer, so when the pause is over it asks again (S-63).
            self.agent.offered.clear()
            self.losses += 1
        if self.transport == "websocket":
            self.do(self._drop())

    @precondition(lambda self: self.losses < MOST_LOSSES)
    @rule(changes=CHANGES)
    def a_reply_is_lost(self, changes: set[str]) -> None:
        self.losses += 1
        self.do(self._lose_reply(changes | self.agent.untold))

    @precondition(lambda self: self.transport == "http" and self.agent.last is not None)
    @rule()
    def the_last_message_is_repeated(self) -> None:
        """Byte by byte, as a client does that got no answer."""
        self.do(self._repeat())

    @precondition(lambda self: self.transport == "websocket")
    @rule(changes=CHANGES, full=st.booleans())
    def a_message_arrives_late_on_the_old_socket(self, changes: set[str], full: bool) -> None:
        self.do(self._late(changes | self.agent.untold, full))

    @rule(goodbye=st.booleans())
    def the_agent_reconnects(self, goodbye: bool) -> None:
        self.do(self._reconnect(goodbye))

    @rule(forgets=st.booleans())
    def the_agent_restarts(self, forgets: bool) -> None:
        self.agent.sequence_num = -1
        if forgets:
            self.agent.forget()
        self.do(self._restart_agent())

    @rule(loses_numbers=st.booleans())
    def the_server_restarts(self, loses_numbers: bool) -> None:
        self.do(self._restart_server(loses_numbers))

    @rule()
    def messages_flow_again(self) -> None:
        self.do(self._messages_flow_again())

    # --- How -------------------------------------------------------------------------------------------------------

    async def _talk_on(self, exchanges: int) -> None:
        for _ in range(exchanges):
            await self._talk(set(self.agent.untold))

    async def _publish_again(self, environment: str, body: str, narrow: bool, ending: Ending) -> None:
        if self.agent.connected:
            await self._take_pushes()
        self._asked_anew(ending)
        await self._publish(environment, body, narrow)

    async def _publish(self, environment: str, body: str, narrow: bool) -> None:
        selector = {"env": environment, **({"os.type": "linux"} if narrow else {})}
        published = await publish(f"for-{environment}", body, selector=selector)
        self.ledger.publish(environment, published, narrow=narrow)

    async def _offer_once_more(self, ending: Ending) -> None:
        if self.agent.connected:
            await self._take_pushes()
        if await retry(self.agent):
            self._asked_anew(ending)
            self.agent.asked_anew = True
            self.ledger.failures.pop(self.ledger.desired, None)
            self.ledger.sent = b""

    def _asked_anew(self, ending: Ending) -> None:
        """After a person's act the same offer may come, and one that failed."""
        self.agent.ending = ending
        self.agent.offered.clear()
        self.agent.asked_anew |= any(status == FAILED for _, status in [self.agent.told, *self.agent.words])

    async def _connect(self) -> None:
        if not self.agent.connected:
            self.agent.line = Line(self.transport)
            await self.agent.line.__aenter__()
            self.agent.connected = True
            if self.transport == "websocket":
                self.agent.offered.clear()

    async def _drop(self) -> None:
        if self.agent.connected and self.transport == "websocket":
            await self.agent.line.__aexit__(None, None, None)
            self.agent.connected = False

    async def _talk(self, parts: set[str]) -> bool:
        """One exchange, and what is pushed after it; true when the agent has something to answer."""
        await self._connect()
        await self._take_pushes()
        message = self.agent.next_message(parts)
        self._note_told(message)
        busy = self._obey(await self.agent.line.exchange(message))
        return await self._take_pushes() or busy

    def _note_told(self, message: opamp_pb2.AgentToServer) -> None:
        gained = message.capabilities & ~self.agent.told_capabilities & ACCEPTS_REMOTE_CONFIG
        self.agent.told_capabilities = message.capabilities
        if message.HasField("remote_config_status"):
            said = message.remote_config_status
            self.agent.told = (said.last_remote_config_hash, said.status)
            if said.last_remote_config_hash in self.agent.unanswered:
                self.agent.unanswered.clear()
        self.ledger.hear(message)
        if gained:
            # What went out while it took none was dropped.
            self.ledger.sent = b""

    def _obey(self, reply: opamp_pb2.ServerToAgent, *, retry: bool = False) -> bool:
        if reply.HasField("remote_config"):
            offered = self.ledger.sent = reply.remote_config.config_hash
            assert offered == self.ledger.desired
            assert not self.ledger.has_failed(named=True), "what failed is offered again by itself"
        return self.agent.obey(reply, retry=retry)

    async def _take_pushes(self) -> bool:
        busy = False
        await processed()
        while self.agent.line.socket is not None and not await self.agent.line.socket.nothing_comes(0.002):
            busy |= self._obey(await self.agent.line.socket.receive())
        return busy

    async def _lose_reply(self, parts: set[str]) -> None:
        await self._connect()
        await self._take_pushes()
        message = self.agent.next_message(parts)
        self._note_told(message)
        if self.agent.line.socket is not None:
            await self.agent.line.socket.send(message)
            await processed()
            self.ledger.sent = bytes.fromhex((await row_of(self.agent)).assignment.offered_hash)
            self.agent.unanswered |= {self.ledger.sent} - {b""}
            await self._drop()
        else:
            reply = await self.agent.line.exchange(message)
            if reply.HasField("remote_config"):
                self.ledger.sent = reply.remote_config.config_hash
            if reply.HasField("remote_config") and self.agent.capabilities & ACCEPTS_REMOTE_CONFIG:
                self.agent.offered.add(reply.remote_config.config_hash)
                self.agent.offers_lost.add(reply.remote_config.config_hash)
                self.agent.unanswered.add(reply.remote_config.config_hash)

    async def _repeat(self) -> None:
        assert self.agent.last is not None
        self._note_told(self.agent.last)
        self._obey(await self.agent.line.exchange(self.agent.last), retry=True)

    async def _late(self, parts: set[str], full: bool) -> None:
        await self._connect()
        await self._take_pushes()
        late, old = self.agent.next_message(parts), self.agent.line
        self.agent.connected = False
        await self._connect()
        busy = await self._talk(set(PARTS) if full else set())
        await old.exchange(late)
        if busy:
            await self._talk(set(self.agent.untold))
        await old.__aexit__(None, None, None)
        await processed()

    async def _reconnect(self, goodbye: bool) -> None:
        if goodbye:
            await self._connect()
            await self._take_pushes()
            await self.agent.line.exchange(self.agent.message(**GOODBYE))
            self.agent.last = None
            self.agent.offered.clear()
        await self._drop()
        await processed()
        await self._talk(set(self.agent.untold))

    async def _restart_agent(self) -> None:
        await self._drop()
        self.agent.last = None
        await self._talk(set(PARTS))

    async def _restart_server(self, loses_numbers: bool) -> None:
        """The process is gone; rows stay, and so does the lease of an agent whose socket it took along."""
        if loses_numbers:
            presence = runtime.current().presence
            presence.take()
            presence.note_written(frozenset())
        await runtime.stop()
        await self._drop()

    # --- What must hold --------------------------------------------------------------------------------------------

    async def _messages_flow_again(self) -> None:
        await self._connect()
        quiet = 0
        for _ in range(ROUNDS):
            if quiet == 0:
                await _time_passes()
                if self.agent.words[0] == (b"", FAILED):
                    # Whatever it was about, it may be asked again now (S-63).
                    self.agent.offered.clear()
                self.agent.offered -= self.agent.offers_lost
                self.agent.offers_lost.clear()
            busy = await self._talk(set(self.agent.untold))
            quiet = 0 if busy else quiet + 1
            if quiet == 3:
                break
        assert quiet == 3, "the two never come to rest"
        self.losses = 0
        agent, row = self.agent, await row_of(self.agent)
        assert row.connected
        assert row.capabilities == agent.capabilities
        assert row.healthy is agent.healthy
        assert row.labels["env"] == agent.labels["env"]
        assert ("only" in row.labels) is ("only" in agent.labels)
        assert row.reported.effective_config.content[""]["body"] == agent.running
        assert (bytes.fromhex(row.remote_config_hash), row.remote_config_status) == agent.words[0]
        assert row.reported.full_state_requested_at is None
        desired = self.ledger.wanted(agent.labels["env"])
        assert row.configuration_hash == desired.hex()
        if not desired or not agent.capabilities & ACCEPTS_REMOTE_CONFIG:
            assert (row.in_sync, row.config_failed) == (None, False)
        elif self.ledger.has_failed():
            assert (row.in_sync, row.config_failed) == (False, True)
            assert row.assignment.error_message == "no such receiver"
        else:
            assert agent.words[0] == (desired, APPLIED)
            assert (row.in_sync, row.config_failed) == (True, False)

    async def _end(self) -> None:
        await self._drop()
        await runtime.stop()
        await sync_to_async(_forget_everything)()


@sync_to_async
def _rows_grow_older() -> None:
    hours = timedelta(hours=1)
    Assignment.objects.exclude(offered_at=None).update(offered_at=F("offered_at") - hours)
    requested = ReportedState.objects.exclude(full_state_requested_at=None)
    requested.update(full_state_requested_at=F("full_state_requested_at") - hours)


async def _time_passes() -> None:
    """The clock of every pause, in rows and in memory."""
    await _rows_grow_older()
    for link in runtime.current().sessions.by_uid.values():
        if link.look_again < float("inf"):
            link.look_again = 0.0


def _forget_everything() -> None:
    Agent.objects.all().delete()
    Configuration.objects.update(current=None)
    Revision.objects.all().delete()
    Configuration.objects.all().delete()
    connections.close_all()


@pytest.mark.parametrize("transport", ["websocket", "http"])
@pytest.mark.rule("S-39", "S-42", "S-43", "S-44", "S-48", "S-50", "S-56", "S-60", "S-61", "S-62")
def test_state_converges_whatever_is_lost_repeated_late_or_restarted(transport: str) -> None:
    machine = type(f"Over{transport.title()}", (Convergence,), {"transport": transport})
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        machine,
        settings=settings(
            max_examples=20,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            # No shrinking: each step is a real exchange, and the steps printed are few.
            phases=[Phase.explicit, Phase.reuse, Phase.generate],
        ),
    )
