"""What the security advice of OpAMP asks of a server as a whole, where no single message could show it."""

from __future__ import annotations

import hmac

import pytest
from django.apps import apps

from accounts.models import AuditEntry
from agents.models import Agent, AgentCommand
from agents.replies import OpampSettings, Reply
from configurations.models import Configuration
from opamp_transport import admission
from opamp_transport.proto import opamp_pb2
from opamp_transport.protocol.encoding import encode_reply

pytestmark = pytest.mark.django_db


@pytest.mark.rule("S-113")
class TestOffersAndCommands:
    """Whatever reaches an agent was asked for by somebody with the right to, and is on record."""

    def test_a_viewer_can_neither_configure_nor_restart(self, api_of, bob, report):
        agent = report(env="prod")
        body = {"name": "prod", "raw_config": "receivers: {}\n", "selector": {"env": "prod"}}
        assert api_of(bob).post("/api/v1/configurations", body).status_code == 403
        assert api_of(bob).post(f"/api/v1/agents/{agent.instance_uid}/restart").status_code == 403
        assert not Configuration.objects.exists()
        assert not AgentCommand.objects.exists()

    def test_each_leaves_an_audit_entry_with_its_author(self, api_of, alice, report):
        agent = report(env="prod")
        body = {"name": "prod", "raw_config": "receivers: {}\n", "selector": {"env": "prod"}}
        assert api_of(alice).post("/api/v1/configurations", body).status_code == 201
        assert api_of(alice).post(f"/api/v1/agents/{agent.instance_uid}/restart").status_code == 202
        entries = AuditEntry.objects.order_by("id").values_list("verb", "actor_name")
        assert list(entries) == [("configuration.create", "alice"), ("agent.restart", "alice")]


@pytest.mark.rule("S-114")
def test_no_model_of_ours_has_a_place_for_a_private_key():
    ours = [
        model
        for name in ("accounts", "agents", "certificates", "configurations")
        for model in apps.get_app_config(name).get_models()
    ]
    assert Agent in ours
    fields = {f"{model.__name__}.{field.name}" for model in ours for field in model._meta.get_fields()}
    assert [name for name in fields if "private" in name or "signing" in name or name.endswith("ca_key")] == []


@pytest.mark.rule("S-117")
class TestCredentials:
    """The shared secret, and what is said about TLS."""

    @pytest.fixture(autouse=True)
    def secret(self, settings):
        settings.OPAMP_SECRET_KEY = "a-secret-of-the-fleet"

    def verdict(self, **headers: str) -> admission.Refusal | None:
        """The gate's answer to a handshake with these headers."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return admission.Gate().admit(named, address="127.0.0.1", websocket=True, queue_is_full=False, now=0.0)

    def test_it_is_compared_in_constant_time(self, monkeypatch):
        compared: list[bytes] = []
        original = hmac.compare_digest

        def watched(left: bytes, right: bytes) -> bool:
            compared.append(right)
            return original(left, right)

        monkeypatch.setattr(admission.hmac, "compare_digest", watched)
        assert self.verdict(authorization="Bearer a-secret-of-the-fleet") is None
        assert set(compared) == {b"a-secret-of-the-fleet"}

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"authorization": "Bearer a-secret-of-the-fleeT"},
            {"authorization": "Basic a-secret-of-the-fleet"},
            {"secret_key": ""},
            {"secret_key": "a-secret"},
        ],
    )
    def test_anything_else_is_refused(self, headers):
        refusal = self.verdict(**headers)
        assert refusal is not None
        assert refusal.status == 401

    def test_connection_settings_never_speak_of_tls(self):
        offer = OpampSettings("wss://portal.example.org/v1/opamp", 30, b"hash", (("Authorization", "Bearer x"),))
        reply = opamp_pb2.ServerToAgent.FromString(encode_reply(Reply(instance_uid=bytes(16), opamp_settings=offer)))
        assert reply.connection_settings.opamp.destination_endpoint.startswith("wss://")
        assert not reply.connection_settings.opamp.HasField("tls")
        assert not reply.connection_settings.opamp.HasField("certificate")
