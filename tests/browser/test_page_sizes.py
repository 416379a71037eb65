"""With two hundred agents no page is endless or heavy, and the list shows many of them at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Response

from tests.browser.conftest import Visitor
from tests.live_server import LiveServer, configuration

MOST_PIXELS = 2_500
MOST_BYTES = 250 * 1024
# Of a page with the editor, whose library is most of it.
MOST_EDITOR_BYTES = 500 * 1024
FEWEST_ROWS = 16
AGENTS = 200
TEXT = "receivers:\n  otlp: {protocols: {http: {}}}\nexporters:\n  debug: {}\n"
TEXT += "service:\n  pipelines:\n    traces: {receivers: [otlp], exporters: [debug]}\n"
_FIND = (
    "from agents.models import Agent; from configurations.models import Configuration; "
    "print(Agent.objects.filter(labels__env='sizes').first().pk, Configuration.objects.get(name='sizes').pk)"
)


@pytest.fixture(scope="module")
def paths(shared_portal: LiveServer, fleet: Callable[..., Any]) -> list[str]:
    """The pages that many agents could make long."""
    shared_portal.post("configurations", configuration("sizes", {"env": "sizes"}, TEXT))
    fleet(AGENTS - 12, labels="env=sizes", seed="31", heartbeat="30")
    fleet(12, labels="env=sizes", seed="32", heartbeat="30", fail_share="1")
    wanted = "agents?label=env%3Dsizes&connected=true"
    shared_portal.eventually(lambda: shared_portal.get(wanted)["count"] == AGENTS, 60)
    shared_portal.eventually(lambda: shared_portal.get(f"{wanted}&status=error")["count"] == 12, 60)
    staged = {
        "raw_config": f"# in stages\n{TEXT}",
        "release": {"stages": [{"count": 1}], "gate": {"dwell_seconds": 3600}},
    }
    rollout = shared_portal.api("PATCH", "configurations/sizes", staged).json["rollout"]["id"]
    agent, row = shared_portal.manage("shell", "-v0", "-c", _FIND).split()
    page = f"/admin/configurations/configuration/{row}/change/"
    return [
        "/admin/",
        "/admin/agents/agent/",
        "/admin/agents/agent/?status=error",
        f"/admin/agents/agent/{agent}/change/",
        page,
        *(f"{page}?tab={tab}" for tab in ("agents", "revisions", "rollouts", "graph")),
        f"/admin/configurations/configuration/{row}/switch/",
        "/admin/configurations/configuration/",
        "/admin/running/",
        "/admin/running/?assigned=any",
        "/admin/agents/agent/columns/",
        "/admin/agents/agent/views/add/",
        "/admin/rollouts/rollout/",
        f"/admin/rollouts/rollout/{rollout}/change/",
        "/admin/packages/package/",
        "/admin/preferences/",
    ]


def weigh(heard: list[Response], sizes: dict[str, int]) -> list[int]:
    """The sizes of what was heard, as it came over the wire."""
    by_now = list(heard)
    for response in by_now:
        known = sizes.get(response.url, 0)
        sizes[response.url] = max(known, response.request.sizes()["responseBodySize"])
    return [sizes[response.url] for response in by_now]


def test_no_page_is_endless_or_heavy(visit: Visitor, paths: list[str]) -> None:
    with visit(viewport={"width": 1280, "height": 900}) as person:
        heard: list[Response] = []
        # What the browser has kept has no size any more: of each file the size counts that it came with first.
        sizes: dict[str, int] = {}
        person.page.on("response", lambda response: heard.append(response))  # noqa: PLW0108  no method of a list will do
        page = person.sign_in()
        for path in paths:
            weigh(heard, sizes)
            page.goto("about:blank")
            heard.clear()
            person.go(path)
            height = page.evaluate("document.documentElement.scrollHeight")
            assert height <= MOST_PIXELS, (path, height)
            page.wait_for_load_state("load")
            weight = sum(weigh(heard, sizes))
            has_editor = any("/vendor/codemirror" in response.url for response in heard)
            assert weight <= (MOST_EDITOR_BYTES if has_editor else MOST_BYTES), (path, weight)


def test_many_agents_are_seen_at_once(visit: Visitor, paths: list[str]) -> None:
    rows = "[...document.querySelectorAll('#result_list tbody tr')]"
    seen = f"{rows}.filter((row) => row.getBoundingClientRect().bottom <= innerHeight)"
    with visit(viewport={"width": 1440, "height": 900}) as person:
        page = person.sign_in()
        person.go(paths[1])
        assert page.evaluate(f"{seen}.length") >= FEWEST_ROWS


def test_the_button_that_publishes_is_in_reach(visit: Visitor, paths: list[str]) -> None:
    with visit(viewport={"width": 1280, "height": 900}) as person:
        page = person.sign_in()
        person.go(paths[4])
        box = page.locator("#publish").bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= 900
