"""The transport app: the consumers for agents."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class OpampTransportConfig(AppConfig):
    """Stands on configurations and agents."""

    name = "opamp_transport"
    verbose_name = _("OpAMP")
