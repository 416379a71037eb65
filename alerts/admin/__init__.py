"""Alerts in the admin; importing it registers the pages."""

from alerts.admin import alerts_overview
from alerts.admin.alert_pages import AlertAdmin
from alerts.admin.delivery_pages import DeliveryAdmin
from alerts.admin.receiver_pages import ReceiverAdmin
from alerts.admin.rule_pages import AlertRuleAdmin
from alerts.admin.silence_pages import SilenceAdmin

alerts_overview.register()

__all__ = ["AlertAdmin", "AlertRuleAdmin", "DeliveryAdmin", "ReceiverAdmin", "SilenceAdmin"]
