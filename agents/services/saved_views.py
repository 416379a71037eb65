"""Saved views: what people keep of the list of agents. Only the owner changes one; sharing needs the right to change agents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F

from accounts.models import User
from accounts.services import record
from agents.agent_columns import LISTED, InvalidColumns, columns_named
from agents.labels import label_key_problem
from agents.models import DefaultView, SavedView
from agents.queries import InvalidQuery
from agents.query_conditions import query_condition
from foundation.errors import Category, DomainError
from foundation.messages import Message

MOST_VIEWS = 100
SHARE_RIGHT = "agents.change_agent"


class InvalidView(DomainError):
    """What a view cannot be; ``errors`` are messages by field."""

    def __init__(self, errors: Mapping[str, Message]) -> None:
        self.errors = {name: [message] for name, message in errors.items()}
        super().__init__(Message("invalid-view", "The view is not valid."))


class NotYourView(DomainError):
    """It belongs to somebody else, or is to be shared by somebody who may not."""

    category = Category.FORBIDDEN


class ViewChanged(DomainError):
    """Somebody edited the view since it was read."""

    category = Category.OUTDATED


@dataclass(frozen=True, slots=True)
class ViewContent:
    """What a view shows; see `agents.models.SavedView`."""

    name: str
    shared: bool = False
    query: str = ""
    columns: tuple[str, ...] = ()
    group_by: str = ""
    ordering: str = ""


def view_content(view: SavedView) -> ViewContent:
    """As it is stored."""
    return ViewContent(view.name, view.shared, view.query, tuple(map(str, view.columns)), view.group_by, view.ordering)


@transaction.atomic
def create_view(content: ViewContent, *, by: User) -> SavedView:
    """A view of ``by``. Raises `InvalidView`, `NotYourView`."""
    check_content(content, by)
    # The person's row is the lock of all that is counted of theirs.
    User.objects.select_for_update().get(pk=by.pk)
    if SavedView.objects.filter(owner=by).count() >= MOST_VIEWS:
        raise InvalidView(
            {"name": Message("too-many-views", "You have {most} views; delete one first.", most=MOST_VIEWS)}
        )
    with _one_of_a_name():
        view = SavedView.objects.create(owner=by, **_columns(content))
    record(by=by, verb="view.create", target=view, name=view.name, data=_told(content))
    return view


@transaction.atomic
def edit_view(view_id: int, content: ViewContent, *, by: User, editions: frozenset[int] | None = None) -> SavedView:
    """Replace what a view of one's own shows, if it is still one of ``editions`` (``None``: any).

    Raises `InvalidView`, `NotYourView`, `ViewChanged`, `SavedView.DoesNotExist`.
    """
    view = _own(view_id, by)
    check_content(content, by)
    require_edition(view, editions)
    if content != view_content(view):
        with _one_of_a_name():
            SavedView.objects.filter(pk=view.pk).update(**_columns(content), edition=F("edition") + 1)
        if not content.shared:
            DefaultView.objects.filter(view=view).exclude(user=by).delete()
        record(by=by, verb="view.edit", target=view, name=content.name, data=_told(content))
    return SavedView.objects.get(pk=view.pk)


@transaction.atomic
def delete_view(view_id: int, *, by: User, editions: frozenset[int] | None = None) -> None:
    """Forget a view of one's own. Raises `NotYourView`, `ViewChanged`, `SavedView.DoesNotExist`."""
    view = _own(view_id, by)
    require_edition(view, editions)
    record(by=by, verb="view.delete", target=view, name=view.name)
    view.delete()


@transaction.atomic
def open_first(view_id: int | None, *, by: User) -> None:
    """Have the list open with a view that ``by`` sees, or with none. Raises `SavedView.DoesNotExist`."""
    if view_id is None:
        DefaultView.objects.filter(user=by).delete()
        return
    view = SavedView.objects.visible_to(by).get(pk=view_id)
    DefaultView.objects.update_or_create(user=by, defaults={"view": view})


def first_view_of(user: Any) -> SavedView | None:
    """The view with which the list opens for somebody, while they may see it."""
    return (
        SavedView.objects.visible_to(user)
        .filter(pk__in=DefaultView.objects.filter(user=user.pk).values("view"))
        .first()
    )


def require_edition(view: SavedView, editions: frozenset[int] | None) -> None:
    """Raises `ViewChanged` when the view is none of these any more."""
    if editions is not None and view.edition not in editions:
        raise ViewChanged(Message("view-changed", "The view was edited meanwhile; load it again."))


def require_owner(view: SavedView, by: User) -> None:
    """Raises `NotYourView` when it belongs to somebody else."""
    if view.owner_id != by.pk:
        raise NotYourView(
            Message("not-your-view", "The view belongs to somebody else; save it under a name of your own.")
        )


def _own(view_id: int, by: User) -> SavedView:
    view = SavedView.objects.visible_to(by).select_for_update(of=("self",)).get(pk=view_id)
    require_owner(view, by)
    return view


def check_content(content: ViewContent, by: User) -> None:
    """Whether ``by`` may have a view like that. Raises `InvalidView`, `NotYourView`."""
    errors: dict[str, Message] = {}
    if not content.name.strip() or len(content.name) > 100:
        errors["name"] = Message("view-name", "A view has a name of at most {most} characters.", most=100)
    try:
        query_condition(content.query, by)
    except InvalidQuery as error:
        errors["query"] = error.message
    try:
        columns = columns_named(content.columns)
    except InvalidColumns as error:
        errors["columns"] = error.message
    else:
        orders = [column.name for column in columns or columns_named(LISTED) if column.field]
        if content.ordering and content.ordering.removeprefix("-") not in orders:
            message = Message(
                "view-ordering", "A view is ordered by one of its columns: {known}.", known=", ".join(orders) or "–"
            )
            errors["ordering"] = message
    if content.group_by and (problem := label_key_problem(content.group_by)):
        errors["group_by"] = problem
    if errors:
        raise InvalidView(errors)
    if content.shared and not by.has_perm(SHARE_RIGHT):
        raise NotYourView(Message("view-not-shared", "Sharing a view needs the right to change agents."))


@contextmanager
def _one_of_a_name() -> Iterator[None]:
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        message = Message("view-name-taken", "You have a view of that name already.")
        raise InvalidView({"name": message}) from error


def _columns(content: ViewContent) -> dict[str, Any]:
    return {**asdict(content), "columns": list(content.columns)}


def _told(content: ViewContent) -> dict[str, Any]:
    return {name: value for name, value in _columns(content).items() if value and name != "name"}


def column_names(text: str | Sequence[str]) -> tuple[str, ...]:
    """Names as they are typed, with commas or line breaks between them."""
    parts = text.replace("\n", ",").split(",") if isinstance(text, str) else text
    return tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))
