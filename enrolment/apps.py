"""The enrolment app: tokens that bring agents in, and approval of new agents."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class EnrolmentConfig(AppConfig):
    """Stands on agents; knows nothing of what they are offered, nor of the wire."""

    name = "enrolment"
    verbose_name = _("Enrolment")

    def ready(self) -> None:
        from agents.extensions import register_heading, register_timeline_kind
        from agents.services.offers import register_offer
        from agents.services.ways_in import register_way_in
        from enrolment import approval_shown
        from enrolment.enrolment_lines import TIMELINE_KINDS
        from enrolment.opamp import LostRevocations
        from enrolment.services import approval_actions
        from enrolment.services.coming_in import EnrolmentTokens
        from foundation.navigation import Page, Task, place_lists, place_page

        place_lists(Task.AGENTS, "enrolment.enrolmenttoken")
        place_page(Task.AGENTS, Page("connect", _("Connect an agent"), "admin:connect", ("agents.view_agent",)))
        register_way_in(EnrolmentTokens())
        approval_actions.register()
        register_offer(LostRevocations)
        for kind in TIMELINE_KINDS:
            register_timeline_kind(kind)
        register_heading(approval_shown.approval_heading)
