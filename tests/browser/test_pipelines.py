"""The picture of pipelines in a real browser: a component leads to the line that defines it."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import PATIENCE, PHONE, Visitor
from tests.live_server import LiveServer, configuration

expect.set_options(timeout=PATIENCE)
TEXT = """receivers:
  otlp: {protocols: {http: {}}}
processors:
  batch: {}
exporters:
  debug: {}
service:
  pipelines:
    traces: {receivers: [otlp], processors: [batch], exporters: [debug]}
"""
SELECTED = "getSelection().toString()"


def test_a_component_leads_to_its_line(visit: Visitor, shared_portal: LiveServer) -> None:
    shared_portal.post("configurations", configuration("drawn", {"env": "drawn"}, TEXT))
    found = "from configurations.models import Configuration; print(Configuration.objects.get(name='drawn').pk)"
    key = shared_portal.manage("shell", "-v0", "-c", found).strip()
    with visit() as visitor:
        page = visitor.sign_in()
        visitor.go(f"/admin/configurations/configuration/{key}/change/?tab=graph")
        page.locator(".pipelines g.processors a").click()
        assert page.evaluate(SELECTED) == "  batch: {}"
        page.get_by_text("As a table").click()
        page.locator(".pipelines-table").get_by_role("link", name="debug").click()
        assert page.evaluate(SELECTED) == "  debug: {}"
    with visit(viewport=PHONE, color_scheme="dark") as visitor:
        visitor.sign_in()
        visitor.go(f"/admin/configurations/configuration/{key}/change/?tab=graph")
        assert visitor.sideways() <= 0
