"""Configurations to begin with: over REST, as cards, and in the form until one is published."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission

from configurations.checks import check_text
from configurations.models import Configuration
from configurations.starting_points import CONTENT_TYPE, starting_points
from tests.html_forms import fields_of

pytestmark = pytest.mark.django_db
LIST = "/admin/configurations/configuration/"
API = "/api/v1/configuration-templates"


@pytest.mark.parametrize("name", starting_points())
def test_each_is_whole_and_nothing_is_wrong_with_it(name):
    start = starting_points()[name]
    assert check_text(start.text, CONTENT_TYPE) == []
    assert {kind.partition("/")[0] for kind in start.components} >= {"receivers", "processors", "exporters"}


def test_those_that_people_look_for_are_there():
    components = {kind for start in starting_points().values() for kind in start.components}
    wanted = {"hostmetrics", "filelog", "otlp", "k8s_cluster", "prometheus"}
    assert {f"receivers/{kind}" for kind in wanted} | {"processors/tail_sampling"} <= components


class TestApi:
    def test_they_are_listed_and_read(self, signed_in):
        listed = signed_in.get(API).json()
        assert listed["count"] == len(listed["results"]) == len(starting_points())
        assert "raw_config" not in listed["results"][0]
        (gateway,) = (row for row in listed["results"] if row["name"] == "gateway")
        assert "receivers/otlp" in gateway["components"]
        whole = signed_in.get(f"{API}/gateway").json()
        assert whole["raw_config"] == starting_points()["gateway"].text
        assert {**gateway, "raw_config": whole["raw_config"], "content_type": "text/yaml"} == whole

    def test_one_can_be_posted_as_it_is(self, signed_in):
        whole = signed_in.get(f"{API}/tail-sampling").json()
        body = {"name": "mine", "selector": {"env": "a"}, **{key: whole[key] for key in ("raw_config", "content_type")}}
        answer = signed_in.post("/api/v1/configurations", body, content_type="application/json")
        assert answer.status_code == 201, answer.json()

    def test_there_is_no_other(self, signed_in):
        for name in ("none", "..%2Fgateway", "__init__", "gateway.yaml"):
            answer = signed_in.get(f"{API}/{name}")
            assert (answer.status_code, answer["Content-Type"]) == (404, "application/problem+json"), name

    def test_it_needs_the_right_to_see_configurations(self, client, charlie):
        assert client.get(API).status_code == 401
        client.force_login(charlie)
        assert client.get(API).status_code == client.get(f"{API}/gateway").status_code == 403


class TestPages:
    def test_each_has_a_card_that_leads_to_the_form(self, signed_in):
        page = signed_in.get(f"{LIST}templates/").content.decode()
        for name, start in starting_points().items():
            assert f"{LIST}add/?template={name}" in page
            assert str(start.title) in page
        assert f"{LIST}templates/" in signed_in.get(LIST).content.decode()

    def test_the_form_begins_with_it_and_publishes(self, signed_in):
        url = f"{LIST}add/?template=gateway"
        fields = fields_of(signed_in.get(url).content.decode())
        start = starting_points()["gateway"]
        assert fields["name"] == "gateway"
        assert fields["raw_config"].split() == start.text.split()
        asked = signed_in.post(url, {**fields, "selector": '{"role": "gateway"}'})
        confirmed = fields_of(asked.content.decode())
        signed_in.post(url, {**confirmed, "stage": "publish", "reach_seen": "on"})
        row = Configuration.objects.get()
        assert (row.name, row.display_name, row.selector) == ("gateway", "Gateway", {"role": "gateway"})
        assert row.current.files[""]["body"].split() == start.text.split()

    def test_what_was_typed_stays(self, signed_in):
        url = f"{LIST}add/?template=gateway"
        fields = fields_of(signed_in.get(url).content.decode())
        again = signed_in.post(url, {**fields, "name": "", "raw_config": "exporters: {debug: {}}"})
        assert fields_of(again.content.decode())["raw_config"].strip() == "exporters: {debug: {}}"

    def test_an_unknown_one_is_not_found(self, signed_in):
        assert signed_in.get(f"{LIST}add/?template=none").status_code == 404

    def test_they_are_for_those_who_add(self, client, bob, charlie):
        client.force_login(bob)
        assert client.get(f"{LIST}templates/").status_code == 403
        assert f"{LIST}templates/" not in client.get(LIST).content.decode()
        charlie.user_permissions.add(Permission.objects.get(codename="add_configuration"))
        client.force_login(charlie)
        assert client.get(f"{LIST}templates/").status_code == 200
