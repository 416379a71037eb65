"""What is answered to one report: the table of facts, with neither database nor transport."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from agents.replies import Reply
from agents.reply_parts import CustomCapabilitiesPart, CustomMessagePart, Known, RestartPart
from agents.reports import (
    AgentCapabilities,
    AgentDescription,
    AvailableComponents,
    CustomMessage,
    Heartbeat,
    StatusReport,
)
from opamp_transport.protocol.conversation import answer, continues, full_state_due, unsolicited

UID = UUID(int=7)
BARE = Reply(instance_uid=UID.bytes)
COMPONENTS = int(AgentCapabilities.REPORTS_AVAILABLE_COMPONENTS)
RESTARTS = int(AgentCapabilities.ACCEPTS_RESTART_COMMAND)
HEALTH = int(AgentCapabilities.REPORTS_HEALTH)
DESCRIBED = AgentDescription({}, {})
MESSAGE = CustomMessage("a.b", "c", b"d")


class TestHeartbeat:
    @pytest.mark.parametrize(
        ("number", "capabilities", "same"),
        [(6, 3, True), (6, 0, True), (6, 1, False), (6, 7, False), (5, 3, False), (7, 3, False), (4, 0, False)],
    )
    def test_memory_answers_one_that_changes_nothing(self, number: int, capabilities: int, same: bool) -> None:
        """S-37, S-57."""
        assert continues(Heartbeat(UID.bytes, number, capabilities), sequence_num=5, capabilities=3) is same

    def test_numbers_are_compared_by_their_value(self) -> None:
        """Long connections count far, and no two messages share an integer."""
        number, capabilities = 1_000_000, 0xFFFF
        heartbeat = Heartbeat(UID.bytes, number + 1, int(str(capabilities)))
        assert continues(heartbeat, sequence_num=number, capabilities=capabilities)


class TestAgentStatusCompression:
    """ "Agent Status Compression"."""

    @pytest.mark.parametrize(
        ("known", "number", "news", "due"),
        [
            pytest.param({}, 6, False, False, id="S-42 the next number"),
            pytest.param({}, 7, False, True, id="S-42 one is missing"),
            pytest.param({}, 4, False, True, id="S-42 a number goes back"),
            pytest.param({}, 5, False, False, id="S-46 the same number, no news"),
            pytest.param({}, 5, True, True, id="S-46 the same number with news"),
            pytest.param({"repeated": True}, 5, True, False, id="S-46 the same bytes"),
            pytest.param({"repeated": True}, 7, True, True, id="S-46 repeated, but not the last one"),
            pytest.param({"sequence_num": None}, 1, False, True, id="S-43 never seen"),
            pytest.param(
                {"sequence_num": None, "full_state_outstanding": True}, 1, False, False, id="S-44 one request"
            ),
            pytest.param({"full_state_outstanding": True}, 9, True, False, id="S-44 one request, whatever the gap"),
            pytest.param({"full_state_lost": True}, 6, False, True, id="S-44 request or answer lost"),
        ],
    )
    def test_full_state(self, known: dict[str, Any], number: int, news: bool, due: bool) -> None:
        state = replace(Known(5, HEALTH), **known)
        report = StatusReport(UID, number, HEALTH, custom_capabilities=("a",) if news else None)
        assert full_state_due(state, report) is due
        assert answer(state, report, []) == replace(BARE, report_full_state=due)

    @pytest.mark.parametrize(("step", "due"), [(0, False), (1, False), (2, True)])
    def test_high_numbers_are_compared_by_their_value(self, step: int, due: bool) -> None:
        """S-42, S-46: after a million messages as at the first."""
        number = 1_000_000
        assert full_state_due(Known(number, HEALTH), StatusReport(UID, int(str(number + step)), HEALTH)) is due

    def test_a_message_that_carries_everything_needs_no_request(self) -> None:
        """S-47: all that the capabilities in force imply, not those that the report leaves out."""
        complete = StatusReport(UID, 1, agent_description=DESCRIBED)
        assert not full_state_due(Known(None, 0), complete)
        assert not full_state_due(Known(5, 0, full_state_lost=True), complete)
        assert full_state_due(Known(5, HEALTH), complete)


class TestAvailableComponents:
    """ "AvailableComponents Message"."""

    @pytest.mark.parametrize(
        ("known", "told", "due"),
        [
            pytest.param({"components_asked": False}, AvailableComponents(b"h", None), True, id="S-98 unknown hash"),
            pytest.param({"components_asked": False}, AvailableComponents(b"h", {}), False, id="S-98 with its map"),
            pytest.param({"components_asked": False}, None, False, id="S-98 nothing told"),
            pytest.param({}, AvailableComponents(b"h", None), False, id="S-98 asked for already"),
            pytest.param(
                {"repeated": True, "over_http": True},
                AvailableComponents(b"h", None),
                True,
                id="S-62 the reply was lost",
            ),
            pytest.param(
                {"components_asked": False, "capabilities": 0xFFFF & ~COMPONENTS},
                AvailableComponents(b"h", None),
                False,
                id="S-55 not reported",
            ),
        ],
    )
    def test_the_map_is_asked_for(self, known: dict[str, Any], told: AvailableComponents | None, due: bool) -> None:
        state = replace(Known(5, COMPONENTS), **known)
        reply = answer(state, StatusReport(UID, 6, available_components=told), [])
        assert reply == replace(BARE, report_available_components=due)


class TestServerToAgent:
    """ "ServerToAgent Message"."""

    PARTS = (CustomMessagePart(MESSAGE), CustomCapabilitiesPart(("a.b",)))

    def test_an_agent_that_leaves_is_told_nothing(self) -> None:
        """S-35."""
        assert answer(Known(None, RESTARTS), StatusReport(UID, 9, agent_disconnect=True), [RestartPart()]) == BARE

    def test_all_that_is_due_goes_in_one_reply(self) -> None:
        """S-36."""
        assert answer(Known(5, 0), StatusReport(UID, 7), self.PARTS) == replace(
            BARE, report_full_state=True, custom_message=MESSAGE, custom_capabilities=("a.b",)
        )

    @pytest.mark.parametrize("place", [0, 1, 2])
    def test_a_restart_travels_alone(self, place: int) -> None:
        """S-96: neither requests nor other parts beside it, wherever it stands."""
        parts = [*self.PARTS[:place], RestartPart(), *self.PARTS[place:]]
        assert answer(Known(5, RESTARTS), StatusReport(UID, 7), parts) == replace(BARE, restart=True)
        assert unsolicited(UID, Known(5, RESTARTS), parts) == replace(BARE, restart=True)

    def test_what_is_due_is_pushed_and_nothing_else(self) -> None:
        """S-66."""
        assert unsolicited(UID, Known(5, 0), self.PARTS) == replace(BARE, custom_message=MESSAGE)
        assert unsolicited(UID, Known(None, 0), [CustomCapabilitiesPart(("a.b",)), RestartPart()]) is None

    def test_a_part_that_says_nothing_new_is_no_reason_to_push(self) -> None:
        """S-66: what matters is what the reply says, not whether it was made anew."""

        class Silent:
            def add_to(self, reply: Reply, known: Known, report: StatusReport | None) -> Reply:
                return replace(reply)

        assert unsolicited(UID, Known(5, 0), [Silent()]) is None
