"""The transport app: the consumers for agents."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class OpampTransportConfig(AppConfig):
    """Stands on configurations and agents."""

    name = "opamp_transport"
    verbose_name = _("OpAMP")

    def ready(self) -> None:
        from agents.services.ways_in import register_way_in
        from opamp_transport.admission import SharedSecret

        register_way_in(SharedSecret())
