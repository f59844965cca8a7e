"""Refusals, and whether the ledger tells of them."""

from typing import Any

import httpx
from speaking import Json, Speaker, eventually, refused, walk

Refusal = tuple[int, str | None, str]  # Status, scimType, path below the SCIM base.

_expected: dict[str, set[Refusal]] = {}  # By tenant.


def noted(speaker: Speaker, response: httpx.Response, status: Any, *scim_types: str | None) -> Json:
    """Assert a refusal; if the request could have changed something, the log has to tell of it in the end."""
    body = refused(response, status, *scim_types)
    if response.request.method not in ("GET", "HEAD", "OPTIONS"):
        path = response.request.url.raw_path.decode().partition("?")[0]
        note(speaker, response.status_code, body.get("scimType"), path)
    return body


def note(speaker: Speaker, status: int, scim_type: str | None, path: str) -> None:
    """Remember a refusal that was seen below httpx."""
    refusals = _expected.setdefault(speaker.slug, set())
    refusals.add((status, scim_type, path.removeprefix(speaker.base)[:200]))


def missing_from_the_log(speaker: Speaker) -> list[Refusal]:
    """The noted refusals that the tenant's log does not tell of, after a moment to catch up.

    Of identical refusals within a minute the ledger keeps the first at once and a count of the others: so one
    record for each status, scimType and path is what must be there.
    """
    assert _expected.get(speaker.slug), "nothing was refused"

    def missing() -> list[Refusal]:
        records = [record for record in walk(speaker.log()) if isinstance(record, dict)]
        told = [{str(leaf) for leaf in walk(record) if isinstance(leaf, str | int)} for record in records]
        return [refusal for refusal in _expected[speaker.slug] if not any(_tells(texts, refusal) for texts in told)]

    eventually(lambda: not missing(), seconds=3)
    return missing()


def _tells(texts: set[str], refusal: Refusal) -> bool:
    status, scim_type, path = refusal
    if str(status) not in texts or (scim_type is not None and scim_type not in texts):
        return False
    return any(path in text for text in texts)
