"""Leaves a sample of a mutation session to be judged, the other changes skipped; runs where cosmic-ray is installed."""

import random
import sys

from cosmic_ray.work_db import use_db
from cosmic_ray.work_item import WorkerOutcome, WorkResult


def main(session: str, size: int) -> None:
    """Draw ``size`` of the changes that are still to be judged in the file ``session``, the same ones each time."""
    with use_db(session) as database:
        pending = sorted(database.pending_work_items, key=lambda item: [str(change) for change in item.mutations])
        left_out = random.Random(0).sample(pending, max(0, len(pending) - size))
        for item in left_out:
            database.set_result(item.job_id, WorkResult(WorkerOutcome.SKIPPED))
        print(f"{len(pending) - len(left_out)} of {len(pending)} changes are judged")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
