"""Rules: one client changes users and groups."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from cli.demo_dialects import Dialect, patch
from tests.api.speaking import group_body, op, version_of
from tests.fuzz.directory import OPTIONAL, WORK_EMAIL, Team, shown
from tests.fuzz.drawn import (
    changes,
    dialects,
    few_picks,
    group_names,
    has_both,
    has_groups,
    has_users,
    held_values,
    picks,
    user_names,
)
from tests.fuzz.machine import Machine


class UserRules(Machine):
    """Users come, change and go."""

    @rule(user_name=user_names, held=held_values)
    def create_user(self, user_name: str, held: dict[str, Any]) -> None:
        """POST: 409 when the name is taken in any case, or who is inactive has the externalId (repost_inactive)."""
        held = {"userName": user_name, **held}
        response = self.send("POST", "/Users", shown(held))
        if self.model.name_taken(user_name) or self.model.is_inactive(held.get("externalId")):
            assert response.status_code == 409
        else:
            self.created_user(response, held)

    @has_users
    @rule(pick=picks, user_name=st.none() | user_names, held=held_values)
    def replace_user(self, pick: int, user_name: str | None, held: dict[str, Any]) -> None:
        """PUT: what is left out is cleared, `active` apart."""
        user = self.model.user(pick)
        wanted = {"userName": user_name or user.held["userName"], **held}
        response = self.send("PUT", f"/Users/{user.id}", shown(wanted))
        if self.model.name_taken(wanted["userName"], but=user.id):
            assert response.status_code == 409
            return
        if "active" in user.held:
            wanted.setdefault("active", user.held["active"])
        self.changed_user(response, user, wanted)

    @has_users
    @rule(pick=picks, dialect=dialects, values=changes)
    def patch_user(self, pick: int, dialect: Dialect, values: dict[str, Any]) -> None:
        """PATCH of several attributes, in one of Entra's ways."""
        user = self.model.user(pick)
        values = {path: value == "Guide" if path == "active" else value for path, value in values.items()}
        sent = {
            path: str(value) if value in (True, False) and not dialect.flag else value for path, value in values.items()
        }
        response = self.send("PATCH", f"/Users/{user.id}", patch(dialect.replace(sent)))
        self.changed_user(response, user, user.held | values)

    @has_users
    @rule(pick=picks, path=st.sampled_from([*OPTIONAL, "active"]))
    def unassign(self, pick: int, path: str) -> None:
        """PATCH that removes an attribute, there or not."""
        user = self.model.user(pick)
        body = patch([op("remove", path.removesuffix(".value") if path == WORK_EMAIL else path)])
        response = self.send("PATCH", f"/Users/{user.id}", body)
        self.changed_user(response, user, {name: value for name, value in user.held.items() if name != path})

    @has_users
    @rule(pick=picks, dialect=dialects, active=st.booleans())
    def switch(self, pick: int, dialect: Dialect, active: bool) -> None:
        """Disable or enable."""
        user = self.model.user(pick)
        response = self.send("PATCH", f"/Users/{user.id}", patch(dialect.active(active)))
        self.changed_user(response, user, user.held | {"active": active})

    @has_users
    @rule(pick=picks, user_name=user_names, dialect=dialects)
    def rename(self, pick: int, user_name: str, dialect: Dialect) -> None:
        """PATCH of userName: 409 when it is another's."""
        user = self.model.user(pick)
        response = self.send("PATCH", f"/Users/{user.id}", patch(dialect.replace({"userName": user_name})))
        if self.model.name_taken(user_name, but=user.id):
            assert response.status_code == 409
        else:
            self.changed_user(response, user, user.held | {"userName": user_name})

    @has_users
    @rule(pick=picks)
    def delete_user(self, pick: int) -> None:
        """DELETE, and again: gone from its groups as well."""
        user = self.model.user(pick)
        assert self.send("DELETE", f"/Users/{user.id}").status_code == 204
        self.model.delete(user.id)
        assert self.send("DELETE", f"/Users/{user.id}").status_code == 404


class GroupRules(Machine):
    """Groups and memberships likewise."""

    @rule(name=group_names, members=st.lists(picks, max_size=4))
    def create_group(self, name: str, members: list[int]) -> None:
        """POST with members: 409 when the name is taken, as Entra needs it."""
        ids = {self.model.anybody(pick) for pick in members} if self.model.users else set()
        response = self.send("POST", "/Groups", group_body(name, *sorted(ids)))
        if self.model.group_name_taken(name):
            assert response.status_code == 409
            return
        assert response.status_code == 201, response.text
        made = response.json()
        self.model.groups[made["id"]] = Team(made["id"], name, version_of(made), ids)

    @has_both
    @rule(pick=picks, who=few_picks, dialect=dialects)
    def add_members(self, pick: int, who: list[int], dialect: Dialect) -> None:
        """PATCH add: members already in do no harm."""
        group, ids = self.model.group(pick), [self.model.anybody(each) for each in who]
        operations = [operation for each in ids for operation in dialect.add_member(each)]
        response = self.send("PATCH", f"/Groups/{group.id}", patch(operations))
        self.changed_members(response, group, group.members | set(ids))

    @has_both
    @rule(pick=picks, who=few_picks, dialect=dialects)
    def remove_members(self, pick: int, who: list[int], dialect: Dialect) -> None:
        """PATCH remove: others stay, and who is not in does no harm."""
        group, ids = self.model.group(pick), [self.model.anybody(each) for each in who]
        operations = [operation for each in ids for operation in dialect.remove_member(each)]
        response = self.send("PATCH", f"/Groups/{group.id}", patch(operations))
        self.changed_members(response, group, group.members - set(ids))

    @has_both
    @rule(pick=picks, who=st.lists(picks, max_size=5), by_patch=st.booleans())
    def set_members(self, pick: int, who: list[int], by_patch: bool) -> None:
        """The list becomes exactly this one: by PUT, or by PATCH replace."""
        group, ids = self.model.group(pick), {self.model.anybody(each) for each in who}
        values = [{"value": each} for each in sorted(ids)]
        body = patch([op("replace", "members", values)]) if by_patch else group_body(group.name, *sorted(ids))
        response = self.send("PATCH" if by_patch else "PUT", f"/Groups/{group.id}", body)
        self.changed_members(response, group, ids)

    @has_groups
    @rule(pick=picks, name=group_names, dialect=dialects)
    def rename_group(self, pick: int, name: str, dialect: Dialect) -> None:
        """PATCH of displayName: 409 when it is another's."""
        group = self.model.group(pick)
        response = self.send("PATCH", f"/Groups/{group.id}", patch(dialect.replace({"displayName": name})))
        if self.model.group_name_taken(name, but=group.id):
            assert response.status_code == 409
            return
        assert version_of(response) == group.version + (name != group.name)
        group.name, group.version = name, version_of(response)

    @has_groups
    @rule(pick=picks)
    def delete_group(self, pick: int) -> None:
        """DELETE: its members stay, and are in it no more."""
        group = self.model.group(pick)
        assert self.send("DELETE", f"/Groups/{group.id}").status_code == 204
        self.model.delete(group.id)
