"""From an upload to the agent that installed it, over both transports (S-89 … S-92)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from agents.event_texts import line_of
from agents.models import Agent, AgentEvent
from agents.reports import AgentCapabilities
from agents.services.offers import pending_since
from opamp_transport.proto import opamp_pb2
from packages.errors import NothingToInstall
from packages.installation_outcome import NOTHING
from packages.models import Installation, Package, PackageSet
from packages.services import store
from packages.services.installing_again import install_again
from packages.services.package_edits import update_package
from packages.services.version_releases import publish_version
from rollouts.audiences import EVERYONE
from rollouts.services import freezing
from rollouts.services.version_publishing import AT_ONCE
from tests.fake_agent import COLLECTOR, FakeAgent, Socket, poll, run
from tests.packages.conftest import CONTENT
from tests.packages.fetching import fetch

pytestmark = pytest.mark.django_db(transaction=True)
ACCEPTS = COLLECTOR | AgentCapabilities.ACCEPTS_PACKAGES | AgentCapabilities.REPORTS_PACKAGE_STATUSES
INSTALLED = opamp_pb2.PackageStatusEnum_Installed
FAILED = opamp_pb2.PackageStatusEnum_InstallFailed
DOWNLOADING = opamp_pb2.PackageStatusEnum_Downloading
Say = Callable[[opamp_pb2.AgentToServer], Any]


@asynccontextmanager
async def over_websocket():
    async with Socket() as socket:
        yield socket.exchange


@asynccontextmanager
async def over_http():
    yield poll


TRANSPORTS = pytest.mark.parametrize("transport", ["websocket", "http"])


@pytest.fixture
def connected(transport: str) -> Callable[[], Any]:
    """How an agent is connected by ``transport``; what it yields says a message and returns the reply."""
    return over_websocket if transport == "websocket" else over_http


def prod(**more: Any) -> FakeAgent:
    return FakeAgent(env="prod", capabilities=ACCEPTS, **more)


def full(agent: FakeAgent, **more: Any) -> opamp_pb2.AgentToServer:
    return agent.message(**{**agent.full_parts(), "package_statuses": opamp_pb2.PackageStatuses(), **more})


def answer(
    offer: opamp_pb2.PackagesAvailable, status: int = INSTALLED, *, error: str = "", percent: float = 0.0
) -> opamp_pb2.PackageStatuses:
    """What an agent says of all packages of an offer."""
    said = opamp_pb2.PackageStatuses(server_provided_all_packages_hash=offer.all_packages_hash)
    for name, package in offer.packages.items():
        each = said.packages[name]
        each.name, each.status, each.error_message = name, status, error
        each.server_offered_version, each.server_offered_hash = package.version, package.hash
        if status == INSTALLED:
            each.agent_has_version, each.agent_has_hash = package.version, package.hash
        if percent:
            each.download_details.download_percent = percent
    return said


@sync_to_async
def status_of(agent: FakeAgent) -> str:
    return Installation.objects.get(agent__instance_uid=agent.uid).status


@sync_to_async
def lines_of(agent: FakeAgent) -> list[str]:
    kinds = ["package_due", "package_offered", "package_installed", "package_failed", "package_dropped"]
    events = AgentEvent.objects.filter(agent__instance_uid=agent.uid, kind__in=kinds).order_by("id")
    return [line_of(event).text for event in events]


@TRANSPORTS
@pytest.mark.rule("S-89", "S-90", "S-91", "S-92")
@pytest.mark.defect(12)
def test_a_package_is_offered_fetched_and_installed(connected, make):
    version = make()
    agent = prod()

    async def body() -> None:
        async with connected() as say:
            offer = (await say(full(agent))).packages_available
            package = offer.packages["agent"]
            assert (package.version, package.type) == ("1.0.0", opamp_pb2.PackageType_TopLevel)
            assert len(offer.all_packages_hash) == len(package.hash) == 32
            assert package.file.content_hash == hashlib.sha256(CONTENT).digest()
            fetched = await fetch(package.file.download_url)
            assert (fetched.status, fetched.body) == (200, CONTENT)
            part = await fetch(package.file.download_url, {"Range": "bytes=100-199"})
            assert (part.status, part.body) == (206, CONTENT[100:200])
            reply = await say(agent.message(package_statuses=answer(offer, DOWNLOADING, percent=40.0)))
            assert not reply.HasField("packages_available")
            assert await status_of(agent) == "installing"
            await say(agent.message(package_statuses=answer(offer)))
            assert await status_of(agent) == "installed"
            assert not (await say(agent.message(health=opamp_pb2.ComponentHealth()))).HasField("packages_available")
        assert await lines_of(agent) == ["Should have agent 1.0.0", "agent 1.0.0 was offered", "Installed agent 1.0.0"]

    run(body())
    row = Installation.objects.select_related("version").get()
    assert (row.version, row.percent, row.error_message) == (version, None, "")


@TRANSPORTS
@pytest.mark.rule("S-89")
def test_an_agent_that_takes_no_packages_is_offered_none(connected, make):
    make()
    agent = FakeAgent(env="prod")

    async def body() -> None:
        async with connected() as say:
            reply = await say(full(agent))
            assert not reply.HasField("packages_available")
            assert reply.capabilities & 0x08, "OffersPackages is not advertised"
            assert await status_of(agent) == "incapable"
            agent.capabilities = ACCEPTS
            assert (await say(full(agent))).packages_available.packages["agent"].version == "1.0.0"

    run(body())


@TRANSPORTS
@pytest.mark.rule("S-90")
def test_a_failed_package_is_not_offered_again_until_a_person_says_so(connected, make):
    make()
    agent = prod()

    async def body() -> None:
        async with connected() as say:
            offer = (await say(full(agent))).packages_available
            await say(agent.message(package_statuses=answer(offer, FAILED, error="disk full")))
            assert await status_of(agent) == "failed"
        for _again in range(3):
            async with connected() as say:
                # It restarted, and has forgotten that anything was offered.
                assert not (await say(full(agent))).HasField("packages_available"), "offered in a loop"
        assert await status_of(agent) == "failed"
        again = sync_to_async(install_again)
        key = (await Agent.objects.aget()).pk
        assert await again(key, by=None, at=timezone.now()) == 1
        async with connected() as say:
            second = (await say(full(agent))).packages_available
            assert second.packages["agent"].hash != offer.packages["agent"].hash
            await say(agent.message(package_statuses=answer(second)))
            assert await status_of(agent) == "installed"
        with pytest.raises(NothingToInstall):
            await again(key, by=None, at=timezone.now())
        assert "Could not install agent 1.0.0: disk full" in await lines_of(agent)

    run(body())


@TRANSPORTS
@pytest.mark.rule("S-90")
def test_an_error_of_the_whole_offer_is_a_failure_of_it(connected, make):
    make()
    agent = prod()

    async def body() -> None:
        async with connected() as say:
            offer = (await say(full(agent))).packages_available
            said = opamp_pb2.PackageStatuses(
                server_provided_all_packages_hash=offer.all_packages_hash, error_message="no room at all"
            )
            await say(agent.message(package_statuses=said))
            assert await status_of(agent) == "failed"
        async with connected() as say:
            assert not (await say(full(agent))).HasField("packages_available")

    run(body())


@TRANSPORTS
@pytest.mark.rule("S-91")
def test_all_that_an_agent_should_have_is_offered_together_and_an_empty_set_removes_it(connected, make):
    make("agent")
    make("plugin", "2.0", kind=Package.Kind.ADDON)
    make("foreign", selector={"env": "dev"})
    agent = prod()

    async def body() -> None:
        # A connection for each step: on an open one a change is pushed before anything is said.
        async with connected() as say:
            offer = (await say(full(agent))).packages_available
            assert {name: each.type for name, each in offer.packages.items()} == {"agent": 0, "plugin": 1}
            await say(agent.message(package_statuses=answer(offer)))
        await sync_to_async(disable)("plugin")
        async with connected() as say:
            rest = (await say(full(agent, package_statuses=answer(offer)))).packages_available
            assert list(rest.packages) == ["agent"]
            assert rest.packages["agent"].hash == offer.packages["agent"].hash
            await say(agent.message(package_statuses=answer(rest)))
        await sync_to_async(disable)("agent")
        async with connected() as say:
            nothing = await say(full(agent, package_statuses=answer(rest)))
            assert nothing.HasField("packages_available")
            assert not nothing.packages_available.packages
            assert nothing.packages_available.all_packages_hash == bytes.fromhex(NOTHING)
            done = answer(nothing.packages_available)
            assert not (await say(full(agent, package_statuses=done))).HasField("packages_available")

    def disable(name: str) -> None:
        update_package(Package.objects.get(name=name).pk, {"enabled": False}, by=None, at=timezone.now())

    run(body())


@pytest.mark.rule("S-92")
def test_addresses_change_and_hashes_do_not(make, settings):
    make()
    one, other = prod(), prod()

    async def body() -> None:
        first = (await poll(full(one))).packages_available
        settings.PUBLIC_URL = "https://elsewhere.example"
        second = (await poll(full(other))).packages_available
        assert first.packages["agent"].file.download_url.startswith("http://testserver/packages/")
        assert second.packages["agent"].file.download_url.startswith("https://elsewhere.example/packages/")
        assert first.all_packages_hash == second.all_packages_hash

    run(body())


@TRANSPORTS
def test_without_a_public_url_the_address_is_the_one_the_agent_uses(connected, make, settings):
    make()
    settings.PUBLIC_URL = ""
    agent, nameless = prod(), prod()

    async def body() -> None:
        async with Socket({"Host": "localhost:4320"}) as socket:
            offer = (await socket.exchange(full(agent))).packages_available
            assert offer.packages["agent"].file.download_url.startswith("http://localhost:4320/packages/")
        async with connected() as say:
            assert not (await say(full(nameless))).HasField("packages_available"), "an address that nobody knows"

    run(body())


def test_the_file_of_the_platform_is_chosen(make):
    version = make(released=False, os_type="linux", architecture="amd64")
    from io import BytesIO

    from packages.services.uploading import FileFacts, add_file

    for os_type, architecture, content in (("linux", "", b"any linux"), ("windows", "amd64", b"windows")):
        facts = FileFacts(filename="f", os_type=os_type, architecture=architecture)
        add_file(version, BytesIO(content), facts, by=None, at=timezone.now())
    publish_version(version, by=None, at=timezone.now(), plan=AT_ONCE)
    wanted = {
        ("linux", "amd64"): CONTENT,
        ("linux", "arm64"): b"any linux",
        ("Windows", "AMD64"): b"windows",
        ("darwin", "arm64"): None,
    }

    async def body() -> None:
        for (os_type, architecture), content in wanted.items():
            agent = prod(**{"os.type": os_type, "host.arch": architecture})
            offer = (await poll(full(agent))).packages_available
            digest = None if content is None else hashlib.sha256(content).digest()
            got = offer.packages["agent"].file.content_hash if offer.packages else None
            assert got == digest, (os_type, architecture)

    run(body())


def test_a_version_without_a_file_for_the_platform_removes_nothing(make):
    first = make(os_type="linux")
    agent = prod()

    async def body() -> None:
        offer = (await poll(full(agent))).packages_available
        await poll(agent.message(package_statuses=answer(offer)))
        await sync_to_async(make)(version="2.0.0", package=first.package, os_type="windows")
        assert not (await poll(full(agent, package_statuses=answer(offer)))).HasField("packages_available")
        assert await status_of(agent) == "installed"

    run(body())


def test_what_is_published_reaches_a_connected_agent_at_once(make):
    agent = prod()

    async def body() -> None:
        async with Socket({"Host": "testserver"}) as socket:
            await socket.exchange(full(agent))
            await sync_to_async(make)()
            assert (await socket.receive()).packages_available.packages["agent"].version == "1.0.0"

    run(body())


def test_a_freeze_and_a_pause_hold_packages(make):
    agent = prod()

    async def body() -> None:
        async with Socket() as socket:
            await socket.exchange(full(agent))
            freeze = await sync_to_async(freezing.start_freeze)(EVERYONE, reason="r", by=None, at=timezone.now())
            await sync_to_async(make)()
            assert await socket.nothing_comes()
            assert await status_of(agent) == "pending"
            await sync_to_async(freezing.end_freeze)(freeze.pk, by=None, at=timezone.now())
            assert (await socket.receive()).packages_available.packages["agent"].version == "1.0.0"

    run(body())


def test_a_lost_wakeup_is_found(make):
    agent = prod()
    before = timezone.now()

    async def body() -> None:
        async with Socket() as socket:
            await socket.exchange(full(agent))

    run(body())
    make()
    Agent.objects.update(connected=True)
    assert pending_since(before) == [agent.uid]
    PackageSet.objects.update(offered_at=timezone.now())
    assert pending_since(before) == []


def test_offers_wait_while_the_store_is_away(make, monkeypatch):
    make()
    agent, away = prod(), True
    monkeypatch.setattr(store, "is_away", lambda: away)

    async def body() -> None:
        nonlocal away
        assert not (await poll(full(agent))).HasField("packages_available")
        assert await status_of(agent) == "pending"
        assert await sync_to_async(pending_since)(timezone.now()) == []
        away = False
        assert await sync_to_async(pending_since)(timezone.now()) == [agent.uid]
        assert (await poll(full(agent))).HasField("packages_available")

    run(body())


def test_an_agent_that_lost_its_package_shows_it(make):
    make()
    agent = prod()

    async def body() -> None:
        offer = (await poll(full(agent))).packages_available
        await poll(agent.message(package_statuses=answer(offer)))
        assert await status_of(agent) == "installed"
        reply = await poll(agent.message(package_statuses=opamp_pb2.PackageStatuses()))
        assert await status_of(agent) in ("pending", "offered")
        assert not reply.HasField("packages_available") or reply.packages_available.packages

    run(body())
