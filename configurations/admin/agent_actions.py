"""What can be done to many chosen agents about their configuration, in the menu of their list."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from agents.admin.bulk_actions import BulkAction, register_bulk_action


def register() -> None:
    """Into the menu of the list of agents."""
    register_bulk_action(
        BulkAction(
            name="offer_again",
            offline=_("Those offline get it when they connect."),
            done=_("Agents offered their configuration once more: %(count)d."),
        )
    )
