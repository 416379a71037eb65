"""Choosing roles and rights by boxes that say what they give."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import Group, Permission

pytestmark = pytest.mark.django_db


def boxes(page: str, name: str) -> list[str]:
    labels = re.findall(rf'<label for="id_{name}_\d+"><input type="checkbox"[^>]*>\s*(.*?)</label>', page, re.DOTALL)
    return [label.strip() for label in labels]


def test_rights_are_named_in_the_readers_language(signed_in):
    page = signed_in.get("/admin/auth/group/add/").content.decode()
    assert {"Agents: see", "Configurations: edit", "Can see secrets in configurations and reports"} <= {
        *boxes(page, "permissions")
    }
    chinese = boxes(
        signed_in.get("/admin/auth/group/add/", HTTP_ACCEPT_LANGUAGE="zh-CN").content.decode(), "permissions"
    )
    assert len(chinese) >= 25
    assert not [label for label in chinese if re.search("Can |see$|edit$|add$|delete$", label)]


def test_a_role_is_made_of_the_boxes(signed_in):
    right = Permission.objects.get(codename="view_agent")
    answer = signed_in.post("/admin/auth/group/add/", {"name": "looks", "permissions": [str(right.pk)]})
    assert answer.status_code == 302
    assert [*Group.objects.get(name="looks").permissions.all()] == [right]
    page = signed_in.get(f"/admin/auth/group/{Group.objects.get(name='looks').pk}/change/").content.decode()
    assert page.count(" checked") == 1


def test_rights_that_are_not_shown_stay(signed_in):
    role = Group.objects.create(name="old")
    hidden, shown = Permission.objects.get(codename="view_assignment"), Permission.objects.get(codename="view_agent")
    role.permissions.set([hidden, shown])
    answer = signed_in.post(f"/admin/auth/group/{role.pk}/change/", {"name": "old"})
    assert answer.status_code == 302
    assert [*role.permissions.all()] == [hidden]


def test_a_person_gets_roles_by_the_boxes(signed_in, bob, alice):
    role = Group.objects.create(name="other")
    page = signed_in.get(f"/admin/accounts/user/{bob.pk}/change/").content.decode()
    assert "other" in boxes(page, "groups")
    form = {"username": "bob", "is_active": "on", "is_staff": "on", "groups": [str(role.pk)]}
    form |= {"date_joined_0": "2030-01-01", "date_joined_1": "10:00:00"}
    answer = signed_in.post(f"/admin/accounts/user/{bob.pk}/change/", form)
    assert answer.status_code == 302, answer.content.decode()
    assert [*bob.groups.all()] == [role]
