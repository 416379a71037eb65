"""What two people do at the same moment: names that are taken meanwhile, rows that are deleted meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import IntegrityError, models, transaction

from alerts.errors import InvalidAlerting
from foundation.messages import Message


@contextmanager
def one_of_a_name() -> Iterator[None]:
    """Save a row whose name was free a moment ago. Raises `InvalidAlerting` when somebody else has taken it."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        said = Message("alerting-name-taken", "There is one of that name already.")
        raise InvalidAlerting({"name": [said]}) from error


def must_be_there(field: str, rows: Sequence[models.Model]) -> None:
    """Keep ``rows``, which are of one model, until the caller's transaction ends. Raises `InvalidAlerting` when one is gone."""
    if not rows:
        return
    model: Any = type(rows[0])
    keys = {row.pk for row in rows}
    kept = model.objects.select_for_update().filter(pk__in=keys).order_by("pk").values_list("pk", flat=True)
    if keys - set(kept):
        raise InvalidAlerting({field: [Message("alerting-gone", "It was deleted meanwhile: choose again.")]})
