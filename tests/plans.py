"""Plans as EXPLAIN (FORMAT JSON) tells them."""

import json
from collections.abc import Iterator
from typing import Any

Node = dict[str, Any]


def nodes(plan: Node) -> Iterator[Node]:
    """A plan's nodes, from the top."""
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


def rows_of(node: Node) -> float:
    """The rows that a node took from an index or a table, those it threw away included."""
    if node["Node Type"] not in ("Index Scan", "Index Only Scan", "Seq Scan", "Bitmap Heap Scan", "Bitmap Index Scan"):
        return 0
    lost = sum(count for name, count in node.items() if name.startswith("Rows Removed"))
    return float((node["Actual Rows"] + lost) * node["Actual Loops"])


def touched(plan: Node) -> float:
    """The rows that a whole plan took from indexes and tables."""
    return sum(map(rows_of, nodes(plan)))


def told(plan: Node) -> str:
    """A plan in a few words."""
    words = ("Node Type", "Index Name", "Alias", "Index Cond", "Filter", "Plan Rows", "Actual Rows", "Actual Loops")
    return "\n".join(json.dumps([node.get(word) for word in words]) for node in nodes(plan))
