"""The three people of every test: alice runs the portal, bob may look, charlie may nothing; and agents that report."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import User
from accounts.services import VIEWER, ensure_roles
from agents.instance_uids import new_instance_uid
from agents.models import Agent, Transport
from agents.reports import (
    AgentCapabilities,
    AgentDescription,
    ComponentHealth,
    EffectiveConfig,
    RemoteConfigStatus,
    RemoteConfigStatuses,
    StatusReport,
)
from agents.services.arrivals import Arrival, Lease
from opamp_transport.batch import process_reports

CAPABLE = int(
    AgentCapabilities.REPORTS_STATUS
    | AgentCapabilities.ACCEPTS_REMOTE_CONFIG
    | AgentCapabilities.REPORTS_REMOTE_CONFIG
    | AgentCapabilities.REPORTS_HEALTH
    | AgentCapabilities.ACCEPTS_RESTART_COMMAND
)


@pytest.fixture
def alice(db: None) -> User:
    """An administrator."""
    return User.objects.create_superuser("alice", password="alice-password")


@pytest.fixture
def signed_in(client: Client, alice: User) -> Client:
    """The administrator's browser."""
    client.force_login(alice)
    return client


@pytest.fixture
def bob(db: None) -> User:
    """A viewer: staff, with the viewer role."""
    ensure_roles()
    user = User.objects.create_user("bob", password="bob-password", is_staff=True)
    user.groups.add(Group.objects.get(name=VIEWER))
    return user


@pytest.fixture
def charlie(db: None) -> User:
    """Staff without any right."""
    return User.objects.create_user("charlie", password="charlie-password", is_staff=True)


@pytest.fixture
def api_of() -> Callable[[User | None], APIClient]:
    """An API client acting as a person, or as nobody."""

    def make(user: User | None) -> APIClient:
        client = APIClient()
        if user is not None:
            client.force_authenticate(user)
        return client

    return make


@pytest.fixture
def report() -> Callable[..., Agent]:
    """Have an agent report through the real batch processing; returns its row. Members of `StatusReport` are reported too."""
    members = {member.name for member in dataclasses.fields(StatusReport)}

    def make(name: str = "web-1", *, healthy: bool = True, capabilities: int = CAPABLE, **more: Any) -> Agent:
        parts = {key: value for key, value in more.items() if key in members}
        labels = {key: value for key, value in more.items() if key not in members}
        uid = new_instance_uid()
        message = StatusReport(
            instance_uid=uid,
            capabilities=capabilities,
            agent_description=AgentDescription(
                {"service.name": "otelcol", "service.version": "0.120.0"},
                {"host.name": name, "os.type": "linux", "host.arch": "amd64", **labels},
            ),
            **{
                "health": ComponentHealth(healthy, "" if healthy else "broken", "", 0, 0, {"healthy": healthy}),
                "effective_config": EffectiveConfig({"": {"body": "receivers: {}\n"}}),
                "remote_config_status": RemoteConfigStatus(b"", RemoteConfigStatuses.UNSET, ""),
                **parts,
            },
        )
        lease = Lease(f"ws-{uid.hex}", "test", Transport.WEBSOCKET, "127.0.0.1")
        process_reports([Arrival(message, lease)], at=timezone.now())
        return Agent.objects.get(instance_uid=uid)

    return make
