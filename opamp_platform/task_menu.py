"""The portal's menu: what a person may see of the tasks that apps declare in `foundation.navigation`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.text import capfirst

from foundation import navigation
from foundation.navigation import Task

_ORDER = {task.value: place for place, task in enumerate(Task)}
# Apps that declare nothing come before people and the audit trail.
_OTHERS = _ORDER[Task.ACCESS] - 0.5


@dataclass(frozen=True)
class MenuEntry:
    """A link of the menu; ``current``: the page is it, or below it."""

    title: Any
    url: str
    current: bool = False


@dataclass
class Heading:
    """A task with what stands under it; the first entry is the task itself."""

    title: Any
    entries: list[MenuEntry] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where the task begins."""
        return self.entries[0].url

    @property
    def current(self) -> bool:
        """Whether the page is one of the task's."""
        return any(entry.current for entry in self.entries)

    @property
    def exactly(self) -> bool:
        """Whether it is the page that the task's own link leads to, under its own name."""
        return self.entries[0].current and self.further != self.entries

    @property
    def further(self) -> list[MenuEntry]:
        """What stands below the task: all of it, unless the first is called as the task is."""
        first = self.entries[0]
        return self.entries[1:] if first.title in {"", str(self.title)} else self.entries


def as_tasks(request: HttpRequest, apps: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Django's list of apps with their models put under tasks, pages among them, in the menu's order."""
    found: dict[str, list[tuple[int, dict[str, Any]]]] = {}
    names: dict[str, Any] = dict(navigation.TITLES)
    for app in apps:
        for model in app["models"]:
            place = navigation.place_of(f"{app['app_label']}.{model['object_name'].lower()}")
            names.setdefault(place.task, app["name"])
            found.setdefault(place.task, []).append((place.rank, model))
    for place, page in navigation.pages():
        if request.user.has_perms(page.rights):
            shown = {
                "model": None,
                "name": page.title,
                "object_name": page.name,
                "perms": {"view": True},
                "admin_url": reverse(page.url),
                "add_url": None,
                "view_only": True,
            }
            found.setdefault(place.task, []).append((place.rank, shown))
    tasks = sorted(found, key=lambda task: (_ORDER.get(task, _OTHERS), str(names[task])))
    return [
        {
            "name": names[task],
            "app_label": task,
            "app_url": models[0].get("admin_url") or reverse("admin:index"),
            "has_module_perms": True,
            "models": models,
        }
        for task in tasks
        if (models := [model for _rank, model in sorted(found[task], key=lambda item: item[0])])
    ]


def menu_of(request: HttpRequest, tasks: Sequence[Mapping[str, Any]]) -> list[Heading]:
    """The headings for ``tasks``, the overview first; the entry whose address the page's begins with is the current one."""
    index = reverse("admin:index")
    urls = [model["admin_url"] for task in tasks for model in task["models"] if model.get("admin_url")]
    here = max((url for url in urls if request.path.startswith(url)), key=len, default="")
    overview = Heading(navigation.TITLES[Task.OVERVIEW], [MenuEntry("", index, request.path == index)])
    headings = [
        Heading(
            task["name"],
            [
                MenuEntry(capfirst(str(model["name"])), model["admin_url"], model["admin_url"] == here)
                for model in task["models"]
                if model.get("admin_url")
            ],
        )
        for task in tasks
    ]
    return [overview, *(heading for heading in headings if heading.entries)]
