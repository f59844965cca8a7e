"""The public test vectors through HTTP: every filter and every PATCH, with the results the facts state.

The same lines run in memory in tests/domain; here they go through the service, so that reading, SQL and
answers have to agree with them as well. Comparison follows section 28 of the requirement catalogue.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from speaking import Json, Speaker, checked, comparable, list_of, op, patch_body, refused, url_of

GOLDEN = Path(__file__).resolve().parent.parent / "golden"


def vectors(name: str) -> list[Json]:
    return [json.loads(line) for line in (GOLDEN / name).read_text().splitlines() if line.strip()]


def with_ids(value: Any, ids: dict[str, str]) -> Any:
    """The value with the fixture's ids replaced by issued ones, wherever they stand quoted or alone."""
    text = json.dumps(value)
    for old, new in ids.items():
        text = re.sub(rf'(?<=["/]){old}(?=\\?")', new, text)
    return json.loads(text)


# --- filters


class Directory:
    """The fixture's twelve users and four groups in a tenant of their own."""

    def __init__(self, speaker: Speaker) -> None:
        self.speaker, self.ids = speaker, {}
        fixture = json.loads((GOLDEN / "fixture-users.json").read_text())
        for user in fixture["Users"]:
            self.add("/Users", user)
        for group in sorted(fixture["Groups"], key=self._depth):
            self.add("/Groups", group)
        # u01's manager is u02, who came later: references among users are set once all have an id.
        for user in fixture["Users"]:
            manager = user.get("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User", {}).get("manager")
            if manager:
                path = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value"
                shown = speaker.read(f"/Users/{self.ids[user['id']]}")
                speaker.changed(shown, op("replace", path, self.ids[manager["value"]]))
        self.names = {issued: fixture_id for fixture_id, issued in self.ids.items()}

    @staticmethod
    def _depth(group: Json) -> int:
        return int(any(member["value"].startswith("g") for member in group.get("members", [])))

    def add(self, endpoint: str, resource: Json) -> None:
        body = with_ids({k: v for k, v in resource.items() if k not in ("id", "meta", "groups")}, self.ids)
        self.ids[resource["id"]] = self.speaker.post(endpoint, body)["id"]


@pytest.fixture(scope="module", params=["lenient", "strict"])
def directory(service: Any, request: pytest.FixtureRequest) -> Directory:
    return Directory(Speaker(service, request.param))


FILTERS = [vector for vector in vectors("filters.jsonl") if "meta" not in vector.get("needs", ())]
ENDPOINTS = {"User": "/Users", "Group": "/Groups", "*": "/"}


@pytest.mark.parametrize("vector", FILTERS, ids=[vector["id"] for vector in FILTERS])
def test_a_filter_finds_what_its_vector_says(directory: Directory, vector: Json) -> None:
    """FI-01 to FI-04, FI-06 to FI-08, FI-10 to FI-16, FI-18, FI-20 to FI-35, and what they decide: DEC-01, DEC-02,
    DEC-15, DEC-16, DEC-21 to DEC-25, GR-02, IN-05. Vectors that need the fixture's times run in memory only: over HTTP
    times are the service's.
    """
    # The filter is a text of its own: ids stand in it between plain quotes.
    text = vector["filter"]
    for old, new in directory.ids.items():
        text = text.replace(f'"{old}"', f'"{new}"').replace(f'"{old.upper()}"', f'"{new.upper()}"')
    response = directory.speaker.get(f"{ENDPOINTS[vector['type']]}?count=100&filter={quote(text, safe='')}")
    if vector["error"]:
        body = refused(response, 400, vector["error"])
        assert "Resources" not in body
        return
    assert response.status_code == 200, response.text
    found = {directory.names[resource["id"]] for resource in list_of(response.json())}
    assert found == set(vector["resources"])


# --- patches


class Workshop:
    """A tenant in which one resource at a time is made, changed and taken away again."""

    def __init__(self, speaker: Speaker) -> None:
        self.speaker = speaker
        users = {name: speaker.user(f"member-{name}")["id"] for name in ("m1", "m2", "m3", "m9")}
        self.ids = users | {"g7": speaker.group("member-g7")["id"]}

    def make(self, vector: Json) -> Json:
        """The vector's `before`, as the service shows it."""
        kind = vector["resourceType"]
        members_only = self.ids if kind == "Group" else {}
        before = with_ids({k: v for k, v in vector["before"].items() if k != "id"}, members_only)
        made = self.speaker.post(f"/{kind}s", before)
        shown = self.speaker.show(made)
        assert comparable(shown) == comparable(before), "the vector's beginning could not be made"
        return shown


@pytest.fixture(scope="module")
def workshops(service: Any) -> dict[str, Workshop]:
    return {profile: Workshop(Speaker(service, profile)) for profile in ("lenient", "strict")}


def patch_cases() -> Iterator[Any]:
    for vector in vectors("patches.jsonl"):
        for profile in [vector["profile"]] if "profile" in vector else ["lenient", "strict"]:
            yield pytest.param(vector, profile, id=f"{vector['id']}-{profile}")


@pytest.mark.parametrize(("vector", "profile"), list(patch_cases()))
def test_a_patch_does_what_its_vector_says(workshops: dict[str, Workshop], vector: Json, profile: str) -> None:
    """PA-01 to PA-06, PA-09, PA-12, PA-14, PP-01 to PP-10, PT-01 to PT-14, PD-01 to PD-21, and what they decide:
    DEC-03, DEC-04, DEC-06 to DEC-11, DEC-14, DEC-16 to DEC-19, DEC-23, DEC-24, DEC-26, DEC-27.
    """
    workshop = workshops[profile]
    speaker, before = workshop.speaker, workshop.make(vector)
    try:
        ids = (workshop.ids if vector["resourceType"] == "Group" else {}) | {vector["before"]["id"]: before["id"]}
        body = with_ids(vector.get("body") or patch_body(*vector["ops"]), ids)
        response = checked(speaker.send("PATCH", url_of(before), body))
        shown = speaker.show(before)
        if vector["error"]:
            error = vector["error"]
            refused(response, int(error["status"]), error["scimType"], *error.get("also", ()))
            assert shown == before, "a refused PATCH changed the resource"
            return
        assert response.status_code in (200, 204), response.text
        assert comparable(shown) == comparable(with_ids(vector["after"], ids))
        assert response.status_code == 204 or response.json() == shown
        # `no_op` is the answer to both questions: did the version move, did lastModified.
        assert (shown["meta"]["version"] == before["meta"]["version"]) is vector["no_op"]
        assert shown["meta"]["lastModified"] >= before["meta"]["lastModified"]
        if vector["no_op"]:
            assert shown == before
    finally:
        speaker.delete(before)


def test_every_vector_is_run() -> None:
    """173 filters, of which seven need the fixture's times; 196 patches, 183 of them under both profiles."""
    assert (len(vectors("filters.jsonl")), len(FILTERS)) == (173, 166)
    assert len(list(patch_cases())) == 2 * 183 + 13
