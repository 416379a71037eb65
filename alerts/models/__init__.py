"""Rows about alerts, one file for each idea."""

from alerts.models.alert_rows import MOST_SAMPLED, Alert
from alerts.models.delivery_rows import Delivery
from alerts.models.receiver_rows import Receiver
from alerts.models.rule_rows import AlertRule, Severity
from alerts.models.silence_rows import Silence

__all__ = ["MOST_SAMPLED", "Alert", "AlertRule", "Delivery", "Receiver", "Severity", "Silence"]
