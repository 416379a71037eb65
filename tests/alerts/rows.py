"""One row of each kind, for tests that walk through all entry points."""

from __future__ import annotations

from django.utils import timezone

from alerts.models import Alert, AlertDelivery, Silence
from alerts.services.notifying import notice_of
from alerts.services.receiver_edits import create_receiver
from alerts.services.rule_edits import create_rule
from foundation.messages import Message


def alerting_things(name: str = "r") -> dict[str, str]:
    """Their keys, by what they are called in URLs; rule and receiver have this ``name``."""
    now = timezone.now()
    rule = create_rule({"name": name, "kind": "agents_gone"}, by=None, at=now)
    hook = {"name": name, "kind": "webhook", "address": "http://127.0.0.1:9/"}
    receiver = create_receiver(hook, by=None, at=now)
    alert = Alert.objects.create(
        rule=rule, rule_name="r", kind=rule.kind, severity="info", group_key="", state="firing", started_at=now, fired_at=now,
        last_at=now, text=Message("alert-test", "This is a test: nothing is wrong.").as_json(), count=1, notices=1,
    )  # fmt: skip
    silence = Silence.objects.create(note="n", author_name="system", starts_at=now, expires_at=now.replace(year=2099))
    delivery = AlertDelivery.objects.create(
        receiver=receiver, alert=alert, sequence=1, event="firing", state="failed", created_at=now,
        notice=notice_of(alert, "firing", rule).as_json(),
    )  # fmt: skip
    keys = {
        "alertrule": ("alert-rules", rule), "receiver": ("receivers", receiver), "alert": ("alerts", alert),
        "silence": ("silences", silence), "alertdelivery": ("alert-deliveries", delivery),
    }  # fmt: skip
    pages = {f"alerts/{model}": str(row.pk) for model, (_path, row) in keys.items()}
    return pages | {path: str(row.pk) for path, row in keys.values()}
