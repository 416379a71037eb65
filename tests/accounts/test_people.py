"""People: added with a role, edited by whoever has no less than they, and all of it in the audit trail."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import Group, Permission
from django.test import Client

from accounts import people
from accounts.models import ApiToken, AuditEntry, User
from accounts.rights import BeyondOwnRights
from accounts.services import OPERATOR, VIEWER, ensure_roles, issue_token, verify_token

pytestmark = pytest.mark.django_db
USERS, GROUPS, TOKENS = "/admin/accounts/user/", "/admin/auth/group/", "/admin/accounts/apitoken/"
PASSWORD = "long-enough-for-all-8"


@pytest.fixture
def signed_in(client, alice):
    """A browser of the administrator."""
    ensure_roles()
    client.force_login(alice)
    return client


@pytest.fixture
def clerk(db) -> User:
    """Looks after people and tokens, and is no administrator: sees the fleet, no more."""
    ensure_roles()
    user = User.objects.create_user("clerk", password="clerk-password", is_staff=True)
    own = Permission.objects.filter(content_type__app_label__in=["accounts", "auth"])
    user.user_permissions.set(own)
    user.groups.add(Group.objects.get(name=VIEWER))
    return user


@pytest.fixture
def clerks(clerk) -> Client:
    """The clerk's browser."""
    client = Client()
    client.force_login(clerk)
    return client


def entry(verb: str) -> AuditEntry:
    """The one with this verb."""
    return AuditEntry.objects.get(verb=verb)


def person_form(user: User, **changes: object) -> dict[str, object]:
    """What a browser sends back of somebody's page."""
    form: dict[str, object] = {
        "username": user.username, "first_name": user.first_name, "last_name": user.last_name, "email": user.email,
        "groups": [group.pk for group in user.groups.all()],
        "user_permissions": [permission.pk for permission in user.user_permissions.all()],
        **{flag: "on" for flag in ("is_active", "is_staff", "is_superuser") if getattr(user, flag)},
    }  # fmt: skip
    form |= changes
    return {name: value for name, value in form.items() if value is not None}


def added(client: Client, role: str, name: str = "dora") -> str:
    """The page after somebody was added."""
    form = {"username": name, "password1": PASSWORD, "password2": PASSWORD, "role": role}
    return client.post(USERS + "add/", form, follow=True).content.decode()


class TestAdding:
    @pytest.mark.parametrize("role", [VIEWER, OPERATOR, "administrator", ""])
    def test_a_person_who_was_added_signs_in_and_has_the_role(self, signed_in, role):
        added(signed_in, role)
        visitor = Client()
        form = {"username": "dora", "password": PASSWORD, "next": "/admin/"}
        assert visitor.post("/admin/login/", form, follow=True).redirect_chain[-1][0] == "/admin/"
        dora = User.objects.get(username="dora")
        assert dora.is_superuser == (role == "administrator")
        assert [group.name for group in dora.groups.all()] == ([role] if role in {VIEWER, OPERATOR} else [])
        assert visitor.get("/admin/agents/agent/").status_code == (200 if role else 403)
        said = entry("user.create")
        assert (said.actor_name, said.object_name) == ("alice", "dora")
        assert said.data["is_superuser"] == (role == "administrator")
        assert PASSWORD not in str(said.data)

    def test_the_form_asks_for_password_and_role_and_proposes_the_viewer(self, signed_in):
        page = signed_in.get(USERS + "add/").content.decode()
        assert re.search(r'<option value="viewer" selected>viewer: sees the fleet', page)
        assert 'name="password1"' in page
        assert "administrator: may do everything" in page

    def test_a_clerk_gives_no_role_beyond_his_own(self, clerks):
        page = clerks.get(USERS + "add/").content.decode()
        assert 'value="viewer"' in page
        assert 'value="operator"' not in page
        assert 'value="administrator"' not in page
        for role in (OPERATOR, "administrator"):
            added(clerks, role)
            assert not User.objects.filter(username="dora").exists()
        added(clerks, VIEWER)
        assert User.objects.get(username="dora").groups.get().name == VIEWER


class TestNobodyGivesMoreThanTheyHave:
    def test_change_user_makes_nobody_an_administrator(self, clerks, clerk, bob):
        for victim in (clerk, bob):
            clerks.post(f"{USERS}{victim.pk}/change/", person_form(victim, is_superuser="on"))
            victim.refresh_from_db()
            assert not victim.is_superuser

    def test_nor_gives_roles_or_rights(self, clerks, clerk, bob):
        operator = Group.objects.get(name=OPERATOR)
        restart = Permission.objects.get(codename="change_agent")
        for victim in (clerk, bob):
            page = clerks.post(f"{USERS}{victim.pk}/change/", person_form(victim, groups=[operator.pk]))
            assert "You cannot give rights that you do not have yourself" in page.content.decode()
            clerks.post(f"{USERS}{victim.pk}/change/", person_form(victim, user_permissions=[restart.pk]))
            assert not User.objects.get(pk=victim.pk).has_perm("agents.change_agent")
        assert not AuditEntry.objects.filter(verb="user.edit").exists()

    def test_what_he_has_he_gives(self, clerks, charlie):
        viewer = Group.objects.get(name=VIEWER)
        clerks.post(f"{USERS}{charlie.pk}/change/", person_form(charlie, groups=[viewer.pk], email="c@example.com"))
        assert charlie.groups.get() == viewer
        assert entry("user.edit").data["changed"] == {"email": ["", "c@example.com"], "roles": [[], ["viewer"]]}

    def test_people_with_more_rights_are_left_alone(self, clerks, alice):
        before = alice.password
        page = f"{USERS}{alice.pk}"
        assert clerks.get(f"{page}/change/").status_code == 200
        assert clerks.post(f"{page}/change/", person_form(alice, is_active=None)).status_code == 403
        new = {"password1": PASSWORD, "password2": PASSWORD, "set-password": "x"}
        assert clerks.post(f"{page}/password/", new).status_code == 403
        assert clerks.post(f"{page}/delete/", {"post": "yes"}).status_code == 403
        alice.refresh_from_db()
        assert (alice.is_active, alice.password) == (True, before)

    def test_somebody_switched_off_keeps_the_rights_that_count(self, clerks, alice):
        User.objects.filter(pk=alice.pk).update(is_active=False)
        new = {"password1": PASSWORD, "password2": PASSWORD, "set-password": "x"}
        assert clerks.post(f"{USERS}{alice.pk}/password/", new).status_code == 403

    def test_tokens_are_had_for_nobody_with_more_rights(self, clerks, clerk, alice, api_of):
        page = clerks.post(TOKENS + "add/", {"name": "x", "user": alice.pk, "lifetime": "90d"}).content.decode()
        assert "alice has rights that you do not have yourself" in page
        answer = api_of(clerk).post("/api/v1/tokens", {"name": "x", "user": "alice"})
        assert (answer.status_code, answer.json()["detail"]) == (403, "alice has rights that you do not have yourself.")
        with pytest.raises(BeyondOwnRights):
            issue_token(alice, name="x", by=clerk)
        assert not ApiToken.objects.exists()
        clerks.post(TOKENS + "add/", {"name": "x", "user": clerk.pk, "lifetime": "90d"})
        assert ApiToken.objects.get().user == clerk

    def test_nor_are_their_tokens_revoked(self, clerks, clerk, alice, api_of):
        row, _text = issue_token(alice, name="ci", by=None)
        clerks.post(TOKENS, {"action": "revoke", "_selected_action": [row.pk]})
        assert clerks.post(f"{TOKENS}{row.pk}/delete/", {"post": "yes"}).status_code == 403
        assert api_of(clerk).delete(f"/api/v1/tokens/{row.pk}").status_code == 403
        row.refresh_from_db()
        assert row.revoked_at is None

    def test_roles_do_not_grow_beyond_their_editor(self, clerks, clerk):
        viewer, operator = Group.objects.get(name=VIEWER), Group.objects.get(name=OPERATOR)
        restart = Permission.objects.get(codename="change_agent")
        page = clerks.post(f"{GROUPS}{viewer.pk}/change/", {"name": "viewer", "permissions": [restart.pk]})
        assert "You cannot give rights that you do not have yourself: agents.change_agent" in page.content.decode()
        clerks.post(f"{GROUPS}add/", {"name": "mine", "permissions": [restart.pk]})
        assert clerks.post(f"{GROUPS}{operator.pk}/change/", {"name": "x", "permissions": []}).status_code == 403
        assert clerks.post(f"{GROUPS}{operator.pk}/delete/", {"post": "yes"}).status_code == 403
        assert set(Group.objects.values_list("name", flat=True)) == {VIEWER, OPERATOR}
        assert not User.objects.get(pk=clerk.pk).has_perm("agents.change_agent")

    def test_the_service_refuses_whatever_the_form_forgot(self, clerk, charlie):
        def promote() -> None:
            with people.editing_person(charlie, by=clerk):
                charlie.is_superuser = True
                charlie.save()

        with pytest.raises(BeyondOwnRights):
            promote()

    def test_nobody_is_made_stronger_by_way_of_a_new_person(self, clerks):
        form = {"username": "dora", "password1": PASSWORD, "password2": PASSWORD, "role": "", "is_superuser": "on"}
        clerks.post(USERS + "add/", form)
        assert not User.objects.get(username="dora").is_superuser


class TestPasswords:
    @pytest.fixture
    def token(self, alice):
        """An API token of the administrator."""
        return issue_token(alice, name="ci", by=None)

    @pytest.mark.parametrize("end_tokens", [True, False])
    def test_a_change_ends_tokens_by_choice_and_says_so(self, signed_in, alice, token, end_tokens):
        url = "/admin/password_change/"
        page = signed_in.get(url).content.decode()
        assert "API tokens do not depend on the password" in page
        form = {"old_password": "alice-password", "new_password1": PASSWORD, "new_password2": PASSWORD}
        page = signed_in.post(url, form | ({"end_tokens": "on"} if end_tokens else {}), follow=True).content.decode()
        assert ("API tokens revoked: 1." if end_tokens else "API tokens go on as they were.") in page
        row, text = token
        assert (verify_token(text, at=row.created_at) is None) == end_tokens
        assert entry("user.password").data == {"tokens_revoked": int(end_tokens)}
        assert AuditEntry.objects.filter(verb="token.revoke").exists() == end_tokens

    def test_so_does_that_of_somebody_else(self, signed_in, bob):
        row, text = issue_token(bob, name="ci", by=None)
        form = {
            "usable_password": "true",
            "password1": PASSWORD,
            "password2": PASSWORD,
            "set-password": "x",
            "end_tokens": "on",
        }
        page = signed_in.post(f"{USERS}{bob.pk}/password/", form, follow=True).content.decode()
        assert "API tokens revoked: 1." in page
        bob.refresh_from_db()
        assert bob.check_password(PASSWORD)
        assert verify_token(text, at=row.created_at) is None
        said = entry("user.password")
        assert (said.actor_name, said.object_name) == ("alice", "bob")

    def test_the_page_has_the_portals_head(self, signed_in):
        for url in ("/admin/password_change/", "/admin/password_change/done/"):
            page = signed_in.get(url).content.decode()
            tools = page.split('id="user-tools"')[1].split("</div>")[0]
            assert " /" not in re.sub(r"<[^>]*>", "", tools).replace("\n", " ")
            assert 'lang="zh-hans">简体中文' in tools


class TestRemoving:
    def test_tokens_of_somebody_removed_are_revoked_and_stay(self, signed_in, alice, bob, api_of):
        row, text = issue_token(bob, name="bob's", by=None)
        page = signed_in.post(f"{USERS}{bob.pk}/delete/", {"post": "yes"}, follow=True)
        assert page.status_code == 200
        assert not User.objects.filter(username="bob").exists()
        row.refresh_from_db()
        assert (row.user, row.revoked_at is not None) == (None, True)
        assert verify_token(text, at=row.created_at) is None
        assert entry("token.revoke").data["user"] == "bob"
        assert entry("user.delete").data["tokens_revoked"] == 1
        assert signed_in.get(TOKENS).status_code == 200
        assert api_of(alice).get("/api/v1/tokens").json()["results"][0]["user"] is None

    def test_nobody_removes_themselves(self, signed_in, alice):
        assert signed_in.post(f"{USERS}{alice.pk}/delete/", {"post": "yes"}).status_code == 403

    def test_a_token_is_revoked_not_erased(self, signed_in, alice, api_of):
        row, text = issue_token(alice, name="ci", by=None)
        other, _text = issue_token(alice, name="other", by=None)
        assert "Revoke this token?" in signed_in.get(f"{TOKENS}{row.pk}/delete/").content.decode()
        signed_in.post(f"{TOKENS}{row.pk}/delete/", {"post": "yes"})
        assert api_of(alice).delete(f"/api/v1/tokens/{other.pk}").status_code == 204
        assert ApiToken.objects.filter(revoked_at__isnull=False).count() == 2
        assert verify_token(text, at=row.created_at) is None
        assert AuditEntry.objects.filter(verb="token.revoke", actor=alice).count() == 2
        assert "delete_selected" not in signed_in.get(TOKENS).content.decode()

    def test_roles(self, signed_in):
        group = Group.objects.create(name="night shift")
        signed_in.post(f"{GROUPS}{group.pk}/delete/", {"post": "yes"})
        assert not Group.objects.filter(name="night shift").exists()
        assert entry("role.delete").object_name == "night shift"


class TestTheTrail:
    def test_coming_and_going(self, alice):
        client = Client(REMOTE_ADDR="192.0.2.7")
        client.post("/admin/login/", {"username": "alice", "password": "wrong"})
        client.post("/admin/login/", {"username": "alice", "password": "alice-password"})
        client.post("/admin/logout/")
        found = AuditEntry.objects.order_by("id").values_list("verb", "actor_name", "object_name", "data")
        here = {"address": "192.0.2.7"}
        assert list(found) == [
            ("login.fail", "anonymous", "alice", here), ("login", "alice", "alice", here), ("logout", "alice", "alice", here),
        ]  # fmt: skip

    def test_edits_of_people_and_roles(self, signed_in, bob):
        signed_in.post(f"{USERS}{bob.pk}/change/", person_form(bob, is_active=None))
        assert entry("user.edit").data == {"changed": {"is_active": [True, False]}}
        see = Permission.objects.get(codename="view_agent")
        signed_in.post(f"{GROUPS}add/", {"name": "watch", "permissions": [see.pk]})
        group = Group.objects.get(name="watch")
        signed_in.post(f"{GROUPS}{group.pk}/change/", {"name": "watch", "permissions": []})
        assert entry("role.create").data == {"name": "watch", "rights": ["agents.view_agent"]}
        assert entry("role.edit").data == {"changed": {"rights": [["agents.view_agent"], []]}}
        signed_in.post(f"{GROUPS}{group.pk}/change/", {"name": "watch", "permissions": []})
        assert AuditEntry.objects.filter(verb="role.edit").count() == 1  # nothing changed
