"""Section 13 of the requirement catalogue, row by row: pages by cursor (RFC 9865)."""

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from msgspec.structs import replace
from speaking import Json, Speaker, fresh, op, refused, user_body
from walking import crowd, cursor_page, names, pages, pages_searched, query_of, searched

from api.cursors import TIMEOUT_S, Cursor, digest, seal, unseal
from domain.errors import ExpiredCursor
from ledger.vault import Vault
from projections.ordering import Mark


@pytest.fixture(scope="module")
def seven(service: Any) -> Speaker:
    """A tenant with seven users, a to g, and a group."""
    speaker = Speaker(service)
    for name in "dbafceg":
        speaker.user(name, title="odd" if name in "aceg" else "even")
    speaker.group("h")
    return speaker


def first_cursor(speaker: Speaker, endpoint: str = "/Users", **asked: Any) -> str:
    """Where a walk goes on after its first page."""
    body = speaker.read(endpoint + query_of(**{"count": 2} | asked, cursor=""))
    return str(body["nextCursor"])


# --- the walk


@pytest.mark.parametrize("query", ["?cursor&count=3", "?cursor=&count=3", "?count=3&CURSOR="])
def test_cu_01_an_empty_cursor_begins(seven: Speaker, query: str) -> None:
    """CU-01: with or without its equals sign."""
    body = seven.read(f"/Users{query}")
    assert names(cursor_page(body)) == ["d", "b", "a"]
    assert body["totalResults"] == 7
    assert body["nextCursor"]


@pytest.mark.parametrize("walk", [pages, pages_searched])
@pytest.mark.parametrize("count", [1, 2, 3, 6, 7, 8, 200, 10_000])
def test_cu_02_only_the_last_page_ends_the_walk(seven: Speaker, walk: Callable[..., Any], count: int) -> None:
    """CU-02, CU-13: nobody twice, nobody missing, no empty page behind a full one; count is clamped (CU-08)."""
    read = list(walk(seven, "/Users", count=count))
    assert names(*read) == list("dbafceg")
    assert all(read)
    assert len(read) == -(-7 // min(count, 200))


def test_cu_03_there_is_no_way_back(seven: Speaker) -> None:
    """CU-03: previousCursor is optional, and not offered (`cursor_page` looks at every page)."""
    assert "previousCursor" not in seven.read("/Users?cursor=&count=2")


def test_cu_05_parameters_belong_to_the_cursor(seven: Speaker) -> None:
    """CU-05: another filter, order, endpoint or tenant is 400 invalidCursor; the projection may change."""
    asked: Json = {"filter": 'title eq "odd"', "sortBy": "userName"}
    cursor = first_cursor(seven, **asked)
    for changed in ({"filter": 'title eq "even"'}, {"sortBy": "id"}, {"sortOrder": "descending"}):
        refused(seven.get("/Users" + query_of(**asked | changed, cursor=cursor)), 400, "invalidCursor")
    for left_out in asked:
        fewer = {name: value for name, value in asked.items() if name != left_out}
        refused(seven.get("/Users" + query_of(**fewer, cursor=cursor)), 400, "invalidCursor")
    for endpoint in ("/", "/Groups"):
        refused(seven.get(endpoint + query_of(cursor=first_cursor(seven))), 400, "invalidCursor")
    body = seven.read("/Users" + query_of(**asked | {"sortOrder": "Ascending"}, cursor=cursor, attributes="userName"))
    assert names(cursor_page(body)) == ["e", "g"]
    assert set(body["Resources"][0]) == {"schemas", "id", "userName"}


def test_cu_05_a_cursor_of_another_tenant_is_worth_nothing(seven: Speaker, service: Any) -> None:
    """CU-05, CU-06, VT-05."""
    other = Speaker(service)
    for _ in range(3):
        other.user()
    refused(other.get("/Users" + query_of(cursor=first_cursor(seven))), 400, "invalidCursor")


def test_cu_06_whatever_is_wrong_with_a_cursor_the_answer_is_the_same(seven: Speaker) -> None:
    """CU-06, CU-15: every changed character, foreign texts, texts of any length; and no reason is given."""
    cursor = first_cursor(seven)
    wrong = [cursor[:at] + ("A" if cursor[at] != "A" else "B") + cursor[at + 1 :] for at in range(0, len(cursor), 5)]
    wrong += [cursor[:-1] + chr(ord(cursor[-1]) ^ 1), cursor + "A", cursor + "=", cursor + "!", cursor[:-1], cursor * 2]
    wrong += ["0", "null", "2", "AQE", "é", "'; drop table users; --", "A" * 5_000, "\u0000", " " + cursor]
    details = {refused(seven.get("/Users" + query_of(cursor=text)), 400, "invalidCursor")["detail"] for text in wrong}
    foreign = query_of(filter="title pr", cursor=cursor)
    details.add(refused(seven.get(f"/Users{foreign}"), 400, "invalidCursor")["detail"])
    assert len(details) == 1
    assert names(cursor_page(seven.read("/Users" + query_of(cursor=cursor)))) == ["a", "f"]


def vault_of(speaker: Speaker) -> Vault:
    """The keys of a tenant as another worker has them."""
    with speaker.service.opened(speaker.slug) as (_, _, vault):
        opened: Vault = vault
    return opened


def test_cu_07_a_cursor_has_its_time(seven: Speaker) -> None:
    """CU-07, CU-15: it is all in the cursor: another process reads it, and writes one that goes on; then it expires."""
    vault, question = vault_of(seven), digest("User", None, None)
    now_s = int(time.time())
    cursor = unseal(first_cursor(seven), vault, question=question, now_s=now_s)
    assert now_s + TIMEOUT_S - 10 <= cursor.expires_at <= now_s + TIMEOUT_S + 10
    assert names(cursor_page(seven.read("/Users" + query_of(cursor=seal(cursor, vault))))) == ["a", "f"]
    old = seal(replace(cursor, expires_at=now_s - 1), vault)
    refused(seven.get("/Users" + query_of(cursor=old)), 400, "expiredCursor")
    with pytest.raises(ExpiredCursor):
        unseal(seal(cursor, vault), vault, question=question, now_s=cursor.expires_at)


def test_cu_04_a_cursor_fits_into_a_url(seven: Speaker) -> None:
    """CU-04: whatever the value is that the walk stands at."""
    longest = Cursor(b"x" * 16, Mark("\U0001f98a" * 200, 2**62), 200, 2**40, 2**40)
    assert len(seal(longest, vault_of(seven))) < 1_500


def test_cu_08_the_count_stays(seven: Speaker) -> None:
    """CU-08: no number, or another one than at first, is 400 invalidCount; left out, the first one holds."""
    cursor = first_cursor(seven, count=2)
    for count in ("x", "1.5", "", 10**18, "3", "0", "-1"):
        refused(seven.get("/Users" + query_of(cursor=cursor, count=count)), 400, "invalidCount")
    for count in ("x", 1.5, True, 10**18, 3, 0):
        refused(seven.send("POST", "/Users/.search", {"cursor": cursor, "count": count}), 400, "invalidCount")
    refused(seven.get("/Users?cursor=&count=x"), 400, "invalidCount")
    for query in (query_of(cursor=cursor), query_of(cursor=cursor, count=2)):
        assert names(cursor_page(seven.read(f"/Users{query}"))) == ["a", "f"]
    clamped = seven.read("/Users?cursor=&count=1000")
    assert clamped["itemsPerPage"] == 7


@pytest.mark.parametrize("count", [0, -5])
def test_cu_09_a_count_of_nothing_tells_the_total(seven: Speaker, count: int) -> None:
    """CU-09: and begins no walk."""
    body = seven.read("/Users" + query_of(cursor="", count=count))
    assert (cursor_page(body), body["totalResults"]) == ([], 7)
    assert "nextCursor" not in body
    assert "nextCursor" not in searched(seven, "/Users", cursor="", count=count)


def test_cu_10_the_total_is_that_of_all_pages(seven: Speaker) -> None:
    """CU-10: on each of them, without startIndex (`cursor_page` looks)."""
    asked: Json = {"filter": 'title eq "odd"', "count": 2}
    first = seven.read("/Users" + query_of(**asked, cursor=""))
    second = seven.read("/Users" + query_of(**asked, cursor=first["nextCursor"]))
    assert first["totalResults"] == second["totalResults"] == 4


def test_cu_11_two_ways_to_page_are_one_too_many(seven: Speaker) -> None:
    """CU-11: 400 invalidValue, on the first page and later, by GET and .search."""
    for cursor in ("", first_cursor(seven)):
        refused(seven.get("/Users" + query_of(cursor=cursor, startIndex=1)), 400, "invalidValue")
        refused(seven.send("POST", "/Users/.search", {"cursor": cursor, "startIndex": 1}), 400, "invalidValue")


def test_cu_12_both_methods_are_announced(seven: Speaker) -> None:
    """CU-12, DI-05: index is what one gets without asking."""
    config = seven.read("/ServiceProviderConfig")
    assert config["sort"] == {"supported": True}
    assert config["pagination"] == {
        "cursor": True,
        "index": True,
        "defaultPaginationMethod": "index",
        "defaultPageSize": 100,
        "maxPageSize": 200,
        "cursorTimeout": TIMEOUT_S,
    }
    assert "startIndex" in seven.read("/Users")


def test_cu_13_a_walk_may_change_between_get_and_search(seven: Speaker) -> None:
    """CU-13: the same cursors."""
    body = searched(seven, "/Users", cursor=first_cursor(seven, sortBy="userName"), sortBy="userName", count=2)
    assert names(cursor_page(body)) == ["c", "d"]
    assert names(*pages(seven, "/", count=5)) == [*"dbafceg", "h"]
    assert names(*pages_searched(seven, "", count=5, sortBy="displayName")) == ["h", *"dbafceg"]


def test_cu_14_a_cursor_grants_nothing(seven: Speaker) -> None:
    """CU-14: it needs a token like every request, and another token of the tenant may go on."""
    cursor = query_of(cursor=first_cursor(seven))
    refused(seven.get(f"/Users{cursor}", headers={"Authorization": "Bearer slt_" + "A" * 43}), 401)
    refused(seven.get(f"/Users{cursor}", headers={"Authorization": f"Bearer {seven.tenant.audit_token}"}), 403)


# --- while others write


class Churn:
    """Deletes and creates beside a walk, some after each page; the deleted ones are drawn, whoever the page ended with.

    stayed: ids of whoever existed all the time.
    """

    def __init__(self, speaker: Speaker, ids: list[str], *, each: int, seed: int) -> None:
        self._speaker, self._each, self._chance = speaker, each, random.Random(seed)
        self._deletable = sorted(self._chance.sample(ids, len(ids) // 10))
        self.stayed = set(ids) - set(self._deletable)
        self.changes = 0

    def go_on(self, last: Json) -> None:
        """Delete as many as are created; the page's last one among them when nobody expects to see it again."""
        for _ in range(self._each):
            if self._deletable:
                at = self._deletable.index(last["id"]) if last["id"] in self._deletable else None
                gone = self._deletable.pop(self._chance.randrange(len(self._deletable)) if at is None else at)
                assert self._speaker.send("DELETE", f"/Users/{gone}").status_code == 204
            name = f"{self._chance.choice('auz')}{fresh('new')}"
            assert self._speaker.send("POST", "/Users", user_body(name, title="new")).status_code == 201
            self.changes += 1


def walk_beside(churn: Churn, walk: Iterator[list[Json]], most: int) -> list[str]:
    """Read page after page while the churn goes on; the ids as they came."""
    seen: list[str] = []
    with ThreadPoolExecutor(1) as beside:
        writing: Future[None] | None = None
        for page in walk:
            seen += [resource["id"] for resource in page]
            if writing is not None:
                writing.result()
            writing = beside.submit(churn.go_on, page[-1]) if churn.changes < most else None
    return seen


ORDERS: dict[str, Json] = {
    "as-created": {},
    "newest-first": {"sortBy": "meta.created", "sortOrder": "descending"},
    "by-name": {"sortBy": "userName"},
    "by-department": {"sortBy": "department", "sortOrder": "descending"},
    "filtered": {"filter": 'userName sw "user"'},
}


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_cu_16_nobody_is_missed_and_nobody_shown_twice(service: Any, order: Json) -> None:
    """CU-16: whoever is there from the first page to the last is on one of them, while others come and go."""
    speaker = Speaker(service)
    churn = Churn(speaker, crowd(speaker, 300), each=1, seed=7)
    seen = walk_beside(churn, pages(speaker, "/Users", count=10, **order), most=25)
    assert churn.changes >= 25
    assert len(seen) == len(set(seen))
    assert set(seen) >= churn.stayed


@pytest.mark.slow
@pytest.mark.parametrize("order", ["as-created", "by-name"])
def test_cu_16_twenty_thousand_users(service: Any, order: str) -> None:
    """CU-16 in full size: 500 deletes and 500 creates beside the walk."""
    speaker = Speaker(service)
    churn = Churn(speaker, crowd(speaker, 20_000), each=6, seed=11)
    seen = walk_beside(churn, pages(speaker, "/Users", count=200, **ORDERS[order]), most=500)
    assert churn.changes >= 500
    assert len(seen) == len(set(seen))
    assert set(seen) >= churn.stayed


def test_cu_16_who_changes_stays_in_place(service: Any) -> None:
    """CU-16: neither PATCH nor a new name moves anybody in a walk in the order of creation."""
    speaker = Speaker(service)
    made = [speaker.user(name) for name in "abcdef"]
    walk = pages(speaker, "/Users", count=2)
    seen = names(next(walk))
    for user in made:
        speaker.changed(user, op("replace", "userName", user["userName"].upper() * 2))
    assert seen + names(*walk) == ["a", "b", "CC", "DD", "EE", "FF"]
