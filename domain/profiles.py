"""Lenient and strict: what real identity providers get wrong and what we do about it, in one place.

A quirk is one deviation, with a name, where and when it was seen, and its row in the catalogue of
relaxations (RX) or decisions (DEC). A request's quirks are recorded by name with its cause, never by value.
Most are repaired in both profiles, because they are unambiguous; the switches of `Profile` are the rest.
"""

from msgspec import Struct


class Profile(Struct, frozen=True):
    """How a token's client is read.

    ignores_unknown: attributes no schema defines are ignored and recorded; otherwise 400 (DEC-09, DEC-27).
    keeps_first_primary: of two values marked primary in one request the first wins; otherwise 400 (DEC-08).
    replace_creates: `replace` on `attr[filter].sub` without match creates the element, as Entra and its
    validator need; otherwise 400 noTarget as the RFC says (DEC-18).
    drops_valueless: an element that lost its `value` is dropped, which is what Entra means; otherwise it
    stays with what is left of it (DEC-10).
    opens_core: what stands below the core schema's own URI, as an extension's attributes do, is read as if it stood at
    the top; otherwise that URI is an unknown attribute.
    reads_manager_id: `managerId` in a reference is its `value`; a tenant's setting (RX-15).
    """

    name: str
    ignores_unknown: bool
    keeps_first_primary: bool
    replace_creates: bool
    drops_valueless: bool
    opens_core: bool
    reads_manager_id: bool = False


LENIENT = Profile(
    "lenient", ignores_unknown=True, keeps_first_primary=True, replace_creates=True, drops_valueless=True,
    opens_core=True,
)  # fmt: skip
STRICT = Profile(
    "strict", ignores_unknown=False, keeps_first_primary=False, replace_creates=False, drops_valueless=False,
    opens_core=False,
)  # fmt: skip
PROFILES = {profile.name: profile for profile in (LENIENT, STRICT)}


class Quirk(Struct, frozen=True):
    """One deviation of a client from the RFCs that we repair.

    seen: from whom and when. row: in the catalogue. doc: what arrives and what it becomes.
    """

    name: str
    row: str
    seen: str
    doc: str


OPERATION_CASE = "operation_case"
BOOLEAN_STRINGS = "boolean_strings"
DOTTED_KEYS = "dotted_keys"
FILTER_KEYS = "filter_keys"
CORE_CONTAINER = "core_container"
MEMBERS_BY_VALUE = "members_by_value"
ELEMENT_FROM_FILTER = "element_from_filter"
BARE_REFERENCE = "bare_reference"
DOT_AFTER_URN = "dot_after_urn"
UNKNOWN_SCHEMA = "unknown_schema"
MISSING_SCHEMAS = "missing_schemas"
SCIM_1_SCHEMA = "scim_1_schema"
FIRST_PRIMARY_WINS = "first_primary_wins"
OBJECT_FOR_ARRAY = "object_for_array"
ARRAY_FOR_OBJECT = "array_for_object"
MEMBER_BY_REF = "member_by_ref"
BARE_MEMBER_IDS = "bare_member_ids"
EMPTY_OPERATIONS = "empty_operations"
FILTER_ON_SINGULAR = "filter_on_singular"
VALUELESS_DROPPED = "valueless_dropped"
REPLACE_CREATED = "replace_created"
UNQUALIFIED_EXTENSION = "unqualified_extension"
UNDECLARED_EXTENSION = "undeclared_extension"
MANAGER_ID = "manager_id"

QUIRKS = {
    quirk.name: quirk
    for quirk in (
        Quirk(OPERATION_CASE, "RX-01", "Entra, 2025-02", "`Add`, `Replace`, `Remove`: read without case"),
        Quirk(
            BOOLEAN_STRINGS,
            "RX-02",
            "Entra, 2025-02; ends with its flag aadOptscim062020",
            '"True" and "False" in any case for a boolean attribute: read as booleans, nothing else is',
        ),
        Quirk(
            DOTTED_KEYS,
            "RX-03",
            "Entra with the flag, 2025-02",
            "`name.givenName` or a qualified name as key of a value without path: the key is read as a path",
        ),
        Quirk(FILTER_KEYS, "RX-04", "no capture known", "a path with a filter as such a key: the same rule"),
        Quirk(
            CORE_CONTAINER,
            "RX-03",
            "no capture known; what extensions look like, 2026-11",
            "the core schema's URI as a path or key with an object below it: read as if that stood at the top (lenient "
            "only)",
        ),
        Quirk(
            MEMBERS_BY_VALUE,
            "RX-05",
            "Entra without the flag, JumpCloud, authentik; 2025-02",
            "`remove` with a list as value: only the listed elements go; the RFC's letter would remove all",
        ),
        Quirk(
            ELEMENT_FROM_FILTER,
            "RX-06",
            "Entra, 2025-02",
            '`add` to emails[type eq "work"].value without such an element: created from the eq terms',
        ),
        Quirk(
            BARE_REFERENCE,
            "RX-07",
            "Entra, 2025-02",
            'a complex attribute (manager) as its bare value: "id" becomes {"value": "id"}, "" unassigns it',
        ),
        Quirk(
            DOT_AFTER_URN,
            "RX-09",
            "Entra before 2018-12",
            "a dot instead of the colon between schema URI and attribute name: both are read",
        ),
        Quirk(UNKNOWN_SCHEMA, "RX-10", "Entra, 2025-02", "URIs in `schemas` that we do not know are dropped"),
        Quirk(MISSING_SCHEMAS, "RX-11", "authentik, 2025", "no `schemas`: the endpoint implies it"),
        Quirk(SCIM_1_SCHEMA, "RX-12", "OneLogin, 2025", "urn:scim:schemas:core:1.0 counts as the core schema"),
        Quirk(
            MANAGER_ID,
            "RX-15",
            "OneLogin templates",
            "SCIM 1.1's `managerId`: the manager's `value`, where the tenant wants it read so",
        ),
        Quirk(
            UNDECLARED_EXTENSION,
            "RX-12",
            "OneLogin, 2025",
            "an extension's container whose URI is missing in `schemas`: the container decides",
        ),
        Quirk(
            FIRST_PRIMARY_WINS,
            "RX-20",
            "PingOne, 2025",
            "two values marked primary in one request: the first stays so (lenient only, DEC-08)",
        ),
        Quirk(OBJECT_FOR_ARRAY, "RX-23", "several, 2025", "one object for a multi-valued attribute: one element"),
        Quirk(
            ARRAY_FOR_OBJECT,
            "RX-07",
            "Entra's guide, 2025-02",
            "an array of exactly one object for a singular complex attribute: that object",
        ),
        Quirk(MEMBER_BY_REF, "GR-10", "several, 2025", "a member or manager by `$ref` alone: its last segment"),
        Quirk(BARE_MEMBER_IDS, "RX-36", "Microsoft's sample collection, 2025", "members as ids, not as objects"),
        Quirk(EMPTY_OPERATIONS, "RX-37", "Entra's validator, 2025", "`Operations: []` changes nothing (DEC-26)"),
        Quirk(
            FILTER_ON_SINGULAR,
            "RX-07",
            "Entra, 2025-02",
            'a filter on a singular complex attribute, manager[value eq "id"]: tests its one value (PP-07)',
        ),
        Quirk(
            VALUELESS_DROPPED,
            "DEC-10",
            "Entra, 2025-02",
            "an element whose `value` was removed goes as a whole (lenient only)",
        ),
        Quirk(
            REPLACE_CREATED,
            "DEC-18",
            "Entra and its validator, 2025-02",
            "`replace` on attr[filter].sub without match creates the element (lenient only)",
        ),
        Quirk(
            UNQUALIFIED_EXTENSION,
            "DEC-23",
            "Entra's guide, 2025-02",
            "an extension attribute without its URI in a path: read when the name is unambiguous",
        ),
    )
}
