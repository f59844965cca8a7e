"""Every revision of every event ever written is still read, and today's is still written byte for byte.

A golden file is one payload as it was sealed. Files are added, never altered: what they hold is in somebody's
ledger. A new event type or revision needs a file first.
"""

import re

import pytest
from vectors import GOLDEN

from domain.events import (
    EVENT_BY_NAME,
    EVENTS,
    AttributeChanged,
    ClientRegistered,
    ClientRevoked,
    ClientSecretIssued,
    ClientSecretRevoked,
    Deactivated,
    Event,
    GroupCreated,
    GroupDeleted,
    MembershipAdded,
    MembershipRemoved,
    ProvisioningLogImported,
    Reactivated,
    ReportMade,
    RequestRefused,
    RequestUnchanged,
    ResourceCreated,
    ResourceDeleted,
    ResourceTypeDeclared,
    SchemaDeclared,
    SettingChanged,
    TokenIssued,
    TokenRevoked,
    UserCreated,
    UserDeleted,
)
from domain.schemas import ENTERPRISE_USER
from domain.upcasts import upcast
from ledger.codec import decode_payload, encode_cause, encode_payload
from ledger.entry import Cause, Received

FOLDER = GOLDEN / "events"
ADA_ID = "0b5c9b0e-7c4b-4f0e-9a51-3b7a4c1f6d01"
STAFF_ID = "5f1d2c3b-1111-4222-8333-444455556666"
DEVICE_ID = "6a2e3d4c-1111-4222-8333-444455556666"
DEVICE_LIFE = "urn:contoso:scim:extension:DeviceLife:1.0"

# What every golden file of a type is read as, whatever its revision.
READ_AS: dict[str, Event] = {
    type(event).__name__: event
    for event in (
        UserCreated(
            ADA_ID,
            {
                "userName": "ada@contoso.example",
                "active": True,
                "name": {"givenName": "Ada", "familyName": "Żółć 🦊"},
                "emails": [{"value": "ada@contoso.example", "type": "work", "primary": True}],
                ENTERPRISE_USER: {"department": "R&D", "manager": {"value": "charles"}},
            },
        ),
        GroupCreated(STAFF_ID, {"displayName": "Équipe", "externalId": "grp-1"}),
        AttributeChanged(f"{ENTERPRISE_USER}:manager", {"value": "charles"}, None),
        Deactivated(before=None),
        Reactivated(),
        UserDeleted(),
        GroupDeleted(),
        MembershipAdded(ADA_ID, "User"),
        MembershipRemoved(ADA_ID, explicit=False),
        RequestUnchanged(),
        RequestRefused(repetitions=3),
        TokenIssued("tok-1", "Entra", ["scim"], "lenient", "2027-01-31T00:00:00Z"),
        TokenRevoked("tok-1"),
        SettingChanged("group_names_unique", True, False),
        ClientRegistered("cli-1", "Entra gallery", ["scim"], "strict"),
        ClientSecretIssued("sec-1", "2027-01-31T00:00:00Z"),
        ClientSecretRevoked("sec-1"),
        ClientRevoked(),
        ResourceCreated("Device", DEVICE_ID, {"displayName": "Loom", "active": True, DEVICE_LIFE: {"site": "Łódź"}}),
        ResourceDeleted(),
        SchemaDeclared(
            {
                "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"],
                "id": DEVICE_LIFE,
                "name": "DeviceLife",
                "description": "Where a device is.",
                "attributes": [
                    {
                        "name": "site",
                        "type": "string",
                        "multiValued": False,
                        "description": "The site.",
                        "required": True,
                        "caseExact": False,
                        "mutability": "readWrite",
                        "returned": "default",
                        "uniqueness": "none",
                        "canonicalValues": ["Łódź", "Wien"],
                    }
                ],
            }
        ),
        ResourceTypeDeclared(
            {
                "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
                "id": "Device",
                "name": "Device",
                "endpoint": "/Devices",
                "description": "A device.",
                "schema": "urn:contoso:scim:core:Device:1.0",
                "schemaExtensions": [{"schema": DEVICE_LIFE, "required": False}],
            }
        ),
        ProvisioningLogImported("imp-1", ["9f86d081"], 3, 2, "2026-01-30T00:00:00Z", "2026-01-31T00:00:00Z"),
        ReportMade("rep-1", "population", 1, {"asOf": "41", "state": ["active"]}, "csv", -1, 41, 7, 6, 6, "9f86d081"),
    )
}
CAUSE = Cause(
    request_id="2819c223-7f76-453a-919d-413861904646",
    token_id="tok-1",
    token_label="Entra",
    profile="lenient",
    client_address="203.0.113.7",
    user_agent="provisioner/1",
    correlation={"client-request-id": "c-1"},
    method="PATCH",
    path=f"/Users/{ADA_ID}",
    operations=["replace active"],
    received_at="2026-01-31T23:59:59.123Z",
    elapsed_us=1234,
    status=200,
    quirks=["operation_case", "boolean_strings"],
    ignored=["shoeSize"],
    state_version=4,
    received=Received(body_bytes=120, commitment="q83vEjRWeJASNFZ4kBI0VniQEjRWeJASNFZ4kBI0Vng=", kept=True),
)


def revisions() -> list[tuple[type[Event], int]]:
    """Every event type with every revision it has ever had."""
    return [(event, revision) for event in EVENTS for revision in range(1, event.revision + 1)]


NAMES = [f"{event.__name__}-{revision}" for event, revision in revisions()]


@pytest.mark.parametrize(("event", "revision"), revisions(), ids=NAMES)
def test_every_revision_of_an_event_is_still_read(event: type[Event], revision: int) -> None:
    path = FOLDER / f"{event.__name__}-{revision}.json"
    assert path.exists(), f"{event.__name__} revision {revision} has no golden file: add what was first written"
    read, cause = decode_payload(path.read_bytes())
    assert read == READ_AS[event.__name__]
    assert cause == CAUSE


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
def test_an_event_is_written_as_its_revision_says(event: type[Event]) -> None:
    """Another shape, order or default under the same number would be a new revision."""
    written = encode_payload(READ_AS[event.__name__], encode_cause(CAUSE))
    assert written == (FOLDER / f"{event.__name__}-{event.revision}.json").read_bytes()


def test_golden_files_are_those_of_known_revisions() -> None:
    """An event type that was ever written is never forgotten."""
    assert sorted(path.stem for path in FOLDER.iterdir()) == sorted(NAMES)
    assert set(READ_AS) == set(EVENT_BY_NAME)


def test_an_event_of_today_needs_no_upcast() -> None:
    for event in EVENTS:
        assert upcast(event.__name__, event.revision, {"kept": 1}) == {"kept": 1}


def test_a_member_nobody_knows_is_not_passed_over() -> None:
    """Events forbid unknown fields: a payload from the future is refused, not read halfway."""
    payload = (FOLDER / "UserDeleted-1.json").read_bytes()
    with pytest.raises(ValueError, match="unknown field"):
        decode_payload(re.sub(rb'"event":\{', b'"event":{"later":1', payload, count=1))


def test_events_hold_no_time_no_version_and_no_cause() -> None:
    """Those belong to the entry; replay folds events alone."""
    fields = {name for event in EVENTS for name in event.__struct_fields__}
    assert not fields & {"time", "at", "recorded_at", "version", "position", "actor", "request_id", "password"}
