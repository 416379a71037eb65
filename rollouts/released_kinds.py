"""Registering a kind of released versions, in ``AppConfig.ready``."""

from __future__ import annotations

import functools
from typing import Any

from agents import extensions
from agents.services.offers import register_offer
from rollouts.services.released_offers import ReleasedOffer
from rollouts.services.version_subjects import VersionSubject
from rollouts.subjects import register_subject


def register_released(subject: VersionSubject[Any, Any], offer: type[ReleasedOffer[Any]]) -> None:
    """Have versions of this kind rolled out and offered, and agents matched anew when an operator changes their labels."""
    releasing = subject.releasing
    extensions.register_before_relabelling(functools.partial(releasing.kind.hold, exclusive=False))
    extensions.register_after_relabelling(releasing.assign_relabelled)
    register_offer(offer)
    register_subject(subject)
