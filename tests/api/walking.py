"""Lists read page by page, as clients do it: by cursor and by index; and many users at once to do it with."""

import re
from collections.abc import Iterator
from urllib.parse import quote, urlsplit

from speaking import LIST_RESPONSE, Json, Speaker, list_of

from bench.directory import Directory, headers, load_users
from bench.load import Address

SEARCH_REQUEST = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"
CURSOR = re.compile(r"[A-Za-z0-9._~-]+")


def query_of(**parameters: object) -> str:
    """The query part for these parameters."""
    return "?" + "&".join(f"{name}={quote(str(value), safe='')}" for name, value in parameters.items())


def cursor_page(body: Json) -> list[Json]:
    """The resources of a page by cursor, after a look at what RFC 9865 §2 asks of it (CU-02 to CU-04, CU-10)."""
    assert set(body) - {"nextCursor"} == {"schemas", "totalResults", "itemsPerPage", "Resources"}
    assert body["schemas"] == [LIST_RESPONSE]
    assert type(body["totalResults"]) is type(body["itemsPerPage"]) is int
    assert body["itemsPerPage"] == len(body["Resources"])
    assert CURSOR.fullmatch(body.get("nextCursor", "x"))
    resources: list[Json] = body["Resources"]
    return resources


def pages(speaker: Speaker, endpoint: str, **asked: object) -> Iterator[list[Json]]:
    """Walk by cursor to the end, with all parameters repeated."""
    cursor: str | None = ""
    while cursor is not None:
        body = speaker.read(endpoint + query_of(**asked, cursor=cursor))
        yield cursor_page(body)
        cursor = body.get("nextCursor")


def pages_searched(speaker: Speaker, endpoint: str, **asked: object) -> Iterator[list[Json]]:
    """The same by POST .search."""
    cursor: str | None = ""
    while cursor is not None:
        body = searched(speaker, endpoint, **asked, cursor=cursor)
        yield cursor_page(body)
        cursor = body.get("nextCursor")


def searched(speaker: Speaker, endpoint: str, **asked: object) -> Json:
    """The body of a POST .search that must succeed."""
    response = speaker.send("POST", f"{endpoint}/.search", {"schemas": [SEARCH_REQUEST]} | asked)
    assert response.status_code == 200, response.text
    body: Json = response.json()
    return body


def pages_by_index(speaker: Speaker, endpoint: str, count: int, **asked: object) -> Iterator[list[Json]]:
    """Walk by startIndex until the total is reached."""
    start, total = 1, 1
    while start <= total:
        body = speaker.read(endpoint + query_of(**asked, startIndex=start, count=count))
        page = list_of(body)
        assert body["startIndex"] == start
        assert len(page) == min(count, body["totalResults"] - start + 1)
        yield page
        start, total = start + count, body["totalResults"]


def names(*several: list[Json]) -> list[str]:
    """What the resources are called, page after page."""
    return [str(each.get("userName") or each["displayName"]) for page in several for each in page]


def crowd(speaker: Speaker, count: int) -> list[str]:
    """Create so many users at once; their ids, in no particular order."""
    address = urlsplit(speaker.service.base_url)
    scim = Address(address.hostname or "", address.port or 0, headers(speaker.token))
    directory = Directory(speaker.slug, scim, scim, [])
    load_users(directory, count, lambda done: None)
    return directory.ids
