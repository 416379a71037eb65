"""Freezing, pausing and pinning in the admin: pages, banner, filters, marks, bulk actions, commands."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from agents.models import Agent
from agents.selectors import parse_label_query
from configurations.models import Pin
from configurations.services import pinning
from configurations.services.publishing import create_configuration
from foundation.clock import clock
from rollouts.audiences import EVERYONE, Matching
from rollouts.models import Freeze
from rollouts.services import freezing
from tests.rollouts.test_rolling_out import AT, NEW, OLD, draft

pytestmark = pytest.mark.django_db
PAGE = "/admin/rollouts/freeze/"


@pytest.fixture
def admin(client: Client, alice: Any) -> Client:
    client.force_login(alice)
    return client


@pytest.fixture
def agent(report: Any) -> Agent:
    create_configuration("c", draft(OLD), by=None, at=AT, force=True)
    create_configuration("s", draft(NEW, selector={"env": "lab"}), by=None, at=AT, force=True)
    made: Agent = report("edge-1", env="prod")
    return made


def body(answer: Any) -> str:
    assert answer.status_code == 200
    return str(answer.content.decode())


def frozen(audience: Any = EVERYONE, reason: str = "incident 7") -> Freeze:
    return freezing.start_freeze(audience, reason=reason, by=None, at=clock.now())


class TestFreezePage:
    def test_the_switch_freezes_the_fleet_and_every_page_says_so(self, admin, agent):
        assert "Freeze the fleet" in body(admin.get(PAGE))
        sent = {"whom": "fleet", "fleet-reason": "incident 7", "fleet-hours": "4"}
        shown = body(admin.post(f"{PAGE}start/", sent, follow=True))
        row = Freeze.objects.get()
        assert row.parsed_audience() == EVERYONE
        assert row.expires_at is not None
        assert (row.expires_at - row.started_at).total_seconds() == pytest.approx(4 * 3600, abs=5)
        assert "Freeze the fleet" not in shown
        for page in (
            "/admin/",
            "/admin/agents/agent/",
            f"/admin/agents/agent/{agent.pk}/change/",
            "/admin/accounts/user/",
        ):
            assert "freeze-banner" in (text := body(admin.get(page)))
            assert "incident 7" in text
            assert f'href="{PAGE}"' in text
        admin.post(f"{PAGE}{row.pk}/end/", follow=True)
        assert "freeze-banner" not in body(admin.get("/admin/"))
        assert "The freeze is ended." not in body(admin.get(PAGE))

    def test_some_agents_are_frozen_by_labels(self, admin):
        sent = {"whom": "selector", "selector-query": "env=prod", "selector-reason": "r", "selector-hours": ""}
        shown = body(admin.post(f"{PAGE}start/", sent, follow=True))
        assert "Frozen: env=prod" in shown
        again = body(admin.post(f"{PAGE}start/", sent, follow=True))
        assert "holds these agents already" in again

    @pytest.mark.parametrize(("query", "reason"), [("env in (", "r"), ("", "r"), ("env=prod", "  ")])
    def test_a_mistake_is_shown_beside_what_was_typed(self, admin, query, reason):
        sent = {"whom": "selector", "selector-query": query, "selector-reason": reason, "selector-hours": ""}
        shown = body(admin.post(f"{PAGE}start/", sent))
        assert "errorlist" in shown
        assert f'value="{query}"' in shown or not query
        assert not Freeze.objects.exists()

    def test_who_may(self, client, bob, charlie):
        row = frozen()
        client.force_login(bob)
        shown = body(client.get(PAGE))
        assert "incident 7" in shown
        assert "freeze_start" not in shown
        assert 'name="whom"' not in shown
        assert client.post(f"{PAGE}start/", {"whom": "fleet", "fleet-reason": "r"}).status_code == 403
        assert client.post(f"{PAGE}{row.pk}/end/").status_code == 403
        client.force_login(charlie)
        assert client.get(PAGE).status_code == 403
        assert "incident 7" in body(client.get("/admin/"))

    def test_nobody_who_is_not_signed_in_reads_it(self, client):
        frozen()
        assert "incident 7" not in body(client.get("/admin/login/"))

    def test_the_banner_is_chinese_for_chinese_readers(self, admin):
        frozen()
        assert "Frozen:" not in body(admin.get("/admin/", headers={"accept-language": "zh-hans"}))

    def test_a_page_costs_one_query_more_at_most(self, admin, django_assert_max_num_queries):
        for number in range(5):
            frozen(Matching(parse_label_query(f"rack={number}")))
        body(admin.get("/admin/password_change/"))
        with django_assert_max_num_queries(4) as queries:
            shown = body(admin.get("/admin/password_change/"))
        assert sum("freeze" in query["sql"] for query in queries.captured_queries) == 1
        assert "and 2 more" in shown


class TestAgents:
    def test_one_is_paused_seen_and_goes_on(self, admin, agent):
        page = f"/admin/agents/agent/{agent.pk}/change/"
        assert f'href="{PAGE}pause/{agent.pk}/"' in body(admin.get(page))
        assert "Reason" in body(admin.get(f"{PAGE}pause/{agent.pk}/"))
        assert "errorlist" in body(admin.post(f"{PAGE}pause/{agent.pk}/", {"reason": " ", "hours": ""}))
        shown = body(admin.post(f"{PAGE}pause/{agent.pk}/", {"reason": "debugging", "hours": "1"}, follow=True))
        assert "Paused by alice" in shown
        assert "debugging" in shown
        listed = body(admin.get("/admin/agents/agent/?paused=true"))
        assert "pill-mark" in listed
        assert "edge-1" in listed
        assert "edge-1" not in body(admin.get("/admin/agents/agent/?paused=false")).split("result_list")[-1]
        body(admin.post(f"{PAGE}resume/{agent.pk}/", follow=True))
        assert freezing.holding(agent, clock.now()) is None
        assert "pill-mark" not in body(admin.get("/admin/agents/agent/"))

    def test_one_is_pinned_seen_and_unpinned(self, admin, agent):
        pins = "/admin/configurations/pin/"
        assert "Configuration" in body(admin.get(f"{pins}pin/{agent.pk}/"))
        refused = body(
            admin.post(f"{pins}pin/{agent.pk}/", {"configuration": "s", "revision": "9", "reason": "r", "hours": ""})
        )
        assert "has no revision 9" in refused
        sent = {"configuration": "s", "revision": "1", "reason": "ticket 7", "hours": ""}
        shown = body(admin.post(f"{pins}pin/{agent.pk}/", sent, follow=True))
        assert "Pinned to s r1 by alice" in shown
        assert "ticket 7" in body(admin.get("/admin/agents/agent/?pinned=true"))
        configuration = Pin.objects.get().configuration_id
        assert "Pinned agents" in body(
            admin.get(f"/admin/configurations/configuration/{configuration}/change/?tab=agents")
        )
        delete = f"/admin/configurations/configuration/{configuration}/delete/"
        deletion = body(admin.post(delete, {"expected_edition": "1"}))
        assert "Unpin them first" in deletion
        assert "ticket 7" in body(admin.get(f"{pins}unpin/{agent.pk}/"))
        admin.post(f"{pins}unpin/{agent.pk}/")
        assert not Pin.objects.exists()

    def test_who_may_not(self, client, bob, agent):
        client.force_login(bob)
        assert "pause/" not in body(client.get(f"/admin/agents/agent/{agent.pk}/change/"))
        for path in (f"{PAGE}pause/{agent.pk}/", f"/admin/configurations/pin/pin/{agent.pk}/"):
            assert client.get(path).status_code == 403
            assert client.post(path, {"reason": "r"}).status_code == 403

    def test_many_at_once(self, admin, agent, report):
        other = report("edge-2", env="prod")
        chosen = {"_selected_action": [str(agent.pk), str(other.pk)], "confirmed": "1"}
        pinning.pin_agent(agent.pk, configuration="s", reason="r", by=None, at=clock.now())
        freezing.pause_agent(agent, reason="r", by=None, at=clock.now())
        asked = body(admin.post("/admin/agents/agent/", {**chosen, "action": "pause"}))
        assert "errorlist" in asked
        body(
            admin.post("/admin/agents/agent/", {**chosen, "action": "pause", "reason": "q", "hours": "1"}, follow=True)
        )
        assert Freeze.objects.active().count() == 2
        body(admin.post("/admin/agents/agent/", {**chosen, "action": "resume"}, follow=True))
        assert Freeze.objects.active().count() == 0
        body(admin.post("/admin/agents/agent/", {**chosen, "action": "unpin"}, follow=True))
        assert not Pin.objects.exists()


class TestCommands:
    def test_freeze_and_unfreeze(self):
        said = StringIO()
        call_command("freeze", "--reason", "incident 7", "--selector", "env=prod", "--hours", "2", stdout=said)
        call_command("freeze", "--reason", "all of it", stdout=said)
        first = Freeze.objects.order_by("pk")[0]
        assert f"Freeze {first.pk} is in force: env=prod." in said.getvalue()
        call_command("unfreeze", stdout=said)
        assert "the whole fleet  system: all of it" in said.getvalue()
        call_command("unfreeze", str(first.pk), stdout=said)
        call_command("unfreeze", "--all", stdout=said)
        assert f"Freeze {first.pk} is ended.\n1 freezes are ended." in said.getvalue()
        assert not Freeze.objects.active().exists()

    @pytest.mark.parametrize(
        "arguments",
        [
            ["--reason", " "],
            ["--reason", "r", "--selector", "env in ("],
            ["--reason", "r", "--selector", ""],
            ["--reason", "r", "--hours", "0"],
            ["--reason", "r", "--hours", "1e30"],
        ],
    )
    def test_what_cannot_be_done_is_said(self, arguments):
        with pytest.raises(CommandError):
            call_command("freeze", *arguments)
        assert not Freeze.objects.exists()

    def test_an_unknown_freeze_is_said(self):
        for number in ("7", "99999999999999999999"):
            with pytest.raises(CommandError):
                call_command("unfreeze", number)
