"""Cells of the list of agents: drawn by hand for speed, the same as the framework and the templates draw them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib import admin
from django.template.loader import render_to_string
from django.utils import timezone, translation
from django.utils.timesince import timesince

from agents.admin import cells
from agents.models import Agent
from agents.templatetags.ago import ago, time_element

LANGUAGES = ["en", "zh-hans"]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", ["edge-1", '<b>"&', "边缘"])
def test_the_checkbox_is_that_of_the_admin(language: str, name: str) -> None:
    agent = Agent(pk=17, name=name)
    with translation.override(language):
        assert cells.checkbox(agent) == admin.ModelAdmin(Agent, admin.site).action_checkbox(agent)


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_kept_is_what_the_templates_draw(language: str) -> None:
    kinds = [
        {"connected": True, "configuration_name": "<edge>", "configuration_revision": 1, "in_sync": True},
        {"connected": True, "configuration_name": "<edge>", "configuration_revision": 2, "in_sync": None},
        {"configuration_name": "other", "configuration_revision": 2, "in_sync": False, "config_failed": True},
        {"connected": True, "configuration_name": "other", "configuration_revision": 2, "in_sync": False},
        {"connected": True, "healthy": False},
    ]
    with translation.override(language):
        for agent in [Agent(**kind) for kind in kinds] * 2:
            running = render_to_string("admin/agents/agent/running.html", {"agent": agent}).strip()
            assert cells.running_cell(agent) == running
            assert cells.pill(agent) == render_to_string("admin/pill.html", {"status": agent.status.value}).strip()


def test_chips_show_what_operators_say_first_and_hide_nothing_of_markup() -> None:
    reported = {"env": "dev", "service.name": "x", "os.type": "linux", "zone": "a&b", "rack": "7"}
    own = {"env": "<prod>", "note": "n" * 50}
    drawn = cells.chips(Agent(labels=reported | own, operator_labels=own))
    assert drawn == (
        '<span class="chip chip-own" title="set by an operator">env=&lt;prod&gt;</span>'
        f'<span class="chip chip-own" title="set by an operator">note={"n" * 39}…</span>'
        '<span class="chip">zone=a&amp;b</span><span class="chip chip-rest">+1</span>'
    )
    assert cells.chips(Agent()) == ""


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    "passed",
    [
        timedelta(minutes=1), timedelta(minutes=59, seconds=59), timedelta(hours=1), timedelta(hours=23, minutes=59),
        timedelta(days=1), timedelta(days=6, hours=23), timedelta(days=7), timedelta(days=27, hours=23), timedelta(days=29),
        timedelta(days=45), timedelta(days=800),
    ],
)  # fmt: skip
def test_the_words_are_django_s(language: str, passed: timedelta) -> None:
    at = timezone.now() - passed - timedelta(milliseconds=1)
    with translation.override(language):
        expected = translation.gettext("%(time)s ago") % {"time": timesince(at, depth=1)}
        assert ago(at) == expected


def test_a_time_is_told_in_the_zone_of_the_person() -> None:
    at = timezone.now()
    with timezone.override("Asia/Shanghai"):
        local = timezone.localtime(at)
        assert time_element(at) == (
            f'<time datetime="{local.isoformat()}" title="{local:%Y-%m-%d %H:%M:%S} CST">just now</time>'
        )
    assert render_to_string("admin/ago.html", {"at": None}).strip() == "–"
