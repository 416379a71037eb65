"""People × entry points: for every URL, every method and every kind of caller, whether it lets them in.

`ENTRY_POINTS` declares the right that each URL needs, `rights_of_roles` what each person has. The expected verdict follows from
these two and from nothing the code does. A URL that is not declared fails the first test: who adds one says here whose it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.signing import TimestampSigner
from django.db import transaction
from django.template.response import SimpleTemplateResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from accounts.models import AuditEntry, User
from accounts.services import issue_token
from agents.remote_config import ConfigFile
from configurations.models import DeletedConfiguration
from configurations.services.draft_saving import save_draft
from configurations.services.pinning import pin_agent
from configurations.services.publishing import Draft, ReleasePlan, create_configuration, delete_configuration
from connections.services.settings_edits import create_settings
from enrolment.services.tokens import TokenWish, issue_enrolment_token
from opamp_platform import refusal
from opamp_platform.api.docs import SchemaView
from packages.services.package_edits import add_version, create_package
from rollouts.audiences import EVERYONE
from rollouts.models import Rollout
from rollouts.policies import parse_policy
from rollouts.services.freezing import start_freeze
from tests.alerts.rows import alerting_things
from tests.certificates.rows import made
from tests.opamp_platform.callers import Caller, all_callers
from tests.opamp_platform.entry_points import ENTRY_POINTS, PUBLIC, EntryPoint
from variables.encryption import encrypted
from variables.models import Secret, Variable

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite_is_enough]

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")


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
    """Something of each kind."""
    return something_of_each(report)


def something_of_each(report: Callable[..., Any]) -> dict[str, str]:
    """Something of each kind, by what it is called in patterns; ``report`` makes an agent. Benchmarks ask for it too."""
    draft = Draft(selector={"env": "prod"}, files={"": ConfigFile(b"receivers: {}\n", "text/yaml")})
    configuration, _findings = create_configuration("c", draft, by=None, at=timezone.now())
    kept = save_draft("c", draft, by=None, at=timezone.now())
    create_configuration("gone", draft, by=None, at=timezone.now())
    delete_configuration("gone", by=None, at=timezone.now())
    deleted = DeletedConfiguration.objects.get()
    agent = report(env="prod")
    plan = ReleasePlan(parse_policy({"stages": [{"percent": 1}]}))
    create_configuration("staged", draft, by=None, at=timezone.now(), plan=plan)
    rollout = Rollout.objects.latest("pk")
    freeze = start_freeze(EVERYONE, reason="r", by=None, at=timezone.now())
    pin = pin_agent(agent.pk, configuration="c", revision=None, reason="r", by=None, at=timezone.now())
    brought, _text = issue_enrolment_token(TokenWish("edge", {}), by=None, at=timezone.now())
    variable = Variable.objects.create(name="v", value="x")
    secret = Secret.objects.create(name="s", encrypted=encrypted("a-long-secret"))
    package = create_package({"name": "p"}, by=None, at=timezone.now())
    add_version(package, "1.0", by=None, at=timezone.now())
    moved = create_settings(
        {"name": "c", "content": {"own_logs": {"endpoint": "https://h/v1/logs"}}}, by=None, at=timezone.now()
    )
    certificate = made(agent)
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
        "variables/variable": str(variable.pk),
        "variables": str(variable.pk),
        "variables/secret": str(secret.pk),
        "configurations/pin": str(pin.pk),
        "rollouts/rollout": str(rollout.pk),
        "rollouts": str(rollout.pk),
        "rollouts/freeze": str(freeze.pk),
        "enrolment/enrolmenttoken": str(brought.pk),
        "enrolment-tokens": str(brought.pk),
        "freezes": str(freeze.pk),
        "packages/package": str(package.pk),
        "packages": str(package.pk),
        "connections/connectionsettings": str(moved.settings.pk),
        "certificates/agentcertificate": str(certificate.pk),
        "certificates": str(certificate.pk),
        "accounts/user": str(victim.pk),
        "accounts/apitoken": str(token.pk),
        "accounts/auditentry": str(entry.pk),
        "auth/group": str(role.pk),
        "instance_uid": str(agent.instance_uid),
        "tokens": str(token.pk),
        "audit": str(entry.pk),
        **alerting_things(),
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
        .replace("<int:file_id>", "1")
        .replace("(?P<file_id>[0-9]{1,18})", "1")
        .replace("<str:token>", TimestampSigner(salt="packages.download", sep=".").sign("1"))
        .replace("<str:filename>", "file")
        .replace("<slug:name>", "pause")
        .replace("<slug:kind>", "agents_gone")
        .replace("<slug:key>", "0" * 64)
    )
    url = re.sub(r"<path:content_type_id>/<path:object_id>", "1/1", url)
    url = re.sub(r"<(path:)?(object_)?id>|<int:pk>|\(\?P<pk>[^)]*\)", known, url)
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


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Views run to their end, but pages and the schema stay blank: of thousands of answers only the status counts here."""
    monkeypatch.setattr(SimpleTemplateResponse, "rendered_content", "drawn")
    monkeypatch.setattr(refusal, "render_to_string", lambda *_arguments: "drawn")
    monkeypatch.setattr(SchemaView.generator_class, "get_schema", lambda *_arguments, **_options: {})


@pytest.mark.parametrize("portal_pages", [True, False], ids=["pages", "rest"])
def test_everybody_comes_in_where_they_may_and_nowhere_else(everybody, things, settings, portal_pages, undrawn):
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
