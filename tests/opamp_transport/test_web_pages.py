"""No web page is an agent: what the entry points answer to requests with an ``Origin``, and to strangers where nobody is asked."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from channels.testing import HttpCommunicator, WebsocketCommunicator

from agents.models import Agent
from opamp_platform.asgi import application
from opamp_transport.consumers import websocket
from tests.fake_agent import PATH, FakeAgent, run
from tests.opamp_transport.conversations import BOTH, is_known, refusals

pytestmark = pytest.mark.django_db(transaction=True)
SECRET = "fleet-secret-9f1c"
HERE = {"host": "127.0.0.1:8080"}
Headers = list[tuple[bytes, bytes]]


def raw(*pairs: tuple[str, str]) -> Headers:
    """Headers as a server hands them on."""
    return [(name.encode(), value.encode()) for name, value in pairs]


async def status_of(
    transport: str, headers: Headers, agent: FakeAgent, *, server: tuple[str, int] | None = None
) -> int:
    """The status of a first message over ``transport``: 101 for an upgrade that was made."""
    if transport == "http":
        sent = [(b"content-type", b"application/x-protobuf"), *headers]
        body = agent.message(**agent.full_parts()).SerializeToString()
        request = HttpCommunicator(application, "POST", PATH, body=body, headers=sent)
        if server:
            request.scope["server"] = server
        return int((await request.get_response())["status"])
    handshake = WebsocketCommunicator(application, PATH, headers=headers)
    handshake.scope["extensions"] = {"websocket.http.response": {}}
    if server:
        handshake.scope["server"] = server
    await handshake.send_input({"type": "websocket.connect"})
    answer = await handshake.receive_output()
    if answer["type"] == "websocket.http.response.start":
        return int(answer["status"])
    await handshake.send_input({"type": "websocket.disconnect", "code": 1000})
    await handshake.wait()
    return 101


SERVED = {101, 200}


class TestPages:
    @BOTH
    @pytest.mark.parametrize("secret", ["", SECRET])
    @pytest.mark.parametrize(
        "origins", [["https://evil.example"], ["null"], [""], ["http://127.0.0.1:8080", "https://evil.example"]]
    )
    def test_of_others_are_refused_before_the_upgrade(
        self, transport: str, origins: list[str], secret: str, settings: Any
    ) -> None:
        settings.OPAMP_SECRET_KEY = secret
        shown = [("authorization", f"Bearer {secret}")] if secret else []
        before = refusals(transport, "foreign origin")

        async def body() -> None:
            agent = FakeAgent(env="prod")
            headers = raw(*HERE.items(), *shown, *(("origin", text) for text in origins))
            assert await status_of(transport, headers, agent) == 403
            assert not await is_known(agent)

        run(body())
        assert refusals(transport, "foreign origin") == before + 1

    @BOTH
    def test_whose_name_points_here_is_refused(self, transport: str) -> None:
        async def body() -> None:
            headers = raw(("host", "evil.example:8080"), ("origin", "http://evil.example:8080"))
            assert await status_of(transport, headers, FakeAgent()) == 403

        run(body())

    @BOTH
    def test_of_the_portal_and_of_listed_origins_may_speak(self, transport: str, settings: Any) -> None:
        settings.OPAMP_ALLOWED_ORIGINS = ["https://console.example.org"]

        async def body() -> None:
            for origin in ("http://127.0.0.1:8080", "https://CONSOLE.example.org"):
                assert await status_of(transport, raw(*HERE.items(), ("origin", origin)), FakeAgent()) in SERVED

        run(body())

    @BOTH
    @pytest.mark.parametrize(("proxies", "served"), [(0, False), (1, True)])
    def test_only_a_trusted_proxy_says_that_the_portals_pages_are_https(
        self, transport: str, proxies: int, served: bool, settings: Any
    ) -> None:
        settings.OPAMP_TRUSTED_PROXIES = proxies
        settings.ALLOWED_HOSTS = ["portal.example.com"]
        page = ("host", "portal.example.com"), ("origin", "https://portal.example.com"), ("x-forwarded-proto", "https")

        async def body() -> None:
            assert (await status_of(transport, raw(*page), FakeAgent()) in SERVED) is served

        run(body())

    def test_refused_all_the_time_they_are_429_in_the_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # The clock stands still: on a slow machine some of the hundred would come back while they are spent.
        monkeypatch.setattr(websocket, "time", SimpleNamespace(monotonic=lambda: 1_000.0))

        async def body() -> None:
            headers = raw(*HERE.items(), ("origin", "https://evil.example"))
            statuses = [await status_of("websocket", headers, FakeAgent()) for _ in range(101)]
            assert statuses == [403] * 100 + [429]

        run(body())


class TestPreflight:
    ASKED = ("access-control-request-method", "POST")

    async def answer(self, origin: str) -> tuple[int, dict[bytes, bytes]]:
        request = HttpCommunicator(
            application, "OPTIONS", PATH, headers=raw(*HERE.items(), ("origin", origin), self.ASKED)
        )
        answer = await request.get_response()
        return answer["status"], dict(answer["headers"])

    def test_a_listed_page_may_post_and_read_the_answer(self, settings: Any) -> None:
        settings.OPAMP_ALLOWED_ORIGINS = ["https://console.example.org"]
        settings.OPAMP_SECRET_KEY = SECRET

        async def body() -> None:
            status, headers = await self.answer("https://console.example.org")
            assert status == 200
            assert headers[b"access-control-allow-origin"] == b"https://console.example.org"
            assert b"Authorization" in headers[b"access-control-allow-headers"]
            assert b"access-control-allow-credentials" not in headers

        run(body())

    def test_others_are_told_nothing(self) -> None:
        async def body() -> None:
            status, headers = await self.answer("https://evil.example")
            assert status == 403
            assert not [name for name in headers if name.startswith(b"access-control")]

        run(body())


class TestWhereNobodyIsAsked:
    @BOTH
    def test_agents_reach_the_portal_by_names_of_its_own_alone(self, transport: str, settings: Any) -> None:
        async def body() -> None:
            agent = FakeAgent()
            assert await status_of(transport, raw(("host", "evil.example")), agent) == 403
            assert not await is_known(agent)
            for host in ("localhost:8080", "127.0.0.1", "platform:8080"):
                assert await status_of(transport, raw(("host", host)), FakeAgent()) in SERVED
            settings.ALLOWED_HOSTS = ["portal.example.com"]
            assert await status_of(transport, raw(("host", "portal.example.com")), FakeAgent()) in SERVED

        run(body())

    @BOTH
    def test_with_the_secret_an_agent_comes_by_whatever_name(self, transport: str, settings: Any) -> None:
        settings.OPAMP_SECRET_KEY = SECRET

        async def body() -> None:
            headers = raw(("host", "opamp.observability.svc.cluster.local:4320"), ("authorization", f"Bearer {SECRET}"))
            assert await status_of(transport, headers, FakeAgent()) in SERVED

        run(body())

    @BOTH
    @pytest.mark.parametrize(
        ("address", "allowed", "served"),
        [
            ("127.0.0.1", False, True),
            ("::1", False, True),
            ("::ffff:127.0.0.1", False, True),
            ("192.0.2.7", False, False),
            ("192.0.2.7", True, True),
        ],
    )
    def test_under_whichever_server_they_come_in_on_loopback_alone(
        self, transport: str, address: str, allowed: bool, served: bool, settings: Any
    ) -> None:
        settings.OPAMP_ALLOW_ANONYMOUS_AGENTS = allowed

        async def body() -> None:
            status = await status_of(transport, raw(*HERE.items()), FakeAgent(), server=(address, 8080))
            assert (status in SERVED) is served

        run(body())
        assert Agent.objects.exists() is (served and transport == "http")
