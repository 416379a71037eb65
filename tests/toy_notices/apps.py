"""Registers the toy notices."""

from django.apps import AppConfig


class ToyNoticesConfig(AppConfig):
    name, label = "tests.toy_notices", "toy_notices"

    def ready(self) -> None:
        from agents.extensions import TimelineKind, register_timeline_kind
        from rollouts.released_kinds import register_released
        from tests.toy_notices.opamp import NoticeOffer
        from tests.toy_notices.releases import SUBJECT

        register_released(SUBJECT, NoticeOffer)
        register_timeline_kind(TimelineKind("notice_due", "Notice", lambda data: "Notice due", "quiet"))
