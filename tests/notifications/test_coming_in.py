"""Who may listen, who is refused before the upgrade, and what ends a socket that is open."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.contrib.sessions.models import Session
from django.utils import timezone

from accounts.models import ApiToken, User
from accounts.services import issue_token, revoke_token
from notifications import hub, live_messages
from tests.notifications.listening import HOST, Socket, in_thread, of_page, of_program, run, session_of, signed_out

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def token(bob: User) -> str:
    """A viewer's."""
    return issue_token(bob, name="watcher", by=None)[1]


async def status(headers: dict[str, str], **more: Any) -> int:
    async with Socket(headers, **more) as socket:
        return socket.status


class TestWhoComesIn:
    def test_a_page_of_the_portal_with_a_session(self, bob: User) -> None:
        session = session_of(bob)
        assert run(status(of_page(session))) == 101

    def test_a_program_with_a_token(self, token: str) -> None:
        assert run(status(of_program(token))) == 101

    def test_nobody_is_told_how(self) -> None:
        async def body() -> None:
            async with Socket({}) as socket:
                assert (socket.status, socket.headers["www-authenticate"]) == (401, 'Bearer realm="api"')

        run(body())

    @pytest.mark.parametrize("text", ["", "opk_x_y", "opk_" + "a" * 500, "secret"])
    def test_a_wrong_token_does_not(self, text: str) -> None:
        assert run(status(of_program(text))) == 401

    def test_a_token_in_the_address_counts_nothing(self, token: str) -> None:
        assert run(status({}, path=f"/ws/notifications?token={token}")) == 401

    @pytest.mark.parametrize("key", ["", "no-such-session", "x" * 5_000])
    def test_a_wrong_session_does_not(self, key: str) -> None:
        assert run(status(of_page(key))) == 401

    @pytest.mark.parametrize("origin", ["https://evil.example", "null", "", f"https://{HOST}"])
    def test_a_page_of_others_does_not_whoever_sits_in_front_of_it(self, bob: User, token: str, origin: str) -> None:
        session = session_of(bob)
        assert run(status(of_page(session, origin))) == 403
        assert run(status({**of_program(token), "origin": origin})) == 403

    def test_nor_do_pages_that_may_speak_opamp(self, bob: User, settings: Any) -> None:
        settings.OPAMP_ALLOWED_ORIGINS = ["https://console.example"]
        session = session_of(bob)
        assert run(status(of_page(session, "https://console.example"))) == 403
        settings.CSRF_TRUSTED_ORIGINS = ["https://console.example"]
        assert run(status({**of_page(session, "https://console.example"), "host": "console.example"})) == 101

    def test_a_session_without_an_origin_does_not(self, bob: User) -> None:
        session = session_of(bob)
        assert run(status({"cookie": of_page(session)["cookie"]})) == 401

    def test_a_name_that_is_not_the_portals_does_not(self, token: str, settings: Any) -> None:
        settings.ALLOWED_HOSTS = ["portal.example"]
        assert run(status({**of_program(token), "host": "evil.example"})) == 403
        assert run(status({**of_program(token), "host": "portal.example"})) == 101

    def test_any_name_is_the_portals_where_none_was_named(self, bob: User, settings: Any) -> None:
        settings.ALLOWED_HOSTS = ["*"]
        session = session_of(bob)
        page = {**of_page(session, "http://portal.example"), "host": "portal.example"}
        assert run(status(page)) == 101
        assert run(status({**page, "host": "evil.example"})) == 403

    def test_somebody_without_any_right_does_not(self, charlie: User) -> None:
        session = session_of(charlie)
        assert run(status(of_page(session))) == 403

    def test_an_idle_session_does_not(self, bob: User, settings: Any) -> None:
        settings.SESSION_IDLE_SECONDS = 60
        session = session_of(bob)
        row = Session.objects.get()
        store = row.get_decoded() | {"active_at": timezone.now().timestamp() - 61}
        row.session_data = Session.objects.encode(store)  # type: ignore[attr-defined]  # Django's manager has it
        row.save()
        assert run(status(of_page(session))) == 401


class TestHowMany:
    def test_of_one_person(self, bob: User, alice: User, settings: Any) -> None:
        settings.LIVE_SOCKETS_PER_PERSON = 2
        mine, hers = session_of(bob), session_of(alice)

        async def body() -> None:
            async with Socket(of_page(mine)), Socket(of_page(mine)):
                async with Socket(of_page(mine)) as third:
                    assert third.status == 429
                    assert int(third.headers["retry-after"]) > 0
                assert await status(of_page(hers)) == 101
            assert await status(of_page(mine)) == 101
            assert not hub.current_hub().listeners

        run(body())

    def test_in_all(self, bob: User, settings: Any) -> None:
        settings.LIVE_SOCKETS = 1
        session = session_of(bob)

        async def body() -> None:
            async with Socket(of_page(session)):
                assert await status(of_page(session)) == 503

        run(body())

    def test_none_when_that_is_wanted(self, bob: User, settings: Any) -> None:
        settings.LIVE_SOCKETS = 0
        session = session_of(bob)
        assert run(status(of_page(session))) == 503

    def test_handshakes_of_one_address(self, token: str) -> None:
        async def body() -> None:
            here = hub.current_hub()
            while not here.handshakes.take("127.0.0.1", time.monotonic()):
                pass
            assert await status(of_program(token)) == 429

        run(body())


class TestWhatEndsIt:
    def ended(self, headers: dict[str, str], act: Any, *, topics: tuple[str, ...] = ("agents",)) -> int:
        """The code that a socket is closed with after ``act``."""

        async def body() -> int:
            async with Socket(headers) as socket:
                await socket.subscribe(*topics)
                await hub.current_hub().look_again()
                assert await socket.is_silent()
                await in_thread(act)
                await hub.current_hub().look_again()
                return await socket.closed()

        return run(body())

    def test_signing_out(self, bob: User) -> None:
        session = session_of(bob)
        assert self.ended(of_page(session), lambda: signed_out(session)) == live_messages.SIGNED_OUT

    def test_a_changed_password(self, bob: User) -> None:
        session = session_of(bob)

        def change() -> None:
            bob.set_password("another-password")
            bob.save()

        assert self.ended(of_page(session), change) == live_messages.SIGNED_OUT

    def test_a_revoked_token(self, bob: User, token: str) -> None:
        def revoke() -> None:
            assert revoke_token(ApiToken.objects.get(), by=bob, at=timezone.now())

        assert self.ended(of_program(token), revoke) == live_messages.SIGNED_OUT

    def test_a_token_that_expires(self, token: str) -> None:
        def expire() -> None:
            ApiToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

        assert self.ended(of_program(token), expire) == live_messages.SIGNED_OUT

    @pytest.mark.parametrize("by", ["session", "token"])
    def test_being_switched_off(self, bob: User, token: str, by: str) -> None:
        headers = of_program(token) if by == "token" else of_page(session_of(bob))

        def switch_off() -> None:
            User.objects.update(is_active=False)

        assert self.ended(headers, switch_off) == live_messages.SIGNED_OUT

    def test_a_right_that_is_taken_away(self, bob: User) -> None:
        session = session_of(bob)
        assert self.ended(of_page(session), bob.groups.clear) == live_messages.RIGHT_LOST

    def test_only_where_it_is_needed(self, bob: User) -> None:
        session = session_of(bob)
        right = Permission.objects.get(codename="view_agent")
        bob.user_permissions.add(right)

        async def body() -> None:
            async with Socket(of_page(session)) as socket:
                assert (await socket.subscribe("agents"))["refused"] == []
                await in_thread(bob.groups.clear)
                await hub.current_hub().look_again()
                assert await socket.is_silent()
                # Of what was lost nothing is told from now on.
                assert (await socket.subscribe("agents", "rollout:1"))["refused"] == ["rollout:1"]

        run(body())

    def test_the_server_that_stops(self, bob: User) -> None:
        session = session_of(bob)

        async def body() -> None:
            async with Socket(of_page(session)) as socket:
                leaving = asyncio.create_task(hub.current_hub().leave())
                assert await socket.closed() == live_messages.GOING_AWAY
                await leaving
                assert not hub.current_hub().listeners
                assert await status(of_page(session)) == 503

        run(body())

    def test_they_are_looked_at_within_ten_seconds(self) -> None:
        assert hub.LOOK_AGAIN_SECONDS <= 5


class TestMessages:
    def test_what_is_strange_is_answered_and_changes_nothing(self, bob: User) -> None:
        session = session_of(bob)
        strange = [
            "", "[", "null", "[]", "{}", '{"subscribe": "agents"}', '{"subscribe": [1]}', '{"subscribe": [""]}',
            '{"subscribe": [], "more": 1}', "[" * 5_000, r'{"subscribe": ["agents", "\ud800"]}',
            '{"subscribe": ["' + "x" * 301 + '"]}', '{"subscribe": ' + str(["a"] * 251).replace("'", '"') + "}",
        ]  # fmt: skip

        async def body() -> None:
            async with Socket(of_page(session)) as socket:
                await socket.subscribe("agents")
                for text in strange:
                    await socket.send(text)
                    assert set(await socket.heard()) == {"error"}, text
                (listener,) = hub.current_hub().listeners
                assert set(listener.subscriptions) == {"agents"}

        run(body())

    def test_binary_ones_are_none(self, bob: User) -> None:
        session = session_of(bob)

        async def body() -> None:
            async with Socket(of_page(session)) as socket:
                await socket.communicator.send_input({"type": "websocket.receive", "bytes": b"\x00"})
                assert set(await socket.heard()) == {"error"}

        run(body())

    def test_too_many_close_the_socket(self, bob: User) -> None:
        session = session_of(bob)

        async def body() -> None:
            async with Socket(of_page(session)) as socket:
                for _ in range(20):
                    await socket.subscribe("agents")
                await socket.send({"subscribe": []})
                assert await socket.closed() == live_messages.POLICY

        run(body())

    def test_a_large_one_closes_the_socket(self, bob: User) -> None:
        session = session_of(bob)

        async def body() -> None:
            async with Socket(of_page(session)) as socket:
                await socket.send(" " * (live_messages.LONGEST_MESSAGE + 1))
                assert await socket.closed() == live_messages.TOO_BIG

        run(body())

    def test_topics_that_are_none_and_those_of_others_are_refused_alike(self, bob: User) -> None:
        session = session_of(bob)

        async def body() -> None:
            async with Socket(of_page(session)) as socket:
                answer = await socket.subscribe(
                    "agents", "audit", "nonsense", "agent", "agents:1", "agent:", "rollout:7"
                )
                assert answer["subscribed"] == ["agents", "rollout:7"]
                assert sorted(answer["refused"]) == ["agent", "agent:", "agents:1", "audit", "nonsense"]
                assert answer["pace"] >= 1

        run(body())
