"""Rows about alerts, one file for each idea."""

from alerts.models.alert_rows import MOST_SAMPLED, Alert
from alerts.models.delivery_rows import AlertDelivery
from alerts.models.receiver_rows import Receiver
from alerts.models.rule_rows import AlertRule, AlertSeverity
from alerts.models.silence_rows import Silence

__all__ = ["MOST_SAMPLED", "Alert", "AlertDelivery", "AlertRule", "AlertSeverity", "Receiver", "Silence"]
