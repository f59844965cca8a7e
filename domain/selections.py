"""Which attributes an answer shows: `attributes` and `excludedAttributes` (RFC 7644 §3.4.2.5, §3.9)."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from msgspec import Struct

from domain.attributes import JsonObject, Place, ResourceType
from domain.errors import InvalidValue

Tree = dict[str, Any]  # name -> Tree of parts, or None for the whole value.


class Selection(Struct, frozen=True):
    """What a client asked to see.

    tree: canonical names and their parts. excluded: whether these are left out, or alone are shown.
    unnamed: attributes that are returned on request only and were not named, by path; left out besides.
    """

    tree: Tree
    excluded: bool
    unnamed: dict[str, Place] = {}

    def shows(self, name: str) -> bool:
        """Whether anything of a top-level attribute is shown; so that members need not be loaded (PJ-10)."""
        return self.tree.get(name, ...) is not None if self.excluded else name in self.tree

    def after_writing(self, written: Collection[str]) -> "Selection":
        """The same for the answer to a write, which shows what it wrote also where that is returned on request (PJ-09).

        written: paths of attributes, as in `Reading.assigned`.
        """
        still = {path: place for path, place in self.unnamed.items() if _whole(place) not in written}
        return Selection(self.tree, self.excluded, still)


def read_selection(
    attributes: Sequence[str] | str | None,
    excluded_attributes: Sequence[str] | str | None,
    resource_type: ResourceType,
) -> Selection | None:
    """Read the two parameters; None when neither says anything.

    Each is a list of names or one text with commas (PJ-11). Unknown names are ignored, also all of them: then
    `attributes` shows the minimum set. Raises InvalidValue when both are given (PJ-07) or are no names.
    """
    wanted, unwanted = _names(attributes), _names(excluded_attributes)
    if wanted and unwanted:
        raise InvalidValue("attributes and excludedAttributes exclude each other")
    if wanted:
        return _shown(wanted, resource_type)
    on_request = {place.path: place for place in resource_type.on_request}
    if not unwanted:
        return Selection({}, True, on_request) if on_request else None
    return Selection(_tree(_left_out(unwanted, resource_type)), True, on_request)


def project(representation: JsonObject, selection: Selection | None) -> JsonObject:
    """The part of a full representation that the client asked for."""
    if selection is None:
        return representation
    shown: JsonObject = _pruned(representation, selection.tree, selection.excluded)
    if selection.unnamed:
        shown = _pruned(shown, _tree(map(_steps, selection.unnamed.values())), True)
    return shown


def _names(given: Sequence[str] | str | None) -> list[str]:
    if given is None:
        return []
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        raise InvalidValue("attributes and excludedAttributes take names")
    return [name for text in texts for part in text.split(",") if (name := part.strip())]


def _shown(names: Sequence[str], resource_type: ResourceType) -> Selection:
    """What the names ask for, and what is always returned: of a part that is, only where its attribute is shown."""
    steps = [found for name in names if (found := _named(name, resource_type))]
    tree = _tree([*steps, *(_steps(place) for place in resource_type.always if place.sub is None)])
    for place in resource_type.always:
        if place.sub is not None and _inner(tree, _steps(place)[:-1]) is not None:
            _plant(tree, _steps(place))
    asked = {resource_type.places[name.lower()].path for name in names if name.lower() in resource_type.places}
    unnamed = {place.path: place for place in resource_type.on_request if place.path not in asked}
    return Selection(tree, False, unnamed)


def _left_out(names: Sequence[str], resource_type: ResourceType) -> Iterable[list[str]]:
    """The steps to what the names leave out, around what is always returned."""
    for name in names:
        place = resource_type.places.get(name.lower())
        container = resource_type.containers.get(name.lower())
        if container is not None:
            kept = {place.attribute.name for place in resource_type.always if place.extension == container.id}
            if not kept:
                yield [container.id]
            yield from ([container.id, a.name] for a in container.attributes if kept and a.name not in kept)
        elif place is not None and place.leaf.returned != "always":
            yield _steps(place)


def _named(name: str, resource_type: ResourceType) -> list[str] | None:
    place = resource_type.places.get(name.lower())
    container = resource_type.containers.get(name.lower())
    if container is not None:
        return [container.id]
    if place is None or place.attribute in resource_type.unkept or place.leaf in resource_type.unkept:
        return None  # PJ-08
    return _steps(place)


def _steps(place: Place) -> list[str]:
    steps = [place.attribute.name] if place.extension is None else [place.extension, place.attribute.name]
    return steps if place.sub is None else [*steps, place.sub.name]


def _whole(place: Place) -> str:
    return Place(place.extension, place.attribute).path


def _tree(paths: Iterable[list[str]]) -> Tree:
    tree: Tree = {}
    for steps in paths:
        _plant(tree, steps)
    return tree


def _plant(tree: Tree, steps: list[str]) -> None:
    """Add one path; a whole value that is there already stays whole."""
    for step in steps[:-1]:
        inner = tree.setdefault(step, {})
        if inner is None:
            return
        tree = inner
    tree[steps[-1]] = None


def _inner(tree: Tree, steps: list[str]) -> Tree | None:
    """The parts that are named at a path; None where nothing is, or the whole."""
    for step in steps:
        inner = tree.get(step)
        if inner is None:
            return None
        tree = inner
    return tree


def _pruned(value: Any, tree: Tree, excluded: bool) -> Any:
    """The value's named parts, or the others; of every element of a list (PJ-04)."""
    if isinstance(value, list):
        return [part for element in value if (part := _pruned(element, tree, excluded))]
    if not isinstance(value, dict):
        return value
    shown = {}
    for name, part in value.items():
        if name not in tree:
            if excluded:
                shown[name] = part
            continue
        inner = tree[name]
        if inner is None:
            if not excluded:
                shown[name] = part
        elif kept := _pruned(part, inner, excluded):
            shown[name] = kept
    return shown
