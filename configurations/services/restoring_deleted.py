"""Restoring deleted configurations: with their revisions as history, and disabled, so that no agent gets anything by it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from accounts import services as accounts
from accounts.models import User
from agents.remote_config import RemoteConfig
from configurations.models import Configuration, DeletedConfiguration, Revision, files_from_json
from configurations.services.drafts import InvalidConfiguration
from configurations.services.edit_errors import NameTaken
from configurations.services.keeping_deleted import DeletedGone
from configurations.services.publishing import RESERVED_NAMES, add_revision
from configurations.services.releasing import release
from configurations.services.targeting import hold_targeting
from foundation.messages import Message
from rollouts.audiences import EVERYONE

_TARGETING = ("selector", "match_all", "priority", "enabled")


@transaction.atomic
def restore_configuration(pk: int, *, by: User | None, at: datetime, name: str = "") -> Configuration:
    """Make a deleted configuration anew, under ``name`` or its own, disabled.

    The revisions that were kept become its history, numbered from 1; the files of the one that was live are those of one
    more, which whoever enables it publishes. Drafts of the deleted one stay what they are. Raises `DeletedGone`, `NameTaken`,
    `InvalidConfiguration` for a name that no configuration can have.
    """
    hold_targeting(exclusive=True)
    kept = DeletedConfiguration.objects.select_for_update().filter(pk=pk).first()
    if kept is None:
        raise DeletedGone
    configuration = _made(name or kept.name, kept.state, at)
    history = list(reversed(kept.revisions))
    rows = Revision.objects.bulk_create(
        _revision(configuration, number, entry, kept.files) for number, entry in enumerate(history, 1)
    )
    if rows:
        configuration.current = rows[-1]
        note = f"Restored; it was deleted by {kept.deleted_by_name}"
        config = RemoteConfig(files_from_json(kept.present_files))
        revision = add_revision(configuration, config, by=by, at=at, note=note)
        release(revision, to=EVERYONE, by=by, at=at)
    if not DeletedConfiguration.objects.filter(pk=pk).delete()[0]:
        raise DeletedGone
    data: dict[str, Any] = {"revision": len(rows) + 1, "former_name": kept.name, "revisions": len(rows)}
    accounts.record(by=by, verb="configuration.restore", target=configuration, name=configuration.name, data=data)
    return configuration


def _made(name: str, state: Mapping[str, Any], at: datetime) -> Configuration:
    columns = {key: value for key, value in state.items() if key not in ("edition", "revision")}
    columns |= {"enabled": False, "updated_at": at}
    # ETags of what was deleted must not fit.
    configuration = Configuration(name=name, edition=int(state["edition"]) + 1, **columns)
    if name in RESERVED_NAMES:
        reserved = Message(
            "reserved-name", "The name {name} is taken by a URL of the API; choose another one.", name=repr(name)
        )
        raise InvalidConfiguration({"name": [reserved]})
    try:
        configuration.clean_fields(exclude=["current"])
    except ValidationError as error:
        raise InvalidConfiguration({key: list(texts) for key, texts in error.message_dict.items()}) from error
    try:
        with transaction.atomic():
            configuration.save(force_insert=True)
    except IntegrityError as error:
        taken = Message(
            "restore-under-another-name",
            "There is a configuration named {name} already: restore this one under another name.",
            name=repr(name),
        )
        raise NameTaken({"name": [taken]}) from error
    return configuration


def _revision(
    configuration: Configuration, number: int, entry: Mapping[str, Any], files: Mapping[str, Any]
) -> Revision:
    author = User.objects.filter(pk=entry["author"]).first() if entry["author"] else None
    return Revision(
        configuration=configuration,
        number=number,
        files=files[entry["hash"]],
        hash=entry["hash"],
        templated=any(file.get("template") for file in files[entry["hash"]].values()),
        author=author,
        author_name=entry["author_name"],
        note=entry["note"],
        created_at=datetime.fromisoformat(entry["created_at"]),
        **{key: entry[key] for key in _TARGETING},
    )
