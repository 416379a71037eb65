"""People × entry points: for every URL, every method and every kind of caller, whether it lets them in.

`ENTRY_POINTS` declares the right that each URL needs, `rights_of_roles` what each person has. The expected verdict follows from
these two and from nothing the code does. A URL that is not declared fails the first test: who adds one says here whose it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from accounts.models import AuditEntry, User
from accounts.services import issue_token
from agents.remote_config import ConfigFile
from configurations.models import DeletedConfiguration
from configurations.services.draft_saving import save_draft
from configurations.services.publishing import Draft, create_configuration, delete_configuration
from tests.opamp_platform.callers import NOBODY, Caller, all_callers

pytestmark = pytest.mark.django_db

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")


# --- What entry points need -------------------------------------------------------------------------------------------------

PUBLIC: frozenset[str] = frozenset({"public"})
SIGNED_IN: frozenset[str] = frozenset()
"""Anybody who is signed in: no right beside that."""


@dataclass(frozen=True)
class EntryPoint:
    """What each method needs; ``None`` stands for all that are not named. ``staff``: a page of the portal."""

    needs: dict[str | None, frozenset[str]]
    staff: bool = False


def page(*rights: str, post: str = "") -> EntryPoint:
    """A page; ``post`` is the right to send its form, where that is not the same as to see it."""
    needs: dict[str | None, frozenset[str]] = {None: frozenset(rights)}
    if post:
        needs |= {method: frozenset(post.split()) for method in ("POST", "PUT", "PATCH", "DELETE")}
    return EntryPoint(needs, staff=True)


def rest(**needs: str) -> EntryPoint:
    """A REST URL: the rights of each method that there is."""
    rights: dict[str | None, frozenset[str]] = {
        method.upper(): frozenset(text.split()) for method, text in needs.items()
    }
    if "GET" in rights:
        return EntryPoint(rights | {"HEAD": rights["GET"], "OPTIONS": rights["GET"]})
    # Whoever may see the things may ask what can be done to them.
    seeing = {re.sub(r"\.[a-z]+_", ".view_", right) for needed in rights.values() for right in needed}
    return EntryPoint(rights | {"OPTIONS": frozenset(seeing)})


def crud(model: str) -> dict[str, EntryPoint]:
    """The stock pages of a ModelAdmin at ``app/model``."""
    app, name = model.split("/")
    right = f"{app}.{{}}_{name}".format
    return {
        f"admin/{model}/": page(right("view")),
        f"admin/{model}/add/": page(right("add")),
        f"admin/{model}/<path:object_id>/history/": page(right("view")),
        f"admin/{model}/<path:object_id>/delete/": page(right("delete")),
        f"admin/{model}/<path:object_id>/change/": page(right("view"), post=right("change")),
        # Leads to the one before, which asks.
        f"admin/{model}/<path:object_id>/": page(),
    }


SEE_A, EDIT_A, DROP_A = "agents.view_agent", "agents.change_agent", "agents.delete_agent"
SEE_C, EDIT_C = "configurations.view_configuration", "configurations.change_configuration"
ADD_C, DROP_C = "configurations.add_configuration", "configurations.delete_configuration"

AGENT, CONFIGURATION = "api/v1/^agents/(?P<instance_uid>[^/]+)", "api/v1/^configurations/(?P<name>[^/]+)"
A_PAGE, C_PAGE = "admin/agents/agent/<int:pk>", "admin/configurations/configuration"
D_PAGE, KEY = "admin/configurations/deletedconfiguration", "(?P<pk>[0-9]{1,18})"

ENTRY_POINTS: dict[str, EntryPoint] = {
    "": EntryPoint({None: PUBLIC}),
    "i18n/setlang/": EntryPoint({None: PUBLIC}),
    "^health/live/?$": EntryPoint({None: PUBLIC}),
    "^health(?:/ready)?/?$": EntryPoint({None: PUBLIC}),
    "^metrics/?$": EntryPoint({None: PUBLIC}),
    # The portal itself.
    "admin/": page(),
    "admin/login/": EntryPoint({None: PUBLIC}),
    # Whoever is not in leaves without having been.
    "admin/logout/": EntryPoint({None: PUBLIC}),
    "admin/password_change/": page(),
    "admin/password_change/done/": page(),
    "admin/connect/": page(SEE_A),
    # Of agents what somebody may see.
    "admin/compare/": page(SEE_C),
    "admin/autocomplete/": page("accounts.view_user"),
    "admin/jsi18n/": page(),
    "admin/r/<path:content_type_id>/<path:object_id>/": page(),
    # What of it somebody may see; 404 when that is nothing.
    "admin/^(?P<app_label>…)/$": page(),
    "admin/(?P<url>.*)$": page(),
    # People. Only an administrator has any of these rights here.
    **crud("auth/group"),
    **crud("accounts/user"),
    **crud("accounts/apitoken"),
    **crud("accounts/auditentry"),
    "admin/accounts/user/<id>/password/": page("accounts.change_user"),
    # Tokens and the trail are seen and never changed.
    "admin/accounts/apitoken/<path:object_id>/change/": page("accounts.view_apitoken", post=NOBODY),
    "admin/accounts/auditentry/<path:object_id>/change/": page("accounts.view_auditentry", post=NOBODY),
    "admin/accounts/auditentry/add/": page(NOBODY),
    "admin/accounts/auditentry/<path:object_id>/delete/": page(NOBODY),
    # Agents.
    **crud("agents/agent"),
    "admin/agents/agent/add/": page(NOBODY),
    f"{A_PAGE}/timeline/": page(SEE_A),
    f"{A_PAGE}/restart/": page(EDIT_A),
    f"{A_PAGE}/uid/": page(EDIT_A),
    f"{A_PAGE}/revoke/": page(EDIT_A),
    f"{A_PAGE}/enrolment/": page(EDIT_A),
    f"{A_PAGE}/message/": page(EDIT_A),
    f"{A_PAGE}/secrets/": page(SEE_A, "agents.reveal_secrets"),
    f"{A_PAGE}/secrets/file/": page(SEE_A, "agents.reveal_secrets"),
    # Configurations.
    **crud("configurations/configuration"),
    # For who writes a configuration; here a new one.
    f"{C_PAGE}/reach/": page(ADD_C),
    f"{C_PAGE}/problems/": page(ADD_C),
    f"{C_PAGE}/drafts/<int:draft_id>/": page(SEE_C, post=EDIT_C),
    f"{C_PAGE}/drafts/<int:draft_id>/rebase/": page(EDIT_C),
    f"{C_PAGE}/drafts/<int:draft_id>/discard/": page(EDIT_C),
    f"{C_PAGE}/<int:pk>/rollback/<int:number>/": page(EDIT_C),
    f"{C_PAGE}/<int:pk>/switch/": page(EDIT_C),
    f"{C_PAGE}/<int:pk>/secrets/": page(SEE_C, "agents.reveal_secrets"),
    f"{C_PAGE}/<int:pk>/secrets/file/": page(SEE_C, "agents.reveal_secrets"),
    f"{C_PAGE}/retry/<int:agent_id>/": page(EDIT_A, SEE_C),
    # Deleted ones: rights are those on configurations.
    f"{D_PAGE}/": page(SEE_C),
    f"{D_PAGE}/add/": page(NOBODY),
    f"{D_PAGE}/<path:object_id>/history/": page(SEE_C),
    f"{D_PAGE}/<path:object_id>/delete/": page(DROP_C),
    f"{D_PAGE}/<path:object_id>/change/": page(SEE_C, post=NOBODY),
    f"{D_PAGE}/<path:object_id>/": page(),
    f"{D_PAGE}/<int:pk>/restore/": page(ADD_C),
    # REST.
    "api/v1": EntryPoint({None: SIGNED_IN}),
    "api/v1/^": EntryPoint({None: SIGNED_IN}),
    "api/v1/^schema/?$": rest(get=""),
    "api/v1/^docs/?$": rest(get=""),
    "api/v1/^agents/?$": rest(get=SEE_A),
    "api/v1/^agents/summary/?$": rest(get=SEE_A),
    "api/v1/^agents/labels/?$": rest(post=EDIT_A),
    "api/v1/^agents/labels/preview/?$": rest(post=EDIT_A),
    "api/v1/^agents/restart/?$": rest(post=EDIT_A),
    f"{AGENT}/?$": rest(get=SEE_A, patch=EDIT_A, delete=DROP_A),
    f"{AGENT}/allow-enrolment/?$": rest(post=EDIT_A),
    f"{AGENT}/commands/?$": rest(get=SEE_A),
    f"{AGENT}/components/?$": rest(get=SEE_A),
    f"{AGENT}/configuration/?$": rest(get=f"{SEE_A} {SEE_C}"),
    f"{AGENT}/configuration/retry/?$": rest(post=f"{EDIT_A} {SEE_C}"),
    f"{AGENT}/connections/?$": rest(get=SEE_A),
    f"{AGENT}/custom-message/?$": rest(post=EDIT_A),
    f"{AGENT}/effective-config/?$": rest(get=SEE_A),
    f"{AGENT}/new-instance-uid/?$": rest(post=EDIT_A),
    f"{AGENT}/packages/?$": rest(get=SEE_A),
    f"{AGENT}/restart/?$": rest(post=EDIT_A),
    f"{AGENT}/revoke-credential/?$": rest(post=EDIT_A),
    f"{AGENT}/timeline/?$": rest(get=SEE_A),
    "api/v1/^compare/?$": rest(get=SEE_C),
    "api/v1/^configurations/?$": rest(get=SEE_C, post=ADD_C),
    "api/v1/^configurations/preview/?$": rest(post=f"{SEE_C} {SEE_A}"),
    f"{CONFIGURATION}/?$": rest(get=SEE_C, put=EDIT_C, patch=EDIT_C, delete=DROP_C),
    f"{CONFIGURATION}/agents/?$": rest(get=f"{SEE_C} {SEE_A}"),
    f"{CONFIGURATION}/preview/?$": rest(post=f"{SEE_C} {SEE_A}"),
    f"{CONFIGURATION}/revisions/(?P<number>[0-9]{{1,9}})/?$": rest(get=SEE_C),
    f"{CONFIGURATION}/revisions/?$": rest(get=SEE_C),
    f"{CONFIGURATION}/rollback/?$": rest(post=EDIT_C),
    # The draft of a new configuration needs the right to add one.
    "api/v1/^drafts/?$": rest(get=SEE_C, post=ADD_C),
    f"{CONFIGURATION}/drafts/?$": rest(get=SEE_C, post=EDIT_C),
    **{
        f"{drafts}/{KEY}{what}/?$": rest(**needs)
        for drafts in ("api/v1/^drafts", f"{CONFIGURATION}/drafts")
        for what, needs in {
            "": {"get": SEE_C, "put": EDIT_C, "patch": EDIT_C, "delete": EDIT_C},
            "/publish": {"post": EDIT_C},
            "/rebase": {"post": EDIT_C},
        }.items()
    },
    "api/v1/^deleted-configurations/?$": rest(get=SEE_C),
    f"api/v1/^deleted-configurations/{KEY}/?$": rest(get=SEE_C, delete=DROP_C),
    f"api/v1/^deleted-configurations/{KEY}/restore/?$": rest(post=ADD_C),
    "api/v1/^audit/?$": rest(get="accounts.view_auditentry"),
    "api/v1/^audit/(?P<pk>[0-9]{1,18})/?$": rest(get="accounts.view_auditentry"),
    "api/v1/^tokens/?$": rest(get="accounts.view_apitoken", post="accounts.add_apitoken"),
    "api/v1/^tokens/(?P<pk>[0-9]{1,18})/?$": rest(
        get="accounts.view_apitoken", delete="accounts.delete_apitoken"
    ),
}  # fmt: skip


def urls(resolver: URLResolver | None = None, before: str = "") -> Iterator[str]:
    """All patterns of the resolver, as they are written."""
    for found in (resolver or get_resolver()).url_patterns:
        path = before + str(found.pattern)
        if isinstance(found, URLResolver):
            yield from urls(found, path)
        else:
            assert isinstance(found, URLPattern)
            # Its alternatives are the apps, in no certain order.
            yield re.sub(r"\(\?P<app_label>[^)]*\)", "(?P<app_label>…)", path)


def test_every_url_says_whose_it_is():
    there = set(urls())
    assert there - ENTRY_POINTS.keys() == set(), "declare in ENTRY_POINTS which right these need"
    assert ENTRY_POINTS.keys() - there == set(), "these are gone: take them out of ENTRY_POINTS"


# --- Who calls -------------------------------------------------------------------------------------------------------


@pytest.fixture
def everybody(db: None) -> list[Caller]:
    """Each role by session and by token; and those whom nothing lets in."""
    return all_callers()


def expected(entry: EntryPoint, method: str, caller: Caller) -> str:
    """``in``, ``out``, or ``absent``: there is no such method, or nobody may know."""
    needs = entry.needs.get(method, entry.needs.get(None))
    if needs is None:
        return "absent"
    if needs == PUBLIC:
        return "in"
    may = caller.pages if entry.staff else caller.rest
    if may is None:
        return "out"
    return "in" if all(map(may, needs)) else "out"


# --- At the entry point -----------------------------------------------------------------------------------------------------


@pytest.fixture
def things(everybody: list[Caller], report: Callable[..., Any]) -> dict[str, str]:
    """Something of each kind, by what it is called in patterns."""
    draft = Draft(selector={"env": "prod"}, files={"": ConfigFile(b"receivers: {}\n", "text/yaml")})
    configuration, _findings = create_configuration("c", draft, by=None, at=timezone.now())
    kept = save_draft("c", draft, by=None, at=timezone.now())
    create_configuration("gone", draft, by=None, at=timezone.now())
    delete_configuration("gone", by=None, at=timezone.now())
    deleted = DeletedConfiguration.objects.get()
    agent = report(env="prod")
    victim = User.objects.create_user("victim", password="x")
    token, _text = issue_token(victim, name="victim's", by=None)
    role = Group.objects.create(name="empty")
    role.permissions.set(Permission.objects.none())
    entry = AuditEntry.objects.latest("id")
    return {
        "agents/agent": str(agent.pk),
        "configurations/configuration": str(configuration.pk),
        "configurations/deletedconfiguration": str(deleted.pk),
        "deleted-configurations": str(deleted.pk),
        "drafts": str(kept.pk),
        # Of URLs below one configuration, which its name stands in.
        "configurations": str(kept.pk),
        "accounts/user": str(victim.pk),
        "accounts/apitoken": str(token.pk),
        "accounts/auditentry": str(entry.pk),
        "auth/group": str(role.pk),
        "instance_uid": str(agent.instance_uid),
        "tokens": str(token.pk),
        "audit": str(entry.pk),
    }


def address(pattern: str, things: dict[str, str]) -> str:
    """A URL that the pattern matches and that names something there is."""
    model = "/".join(pattern.split("/")[1:3])
    known = things.get(model, things.get(pattern.removeprefix("api/v1/^").split("/")[0], "1"))
    url = pattern.replace("(?P<instance_uid>[^/]+)", things["instance_uid"]).replace("(?P<name>[^/]+)", "c")
    url = (
        url.replace("<int:draft_id>", things["drafts"])
        .replace("<int:agent_id>", things["agents/agent"])
        .replace("<int:number>", "1")
    )
    url = re.sub(r"<path:content_type_id>/<path:object_id>", "1/1", url)
    url = re.sub(r"<(path:)?(object_)?id>|<int:pk>|\(\?P<pk>\[0-9\]\{1,18\}\)", known, url)
    url = url.replace("(?P<number>[0-9]{1,9})", "1").replace("(?P<app_label>…)", "agents")
    url = url.replace("(?P<url>.*)", "no-such-page").replace("(?:/ready)?", "")
    url = url.replace("autocomplete/", "autocomplete/?app_label=accounts&model_name=apitoken&field_name=user&term=")
    return "/" + url.replace("/?$", "").replace("/^", "/").replace("^", "").replace("$", "")


def verdict(answer: Any) -> str:
    """``out``: sent to sign in, or refused. ``absent``: there is no such method. Else ``in``, whatever came of it."""
    if answer.status_code == 405 or (answer.request["REQUEST_METHOD"] == "OPTIONS" and not answer.content):
        return "absent"
    if answer.status_code in {401, 403}:
        return "out"
    sent_to = answer.headers.get("Location", "") if answer.status_code in {301, 302} else ""
    return "out" if sent_to.startswith("/admin/login/") else "in"


# A method that is not there may also be refused for want of a right; and pages answer 405 to methods that they have not.
AS_GOOD = {("absent", "out"), ("out", "absent"), ("in", "absent")}
# Who tries methods that an entry point does not have, or that are the same view again.
A_FEW = {"anonymous", "no role, session", "viewer, token", "administrator, token"}


@pytest.mark.parametrize("portal_pages", [True, False], ids=["pages", "rest"])
def test_everybody_comes_in_where_they_may_and_nowhere_else(everybody, things, settings, portal_pages):
    settings.OPAMP_AGENT_CREDENTIALS = True
    holes: list[str] = []
    for pattern, entry in ENTRY_POINTS.items():
        if pattern.startswith("api/") is portal_pages:
            continue
        url = address(pattern, things)
        declared = {"GET", "POST"} if None in entry.needs else entry.needs.keys() - {"HEAD", "OPTIONS"}
        for method in METHODS:
            for caller in everybody:
                if method not in declared and caller.name not in A_FEW:
                    continue
                want, got = expected(entry, method, caller), verdict(called(caller.client, method, url))
                if got != want and (want, got) not in AS_GOOD:
                    holes.append(f"{method} {url} as {caller.name}: {got}, not {want}")
    assert not holes, f"{len(holes)} holes:\n" + "\n".join(holes[:60])


def called(client: Client, method: str, url: str) -> Any:
    """The answer; whatever was done is undone."""
    body = {} if method in {"GET", "HEAD", "OPTIONS"} else {"data": "{}", "content_type": "application/json"}
    if url.startswith("/admin/") and method == "POST":
        body = {"data": {}}
    # Not `atomic`: some services insist that theirs is the outermost transaction.
    before, cookies = transaction.savepoint(), dict(client.cookies)
    try:
        return client.post(url, **body) if method == "POST" else client.generic(method, url, **body)
    finally:
        transaction.set_rollback(False)
        transaction.savepoint_rollback(before)
        client.cookies.clear()
        client.cookies.update(cookies)
