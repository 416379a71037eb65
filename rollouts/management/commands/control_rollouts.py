"""``manage.py control_rollouts list|start|pause|resume|approve|abort|roll-back [ID]``: rollouts from a script on the server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import User
from foundation.clock import clock
from foundation.errors import DomainError
from foundation.messages import Message
from rollouts.models import Rollout
from rollouts.services import rolling_out

_ACTS: dict[str, Callable[..., Rollout]] = {
    "start": rolling_out.begin_now,
    "pause": rolling_out.pause,
    "resume": rolling_out.resume,
    "approve": rolling_out.approve,
    "abort": rolling_out.abort,
    "roll-back": rolling_out.roll_back_rollout,
    # As it was called formerly.
    "roll_back": rolling_out.roll_back_rollout,
}
_WITH_REASON = frozenset({"start", "pause", "roll-back", "roll_back"})
_LISTED = 50
_LONGEST_REASON = 500


class Command(BaseCommand):
    """Lists them, or does to one what a button does."""

    help = "List rollouts, or start, pause, resume, approve, abort or roll back one."

    def add_arguments(self, parser: CommandParser) -> None:
        """What to do, to which, and why."""
        parser.add_argument("act", choices=["list", *_ACTS])
        parser.add_argument("id", type=int, nargs="?", help="The number of the rollout.")
        parser.add_argument("--reason", default="", help="Why; for start, pause and roll-back.")
        parser.add_argument("--user", default="", help="Who approves; somebody else than who started it.")

    def handle(self, *args: Any, **options: Any) -> None:
        """List, or act."""
        if options["act"] == "list":
            for rollout in Rollout.objects.order_by("-pk")[:_LISTED]:
                stage = f"stage {rollout.stage + 1} of {len(rollout.stages)}"
                title = f" ({rollout.stage_name})" if rollout.stage_name else ""
                self.stdout.write(f"{rollout.pk}\t{rollout}\t{rollout.state_at(clock.now())}\t{stage}{title}")
            return
        if options["id"] is None:
            raise CommandError("Name the rollout: its number is in the list.")
        named: dict[str, Any] = {"by": self._person(options), "at": clock.now()}
        reason = " ".join(options["reason"].split())[:_LONGEST_REASON]
        if reason and options["act"] in _WITH_REASON:
            named["reasons"] = [Message("rollout-reason", "Reason given: {reason}", reason=reason)]
        try:
            rollout = _ACTS[options["act"]](options["id"], **named)
        except Rollout.DoesNotExist:
            raise CommandError(f"There is no rollout {options['id']}.") from None
        except DomainError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{rollout.pk}\t{rollout}\t{rollout.state_at(clock.now())}")

    def _person(self, options: dict[str, Any]) -> User | None:
        if not options["user"]:
            if options["act"] == "approve":
                raise CommandError("Say who approves: --user NAME.")
            return None
        user = User.objects.filter(username=options["user"], is_active=True).first()
        if user is None:
            raise CommandError(f"There is no active user {options['user']!r}.")
        if not user.has_perm(f"rollouts.{'approve' if options['act'] == 'approve' else 'change'}_rollout"):
            raise CommandError(f"{options['user']} has no right to do that.")
        return user
