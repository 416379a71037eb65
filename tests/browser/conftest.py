"""A real Chromium on a real server: the browser, people signed in, and what no page may do.

Without a Chromium the tests of this folder are left out by name, and the last lines of the run say so.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, sync_playwright

from tests.live_server import ADMIN_PASSWORD, ADMIN_USERNAME, ROOT, LiveServer

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FOLDER = Path(__file__).parent
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1360, "height": 900}
# A busy machine; every wait ends as soon as what it waits for is there.
PATIENCE = 30_000
_left_out: list[str] = []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs a browser when there is none."""
    here = [item for item in items if FOLDER in Path(item.path).parents]
    for item in here:
        item.add_marker(pytest.mark.browser)
    if CHROMIUM is None and here:
        _left_out.extend(item.nodeid for item in here)
        config.hook.pytest_deselected(items=here)
        items[:] = [item for item in items if item not in here]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say what was left out."""
    if _left_out:
        terminalreporter.write_line(f"NOT RUN: {len(_left_out)} browser tests, because no Chromium was found:")
        for name in _left_out:
            terminalreporter.write_line(f"  {name}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for a module. Not for the session: while it runs, Django refuses its database to this thread."""
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield found
        found.close()


class Visit:
    """A person in front of one browser window. ``faults`` collects what no page may do: errors, refused code, strangers."""

    def __init__(self, context: BrowserContext, server: LiveServer) -> None:
        self.server = server
        self.page: Page = context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.faults: list[str] = []
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.faults.append(f"{self.page.url}: {error}"))
        self.page.on("dialog", lambda dialog: (self.faults.append(f"dialog {dialog.message}"), dialog.dismiss()))
        self.page.on("request", self._requested)
        context.on("page", lambda page: page.on("request", self._requested))

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.faults.append(f"{self.page.url}: {message.type}: {message.text}")

    def _requested(self, request: Request) -> None:
        if not request.url.startswith((self.server.url, "data:", "about:")):
            self.faults.append(f"{self.page.url} loads {request.url}")

    def go(self, path: str) -> Page:
        """Open a page of the server."""
        answer = self.page.goto(self.server.url + path)
        # None is a move within the page.
        assert answer is None or answer.status == 200, (path, answer.status)
        return self.page

    def sign_in(self, name: str = ADMIN_USERNAME, password: str = ADMIN_PASSWORD) -> Page:
        """Through the sign-in page."""
        self.go("/admin/login/?next=/admin/")
        self.page.fill("#id_username", name)
        self.page.fill("#id_password", password)
        self.page.click("input[type=submit]")
        self.page.wait_for_url("**/admin/")
        return self.page

    def sideways(self) -> int:
        """By how many pixels the page is wider than the window."""
        wider = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        return int(wider)


Visitor = Callable[..., AbstractContextManager[Visit]]


@pytest.fixture
def visit(browser: Browser, shared_portal: LiveServer) -> Visitor:
    """``with visit(viewport=PHONE, color_scheme="dark") as visitor``: a window of its own, and no fault at its end."""

    @contextmanager
    def open_window(**options: Any) -> Iterator[Visit]:
        context = browser.new_context(**{"viewport": DESKTOP, "locale": "en-US", **options})
        visitor = Visit(context, shared_portal)
        try:
            yield visitor
            assert not visitor.faults, visitor.faults
        finally:
            context.close()

    return open_window


@pytest.fixture(scope="module")
def fleet(shared_portal: LiveServer) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start simulated agents with the options given; they end with the module."""
    running: list[subprocess.Popen[bytes]] = []

    def start(count: int, **options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "manage.py", "simulate_agents", "--count", str(count), "--summary-seconds", "0"]
        command += ["--endpoint", shared_portal.websocket_endpoint, "--apply-seconds", "0.2"]
        for name, value in options.items():
            command += [f"--{name.replace('_', '-')}", value]
        with (shared_portal.data_dir / "agents.log").open("ab") as log:
            process = subprocess.Popen(command, cwd=ROOT, env=shared_portal.environment, stdout=log, stderr=log)
        running.append(process)
        return process

    yield start
    for process in running:
        process.terminate()
    for process in running:
        process.wait(20)
