"""User, Group and Enterprise User as data: one line an attribute (RFC 7643 §4, §8.7.1).

Where the RFC's own example schema contradicts its text, the text and its errata hold: references are case
exact (§2.3.7, erratum 6001), a group's displayName is required (§4.2), binary is a type (erratum 5606).
"""

from typing import Any

from domain.attributes import (
    Attribute,
    Place,
    ResourceType,
    Schema,
    describe_attribute,
    describe_resource_type,
    describe_schema,
)
from domain.registry import ResourceTypes

__all__ = [
    "COMMON",
    "CORE_GROUP",
    "CORE_USER",
    "ENTERPRISE_USER",
    "ENTERPRISE_USER_SCHEMA",
    "GROUP",
    "GROUP_SCHEMA",
    "RESOURCE_TYPES",
    "STANDARD",
    "USER",
    "USER_SCHEMA",
    "Attribute",
    "Place",
    "ResourceType",
    "Schema",
    "describe_attribute",
    "describe_resource_type",
    "describe_schema",
]

CORE_USER = "urn:ietf:params:scim:schemas:core:2.0:User"
CORE_GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE_USER = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


def _string(name: str, description: str, **characteristics: Any) -> Attribute:
    return Attribute(name=name, description=description, **characteristics)


def _boolean(name: str, description: str, **characteristics: Any) -> Attribute:
    return Attribute(name=name, type="boolean", description=description, **characteristics)


def _date_time(name: str, description: str, **characteristics: Any) -> Attribute:
    return Attribute(name=name, type="dateTime", description=description, **characteristics)


def _reference(name: str, description: str, *types: str, **characteristics: Any) -> Attribute:
    return Attribute(
        name=name,
        type="reference",
        description=description,
        reference_types=types,
        case_exact=True,
        **characteristics,
    )


def _complex(name: str, description: str, *subs: Attribute, **characteristics: Any) -> Attribute:
    return Attribute(name=name, type="complex", description=description, sub_attributes=subs, **characteristics)


def _plural(name: str, description: str, value: Attribute, *types: str) -> Attribute:
    """A multi-valued attribute with the default sub-attributes of RFC 7643 §2.4."""
    return _complex(
        name,
        description,
        value,
        _string("display", "A name to show for the value."),
        _string("type", "What the value is used for.", canonical_values=types),
        _boolean("primary", "Whether this is the preferred value; at most one is."),
        multi_valued=True,
    )


COMMON = (
    _string(
        "schemas",
        "URIs of the schemas the resource uses.",
        multi_valued=True,
        required=True,
        returned="always",
    ),
    _string(
        "id",
        "The identifier we gave the resource.",
        case_exact=True,
        mutability="readOnly",
        returned="always",
        uniqueness="server",
    ),
    _string("externalId", "The identifier the client gave the resource.", case_exact=True),
    _complex(
        "meta",
        "What the service knows about the resource.",
        _string("resourceType", "User or Group.", case_exact=True, mutability="readOnly"),
        _date_time("created", "When the resource was created.", mutability="readOnly"),
        _date_time("lastModified", "When the resource last changed.", mutability="readOnly"),
        _reference("location", "Where the resource is.", "uri", mutability="readOnly"),
        _string("version", "The resource's ETag.", case_exact=True, mutability="readOnly"),
        mutability="readOnly",
    ),
)

USER_SCHEMA = Schema(
    CORE_USER,
    "User",
    "User Account",
    (
        _string(
            "userName",
            "The name the user signs in with.",
            required=True,
            uniqueness="server",
            as_user_name=True,
        ),
        _complex(
            "name",
            "The parts of the user's name.",
            _string("formatted", "The full name, formatted for display."),
            _string("familyName", "The family name."),
            _string("givenName", "The given name."),
            _string("middleName", "The middle names."),
            _string("honorificPrefix", "Titles before the name, such as Ms."),
            _string("honorificSuffix", "Suffixes after the name, such as III."),
        ),
        _string("displayName", "The name to show for the user."),
        _string("nickName", "The casual way to address the user."),
        _reference("profileUrl", "The user's profile on the web.", "external"),
        _string("title", "The user's title, such as Vice President."),
        _string("userType", "The relation to the organisation, such as Employee."),
        _string("preferredLanguage", "The language the user prefers, as in Accept-Language."),
        _string("locale", "How to localise numbers, dates and currency, such as en-US."),
        _string("timezone", "The user's time zone, such as Europe/Madrid."),
        _boolean("active", "Whether the user may use the service."),
        _string(
            "password",
            "The user's password, which can be set and never read.",
            mutability="writeOnly",
            returned="never",
        ),
        _plural("emails", "E-mail addresses.", _string("value", "The e-mail address."), "work", "home", "other"),
        _plural(
            "phoneNumbers",
            "Telephone numbers.",
            _string("value", "The telephone number."),
            *("work", "home", "mobile", "fax", "pager", "other"),
        ),
        _plural(
            "ims",
            "Instant messaging addresses.",
            _string("value", "The instant messaging address."),
            *("aim", "gtalk", "icq", "xmpp", "msn", "skype", "qq", "yahoo", "other"),
        ),
        _plural("photos", "Photos.", _reference("value", "Where the photo is.", "external"), "photo", "thumbnail"),
        _complex(
            "addresses",
            "Postal addresses.",
            _string("formatted", "The full address, formatted for display."),
            _string("streetAddress", "Street, house number and what else the letter needs."),
            _string("locality", "The city."),
            _string("region", "The state or region."),
            _string("postalCode", "The postal code."),
            _string("country", "The country, as in ISO 3166-1 alpha-2."),
            _string("type", "What the address is used for.", canonical_values=("work", "home", "other")),
            _boolean("primary", "Whether this is the preferred address; at most one is."),
            multi_valued=True,
        ),
        _complex(
            "groups",
            "The groups the user belongs to; changed through the groups.",
            _string("value", "The group's id.", mutability="readOnly"),
            _reference("$ref", "Where the group is.", "Group", mutability="readOnly"),
            _string("display", "The group's displayName.", mutability="readOnly"),
            _string(
                "type",
                "Whether through another group.",
                canonical_values=("direct", "indirect"),
                mutability="readOnly",
            ),
            multi_valued=True,
            mutability="readOnly",
        ),
        _plural("entitlements", "What the user is entitled to.", _string("value", "The entitlement.")),
        _plural("roles", "The user's roles.", _string("value", "The role.")),
        _plural(
            "x509Certificates",
            "X.509 certificates.",
            Attribute(name="value", type="binary", description="One DER certificate, base64.", case_exact=True),
        ),
    ),
)

ENTERPRISE_USER_SCHEMA = Schema(
    ENTERPRISE_USER,
    "EnterpriseUser",
    "Enterprise User",
    (
        _string("employeeNumber", "The number the organisation gave the user."),
        _string("costCenter", "The cost center."),
        _string("organization", "The organisation."),
        _string("division", "The division."),
        _string("department", "The department."),
        _complex(
            "manager",
            "The user's manager.",
            _string("value", "The id of the manager's User."),
            _reference("$ref", "Where the manager's User is.", "User"),
            _string("displayName", "The manager's displayName.", mutability="readOnly"),
        ),
    ),
)

GROUP_SCHEMA = Schema(
    CORE_GROUP,
    "Group",
    "Group",
    (
        _string("displayName", "The name to show for the group.", required=True),
        _complex(
            "members",
            "Who belongs to the group: users and groups.",
            _string("value", "The member's id.", mutability="immutable"),
            _reference("$ref", "Where the member is.", "User", "Group", mutability="immutable"),
            _string("display", "The member's displayName.", mutability="readOnly"),
            _string(
                "type",
                "What the member is.",
                canonical_values=("User", "Group"),
                mutability="immutable",
            ),
            multi_valued=True,
            edges=True,
        ),
    ),
)

USER = ResourceType("User", "/Users", "User Account", USER_SCHEMA, ((ENTERPRISE_USER_SCHEMA, False),), COMMON)
GROUP = ResourceType("Group", "/Groups", "Group", GROUP_SCHEMA, (), COMMON)
RESOURCE_TYPES = (USER, GROUP)
STANDARD = ResourceTypes(RESOURCE_TYPES)  # Of every tenant that declared nothing.
