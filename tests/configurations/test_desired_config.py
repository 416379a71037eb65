"""When a configuration is due: the table of facts, with neither database nor transport."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from agents.remote_config import ConfigFile, RemoteConfig
from agents.replies import Reply
from agents.reply_parts import Known
from agents.reports import AgentCapabilities, RemoteConfigStatus, RemoteConfigStatuses, StatusReport
from configurations.desired_config import DesiredConfig

UID = UUID(int=7)
FILES = RemoteConfig({"": ConfigFile(b"a: 1\n", "text/yaml")})
ACCEPTS = int(AgentCapabilities.ACCEPTS_REMOTE_CONFIG)
REPORTS = int(AgentCapabilities.REPORTS_REMOTE_CONFIG)
BOTH = int(ACCEPTS | AgentCapabilities.REPORTS_REMOTE_CONFIG)
LOST = {"repeated": True, "over_http": True}


class TestConfiguration:
    """ "Configuration"."""

    @pytest.mark.parametrize(
        ("facts", "known", "status_reported", "due"),
        [
            pytest.param({}, {}, False, True, id="S-59 not offered yet"),
            pytest.param({}, {"capabilities": 0}, False, False, id="S-58 not accepted"),
            pytest.param({}, {"capabilities": ~ACCEPTS & 0xFFFF}, False, False, id="S-58 all but accepted"),
            pytest.param({"forced": True}, {"capabilities": 0}, True, False, id="S-58 not accepted, though forced"),
            pytest.param({"answered": True}, LOST, True, False, id="S-61 answered"),
            pytest.param(
                {"answered": True, "offered": True, "forced": True}, {}, False, True, id="a person asked anew"
            ),
            pytest.param({"offered": True}, {}, True, False, id="S-62 once on a connection"),
            pytest.param({"offered": True}, LOST, False, True, id="S-62 the reply was lost"),
            pytest.param({"offered": True}, {"repeated": True}, False, False, id="S-62 a socket loses no reply"),
            pytest.param({"offered": True, "retry_due": True}, {}, True, True, id="S-63 another hash was named"),
            pytest.param({"offered": True, "retry_due": True}, {}, False, False, id="S-63 nothing was named"),
            pytest.param({"offered": True, "retry_due": True}, {"over_http": True}, False, True, id="S-63 no answer"),
            pytest.param({"offered": True}, {"over_http": True}, False, False, id="S-63 the pause is not over"),
            pytest.param(
                {"offered": True, "retry_due": True},
                {"over_http": True, "capabilities": ACCEPTS},
                False,
                False,
                id="S-65 an agent that never answers",
            ),
            pytest.param(
                {"offered": True, "retry_due": True},
                {"over_http": True, "capabilities": ~REPORTS & 0xFFFF},
                False,
                False,
                id="S-65 all but an answer",
            ),
            pytest.param({"refused": True}, {}, True, False, id="refused without a hash on another connection"),
            pytest.param({"refused": True, "offered": True}, LOST, False, False, id="refused, and repeated"),
            pytest.param({"refused": True, "retry_due": True}, {}, True, True, id="refused, and the pause is over"),
        ],
    )
    def test_is_due(self, facts: dict[str, bool], known: dict[str, bool], status_reported: bool, due: bool) -> None:
        wanted = replace(DesiredConfig(FILES, b"h", answered=False, offered=False, retry_due=False), **facts)
        state = replace(Known(1, BOTH), **known)
        assert wanted.is_due(state, status_reported=status_reported) is due

    def test_what_is_due_is_added_with_its_hash(self) -> None:
        wanted = DesiredConfig(FILES, b"h", answered=False, offered=False, retry_due=False)
        bare = Reply(instance_uid=UID.bytes)
        assert wanted.add_to(bare, Known(1, BOTH), None) == replace(bare, remote_config=FILES, config_hash=b"h")
        assert wanted.add_to(bare, Known(1, 0), None) == bare

    @pytest.mark.parametrize("named", [True, False])
    def test_a_report_with_a_status_is_what_brings_the_next_attempt(self, named: bool) -> None:
        wanted = DesiredConfig(FILES, b"h", answered=False, offered=True, retry_due=True)
        status = RemoteConfigStatus(b"other", RemoteConfigStatuses.APPLIED, "") if named else None
        report = StatusReport(UID, 2, BOTH, remote_config_status=status)
        reply = wanted.add_to(Reply(instance_uid=UID.bytes), Known(1, BOTH), report)
        assert (reply.remote_config == FILES) is named
        pushed = wanted.add_to(Reply(instance_uid=UID.bytes), Known(1, BOTH), None)
        assert pushed.remote_config is None
