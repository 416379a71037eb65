"""The telemetry app: what agents measure of themselves."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class TelemetryConfig(AppConfig):
    """Stands on agents; shows on their pages what they sent."""

    name = "telemetry"
    verbose_name = _("Telemetry")

    def ready(self) -> None:
        from agents.extensions import register_columns, register_component_rates, register_panel
        from agents.filters import register_agent_filter
        from agents.services.retention import RegisteredKind, register_pruned_kind
        from telemetry import columns, telemetry_panel, telemetry_words
        from telemetry.services import series

        telemetry_words.register()
        register_panel(telemetry_panel.PANEL)
        register_columns(columns.COLUMNS)
        register_component_rates(series.component_flows)
        register_agent_filter(
            "telemetry", series.keys_with_telemetry, help_text="Whether they send metrics of their own."
        )
        register_pruned_kind(RegisteredKind("telemetry", series.overdue_days))
        register_pruned_kind(RegisteredKind("latest telemetry", series.overdue_latest))
