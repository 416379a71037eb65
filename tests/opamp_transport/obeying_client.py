"""An agent for the test of convergence: it obeys, and each offer has an ending that the test chooses beforehand."""

from __future__ import annotations

import enum
from typing import Any

from agents.reports import AgentCapabilities
from opamp_transport.proto import opamp_pb2
from tests.fake_agent import APPLIED, APPLYING, FAILED, FakeAgent, answered, effective_config
from tests.opamp_transport.conversations import FULL_STATE, Line

ACCEPTS_REMOTE_CONFIG = int(AgentCapabilities.ACCEPTS_REMOTE_CONFIG)
PARTS = ("agent_description", "health", "effective_config", "remote_config_status")
NOTHING = "nothing: true\n"
UNSET = opamp_pb2.RemoteConfigStatuses_UNSET


class Ending(enum.Enum):
    """What becomes of the next offers."""

    TAKEN = "taken"
    TAKEN_SLOWLY = "applying, then applied"
    REFUSED = "failed, and says so ever after"
    ROLLED_BACK = "failed, then the former one is applied"
    ROLLED_BACK_SLOWLY = "applying, failed, then the former one is applied"
    NAMELESS = "failed, without a hash"


class Client(FakeAgent):
    """What it runs, what it has to tell, and what the server must not do to it."""

    def __init__(self, transport: str) -> None:
        super().__init__(env="prod")
        self.transport = transport
        self.line = Line(transport)
        self.connected = False
        self.healthy = True
        self.running = NOTHING
        self.running_hash = b""
        # What it says of configurations: each word in a message of its own, the last one ever after.
        self.words: list[tuple[bytes, int]] = [(b"", UNSET)]
        self.untold: set[str] = set()
        self.told: tuple[bytes, int] = (b"", UNSET)
        # A person wants an answer once more.
        self.asked_anew = False
        self.told_capabilities = 0
        self.offered: set[bytes] = set()
        # Of these, what was lost on the way: when the pause is over it comes again (S-60), and not before.
        self.offers_lost: set[bytes] = set()
        # Sent since it last answered one of them.
        self.unanswered: set[bytes] = set()
        self.ending = Ending.TAKEN
        self.last: opamp_pb2.AgentToServer | None = None

    def part(self, name: str) -> Any:
        """One part as it is now."""
        config_hash, status = self.words[0]
        return {
            "agent_description": self.description,
            "health": lambda: opamp_pb2.ComponentHealth(healthy=self.healthy),
            "effective_config": lambda: effective_config(self.running),
            "remote_config_status": lambda: answered(
                config_hash, status, "no such receiver" if status == FAILED else ""
            ),
        }[name]()

    def next_message(self, parts: set[str] | None = None) -> opamp_pb2.AgentToServer:
        """What is untold, or ``parts``; either way it counts as told, as clients do that do not look back."""
        chosen = self.untold if parts is None else parts
        if len(set(PARTS) - chosen) == 1 and "effective_config" not in chosen:
            # Nobody tells the other three at once but in a full state, and the server takes it for one (S-44).
            chosen = set(PARTS)
        self.last = self.message(**{name: self.part(name) for name in sorted(chosen)})
        self.untold -= chosen
        if "remote_config_status" in chosen and len(self.words) > 1:
            self.words.pop(0)
            self.untold.add("remote_config_status")
        return self.last

    def obey(self, reply: opamp_pb2.ServerToAgent, *, retry: bool = False) -> bool:
        """Do what the server says; true when there is something to answer."""
        assert reply.instance_uid == self.uid.bytes
        assert not reply.HasField("error_response")
        assert not reply.HasField("agent_identification")
        if reply.HasField("remote_config"):
            assert self.told_capabilities & ACCEPTS_REMOTE_CONFIG
            # What is not accepted is dropped in silence; the server may not know yet.
            if self.capabilities & ACCEPTS_REMOTE_CONFIG:
                self.take(reply.remote_config, retry=retry)
        if reply.flags & FULL_STATE:
            self.untold |= set(PARTS)
        return bool(self.untold)

    def take(self, offer: opamp_pb2.AgentRemoteConfig, *, retry: bool) -> None:
        """Run it, or come to the other ending."""
        offered, former = offer.config_hash, (self.running_hash, APPLIED if self.running_hash else UNSET)
        # After another offer, received or lost on the way, the server cannot know that the former answer still holds.
        in_doubt = bool(self.unanswered - {offered})
        assert self.asked_anew or in_doubt or offered != self.told[0], "a hash that was answered is offered again"
        self.unanswered.add(offered)
        assert retry or offered not in self.offered, "the same offer twice on one connection"
        self.offered.add(offered)
        self.asked_anew = False
        self.words = {
            Ending.TAKEN: [(offered, APPLIED)],
            Ending.TAKEN_SLOWLY: [(offered, APPLYING), (offered, APPLIED)],
            Ending.REFUSED: [(offered, FAILED)],
            Ending.ROLLED_BACK: [(offered, FAILED), former],
            Ending.ROLLED_BACK_SLOWLY: [(offered, APPLYING), (offered, FAILED), former],
            Ending.NAMELESS: [(b"", FAILED)],
        }[self.ending]
        self.untold.add("remote_config_status")
        if self.ending in {Ending.TAKEN, Ending.TAKEN_SLOWLY}:
            self.running, self.running_hash = offer.config.config_map[""].body.decode(), offered
            self.untold.add("effective_config")

    def forget(self) -> None:
        """It restarts without anything of what it was sent."""
        self.running, self.running_hash, self.words = NOTHING, b"", [(b"", UNSET)]
        self.offered.clear()
