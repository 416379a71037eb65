"""What the server may tell agents about themselves: restart, custom messages, a new uid, connection settings."""

from agents.opamp.commands import RestartOffer
from agents.opamp.connection_settings import ConnectionSettingsOffer
from agents.opamp.custom_messages import CustomCapabilitiesOffer, CustomMessageOffer
from agents.opamp.identity import NewUidOffer
from agents.services.offers import register_offer


def register() -> None:
    """Have all of them asked in every batch; a restart first, for it travels alone (S-96)."""
    for kind in (RestartOffer, NewUidOffer, ConnectionSettingsOffer, CustomCapabilitiesOffer, CustomMessageOffer):
        register_offer(kind)
