"""URLs that no page makes: every list, form and REST endpoint refuses them with a 4xx, whatever the value and the database."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from django.contrib import admin
from django.test import Client, RequestFactory
from django.urls import reverse

from accounts.base_admin import PortalAdmin, PortalChangeList
from accounts.models import User
from accounts.services import issue_token
from agents.models import Agent
from jobs.models import Job
from opamp_platform import refusal
from opamp_platform.portal import PortalSite

pytestmark = pytest.mark.django_db
HUGE = "9" * 20
LONGER = "9" * 5_000
BAD_VALUES = (
    "",
    "x",
    "-1",
    "0",
    HUGE,
    f"-{HUGE}",
    LONGER,
    "1.5",
    "1e400",
    "[",
    '{"a":',
    "é" * 300,
    "\ud800",
    "(a+)+$",
    "a\nb",
)
LOOKUPS = ("", "exact", "in", "regex", "contains", "year", "isnull", "a__b__c")
VIEWS = ("add/", "{key}/change/", "{key}/delete/", "{key}/history/", "{key}/")
KEYS = (
    HUGE,
    LONGER,
    f"-{HUGE}",
    "%00",
    "1%00",
    "_00",
    "_5F",
    "x",
    "..",
    "%2e%2e",
    "1_2F2",
    "%ff",
    "%F0%9F%98%80",
    "0x1",
    "1.0",
)


def lists() -> list[Any]:
    return sorted(admin.site._registry, key=lambda model: model._meta.label_lower)


def url_of(model: Any, name: str = "changelist") -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}")


def text(value: str) -> bytes:
    return value.encode("utf-8", "surrogatepass")


@pytest.fixture
def person(alice: User, report: Any) -> Client:
    """An administrator of a portal that has something in every list; the client shows failures as answers."""
    report("a", env="prod")
    issue_token(alice, name="ci", by=alice)
    client = Client(raise_request_exception=False)
    client.force_login(alice)
    return client


@pytest.fixture
def refusals_undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of refusals are one page in other words, which is looked at below; only the status counts here."""
    monkeypatch.setattr(refusal, "render_to_string", lambda *_arguments: "drawn")


def refused(answer: Any) -> bool:
    """A page that says why, or that there is none."""
    return answer.status_code in {400, 404}


def test_every_admin_stands_on_the_portals_base(rf: Any, alice: User) -> None:
    for model, model_admin in admin.site._registry.items():
        assert isinstance(model_admin, PortalAdmin), model
        request = rf.get("/")
        request.user = alice
        assert issubclass(model_admin.get_changelist(request), PortalChangeList), model


def test_an_admin_of_somebody_else_gets_the_base_too() -> None:
    site = PortalSite(name="other")
    site.register(Agent, admin.ModelAdmin)
    assert isinstance(site._registry[Agent], PortalAdmin)


@pytest.mark.usefixtures("refusals_undrawn")
@pytest.mark.parametrize("model", lists(), ids=lambda model: model._meta.label_lower)
class TestEveryList:
    def test_lookups_that_are_not_declared_are_refused(self, person: Client, model: Any) -> None:
        names = [field.name for field in model._meta.get_fields()] + ["pk", "nonsense"]
        for name in names:
            for lookup in LOOKUPS:
                key = f"{name}__{lookup}" if lookup else name
                answer = person.get(url_of(model), {key: "1"})
                declared = refused(answer) or _declares(model, key)
                assert declared, (key, answer.status_code)

    def test_no_value_of_any_parameter_fails(self, person: Client, model: Any) -> None:
        parameters = {"q", *_declared(model)}
        if _is_first_of_its_kind(model):
            parameters |= {"p", "o", "e", "all", "_facets", "_popup", "_to_field", "id__in", "nonsense"}
        for name in sorted(parameters):
            for value in BAD_VALUES:
                answer = person.get(f"{url_of(model)}?{urlencode({name: text(value)})}")
                assert answer.status_code in {200, 400, 404}, (name, value[:30], answer.status_code)
            assert person.get(f"{url_of(model)}?{name}=a%00b").status_code == 400
        assert person.get(f"{url_of(model)}?%00=1").status_code == 400

    def test_pages_that_are_not_there_and_orders_that_are_none(self, person: Client, model: Any) -> None:
        for query in (
            "p=0",
            "p=x",
            f"p={HUGE}",
            "p=-1",
            "p=1.0",
            "p=2",
            "o=x",
            "o=1.1",
            f"o={HUGE}",
            f"o={'1.' * 5_000}1",
        ):
            assert refused(person.get(f"{url_of(model)}?{query}")), query
        assert person.get(f"{url_of(model)}?p=1&o=-1&e=1").status_code == 200

    def test_a_search_of_a_thousand_words_is_refused_at_once(self, person: Client, model: Any) -> None:
        for term in ("w " * 4_000, "w" * 60_000, '"' * 500, "(" * 20_000):
            begun = time.monotonic()
            answer = person.get(f"{url_of(model)}?{urlencode({'q': term})}")
            assert answer.status_code in {200, 400}, term[:10]
            assert time.monotonic() - begun < 5

    def test_keys_that_no_row_has(self, person: Client, model: Any) -> None:
        for key in KEYS:
            for view in VIEWS:
                url = url_of(model) + view.format(key=key)
                if "{key}" not in view:
                    continue
                answer = person.get(url)
                if answer.status_code == 302:  # Django's address of former times, which leads to the form
                    answer = person.get(answer["location"])
                assert refused(answer) or answer.status_code == 403, (url[:80], answer.status_code)

    def test_forms_take_nothing_from_the_url(self, person: Client, model: Any) -> None:
        names = [field.name for field in model._meta.get_fields()] + ["_popup", "_to_field", "_changelist_filters"]
        for name in names:
            for value in ("x", HUGE, "["):
                answer = person.get(f"{url_of(model, 'add')}?{urlencode({name: text(value)})}")
                assert answer.status_code in {200, 400, 403}, (name, value[:30], answer.status_code)

    @pytest.mark.parametrize("value", ["x", HUGE, LONGER, "1.5", "a\x00b", ""])
    def test_chosen_rows_that_no_row_can_be(self, person: Client, model: Any, value: str) -> None:
        actions = admin.site._registry[model].get_actions(_request_of(person))
        for action in actions:
            for index in ("0", "-1", HUGE, LONGER, "x"):
                sent = {"action": action, "_selected_action": value, "index": index, "select_across": "0"}
                assert person.post(url_of(model), sent).status_code in {200, 302, 400, 403}, (action, index)

    def test_nobody_without_the_right_learns_what_there_is(self, charlie: User, model: Any) -> None:
        client = Client()
        client.force_login(charlie)
        if model is Job:
            # Everybody may have some; nobody learns of others'.
            assert client.get(f"{url_of(model)}{HUGE}/change/").status_code == 404
            return
        for url in (url_of(model), f"{url_of(model)}?nonsense=1", f"{url_of(model)}{HUGE}/change/"):
            assert client.get(url).status_code == 403


def _is_first_of_its_kind(model: Any) -> bool:
    """Of the models whose lists one class reads: what every list takes is read there."""
    request = RequestFactory().get("/")
    kinds = {each: admin.site._registry[each].get_changelist(request) for each in lists()}
    return next(each for each in lists() if kinds[each] is kinds[model]) is model


def _declared(model: Any) -> set[str]:
    names: set[str] = set()
    for item in admin.site._registry[model].list_filter:
        parameter = getattr(item, "parameter_name", None)
        if isinstance(item, type) and not issubclass(item, admin.SimpleListFilter):
            shown = item(RequestFactory().get("/"), {}, model, admin.site._registry[model])
            names |= {str(name) for name in shown.expected_parameters()}
            continue
        field = item[0] if isinstance(item, tuple) else item
        names |= {str(parameter)} if parameter else {f"{field}__exact", f"{field}__id__exact", f"{field}__isnull"}
    return names


def _declares(model: Any, key: str) -> bool:
    fields = [item[0] if isinstance(item, tuple) else item for item in admin.site._registry[model].list_filter]
    return key in _declared(model) or any(isinstance(name, str) and key.startswith(f"{name}__") for name in fields)


def _request_of(client: Client) -> Any:
    request = client.get("/admin/").wsgi_request
    request.GET = request.GET.copy()
    return request


@pytest.mark.parametrize(
    "url",
    [
        "/admin/autocomplete/?app_label=accounts&model_name=apitoken&field_name=user&term={}",
        "/admin/autocomplete/?app_label=accounts&model_name=apitoken&field_name=user&term=a&page={}",
        "/admin/autocomplete/?app_label={}&model_name=apitoken&field_name=user&term=a",
        "/admin/autocomplete/?app_label=accounts&model_name={}&field_name=user&term=a",
        "/admin/autocomplete/?app_label=accounts&model_name=apitoken&field_name={}&term=a",
        "/admin/jsi18n/?language={}",
        "/admin/?{}=1",
        "/admin/r/1/{}/",
        "/admin/r/{}/1/",
        "/admin/login/?next={}",
        "/admin/agents/agent/{}/timeline/",
        "/admin/agents/agent/1/timeline/?before={}",
        "/admin/agents/agent/{}/restart/",
        "/admin/agents/agent/{}/uid/",
        "/admin/configurations/configuration/{}/switch/",
        "/admin/configurations/configuration/{}/rollback/1/",
        "/admin/configurations/configuration/1/rollback/{}/",
        "/admin/configurations/configuration/retry/{}/",
        "/admin/{}/",
        "/{}",
        "/health/{}",
        "/static/{}",
    ],
)
def test_other_pages(person: Client, url: str) -> None:
    for value in (*map(quote, map(text, BAD_VALUES)), "%00", "1%00", "w%20" * 4_000):
        answer = person.get(url.format(value))
        assert answer.status_code < 500, (value[:30], answer.status_code)


REST_LISTS = (
    "agents",
    "configurations",
    "agents/{uid}/timeline",
    "agents/{uid}/connections",
    "agents/{uid}/commands",
    "agents/summary",
)
REST_VALUES = (
    *BAD_VALUES,
    "w " * 4_000,
    "w" * 60_000,
    f"{HUGE}=1",
    f"{HUGE}>1",
    f"n>{HUGE}",
    f"-1>1,{HUGE}",
    f"{HUGE}<2,!{HUGE},{HUGE}!=x",
    '"a\\u0000b"=1',
    'a="\\u0000"',
    'a="\\ud800"',
    ",".join(f"k{number}>1" for number in range(64)),
    f"k in ({','.join(map(str, range(256)))})",
)


class TestRest:
    def test_no_value_of_any_parameter_fails(self, person: Client) -> None:
        uid = str(Agent.objects.get().instance_uid)
        names = (
            "page", "page_size", "status", "healthy", "in_sync", "connected", "label", "search", "configuration", "ordering",
            "os_type", "version", "architecture", "hostname", "service_name", "secrets", "format", "nonsense",
        )  # fmt: skip
        for path in REST_LISTS:
            for name in names:
                for value in REST_VALUES:
                    answer = person.get(f"/api/v1/{path.format(uid=uid)}?{urlencode({name: text(value)})}")
                    assert answer.status_code < 500, (path, name, value[:40], answer.status_code)
                answer = person.get(f"/api/v1/{path.format(uid=uid)}?{name}=a%00b")
                assert (answer.status_code, answer["content-type"]) == (400, "application/problem+json"), name

    @pytest.mark.parametrize("key", KEYS)
    def test_names_and_uids_that_nothing_has(self, person: Client, key: str) -> None:
        Agent.objects.get()
        for path in (
            f"configurations/{key}", f"configurations/{key}/revisions", f"configurations/{key}/agents", f"agents/{key}",
            f"configurations/{key}/revisions/{HUGE}", f"agents/{key}/timeline", f"agents/{key}/configuration",
        ):  # fmt: skip
            answer = person.get(f"/api/v1/{path}")
            # Two dots are a step up in an address.
            assert answer.status_code == 404 or ".." in key or "%2e" in key, (path[:60], answer.status_code)
            assert answer.status_code < 500

    def test_a_name_with_nul_is_a_404_for_every_method(self, person: Client) -> None:
        for method in ("get", "put", "patch", "delete", "post"):
            answer = getattr(person, method)("/api/v1/configurations/%00x", {}, content_type="application/json")
            assert (answer.status_code, answer["content-type"]) == (404, "application/problem+json"), method

    @pytest.mark.parametrize("key", [HUGE, "5", "-1", "0"])
    def test_a_label_whose_key_is_a_number_is_found(self, person: Client, report: Any, key: str) -> None:
        report("numbered", **{key: "2.0"})
        for query in (f"{key}=2.0", f"{key}>1", f"{key}<3", key, f"{key} in (1, 2.0)"):
            answer = person.get("/api/v1/agents", {"label": query})
            assert [agent["hostname"] for agent in answer.json()["results"]] == ["numbered"], query


@pytest.mark.parametrize(
    ("language", "words"), [("en", ("no filter", "start page")), ("zh-hans", ("没有筛选条件", "首页"))]
)
def test_the_page_says_why_in_the_readers_language_and_leads_back(person: Client, language: str, words: Any) -> None:
    answer = person.get("/admin/agents/agent/?hostname__regex=(a%2B)%2B%24", headers={"accept-language": language})
    body = answer.content.decode()
    assert answer.status_code == 400
    for word in ("hostname__regex", 'href="/admin/agents/agent/"', 'href="/admin/"', *words):
        assert word in body, word
    assert "script-src 'self'" in answer["content-security-policy"]


def test_a_request_refused_before_anybody_is_known_has_a_page_too(client: Client, settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["portal.example"]
    answer = client.get("/admin/", HTTP_HOST="elsewhere.example")
    assert (answer.status_code, answer["content-type"].split(";")[0]) == (400, "text/html")
    assert "cannot be read" in answer.content.decode()
