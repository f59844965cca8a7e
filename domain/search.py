"""The form of a resource in which filters find it, and the hashes that make `eq` a matter of an index.

The search document has the resource's shape and canonical names; every value is in the form in which its
attribute is compared: strings folded unless case exact, userName by its own key, dateTimes as microseconds
since 1970 UTC, numbers and booleans as they are. `active` is left out: it changes often, and an update that
touches no indexed column is four times as cheap.
"""

from typing import Any
from zlib import crc32

from domain.attributes import JsonObject, ResourceType
from domain.errors import OutdatedSchema
from domain.expressions import Literal

LEFT_OUT = "active"


def search_document(resource: JsonObject, resource_type: ResourceType) -> JsonObject:
    """The resource in comparable form. Raises OutdatedSchema for an attribute that the type does not have."""
    prepare = resource_type.prepare_whole
    try:
        return {name: prepare[name](value) for name, value in resource.items() if name != LEFT_OUT}
    except KeyError:
        raise OutdatedSchema from None


def check_known(resource: JsonObject, resource_type: ResourceType) -> None:
    """Raise OutdatedSchema for an attribute of the resource itself, or an extension, that the type does not have."""
    if not resource.keys() <= resource_type.prepare_whole.keys():
        raise OutdatedSchema


def search_term(tenant_id: int, path: str, value: Literal) -> int:
    """The term of one value at one place, as a signed 64-bit integer.

    path: `Place.path`. value: prepared, as in `Comparison.literal`; not None.
    The upper half is the tenant, so that one tenant's rows cost another nothing; the lower half is the CRC-32
    of path and value. That is enough: among 20 million values of a tenant a look-up meets a wrong row every
    two hundredth time, and whoever finds a row by its term has to check the document anyway.
    """
    return _of(tenant_id, crc32(str(value).encode(), _ROOT[path]))


def search_terms(tenant_id: int, document: JsonObject) -> list[int]:
    """The terms of every value in a search document, each once, in ascending order.

    A resource can be equal to a literal at a place only if it holds that place's term.
    """
    found: set[int] = set()
    for name, value in document.items():
        if type(value) is str:
            found.add(crc32(value.encode(), _ROOT[name]))
        elif ":" in name:
            _collect_parts(_ROOT.below(name, ":"), value, found)
        else:
            _collect(_ROOT, name, value, found)
    high = _of(tenant_id, 0)
    return [high | low for low in sorted(found)]


def _of(tenant_id: int, checksum: int) -> int:
    return (tenant_id & 0x7FFF_FFFF) << 32 | checksum


class _Paths(dict[str, int]):
    """For each name below a prefix the CRC-32 of `prefix name =`, to go on from with a value.

    Computed once: only names of schemas get here, so it stays small.
    """

    __slots__ = ("_inner", "prefix")

    def __init__(self, prefix: str) -> None:
        super().__init__()
        self.prefix = prefix
        self._inner: dict[str, _Paths] = {}

    def __missing__(self, name: str) -> int:
        start = self[name] = crc32(f"{self.prefix}{name}=".encode())
        return start

    def below(self, name: str, mark: str) -> "_Paths":
        """The paths below a complex attribute (mark ".") or an extension (":")."""
        inner = self._inner.get(name)
        if inner is None:
            inner = self._inner[name] = _Paths(self.prefix + name + mark)
        return inner


_ROOT = _Paths("")


def _collect(paths: _Paths, name: str, value: Any, found: set[int]) -> None:
    kind = type(value)
    if kind is dict:
        _collect_parts(paths.below(name, "."), value, found)
    elif kind is list:
        inner = paths.below(name, ".")
        for element in value:
            if type(element) is dict:
                _collect_parts(inner, element, found)
            else:
                _collect(paths, name, element, found)
    else:
        found.add(crc32(str(value).encode(), paths[name]))


def _collect_parts(inner: _Paths, value: JsonObject, found: set[int]) -> None:
    """As `_collect` for every sub-attribute: strings, which most are, without another call."""
    for part, item in value.items():
        if type(item) is str:
            found.add(crc32(item.encode(), inner[part]))
        else:
            _collect(inner, part, item, found)
