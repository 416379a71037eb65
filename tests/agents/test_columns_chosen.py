"""Columns that are ticked and put in order: what a form offers, what it is sent back with, and where it leads."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from django.http import QueryDict

from agents.admin.column_choices import SAMPLED, choices_of, sent_columns, was_sent
from agents.admin.columns_page import address_or_context
from agents.agent_columns import LISTED, MOST_COLUMNS
from agents.models import SavedView
from tests.agents.admin_pages import LIST

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("counted_anew")]
ADD = f"{LIST}views/add/"


class TestSent:
    def test_places_say_the_order_and_those_without_come_last(self):
        sent = QueryDict(
            "column=name&column=status&column=label:env&column=version&column=name"
            "&place.name=3&place.status=1&place.label:env=2&place.version=&place.hostname=1&other_labels=team, label:zone"
        )
        assert was_sent(sent)
        assert sent_columns(sent) == ("status", "label:env", "name", "version", "label:team", "label:zone")

    @pytest.mark.parametrize("place", ["-1", "1.5", "first", "９", "10000", "٣", "\0"])
    def test_a_place_that_is_none_is_the_last(self, place):
        sent = QueryDict(mutable=True)
        sent.setlist("column", ["version", "name"])
        sent.update({"place.version": place, "place.name": "9999"})
        assert sent_columns(sent) == ("name", "version")

    def test_nothing_and_what_the_list_shows_by_itself_are_none(self):
        assert sent_columns(QueryDict("other_labels=")) == ()
        assert sent_columns(QueryDict("&".join(f"column={name}" for name in LISTED))) == ()

    def test_no_more_are_read_than_tell_that_there_are_too_many(self):
        sent = QueryDict("&".join(f"column=c{number}" for number in range(500)))
        assert len(sent_columns(sent)) == MOST_COLUMNS + 1
        others = QueryDict(mutable=True)
        others["other_labels"] = ",".join(f"k{number}" for number in range(5_000))
        assert len(sent_columns(others)) == MOST_COLUMNS + 1
        assert len(choices_of([f"label:k{number}" for number in range(5_000)]).chosen) == MOST_COLUMNS + 1


class TestOffered:
    def test_labels_with_how_many_agents_have_them(self, report):
        for name in ("a", "b"):
            report(name, env="prod")
        report("c", **{"odd,key": "x", "team": "shop"})
        offered = choices_of(["version", "label:team", "label:gone"])
        assert [(choice.name, choice.place, choice.number) for choice in offered.chosen] == [
            ("version", 1, None),
            ("label:team", 2, 1),
            ("label:gone", 3, None),
        ]
        labels = {choice.label: choice.number for choice in offered.labels}
        assert labels["env"] == 2
        assert not labels.keys() & {"team", "odd,key"}
        assert "version" not in {choice.name for choice in offered.own}
        assert not offered.partial

    def test_without_any_it_is_what_the_list_shows(self):
        offered = choices_of([])
        assert offered.are_listed
        assert tuple(choice.name for choice in offered.chosen) == LISTED

    def test_own_metrics_are_offered_by_name_where_they_are_taken(self, settings):
        assert choices_of([]).further == []
        settings.OPAMP_OWN_TELEMETRY = True
        assert [choice.name for choice in choices_of(["name"]).further] == ["cpu", "memory", "throughput"]

    def test_many_labels_are_bounded(self, report, django_assert_num_queries):
        report("a", **{f"key-{number:03}": "x" for number in range(60)})
        with django_assert_num_queries(1):
            offered = choices_of([])
        assert len(offered.labels) == 20
        assert SAMPLED == 2_000


class TestPage:
    def test_it_leads_back_to_the_list_as_it_was_asked_for(self, signed_in, report):
        report("a", env="prod")
        page = signed_in.get(f"{LIST}columns/", {"q": "env=prod", "columns": "version", "order": "-version", "p": "3"})
        assert page.context["back"] == f"{LIST}?q=env%3Dprod&order=-version&columns=version"
        asked = {"q": "env=prod", "order": "-version", "column": ["name", "label:env"], "place.name": "2"}
        asked |= {"place.label:env": "1", "other_labels": "", "group": "env"}
        answer = signed_in.get(f"{LIST}columns/", asked)
        assert answer.status_code == 302
        found = parse_qs(urlsplit(answer["location"]).query)
        # Ordered by a column that is not shown any more, the list would be a 400.
        assert found == {"q": ["env=prod"], "columns": ["label:env,name"], "group": ["env"]}
        assert signed_in.get(answer["location"]).context["cl"].list_display[-1] == "title"

    def test_nothing_ticked_is_the_list_itself_and_no_view(self, signed_in):
        assert signed_in.get(f"{LIST}columns/", {"other_labels": ""})["location"] == f"{LIST}?q="

    @pytest.mark.parametrize(
        ("asked", "field"),
        [
            ({"column": "nope"}, "columns"),
            ({"other_labels": "a" * 300}, "columns"),
            ({"column": [f"label:k{number}" for number in range(60)]}, "columns"),
            ({"other_labels": "", "group": "k" * 300}, "group"),
        ],
    )
    def test_mistakes_stand_where_they_were_made_and_nothing_is_lost(self, signed_in, asked, field):
        page = signed_in.get(f"{LIST}columns/", {"q": "env=prod", **asked})
        assert page.status_code == 200
        assert set(page.context["problems"]) == {field}
        body = page.content.decode()
        assert 'name="q" value="env=prod"' in body
        names = asked.get("column", [])
        for name in [names] if isinstance(names, str) else names[:50]:
            assert f'value="{name}" checked' in body

    def test_it_is_for_those_who_see_agents(self, client, charlie):
        client.force_login(charlie)
        assert client.get(f"{LIST}columns/").status_code == 403
        assert client.post(f"{LIST}columns/").status_code in {403, 405}

    def test_markup_in_a_label_is_text(self, signed_in, report):
        report("a", **{"<script>x</script>": "y"})
        body = signed_in.get(f"{LIST}columns/").content.decode()
        assert "<script>x" not in body
        assert "&lt;script&gt;x" in body


class TestView:
    def test_ticked_columns_are_kept_in_their_order(self, client, bob, report):
        report("a", env="prod")
        client.force_login(bob)
        form = {"name": "Prod", "column": ["name", "label:env", "version"], "place.name": "3", "place.version": "1"}
        form |= {"place.label:env": "2", "other_labels": "zone", "order": "-version"}
        assert client.post(ADD, form).status_code == 302
        view = SavedView.objects.get(owner=bob)
        assert view.columns == ["version", "label:env", "name", "label:zone"]
        edit = client.get(f"{LIST}views/{view.pk}/")
        assert [choice.name for choice in edit.context["form"].choices.chosen] == view.columns
        assert '<option value="-version" selected>' in edit.content.decode()
        # Nothing ticked any more: what the list shows.
        cleared = {"name": "Prod", "other_labels": "", "edition": "1"}
        assert client.post(f"{LIST}views/{view.pk}/", cleared).status_code == 302
        assert SavedView.objects.get(pk=view.pk).columns == []

    def test_unknown_ones_are_errors_in_place_and_stay_to_be_unticked(self, client, bob):
        client.force_login(bob)
        answer = client.post(ADD, {"name": "v", "column": ["name", "nope"], "other_labels": ""})
        assert set(answer.context["form"].errors) == {"columns"}
        body = answer.content.decode()
        assert 'id="columns-error"' in body
        assert 'value="nope" checked' in body
        assert not SavedView.objects.exists()


def test_an_address_never_leaves_the_portal(rf):
    request = rf.get("/", {"column": "name", "back": "//example.org", "next": "https://example.org"})
    found = address_or_context(request)
    assert isinstance(found, str)
    assert found.startswith(f"{LIST}?")
