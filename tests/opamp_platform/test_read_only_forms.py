"""Forms that somebody may only read."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import Permission
from django.utils import timezone

from agents.remote_config import ConfigFile
from configurations.services.publishing import Draft, create_configuration

pytestmark = pytest.mark.django_db


def test_yes_and_no_are_words_where_a_form_is_only_read(client, alice, bob):
    row, _findings = create_configuration(
        "c", Draft(selector={"env": "x"}, files={"": ConfigFile(b"a: 1\n", "text/yaml")}), by=alice, at=timezone.now()
    )
    bob.user_permissions.add(Permission.objects.get(codename="view_user"))
    client.force_login(bob)
    for url in (f"/admin/configurations/configuration/{row.pk}/change/", f"/admin/accounts/user/{alice.pk}/change/"):
        for language, yes, no in (("en", "Yes", "No"), ("zh-CN", "是", "否")):
            body = client.get(url, HTTP_ACCEPT_LANGUAGE=language).content.decode()
            readonly = re.findall(r'<div class="readonly">(.*?)</div>', body, re.DOTALL)
            assert readonly
            assert not [field for field in readonly if "<img" in field or "True" in field]
            assert f"</span> {yes}</span>" in body
            assert f"</span> {no}</span>" in body or "user" in url
