"""The certificates app: certificates of agents, asked for with a CSR."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class CertificatesConfig(AppConfig):
    """Stands on agents."""

    name = "certificates"
    verbose_name = _("Certificates")
