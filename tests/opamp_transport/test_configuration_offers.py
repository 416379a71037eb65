"""Section E of the checklist: remote configuration offered, answered, offered again or not; effective configuration kept."""

from __future__ import annotations

from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from agents.remote_config import ConfigFile, RemoteConfig
from configurations.models import Assignment
from configurations.services.offering_again import MAX_OFFERS
from opamp_transport.proto import opamp_pb2
from tests.fake_agent import APPLIED, APPLYING, COLLECTOR, FAILED, FakeAgent, answered, effective_config, run
from tests.opamp_transport.conversations import BOTH, Line, lose_memory, publish, row_of

pytestmark = pytest.mark.django_db(transaction=True)
REPORTS_REMOTE_CONFIG = 0x1000
REPORTS_EFFECTIVE_CONFIG = 0x4


@sync_to_async
def pretend_it_was_offered(*, ago: timedelta) -> None:
    """Move the last offer into the past: the clock of the pauses between offers."""
    Assignment.objects.update(offered_at=timezone.now() - ago)


class TestWhatIsOffered:
    @BOTH
    @pytest.mark.rule("S-59")
    def test_the_hash_is_of_the_content_and_not_of_the_order(self, transport: str) -> None:
        async def body() -> None:
            one, two = ConfigFile(b"a: 1\n", "text/yaml", "main"), ConfigFile(b"b: 2\n", "text/yaml")
            first = await publish(files={"x": one, "y": two})
            agent = FakeAgent(env="prod")
            async with Line(transport) as line:
                offered = (await line.tell_all(agent)).remote_config
                assert offered.config_hash == first == RemoteConfig({"y": two, "x": one}).config_hash()
                await publish(files={"y": two, "x": one})
                assert await line.nothing_comes(agent)
                others = [
                    await publish(files={"x": one}),
                    await publish(files={"x": two, "y": one}),
                    await publish(files={"x": ConfigFile(b"a: 1\n", "text/yaml"), "y": two}),
                ]
                assert len({first, *others}) == 4

        run(body())

    @BOTH
    @pytest.mark.rule("S-67")
    def test_a_configuration_that_says_nothing_is_offered_all_the_same(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent(env="prod")
            async with Line(transport) as line:
                assert not (await line.tell_all(agent)).HasField("remote_config")
                wanted = await publish(body="")
                offered = (await line.hear(agent)).remote_config
                assert (offered.HasField("config"), list(offered.config.config_map), offered.config_hash) == (
                    True,
                    [""],
                    wanted,
                )
                assert not offered.config.config_map[""].body
                reply = await line.exchange(agent.message(remote_config_status=answered(wanted, APPLIED)))
                assert not reply.HasField("remote_config")
                assert (await row_of(agent)).in_sync

        run(body())

    @BOTH
    @pytest.mark.rule("S-68")
    def test_keys_bodies_types_and_roles_arrive_unchanged(self, transport: str) -> None:
        files = {
            "": ConfigFile(b"a: 1\n", "text/yaml"),
            "ünï/code key": ConfigFile(b"\x00\xff\xfe not text", "application/octet-stream", "supplementary"),
            "elastic": ConfigFile(b"{}", "application/json"),
        }

        async def body() -> None:
            await publish(files=files)
            async with Line(transport) as line:
                offered = (await line.tell_all(FakeAgent(env="prod"))).remote_config.config.config_map
                assert {
                    key: ConfigFile(file.body, file.content_type, file.role) for key, file in offered.items()
                } == files

        run(body())


class TestWhileItIsApplied:
    @BOTH
    @pytest.mark.rule("S-64")
    def test_a_collector_that_restarts_meanwhile_is_no_error(self, transport: str) -> None:
        async def body() -> None:
            wanted = await publish()
            agent = FakeAgent(env="prod")
            ill = {"health": opamp_pb2.ComponentHealth(healthy=False, last_error="stopped")}
            async with Line(transport) as line:
                await line.tell_all(agent)
                seen = []
                for parts in (
                    {"remote_config_status": answered(wanted, APPLYING)},
                    ill,
                    {"health": opamp_pb2.ComponentHealth(healthy=True)},
                    {"remote_config_status": answered(wanted, APPLIED)},
                    ill,
                    {"remote_config_status": answered(wanted, APPLYING)},
                    {"remote_config_status": answered(wanted, FAILED, "exit code 1")},
                    {"remote_config_status": answered(b"another", APPLYING)},
                ):
                    await line.exchange(agent.message(**parts))
                    seen.append((await row_of(agent)).status.value)
            assert seen[:6] == ["configuring"] * 3 + ["connected", "error", "configuring"]
            assert seen[6:] == ["error", "error"]

        run(body())


class TestWhenItIsOffered:
    @BOTH
    @pytest.mark.rule("S-58")
    def test_never_without_the_capability(self, transport: str) -> None:
        async def body() -> None:
            await publish()
            agent = FakeAgent(env="prod", capabilities=COLLECTOR & ~0x2)
            async with Line(transport) as line:
                assert not (await line.tell_all(agent)).HasField("remote_config")
                await publish(body="a: 2\n")
                assert await line.nothing_comes(agent)

        run(body())

    @BOTH
    @pytest.mark.rule("S-60")
    @pytest.mark.parametrize("reported", [b"", b"another hash"])
    def test_a_reported_hash_that_differs_brings_the_offer(self, transport: str, reported: bytes) -> None:
        async def body() -> None:
            wanted = await publish()
            agent = FakeAgent(env="prod")
            async with Line(transport) as line:
                reply = await line.tell_all(agent, remote_config_status=answered(reported, APPLIED))
                assert reply.remote_config.config_hash == wanted

        run(body())

    @BOTH
    @pytest.mark.rule("S-61", "S-118")
    @pytest.mark.parametrize("status", [APPLIED, APPLYING, FAILED])
    def test_a_hash_that_was_answered_is_not_offered_again(self, transport: str, status: int) -> None:
        async def body() -> None:
            wanted = await publish()
            agent = FakeAgent(env="prod")
            async with Line(transport) as line:
                assert (await line.tell_all(agent)).HasField("remote_config")
                answer = answered(wanted, status, "no such receiver" if status == FAILED else "")
                for _ in range(2):
                    assert not (await line.exchange(agent.message(remote_config_status=answer))).HasField(
                        "remote_config"
                    )
            await lose_memory()
            async with Line(transport) as line:
                assert not (await line.tell_all(agent, remote_config_status=answer)).HasField("remote_config")
                expected = {APPLIED: "connected", APPLYING: "configuring", FAILED: "error"}[status]
                assert (await row_of(agent)).status == expected

        run(body())

    @BOTH
    @pytest.mark.rule("S-62")
    def test_once_on_a_connection_and_anew_on_the_next(self, transport: str) -> None:
        async def body() -> None:
            wanted = await publish()
            agent = FakeAgent(env="prod")
            async with Line(transport) as line:
                message = agent.message(**agent.full_parts())
                assert (await line.exchange(message)).remote_config.config_hash == wanted
                again = await line.exchange(message)
                # A socket loses no reply; a poll that is repeated never got one.
                assert again.HasField("remote_config") is (transport == "http")
                assert not (await line.exchange(agent.message())).HasField("remote_config")
                await line.exchange(agent.message(agent_disconnect=opamp_pb2.AgentDisconnect()))
            async with Line(transport) as line:
                assert (await line.exchange(agent.message())).remote_config.config_hash == wanted

        run(body())

    @BOTH
    @pytest.mark.rule("S-66", "S-21")
    def test_a_changed_wish_is_told_unasked_or_with_the_next_poll(self, transport: str) -> None:
        async def body() -> None:
            wanted = await publish()
            agent = FakeAgent(env="prod")
            async with Line(transport) as line:
                await line.tell_all(agent)
                await line.exchange(agent.message(remote_config_status=answered(wanted, APPLIED)))
                await line.exchange(agent.message())
                changed = await publish(body="a: 2\n")
                assert (await line.hear(agent)).remote_config.config_hash == changed
                assert await line.nothing_comes(agent)

        run(body())

    @BOTH
    @pytest.mark.rule("S-108")
    def test_of_several_edits_only_the_last_is_told(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent(env="prod")
            async with Line(transport) as line:
                await line.tell_all(agent)
                await line.exchange(agent.message(agent_disconnect=opamp_pb2.AgentDisconnect()))
                for number in range(3):
                    last = await publish(body=f"a: {number}\n")
                assert (await line.exchange(agent.message())).remote_config.config_hash == last
                assert await line.nothing_comes(agent)

        run(body())


class TestAnswersThatAreMissing:
    @BOTH
    @pytest.mark.rule("S-63", "S-118")
    def test_a_nameless_failure_is_offered_again_with_growing_pauses_and_not_for_ever(self, transport: str) -> None:
        async def body() -> None:
            wanted = await publish()
            agent = FakeAgent(env="prod")
            failure = opamp_pb2.RemoteConfigStatus(status=FAILED, error_message="cannot parse")
            async with Line(transport) as line:
                await line.tell_all(agent)
                assert not (await line.exchange(agent.message(remote_config_status=failure))).HasField("remote_config")
                assert (await row_of(agent)).assignment.status == "failed"
                pauses = []
                for offers in range(1, MAX_OFFERS + 2):
                    for seconds in (29, 31, 61, 121, 241, 481, 86_400):
                        await pretend_it_was_offered(ago=timedelta(seconds=seconds))
                        reply = await line.exchange(agent.message(remote_config_status=failure))
                        if reply.HasField("remote_config"):
                            assert reply.remote_config.config_hash == wanted
                            pauses.append(seconds)
                            break
                    else:
                        assert offers == MAX_OFFERS
                        break
                assert pauses == [31, 61, 121, 241]

        run(body())

    @pytest.mark.rule("S-63", transport="http")
    def test_an_unanswered_offer_of_before_the_clock_was_put_back_does_not_wait_until_then(self) -> None:
        async def body() -> None:
            wanted = await publish()
            agent = FakeAgent(env="prod")
            line = Line("http")
            assert (await line.tell_all(agent)).HasField("remote_config")
            await pretend_it_was_offered(ago=-timedelta(days=1))
            await lose_memory()
            assert (await line.exchange(agent.message())).remote_config.config_hash == wanted
            assert not (await line.exchange(agent.message())).HasField("remote_config")

        run(body())

    @pytest.mark.rule("S-63", transport="http")
    def test_an_offer_over_http_that_nobody_answers_goes_out_again_after_a_pause(self) -> None:
        async def body() -> None:
            wanted = await publish()
            agent = FakeAgent(env="prod")
            line = Line("http")
            assert (await line.tell_all(agent)).HasField("remote_config")
            for _ in range(3):
                assert not (await line.exchange(agent.message())).HasField("remote_config")
            await pretend_it_was_offered(ago=timedelta(seconds=31))
            await lose_memory()
            assert (await line.exchange(agent.message())).remote_config.config_hash == wanted
            assert not (await line.exchange(agent.message())).HasField("remote_config")

        run(body())

    @BOTH
    @pytest.mark.rule("S-64", "S-109")
    def test_a_late_answer_is_booked_on_the_hash_it_names(self, transport: str) -> None:
        async def body() -> None:
            old = await publish()
            agent = FakeAgent(env="prod")
            async with Line(transport) as line:
                await line.tell_all(agent)
                new = await publish(body="a: 2\n")
                assert (await line.hear(agent)).remote_config.config_hash == new
                for status in (APPLIED, FAILED):
                    late = await line.exchange(agent.message(remote_config_status=answered(old, status, "late")))
                    assert not late.HasField("remote_config")
                    row = await row_of(agent)
                    assert (row.in_sync, row.config_failed, row.assignment.status) == (False, False, "offered")
                await line.exchange(agent.message(remote_config_status=answered(new, APPLIED)))
                assert (await row_of(agent)).in_sync is True

        run(body())

    @BOTH
    @pytest.mark.rule("S-65")
    def test_without_reports_an_offer_counts_as_delivered_and_not_as_applied(self, transport: str) -> None:
        async def body() -> None:
            wanted = await publish()
            agent = FakeAgent(env="prod", capabilities=COLLECTOR & ~REPORTS_REMOTE_CONFIG)
            parts = {"agent_description": agent.description(), "health": agent.full_parts()["health"]}
            async with Line(transport) as line:
                first = await line.exchange(agent.message(**parts, effective_config=effective_config("x: 1\n")))
                assert first.remote_config.config_hash == wanted
                await pretend_it_was_offered(ago=timedelta(days=1))
                assert not (await line.exchange(agent.message(**parts))).HasField("remote_config")
                row = await row_of(agent)
                assert (row.assignment.status, row.in_sync, row.status) == ("offered", None, "connected")
                changed = await publish(body="a: 2\n")
                assert (await line.hear(agent)).remote_config.config_hash == changed

        run(body())


class TestEffectiveConfig:
    @BOTH
    @pytest.mark.rule("S-69")
    def test_it_is_kept_as_reported_even_if_it_differs_from_the_offer(self, transport: str) -> None:
        async def body() -> None:
            await publish()
            agent = FakeAgent(env="prod")
            reported = effective_config("of its own: true\n")
            reported.config_map.config_map["second"].body = b"\xff\x00"
            async with Line(transport) as line:
                await line.tell_all(agent, effective_config=reported)
                content = (await row_of(agent)).reported.effective_config.content
                assert content[""] == {"body": "of its own: true\n", "content_type": "text/yaml"}
                assert content["second"] == {"body_base64": "/wA="}
                await line.exchange(agent.message(effective_config=opamp_pb2.EffectiveConfig()))
                assert (await row_of(agent)).reported.effective_config.content == {}

        run(body())

    @BOTH
    @pytest.mark.rule("S-70")
    def test_it_is_not_waited_for_without_the_capability(self, transport: str) -> None:
        async def body() -> None:
            agent = FakeAgent(capabilities=COLLECTOR & ~REPORTS_EFFECTIVE_CONFIG)
            parts = agent.full_parts()
            del parts["effective_config"]
            async with Line(transport) as line:
                assert not (await line.exchange(agent.message(**parts))).flags
                assert (await row_of(agent)).reported.effective_config is None

        run(body())
