"""Rules: several clients at once; what commutes is lost by nobody, of what does not one is served."""

import httpx
from hypothesis import strategies as st
from hypothesis.stateful import rule

from cli.demo_dialects import DEFAULT, FLAG, patch
from tests.api.speaking import group_body, op
from tests.fuzz.asking import QuestionRules
from tests.fuzz.changing import GroupRules, UserRules
from tests.fuzz.directory import shown
from tests.fuzz.drawn import few_picks, has_both, has_users, picks, texts
from tests.fuzz.machine import Machine, Sent


class CrowdRules(Machine):
    """Requests on the way together."""

    @has_both
    @rule(pick=picks, who=few_picks, texts=st.lists(texts, min_size=6, max_size=6), renames=st.booleans())
    def change_many_at_once(self, pick: int, who: list[int], texts: list[str], renames: bool) -> None:
        """Changes that commute, on the way together: each of them succeeds, and nothing is lost."""
        group, model = self.model.group(pick), self.model
        people = {user.id: user for user in (model.user(each) for each in who)}
        titled = list(zip(people.values(), texts, strict=False))
        joins = {each for index, each in enumerate(people) if (index + pick) % 3}
        leaves = people.keys() - joins
        name, made = self.unused("Renamed") if renames else group.name, [self.unused("new") for _ in who[:3]]
        requests: list[Sent] = [
            *(("PATCH", f"/Users/{user.id}", patch(DEFAULT.replace({"title": text}))) for user, text in titled),
            *(("PATCH", f"/Groups/{group.id}", patch(FLAG.add_member(each))) for each in joins),
            *(("PATCH", f"/Groups/{group.id}", patch(DEFAULT.remove_member(each))) for each in leaves),
            ("PATCH", f"/Groups/{group.id}", patch(DEFAULT.replace({"displayName": name}))),
            *(("POST", "/Users", shown({"userName": each})) for each in made),
        ]  # fmt: skip
        answers = iter(self.send_at_once(requests))
        for user, text in titled:
            self.changed_user(next(answers), user, user.held | {"title": text})
        members = (group.members | joins) - leaves
        assert {next(answers).status_code for _ in range(len(people) + 1)} == {200}
        group.version += len(members ^ group.members) + (name != group.name)
        group.members, group.name = members, name
        for each in made:
            self.created_user(next(answers), {"userName": each})

    @rule(count=st.integers(2, 5))
    def create_one_at_once(self, count: int) -> None:
        """Several clients create the same user: one of them does (CR-12)."""
        name = self.unused("same")
        bodies = [shown({"userName": name, "title": str(n)}) for n in range(count)]
        answers = self.send_at_once([("POST", "/Users", body) for body in bodies])
        (won,) = [n for n, answer in enumerate(answers) if answer.status_code == 201]
        assert all(answer.status_code == 409 for n, answer in enumerate(answers) if n != won)
        self.created_user(answers[won], {"userName": name, "title": str(won)})

    @has_users
    @rule(pick=picks, count=st.integers(2, 4))
    def change_one_version_at_once(self, pick: int, count: int) -> None:
        """Several clients change the version they saw: one of them does, 412 for the others."""
        user, titles = self.model.user(pick), [self.unused("title") for _ in range(count)]
        seen = {"If-Match": f'W/"{user.version}"'}

        def change(title: str) -> httpx.Response:
            return self.send("PATCH", f"/Users/{user.id}", patch([op("replace", "title", title)]), **seen)

        answers = list(self.threads.map(change, titles))
        (won,) = [title for title, answer in zip(titles, answers, strict=True) if answer.status_code == 200]
        assert sorted(answer.status_code for answer in answers) == [200] + [412] * (count - 1)
        user.held, user.version = user.held | {"title": won}, user.version + 1

    @has_both
    @rule(pick=picks, first=few_picks, second=few_picks)
    def set_members_at_once(self, pick: int, first: list[int], second: list[int]) -> None:
        """Two clients set the whole list: it is one of the two, and not a mixture."""
        group = self.model.group(pick)
        lists = [{self.model.user(each).id for each in who} for who in (first, second)]
        bodies = [group_body(group.name, *sorted(ids)) for ids in lists]
        answers = self.send_at_once([("PUT", f"/Groups/{group.id}", body) for body in bodies])
        assert [answer.status_code for answer in answers] == [200, 200]
        left = self.speaker.member_ids({"id": group.id, "meta": {"resourceType": "Group"}})
        assert left in lists
        between = lists[1 - lists.index(left)]
        group.version += len(group.members ^ between) + len(between ^ left)
        group.members = left

    @has_both
    @rule(pick=picks, who=picks, of_group=st.booleans())
    def add_and_delete_at_once(self, pick: int, who: int, of_group: bool) -> None:
        """Somebody is added to a group while one of the two is deleted: no membership is left of who is gone."""
        group, user = self.model.group(pick), self.model.user(who)
        was_in = user.id in group.members
        goes = f"/Groups/{group.id}" if of_group else f"/Users/{user.id}"
        added, deleted = self.send_at_once(
            [("PATCH", f"/Groups/{group.id}", patch(FLAG.add_member(user.id))), ("DELETE", goes, None)]
        )
        assert deleted.status_code == 204
        # Deleted first, there is no such group or member; deleted just after, there is no group left to show.
        assert added.status_code in ({200, 204, 404} if of_group else {200, 400}), added.text
        if added.status_code == 200 and not was_in and not of_group:
            group.members.add(user.id)
            group.version += 1
        self.model.delete(group.id if of_group else user.id)


class DirectoryMachine(UserRules, GroupRules, QuestionRules, CrowdRules):
    """All of it."""
