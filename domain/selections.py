"""Which attributes an answer shows: `attributes` and `excludedAttributes` (RFC 7644 §3.4.2.5, §3.9)."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from domain.attributes import JsonObject, Place, ResourceType
from domain.errors import InvalidValue

Tree = dict[str, Any]  # name -> Tree of parts, or None for the whole value.


class Selection(Struct, frozen=True):
    """What a client asked to see.

    tree: canonical names and their parts. excluded: whether these are left out, or alone are shown.
    """

    tree: Tree
    excluded: bool

    def shows(self, name: str) -> bool:
        """Whether anything of a top-level attribute is shown; so that members need not be loaded (PJ-10)."""
        return self.tree.get(name, ...) is not None if self.excluded else name in self.tree


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
    hidden = _on_request(resource_type)
    if wanted:
        tree = _tree([*wanted, *_always(resource_type)], resource_type)
        return Selection(_without_never(tree, resource_type), False)
    if unwanted or hidden:
        tree = _tree([*unwanted, *hidden], resource_type)
        for name in _always(resource_type):
            tree.pop(name, None)
        return Selection(tree, True)
    return None


def project(representation: JsonObject, selection: Selection | None) -> JsonObject:
    """The part of a full representation that the client asked for."""
    if selection is None:
        return representation
    shown: JsonObject = _pruned(representation, selection.tree, selection.excluded)
    return shown


def _names(given: Sequence[str] | str | None) -> list[str]:
    if given is None:
        return []
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        raise InvalidValue("attributes and excludedAttributes take names")
    return [name for text in texts for part in text.split(",") if (name := part.strip())]


def _always(resource_type: ResourceType) -> list[str]:
    return [a.name for a in resource_type.core.values() if a.returned == "always"]


def _on_request(resource_type: ResourceType) -> list[str]:
    return [p.path for p in resource_type.places.values() if p.leaf.returned == "request"]


def _without_never(tree: Tree, resource_type: ResourceType) -> Tree:
    return {name: part for name, part in tree.items() if name.lower() not in resource_type.never_returned}


def _tree(names: Sequence[str], resource_type: ResourceType) -> Tree:
    tree: Tree = {}
    for name in names:
        place = resource_type.places.get(name.lower())
        container = resource_type.containers.get(name.lower())
        if container is not None:
            tree[container.id] = None
        elif place is not None:
            _plant(tree, _steps(place))
    return tree


def _steps(place: Place) -> list[str]:
    steps = [place.attribute.name] if place.extension is None else [place.extension, place.attribute.name]
    return steps if place.sub is None else [*steps, place.sub.name]


def _plant(tree: Tree, steps: list[str]) -> None:
    """Add one path; a whole value that is there already stays whole."""
    for step in steps[:-1]:
        inner = tree.setdefault(step, {})
        if inner is None:
            return
        tree = inner
    tree[steps[-1]] = None


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
