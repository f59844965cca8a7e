"""Rules: what is found, by whom it is read, and whether a version seen still holds."""

from unicodedata import normalize

from hypothesis import strategies as st
from hypothesis.stateful import rule

from cli.demo_dialects import patch
from tests.api.speaking import list_of, op
from tests.fuzz.directory import WORK_EMAIL, Remembered
from tests.fuzz.drawn import filtered, has_groups, has_users, picks, texts
from tests.fuzz.machine import Machine


class QuestionRules(Machine):
    """Questions, with and without conditions."""

    @has_users
    @rule(pick=picks, text=texts)
    def change_a_version_seen(self, pick: int, text: str) -> None:
        """If-Match with the present version is obeyed, with another one 412, and nothing happens."""
        user = self.model.user(pick)
        body = patch([op("replace", "title", text)])
        stale = self.send("PATCH", f"/Users/{user.id}", body, If_Match=f'W/"{user.version + 1}"')
        assert stale.status_code == 412
        response = self.send("PATCH", f"/Users/{user.id}", body, If_Match=f'W/"{user.version}"')
        self.changed_user(response, user, user.held | {"title": text})

    @has_users
    @rule(pick=picks)
    def read_what_is_known(self, pick: int) -> None:
        """If-None-Match: 304 for the present version, the resource for another one."""
        user = self.model.user(pick)
        path = f"/Users/{user.id}"
        assert self.send("GET", path, If_None_Match=f'W/"{user.version}"').status_code == 304
        found = self.send("GET", path, If_None_Match=f'W/"{user.version + 1}"')
        self.compare_user(found.json(), user)

    @has_users
    @rule(pick=picks, path=filtered, swap=st.booleans(), as_search=st.booleans())
    def find_users(self, pick: int, path: str, swap: bool, as_search: bool) -> None:
        """A filter finds everybody it holds for and nobody else: caseless, but for externalId."""
        value = self.model.user(pick).held.get(path, path == "active" or "nobody has this")
        exact = path == "externalId" or isinstance(value, bool)
        if swap and isinstance(value, str):
            value = value.swapcase()
        literal = str(value).lower() if isinstance(value, bool) else f'"{value}"'
        text = f'emails[type eq "work" and value eq {literal}]' if path == WORK_EMAIL else f"{path} eq {literal}"
        expected = {
            user.id for user in self.model.users.values() if (held := user.held.get(path)) is not None
            and (held == value if exact else alike(held, value))
        }  # fmt: skip
        assert self.found("/Users", text, as_search) == expected

    @has_groups
    @rule(pick=picks, who=picks, as_search=st.booleans())
    def find_groups(self, pick: int, who: int, as_search: bool) -> None:
        """By name, and by member; also from the root, where users have no members."""
        name, member = self.model.group(pick).name, self.model.anybody(who)
        groups = self.model.groups.values()
        with_member = {group.id for group in groups if member in group.members}
        assert self.found("/Groups", f'displayName eq "{name}"', as_search) == {
            group.id for group in groups if alike(group.name, name)
        }
        assert self.found("/Groups", f'members.value eq "{member}"', as_search) == with_member
        assert self.found("", f'members[value eq "{member}"]', as_search) == with_member

    def found(self, endpoint: str, text: str, as_search: bool) -> set[str]:
        """The ids that a filter finds."""
        if as_search:
            response = self.send("POST", f"{endpoint}/.search", {"filter": text, "count": 200})
        else:
            response = self.speaker.scim.get(endpoint, params={"filter": text, "count": 200})
        assert response.status_code == 200, response.text
        return {each["id"] for each in list_of(response.json())}

    @rule(count=st.integers(1, 4))
    def page_through(self, count: int) -> None:
        """Pages hold everybody exactly once."""
        seen: list[str] = []
        while page := self.speaker.found("/Users", f"?startIndex={len(seen) + 1}&count={count}&attributes=userName"):
            seen += [each["id"] for each in page]
        assert sorted(seen) == sorted(self.model.users)

    @has_users
    @rule(pick=picks)
    def remember(self, pick: int) -> None:
        """Note how somebody is now; the ledger is asked again when everything else is over."""
        user = self.model.user(pick)
        position = self.speaker.asked("/history", subject=user.id)["size"] - 1
        direct = {group for group, kind in self.model.groups_of(user.id).items() if kind == "direct"}
        self.remembered.append(Remembered(position, user.id, user.shown(), frozenset(direct)))


def alike(one: str, other: str) -> bool:
    """Equal without regard to case and to how Unicode composes letters (FI-10, FI-11)."""
    return normalize("NFC", one).casefold() == normalize("NFC", other).casefold()
