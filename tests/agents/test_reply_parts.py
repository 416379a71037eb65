"""When each kind of offer is due: the table of facts, with neither database nor transport."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from agents.credentials import AgentCredential
from agents.replies import OpampSettings, Reply
from agents.reply_parts import (
    CustomCapabilitiesPart,
    CustomMessagePart,
    Known,
    NewUidPart,
    RestartPart,
    SettingsPart,
)
from agents.reports import AgentCapabilities, ConnectionSettingsStatus, CustomMessage, StatusReport

UID, OTHER = UUID(int=7), UUID(int=8)
BARE = Reply(instance_uid=UID.bytes)
HEARTBEAT = StatusReport(UID, 2)
RESTARTS = int(AgentCapabilities.ACCEPTS_RESTART_COMMAND)
TAKES = int(AgentCapabilities.ACCEPTS_OPAMP_CONNECTION_SETTINGS)
BEATS = int(AgentCapabilities.REPORTS_HEARTBEAT)
OFFER = OpampSettings("wss://portal/v1/opamp", 30, b"hash")
CREDENTIAL = AgentCredential(UID, 5)


class TestRetried:
    @pytest.mark.parametrize("repeated", [True, False])
    @pytest.mark.parametrize("over_http", [True, False])
    def test_only_a_repeated_request_over_http_lost_its_reply(self, repeated: bool, over_http: bool) -> None:
        """S-62."""
        assert Known(1, 0, repeated=repeated, over_http=over_http).retried is (repeated and over_http)

    def test_nothing_more_is_assumed_of_an_agent(self) -> None:
        known = Known(1, 0)
        assert known == Known(1, 0, False, False, False, False, True)
        settings = SettingsPart(OFFER, answered=False, offered=False, offered_lately=False)
        assert (settings.given_often, settings.interval_in_use, settings.credential) == (False, None, None)


class TestCommand:
    """ "ServerToAgentCommand"."""

    @pytest.mark.parametrize(("capabilities", "restarts"), [(RESTARTS, True), (0xFFFF & ~RESTARTS, False), (0, False)])
    def test_only_to_an_agent_that_accepts_it(self, capabilities: int, restarts: bool) -> None:
        """S-55."""
        assert RestartPart().add_to(BARE, Known(1, capabilities), None) == replace(BARE, restart=restarts)


class TestCustomMessages:
    """ "Custom Messages"."""

    def test_the_message_goes_with_an_answer_and_without_one(self) -> None:
        """S-95."""
        message = CustomMessage("a.b", "c", b"d")
        for report in (HEARTBEAT, None):
            reply = CustomMessagePart(message).add_to(BARE, Known(1, 0), report)
            assert reply == replace(BARE, custom_message=message)

    def test_own_capabilities_go_with_an_answer_only(self) -> None:
        """S-93."""
        part = CustomCapabilitiesPart(("a.b",))
        assert part.add_to(BARE, Known(1, 0), HEARTBEAT) == replace(BARE, custom_capabilities=("a.b",))
        assert part.add_to(BARE, Known(1, 0), None) == BARE


class TestIdentification:
    """ "AgentIdentification"."""

    @pytest.mark.parametrize(
        ("told", "lost", "due"), [(False, False, True), (True, False, False), (True, True, True), (False, True, True)]
    )
    def test_once_on_a_connection_and_again_when_lost(self, told: bool, lost: bool, due: bool) -> None:
        """S-30."""
        reply = NewUidPart(OTHER, told).add_to(BARE, Known(1, 0, repeated=lost, over_http=lost), None)
        assert reply == (replace(BARE, new_instance_uid=OTHER) if due else BARE)


class TestConnectionSettings:
    """ "Connection Settings Management"."""

    @pytest.mark.parametrize(
        ("facts", "known", "says_it_runs_some", "due"),
        [
            pytest.param({}, {}, False, True, id="S-76 never offered"),
            pytest.param({}, {"capabilities": BEATS}, False, False, id="S-76 not accepted"),
            pytest.param({}, {"capabilities": TAKES}, False, False, id="S-73 no heartbeats, only an interval"),
            pytest.param({"credential": CREDENTIAL}, {"capabilities": TAKES}, False, True, id="S-73 but a credential"),
            pytest.param({"credential": CREDENTIAL}, {"capabilities": BEATS}, False, False, id="S-76 a credential too"),
            pytest.param({"answered": True}, {}, True, False, id="S-78 answered"),
            pytest.param({"interval_in_use": 30}, {}, True, False, id="S-81 the interval in use"),
            pytest.param({"interval_in_use": 29}, {}, False, True, id="S-81 a lower interval in use"),
            pytest.param({"interval_in_use": 31}, {}, False, True, id="S-81 a higher interval in use"),
            pytest.param({"interval_in_use": 30, "credential": CREDENTIAL}, {}, False, True, id="S-81 a credential"),
            pytest.param({"offered_lately": True}, {}, False, False, id="S-81 lately, and it says nothing"),
            pytest.param({"offered_lately": True}, {}, True, True, id="S-81 lately, and it runs others"),
            pytest.param({"offered_lately": True, "offered": True}, {}, True, False, id="S-81 once on a connection"),
            pytest.param({"offered_lately": True, "offered": True}, {"lost": True}, False, True, id="S-62 lost"),
            pytest.param(
                {"offered_lately": True, "offered": True, "given_often": True},
                {"lost": True},
                False,
                False,
                id="S-62 lost too often to be lost",
            ),
            pytest.param({"given_often": True}, {}, False, True, id="S-81 often, but not lately"),
        ],
    )
    def test_is_due(self, facts: dict[str, Any], known: dict[str, Any], says_it_runs_some: bool, due: bool) -> None:
        part = replace(SettingsPart(OFFER, answered=False, offered=False, offered_lately=False), **facts)
        lost = known.get("lost", False)
        state = Known(1, known.get("capabilities", TAKES | BEATS), repeated=lost, over_http=lost)
        status = ConnectionSettingsStatus(b"other", 1, "") if says_it_runs_some else None
        reply = part.add_to(BARE, state, replace(HEARTBEAT, connection_settings_status=status))
        assert reply == (replace(BARE, opamp_settings=OFFER) if due else BARE)

    def test_they_go_with_an_answer_only(self) -> None:
        part = SettingsPart(OFFER, answered=False, offered=False, offered_lately=False)
        assert part.add_to(BARE, Known(1, TAKES | BEATS), None) == BARE

    def test_a_long_interval_is_compared_by_its_value(self) -> None:
        offer = replace(OFFER, interval_seconds=int("86400"))
        part = SettingsPart(offer, answered=False, offered=False, offered_lately=False, interval_in_use=86_400)
        assert part.add_to(BARE, Known(1, TAKES | BEATS), HEARTBEAT) == BARE
