"""The certificates app: certificates of agents, asked for with a CSR."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class CertificatesConfig(AppConfig):
    """Stands on agents."""

    name = "certificates"
    verbose_name = _("Certificates")

    def ready(self) -> None:
        from agents import extensions
        from agents.services.credentials import register_issued_certificates
        from agents.services.offers import register_offer
        from certificates import certificate_words
        from certificates.certificate_lines import CERTIFICATE_KIND
        from certificates.certificates_shown import CERTIFICATES_PANEL
        from certificates.opamp import CertificateOffer
        from certificates.services import looking_up, signing
        from foundation.chores import Chore, register_chore

        certificate_words.register()
        register_issued_certificates(looking_up.issued)
        register_offer(CertificateOffer)
        extensions.register_timeline_kind(CERTIFICATE_KIND)
        extensions.register_panel(CERTIFICATES_PANEL)
        register_chore(Chore("certificates", signing.SECONDS, signing.look))
