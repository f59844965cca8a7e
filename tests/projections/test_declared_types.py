"""The where clause and the in-memory match agree on resources of a type that a tenant declared, whatever is asked."""

from collections.abc import Iterator
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from peopling import TIME, Json, ids

from domain.declarations import Declarations, declare, evolve, resource_types
from domain.filters import parse_filter
from domain.matching import matches
from domain.profiles import STRICT
from domain.resources import read_resource, schemas_of
from domain.schema_bodies import RESOURCE_TYPE, SCHEMA
from domain.users import User
from projections.directory import unique_values, user_row
from projections.where import where

TENANT = 900_020
DEVICE, LEASE = "urn:contoso:Device:1.0", "urn:contoso:Lease:1.0"
BODY: list[Json] = [
    {
        "schemas": [SCHEMA],
        "id": DEVICE,
        "attributes": [
            {"name": "serial", "caseExact": True, "uniqueness": "server"},
            {"name": "displayName"},
            {"name": "active", "type": "boolean"},
            {"name": "level", "type": "integer"},
            {"name": "ports", "type": "decimal", "multiValued": True},
            {
                "name": "links",
                "type": "complex",
                "multiValued": True,
                "subAttributes": [
                    {"name": "value", "type": "reference"},
                    {"name": "type"},
                    {"name": "since", "type": "dateTime"},
                    {"name": "primary", "type": "boolean"},
                ],
            },
        ],
    },
    {
        "schemas": [SCHEMA],
        "id": LEASE,
        "attributes": [
            {"name": "until", "type": "dateTime"},
            {"name": "paid", "type": "boolean"},
            {"name": "owner", "type": "complex", "subAttributes": [{"name": "value", "caseExact": True}]},
        ],
    },
    {
        "schemas": [RESOURCE_TYPE],
        "name": "Device",
        "endpoint": "/Devices",
        "schema": DEVICE,
        "schemaExtensions": [{"schema": LEASE}],
    },
]


def declared() -> Declarations:
    present = Declarations()
    for event in declare(present, BODY):
        present = evolve(present, event)
    return present


KIND = resource_types(declared()).by_name["Device"]

TEXTS = st.sampled_from(["a", "A", "É", "e\u0301", "ß", "SS", "work", ""])
NUMBERS = st.sampled_from([0, 1, -7, 2.5, 2**53 + 1, 1e-9])
TIMES = st.sampled_from(["2024-02-29T12:00:00Z", "2024-02-29T13:00:00+01:00", "2024-02-29T12:00:00.000001"])
LINK = st.fixed_dictionaries({}, optional={"value": TEXTS, "type": TEXTS, "since": TIMES, "primary": st.booleans()})
LINKS = st.lists(LINK, max_size=2).filter(lambda links: sum(link.get("primary", False) for link in links) < 2)
LEASED = st.fixed_dictionaries(
    {}, optional={"until": TIMES, "paid": st.booleans(), "owner": st.fixed_dictionaries({"value": TEXTS})}
)
RESOURCES = st.fixed_dictionaries(
    {},
    optional={
        "serial": TEXTS, "displayName": TEXTS, "externalId": TEXTS, "active": st.booleans(),
        "level": st.integers(-2, 2), "ports": st.lists(NUMBERS, max_size=3), "links": LINKS, LEASE: LEASED,
    },
)  # fmt: skip

_EQUALITY = st.sampled_from(["eq", "ne"])
_ORDERED = st.sampled_from(["eq", "ne", "gt", "ge", "lt", "le"])
_TEXTUAL = st.sampled_from(["eq", "ne", "co", "sw", "ew", "gt", "le"])
_TERM = "{} {} {}".format
_BOOLEANS = st.sampled_from(["true", "false"])
_QUOTED = TEXTS.map(lambda text: f'"{text}"')
_PLACES = ("serial", "displayName", "externalId", "links.value", "links", f"{LEASE}:owner.value", "owner", "schemas")
_INSIDE = st.one_of(
    st.builds(_TERM, st.sampled_from(["value", "type"]), _TEXTUAL, _QUOTED),
    st.builds(_TERM, st.just("since"), _ORDERED, TIMES.map(lambda time: f'"{time}"')),
    st.builds(_TERM, st.just("primary"), _EQUALITY, _BOOLEANS),
    st.sampled_from(["value pr", "type eq null"]),
)
_TERMS = st.one_of(
    st.builds(_TERM, st.sampled_from(_PLACES), _TEXTUAL, _QUOTED),
    st.builds(_TERM, st.sampled_from(["level", f"{DEVICE}:ports"]), _ORDERED, NUMBERS.map(str)),
    st.builds(_TERM, st.sampled_from(["until", "links.since"]), _ORDERED, TIMES.map(lambda time: f'"{time}"')),
    st.builds(
        _TERM, st.sampled_from(["active", "paid", "links.primary"]), _EQUALITY, st.sampled_from(["true", "false"])
    ),
    st.builds(_TERM, st.sampled_from([*_PLACES[:3], "active", "ports", "links", "until"]), _EQUALITY, st.just("null")),
    st.builds("{} pr".format, st.sampled_from([*_PLACES[:6], "active", "ports", "paid", "level"])),
    st.builds("links[{}]".format, _INSIDE),
    st.builds("links[{} and {}]".format, _INSIDE, _INSIDE),
    st.just(f'schemas eq "{LEASE}"'),
    st.just('meta.resourceType eq "Device"'),
)
FILTERS = st.recursive(
    _TERMS,
    lambda inner: st.one_of(
        st.builds("({} and {})".format, inner, inner),
        st.builds("({} or {})".format, inner, inner),
        st.builds("not ({})".format, inner),
    ),
    max_leaves=4,
)


@pytest.fixture(scope="module")
def owner(database: Any) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database.owner_url, options="-c timezone=UTC") as connection:
        yield connection
        connection.rollback()


def put(connection: psycopg.Connection[Any], resources: list[Json]) -> list[tuple[str, Json]]:
    """Write the rows of devices, as the service does; returns (id, as SCIM shows it)."""
    connection.execute("delete from users where tenant_id = %s", (TENANT,))
    shown = []
    for number, body in enumerate(resources):
        device_id = str(uuid5(NAMESPACE_URL, f"device {number}"))
        resource = read_resource({"schemas": [DEVICE], **body}, KIND, STRICT).resource
        row = user_row(TENANT, User(device_id, resource, 1), KIND)
        connection.execute(
            "insert into users values (%s, %s, 1, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (TENANT, device_id, number, number, TIME, TIME, row.name_key, row.external_id_key, row.active,
             row.document, row.search, row.terms, row.resource_type),
        )  # fmt: skip
        meta = {"resourceType": "Device"}
        shown.append((device_id, {"schemas": schemas_of(resource, KIND), "id": device_id, "meta": meta, **resource}))
    return shown


def test_the_where_clause_and_the_match_agree(owner: psycopg.Connection[Any]) -> None:
    """Every filter that reads finds by SQL what it finds in memory, in the same order."""

    @settings(max_examples=60, deadline=None, database=None)
    @given(st.lists(RESOURCES, min_size=1, max_size=6), st.lists(FILTERS, min_size=4, max_size=8))
    def holds(resources: list[Json], filters: list[str]) -> None:
        shown = put(owner, resources)
        for text in filters:
            asked = parse_filter(text, (KIND,))
            expected = [device_id for device_id, device in shown if matches(asked, device)]
            assert ids(owner, TENANT, asked, KIND) == expected, text

    holds()


@given(RESOURCES, RESOURCES)
def test_two_devices_share_a_key_exactly_if_their_values_compare_equal(one: Json, other: Json) -> None:
    read = [read_resource({"schemas": [DEVICE], **body}, KIND, STRICT).resource for body in (one, other)]
    keys = [unique_values(resource, KIND) for resource in read]
    serials = [resource.get("serial") or None for resource in read]
    asked = None if serials[0] is None else parse_filter(f'serial eq "{serials[0]}"', (KIND,))
    assert bool(keys[0].keys() & keys[1].keys()) == (asked is not None and matches(asked, read[1]))
    assert all(path == "serial" for path in (*keys[0].values(), *keys[1].values()))


@pytest.mark.parametrize(("kind", "index"), [("Device", "other_resources_in_order"), ("User", "users_in_order")])
def test_a_list_reads_an_index_of_its_own_type(owner: psycopg.Connection[Any], kind: str, index: str) -> None:
    """Ten devices among a million users cost ten rows, and the other way round."""
    resource_type = resource_types(declared()).by_name[kind]
    made = where(None, resource_type, TENANT, location_base="")
    # Other tests leave three rows or a thousand in the table: so few, sorted, may be cheaper than any index.
    owner.execute("set local enable_seqscan = off; set local enable_bitmapscan = off; set local enable_sort = off")
    plan = owner.execute(
        f"explain select r.id from users r where r.tenant_id = %(tenant)s and {made.clause} "
        "order by r.created_position limit 10",
        made.parameters,
    ).fetchall()
    assert index in str(plan) and "Sort" not in str(plan)
