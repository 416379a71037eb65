"""Which right each call of the API needs: no more, no less, and no other."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission
from django.utils import timezone

from accounts.models import User
from agents.remote_config import ConfigFile
from agents.reports import AgentCapabilities
from configurations.services.publishing import Draft, create_configuration
from tests.people import CAPABLE

pytestmark = pytest.mark.django_db
VIEW_AGENTS, VIEW_CONFIGURATIONS = "agents.view_agent", "configurations.view_configuration"
NEW = {"name": "new", "raw_config": "a: 1\n"}
# Method, path, body, the rights it needs, and what it answers with them.
CALLS = [
    ("get", "agents", None, [VIEW_AGENTS], 200),
    ("get", "agents/{uid}/timeline", None, [VIEW_AGENTS], 200),
    ("get", "agents/{uid}/commands", None, [VIEW_AGENTS], 200),
    ("get", "agents/{uid}/configuration", None, [VIEW_AGENTS, VIEW_CONFIGURATIONS], 200),
    ("patch", "agents/{uid}", {"notes": "x"}, [VIEW_AGENTS, "agents.change_agent"], 200),
    ("post", "agents/{uid}/restart", None, [VIEW_AGENTS, "agents.change_agent"], 202),
    ("post", "agents/{uid}/custom-message", {"capability": "none"}, [VIEW_AGENTS, "agents.change_agent"], 409),
    (
        "post", "agents/{uid}/configuration/retry", None,
        [VIEW_AGENTS, "agents.change_agent", VIEW_CONFIGURATIONS], 200,
    ),
    ("post", "agents/restart", {"match_all": True}, [VIEW_AGENTS, "agents.change_agent"], 200),
    ("post", "agents/labels", {"match_all": True, "set": {"a": "b"}}, [VIEW_AGENTS, "agents.change_agent"], 200),
    ("delete", "agents/{uid}", None, [VIEW_AGENTS, "agents.delete_agent"], 204),
    ("get", "configurations", None, [VIEW_CONFIGURATIONS], 200),
    ("get", "configurations/c/revisions", None, [VIEW_CONFIGURATIONS], 200),
    ("get", "configurations/c/agents", None, [VIEW_CONFIGURATIONS, VIEW_AGENTS], 200),
    ("get", "compare?left=configuration:c&right=configuration:c", None, [VIEW_CONFIGURATIONS], 200),
    ("post", "configurations", NEW, [VIEW_CONFIGURATIONS, "configurations.add_configuration"], 201),
    ("post", "configurations/preview", {"raw_config": "a: 1"}, [VIEW_CONFIGURATIONS, VIEW_AGENTS], 200),
    ("post", "configurations/c/preview", {}, [VIEW_CONFIGURATIONS, VIEW_AGENTS], 200),
    ("put", "configurations/c", {"raw_config": "a: 1"}, [VIEW_CONFIGURATIONS, "configurations.change_configuration"], 200),
    ("patch", "configurations/c", {}, [VIEW_CONFIGURATIONS, "configurations.change_configuration"], 200),
    (
        "post", "configurations/c/rollback", {"revision": 1},
        [VIEW_CONFIGURATIONS, "configurations.change_configuration"], 200,
    ),
    ("delete", "configurations/c", None, [VIEW_CONFIGURATIONS, "configurations.delete_configuration"], 204),
]  # fmt: skip


def allow(user: User, rights: list[str]) -> User:
    """The same user, fresh, with exactly these rights."""
    codes = [right.partition(".")[2] for right in rights]
    user.user_permissions.set(Permission.objects.filter(codename__in=codes))
    return User.objects.get(pk=user.pk)


@pytest.mark.parametrize(("method", "path", "body", "rights", "status"), CALLS)
def test_a_call_needs_exactly_its_rights(api_of, charlie, report, method, path, body, rights, status):
    draft = Draft(selector={"env": "prod"}, files={"": ConfigFile(b"a: 1\n", "text/yaml")})
    create_configuration("c", draft, by=None, at=timezone.now())
    agent = report(env="prod", capabilities=CAPABLE | AgentCapabilities.ACCEPTS_RESTART_COMMAND)
    url = f"/api/v1/{path.format(uid=agent.instance_uid)}"
    every = Permission.objects.filter(content_type__app_label__in=["agents", "configurations"])
    writing = rights if method == "get" or "preview" in path else rights[1:]
    for missing in writing:
        charlie.user_permissions.set(every.exclude(codename=missing.partition(".")[2]))
        refused = getattr(api_of(User.objects.get(pk=charlie.pk)), method)(url, body)
        assert refused.status_code == 403, missing
    answer = getattr(api_of(allow(charlie, rights)), method)(url, body)
    assert answer.status_code == status, answer.content
