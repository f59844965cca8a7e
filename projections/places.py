"""Where the values of a resource stand in the tables: the part of the where clause that reads rows.

One translation for each place: a walk through the search document, a column of `r` (a row of `users` or
`groups`), or a subquery over memberships. What comes out is text of ours with parameters; see `where.py`.
"""
# ruff: noqa: S608

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from domain.attributes import Attribute, Place, ResourceType
from domain.comparison import exact
from domain.ids import is_id
from domain.schemas import GROUP, USER
from domain.search import LEFT_OUT
from domain.sorting import NUMERIC
from projections.directory import equality_key

TEXTUAL = frozenset({"string", "reference", "binary"})
_OPEN = "m.tenant_id = %(tenant)s and m.to_position is null"


def joined(operator: str, conditions: list[str]) -> str:
    """Return `and` or `or` of conditions, in parentheses."""
    return conditions[0] if len(conditions) == 1 else "(" + f" {operator} ".join(conditions) + ")"


class Tables(Struct, frozen=True):
    """What stands after `from`: the tables, or the tables as they were after the entry at the position `at` (0013).

    then: whether they are as they were. Those have neither `search_terms` nor keys: names stand in `names`.
    """

    users: str
    groups: str
    memberships: str
    then: bool

    def of(self, resource_type: ResourceType) -> str:
        """Where the resources of a type are."""
        return self.groups if resource_type.has_members else self.users

    def named(self, row: str, kind: str, column: str, key: str) -> str:
        """Return that the resource of a row has a name, from its key. kind: as in `names`. column: with the key."""
        if not self.then:
            return f"{row}.{column} = {key}"
        return (
            f"{row}.id in (select n.id from names n where n.tenant_id = %(tenant)s and n.kind = '{kind}' "
            f"and n.key = {key} and n.from_position <= %(at)s::bigint "
            "and (n.to_position is null or n.to_position > %(at)s::bigint))"
        )

    def members(self) -> str:
        """A group's members."""
        return f"from {self.memberships} m where {_OPEN} and m.group_id = r.id"

    def above(self) -> str:
        """A user's groups, direct and through other groups; circles end because `union` drops repeats."""
        return (
            "with recursive above(grp, direct) as ("
            f"select m.group_id, true from {self.memberships} m where {_OPEN} and m.member_id = r.id union "
            f"select m.group_id, false from above join {self.memberships} m on {_OPEN} and m.member_id = above.grp)"
        )

    def groups_above(self) -> str:
        """The groups that `above` leads to."""
        return (
            "from (select grp, bool_or(direct) as direct from above group by grp) a "
            f"join {self.groups} g on g.tenant_id = %(tenant)s and g.id = a.grp"
        )


NOW = Tables("users", "groups", "memberships", then=False)
_AT = "_at(%(tenant)s, %(at)s::bigint)"
THEN = Tables(f"users{_AT}", f"groups{_AT}", f"memberships{_AT}", then=True)


class Value(Struct, frozen=True):
    """One value of one element, prepared, as SQL.

    sql: text, or numeric for numbers and dates; null where unassigned.
    equals: makes the condition that an index answers, from the literal; without it `sql` is compared.
    sure: never unassigned, never empty.
    """

    sql: str
    equals: Callable[[str], str] | None = None
    sure: bool = False


Values = Callable[[Attribute | None], Value]  # An element's sub-attribute, or with None the element itself.
Condition = Callable[[Values], str]  # What one element has to satisfy.


class Parameters:
    """The parameters of one clause, each under a name of its own. at: as of which position; None for now."""

    def __init__(self, tenant_id: int, at: int | None = None) -> None:
        self.by_name: dict[str, Any] = {"tenant": tenant_id}
        self.tables = NOW
        if at is not None:
            self.tables, self.by_name["at"] = THEN, at
        self._names: dict[tuple[str, Any], str] = {}

    def bind(self, value: Any, kind: str) -> str:
        """Return the placeholder of a value, of a Postgres type; one parameter however often it is used."""
        known = (kind, tuple(value) if isinstance(value, list) else value)
        name = self._names.get(known)
        if name is None:
            name = self._names[known] = f"w{len(self._names)}"
            self.by_name[name] = value
        return f"%({name})s::{kind}"


class Places:
    """The places of one resource type. location_base: see `where`."""

    def __init__(self, resource_type: ResourceType, parameters: Parameters, location_base: str) -> None:
        self.resource_type = resource_type
        self._bind = parameters.bind
        self._tables = parameters.tables
        self._base = exact(location_base)
        self._sources: dict[str, Callable[[Condition], str]] = {
            "id": self._id,
            "externalId": self._keyed("externalId", "external_id_key"),
            "meta": self._meta,
            "schemas": self._schemas,
        }
        self._firsts: dict[str, Callable[[Attribute | None], str]] = {"schemas": self._core_schema}
        self._of_users = resource_type.name == USER.name
        if self._of_users:
            self._sources["userName"] = self._keyed("userName", "user_name_key")
            self._sources["groups"] = self._groups
            self._firsts["groups"] = self._first_group
        elif resource_type.has_members:
            self._sources["displayName"] = self._keyed("displayName", "name_key")
            self._sources["members"] = self._members
            self._firsts["members"] = self._first_member
        if not resource_type.has_members and LEFT_OUT in resource_type.core:
            self._sources[LEFT_OUT] = lambda condition: condition(lambda _: Value("r.active::text"))

    def in_document(self, place: Place) -> bool:
        """Whether the place is read from the search document, and from nowhere else."""
        return place.extension is not None or place.attribute.name not in self._sources

    def some(self, place: Place, condition: Condition) -> str:
        """Return that some value at the place satisfies the condition."""
        attribute = place.attribute
        if place.extension is None and (source := self._sources.get(attribute.name)):
            return source(condition)
        container = self._container(place)
        stored = f"({container} -> {self._bind(attribute.name, 'text')})"
        if attribute.multi_valued:
            holds = condition(self._stored("e.value", attribute))
            return f"exists (select from jsonb_array_elements{stored} e where {holds})"
        if attribute.type == "complex":
            return f"(jsonb_typeof{stored} = 'object' and {condition(self._stored(stored, attribute))})"
        return condition(lambda _: self._stored(container, attribute)(attribute))

    def deciding(self, place: Place) -> str:
        """Return the one value that a resource is sorted by: of the primary element, else of the first; or null."""
        attribute, sub = place.attribute, place.sub
        if not self.in_document(place):
            if (first := self._firsts.get(attribute.name)) is not None:
                return first(sub)
            return self._sources[attribute.name](lambda values: values(sub).sql)
        container = self._container(place)
        if attribute.type != "complex" and not attribute.multi_valued:
            return self._stored(container, attribute)(attribute).sql
        element = f"({container} -> {self._bind(attribute.name, 'text')})"
        if attribute.multi_valued:
            primary = f"jsonb_path_query_first({element}, '$[*] ? (@.primary == true)')"
            element = f"coalesce({primary}, {element} -> 0)" if "primary" in attribute.subs else f"({element} -> 0)"
        value = self._stored(element, attribute)(sub).sql
        if place.leaf.assumed_false:
            return f"case when {element} is not null then coalesce({value}, 'false') end"
        return value

    def _container(self, place: Place) -> str:
        return "r.search" if place.extension is None else f"(r.search -> {self._bind(place.extension, 'text')})"

    def _stored(self, json: str, attribute: Attribute) -> Values:
        """Return the values of an element of the search document."""

        def value(sub: Attribute | None) -> Value:
            leaf = sub or attribute
            part = f"({json} -> {self._bind(leaf.name, 'text')})" if sub else json
            if leaf.type in NUMERIC:
                return Value(f"case jsonb_typeof({part}) when 'number' then {part}::numeric end")
            return Value(f"({json} ->> {self._bind(leaf.name, 'text')})" if sub else f"({json} #>> '{{}}')")

        return value

    def _keyed(self, name: str, column: str) -> Callable[[Condition], str]:
        """Return the source of a string with a column that holds the SHA-256 of its prepared value."""
        attribute = self.resource_type.core[name.lower()]

        def equals(literal: str) -> str:
            return self._tables.named("r", name, column, self._bind(equality_key(literal), "bytea"))

        def source(condition: Condition) -> str:
            stored = self._stored("r.search", attribute)(attribute)
            return condition(lambda _: Value(stored.sql, equals))

        return source

    def _identified(self, column: str) -> Value:
        """Return the text of a uuid column."""

        def equals(literal: str) -> str:
            return f"{column} = {self._bind(literal, 'uuid')}" if is_id(literal) else "false"

        return Value(f"{column}::text", equals, sure=True)

    def _located(self, endpoint: str, column: str) -> Value:
        """Return the URI of the resource whose id a column holds."""
        begin = f"{self._base}{endpoint}/"
        identified = self._identified(column).equals
        assert identified is not None

        def equals(literal: str) -> str:
            return identified(literal.removeprefix(begin)) if literal.startswith(begin) else "false"

        return Value(f"({self._bind(begin, 'text')} || {column}::text)", equals, sure=True)

    def _id(self, condition: Condition) -> str:
        return condition(lambda _: self._identified("r.id"))

    def _schemas(self, condition: Condition) -> str:
        """One value for the core schema, and one for each extension that the resource has data for (RS-02)."""
        prepare = self.resource_type.core["schemas"].prepare

        def holds(uri: str) -> str:
            return condition(lambda _: Value(self._bind(prepare(uri), "text"), sure=True))

        extended = [
            f"(r.search ? {self._bind(schema.id, 'text')} and {holds(schema.id)})"
            for schema, _ in self.resource_type.extensions
        ]
        return joined("or", [holds(self.resource_type.schema.id), *extended])

    def _core_schema(self, sub: Attribute | None) -> str:
        return self._bind(self.resource_type.core["schemas"].prepare(self.resource_type.schema.id), "text")

    def _meta(self, condition: Condition) -> str:
        def value(sub: Attribute | None) -> Value:
            match sub.name if sub else "":
                case "created":
                    return Value("(extract(epoch from r.created_at) * 1000000)", sure=True)
                case "lastModified":
                    return Value("(extract(epoch from r.modified_at) * 1000000)", sure=True)
                case "location":
                    return self._located(self.resource_type.endpoint, "r.id")
                case "version":
                    return Value("""('W/"' || r.version || '"')""", sure=True)
                case _:
                    return Value(self._bind(self.resource_type.name, "text"), sure=True)

        return condition(value)

    def _members(self, condition: Condition) -> str:
        return f"exists (select {self._tables.members()} and {condition(self._member)})"

    def _first_member(self, sub: Attribute | None) -> str:
        """The order is that of `Lookups.members`: as they came."""
        return f"(select {self._member(sub).sql} {self._tables.members()} order by m.from_position limit 1)"

    def _member(self, sub: Attribute | None) -> Value:
        match sub.name if sub else "":
            case "type":
                return Value("lower(m.member_type)", sure=True)
            case "$ref":
                return self._member_location()
            case "display":
                return Value("null::text")  # Not shown, so never a value (GR-07).
            case _:
                return self._identified("m.member_id")

    def _member_location(self) -> Value:
        user, group = (self._located(kind.endpoint, "m.member_id") for kind in (USER, GROUP))
        assert user.equals is not None
        assert group.equals is not None
        equals = (user.equals, group.equals)

        def either(literal: str) -> str:
            of_user, of_group = (equal(literal) for equal in equals)
            return f"case m.member_type when 'Group' then {of_group} else {of_user} end"

        located = f"case m.member_type when 'Group' then {group.sql} else {user.sql} end"
        return Value(f"({located})", either, sure=True)

    def _groups(self, condition: Condition) -> str:
        return f"exists ({self._tables.above()} select {self._tables.groups_above()} where {condition(self._group)})"

    def _first_group(self, sub: Attribute | None) -> str:
        """The order is that of `Lookups.groups_of`: as the groups were created."""
        above, groups = self._tables.above(), self._tables.groups_above()
        return f"({above} select {self._group(sub).sql} {groups} order by g.created_position limit 1)"

    def _group(self, sub: Attribute | None) -> Value:
        match sub.name if sub else "":
            case "type":
                return Value("case when a.direct then 'direct' else 'indirect' end", sure=True)
            case "$ref":
                return self._located(GROUP.endpoint, "a.grp")
            case "display":
                return self._group_name()
            case _:
                return self._identified("a.grp")

    def _group_name(self) -> Value:
        def equals(literal: str) -> str:
            return self._tables.named("g", "displayName", "name_key", self._bind(equality_key(literal), "bytea"))

        return Value("(g.search ->> 'displayName')", equals)

    def below(self, place: Place, literal: str) -> str | None:
        """Return that a user belongs to a group that a sub-attribute of `groups` is equal for; else None.

        It says what `some` says, from the group downwards: who belongs to few groups costs nothing.
        """
        if not self._of_users or self.in_document(place) or place.attribute.name != "groups":
            return None
        match place.sub.name if place.sub else "":
            case "value":
                named = self._identified("g.id")
            case "$ref":
                named = self._located(GROUP.endpoint, "g.id")
            case "display":
                named = self._group_name()
            case _:
                return None
        assert named.equals is not None
        return (
            "r.id in (with recursive below(id) as ("
            f"select m.member_id from {self._tables.groups} g join {self._tables.memberships} m on m.group_id = g.id "
            f"where {_OPEN} and g.tenant_id = %(tenant)s and {named.equals(literal)} "
            f"union select m.member_id from below join {self._tables.memberships} m "
            f"on {_OPEN} and m.group_id = below.id) "
            "select id from below)"
        )
