"""What a server must know of failed configurations, kept beside the real one by the test of convergence."""

from __future__ import annotations

from dataclasses import dataclass, field

from opamp_transport.proto import opamp_pb2
from tests.fake_agent import APPLIED, FAILED


@dataclass
class Ledger:
    """What the server may know of failures, from what was published and what it heard.

    A failure counts for the publications there were when it was heard, and no longer when the files are published anew
    or a person has them offered once more. ``sent``: the desired hash went out since it is desired.
    """

    publications: list[tuple[str, bytes]] = field(default_factory=list)
    failures: dict[bytes, tuple[int, bool]] = field(default_factory=dict)
    narrow: dict[str, bool] = field(default_factory=dict)
    environment: str = ""
    sent: bytes = b""

    def wanted(self, environment: str) -> bytes:
        """The hash that agents there should run."""
        return next((key for name, key in reversed(self.publications) if name == environment), b"")

    @property
    def desired(self) -> bytes:
        """What the agent should run, as far as it told where it is."""
        return self.wanted(self.environment)

    def publish(self, environment: str, key: bytes, *, narrow: bool) -> None:
        """A person's act; to save what is there already is none, and other targeting leaves the answer as it is."""
        same_files = key == self.wanted(environment)
        if same_files and self.narrow.get(environment, False) == narrow:
            return
        had_failed = self.has_failed()
        self.narrow[environment] = narrow
        self.publications.append((environment, key))
        if environment == self.environment:
            if not same_files:
                self.sent = b""
            elif had_failed:
                self._carry()

    def hear(self, message: opamp_pb2.AgentToServer) -> None:
        """What was said of configurations is about what was desired before this message."""
        if message.HasField("remote_config_status"):
            said = message.remote_config_status
            named = said.last_remote_config_hash
            if said.status == APPLIED:
                self.failures.pop(named, None)
            elif said.status == FAILED and (failed := named or self.sent):
                last = self._last(failed, here=failed == self.desired)
                if last is not None and (failed != self.desired or self.sent == failed):
                    self.failures[failed] = (last, bool(named))
        if message.HasField("agent_description"):
            former, had_failed = self.desired, self.has_failed()
            self.environment = next(
                pair.value.string_value
                for pair in message.agent_description.non_identifying_attributes
                if pair.key == "env"
            )
            if self.desired != former:
                self.sent = b""
            elif had_failed:
                self._carry()

    def _carry(self) -> None:
        """The failure counts for the publication that is desired now, too."""
        number, by_name = self.failures[self.desired]
        self.failures[self.desired] = (max(number, self._last(self.desired, here=True) or 0), by_name)

    def _last(self, key: bytes, *, here: bool) -> int | None:
        """The newest publication of these files, or the one that counts here."""
        found = [
            number
            for number, (environment, published) in enumerate(self.publications)
            if published == key and (not here or environment == self.environment)
        ]
        return found[-1] if found else None

    def has_failed(self, *, named: bool | None = None) -> bool:
        """Whether what is desired failed here, and nobody published it or asked for it since."""
        number, by_name = self.failures.get(self.desired, (-1, False))
        present = self._last(self.desired, here=True)
        return present is not None and present <= number and named in {None, by_name}
