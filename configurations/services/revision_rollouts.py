"""Rolling out a revision that there is already: the newest one, or a former one."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from accounts.models import User
from configurations.models import RELEASE_SUBJECT, Configuration, Revision
from configurations.services.edit_errors import AlreadyReleased, UnknownRevision
from configurations.services.publishing import ReleasePlan, rolled_back, update_configuration
from configurations.services.targeting import hold_targeting
from foundation.messages import Message
from rollouts.audiences import EVERYONE, stored
from rollouts.models import Rollout


@transaction.atomic
def roll_out_revision(
    name: str,
    number: int | None = None,
    *,
    by: User | None,
    at: datetime,
    plan: ReleasePlan,
    note: str = "",
    force: bool = False,
) -> Rollout:
    """Roll out files and targeting of revision ``number``, by default the newest one, as ``plan`` says, which is ``staged``.

    A revision is released once, so it goes out as a new one that says what it is, as going back does. Raises
    `Configuration.DoesNotExist`, `UnknownRevision`, `AlreadyReleased` for what everybody has, `RolloutRunning`, and what an edit
    with these files raises.
    """
    # From here on nobody edits it, until the transaction ends.
    hold_targeting(exclusive=True)
    configuration = Configuration.objects.select_related("current").get(name=name)
    revisions = configuration.revisions.defer("files").order_by("-number")
    revision = (revisions if number is None else revisions.filter(number=number)).first()
    if revision is None:
        raise UnknownRevision(name, number or 0)
    if _everybody_has(revision):
        raise AlreadyReleased(
            Message(
                "released-to-everybody",
                "Revision {number} of {name} is released to everybody already; there is nothing to roll out.",
                number=revision.number,
                name=name,
            )
        )
    wanted = rolled_back(configuration, revision.number)
    note = note or f"Revision {revision.number} rolled out again"
    update_configuration(name, wanted, by=by, at=at, note=note, force=force, plan=plan, anew=True)
    return Rollout.objects.of(RELEASE_SUBJECT, configuration.pk).latest("pk")


def _everybody_has(revision: Revision) -> bool:
    """Whether it is released to everybody, and nothing else of its configuration to anybody."""
    released = Revision.objects.released().filter(configuration=revision.configuration_id).select_related("release")
    in_force = list(released.defer("files")[:2])
    return (
        in_force == [revision] and in_force[0].release is not None and in_force[0].release.audience == stored(EVERYONE)
    )
