"""A query as DuckDB parses it: what it may name, where it asks for signals, and which episodes those can be of."""

from __future__ import annotations

import copy
import difflib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from saqiya.errors import UsageError
from saqiya.stores.relations import RELATIONS

__all__ = ["Call", "Syntax", "near", "needed_episodes", "plain"]

Node = dict[str, Any]
_FUNCTIONS: Final = {"unnest", "range", "generate_series", "json_each", "json_tree"}
OURS: Final = ("signal", "subset")
_NODES: Final = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}
_BOTH_MUST_MATCH: Final = {"INNER", "SEMI"}
_RIGHT_MATTERS_WHERE_IT_MATCHES: Final = {"LEFT", "ANTI"}


@dataclass(frozen=True)
class Call:
    """`signal('name', 'subset')` or `subset('name')` in a query.

    Attributes:
        arguments: the texts it was given.
        place: byte range of the call, alias included, in the query's UTF-8.
        alias: what the query calls it; the function's own name when it calls it nothing.
        names: names that the query gives to its columns.
    """

    function: str
    arguments: tuple[str, ...]
    place: tuple[int, int]
    alias: str
    names: tuple[str, ...]


class Syntax:
    """One SELECT statement, parsed and found harmless."""

    def __init__(self, sql: str, tree: Node) -> None:
        """Check a tree of `json_serialize_sql`.

        Raises:
            UsageError: it is not one SELECT, or names a relation or a table function that there is not.
        """
        self.sql, self.tree = sql, tree
        if tree.get("error"):
            raise _refused(tree)
        if len(tree["statements"]) != 1:
            raise UsageError(f"must be one SELECT, not {len(tree['statements'])} statements", remedy="Ask one thing.")
        ctes = {cte["key"].lower() for node in _walk(tree) for cte in (node.get("cte_map") or {}).get("map", ())}
        for node in _walk(tree):
            _check(node, ctes)

    def calls(self, function: str) -> list[Call]:
        """Return every use of `signal` or `subset`, in the order they stand in the query."""
        found = [_call(node) for node in _walk(self.tree) if _function(node) == function]
        return sorted(found, key=lambda call: call.place)

    def replaced(self, names: Mapping[Call, str]) -> str:
        """Return the query with each call replaced by a relation's name, its alias kept."""
        text = self.sql.encode()
        for call in sorted(names, key=lambda one: one.place, reverse=True):
            start, end = call.place
            columns = f"({', '.join(map(_quoted, call.names))})" if call.names else ""
            text = text[:start] + f"{_quoted(names[call])} AS {_quoted(call.alias)}{columns}".encode() + text[end:]
        return text.decode()


def near(name: str, known: Iterable[str]) -> str:
    """Return a sentence that names what `name` may have been meant to be."""
    found = difflib.get_close_matches(name.lower(), list(known), n=3, cutoff=0.5)
    return f"Did you mean {', '.join(found)}?" if found else "SELECT * FROM columns lists what there is."


def _refused(tree: Node) -> UsageError:
    if tree.get("error_type") == "parser":
        return UsageError(f"the SQL cannot be read: {tree['error_message']}", remedy="See docs/query.md.")
    return UsageError("only a SELECT is answered", remedy="Nothing else is run: a query reads and changes nothing.")


def _check(node: Node, ctes: set[str]) -> None:
    kind = node.get("type")
    if isinstance(kind, str) and kind.endswith("_NODE") and kind not in _NODES:
        raise UsageError("only a SELECT is answered", remedy="A query reads and changes nothing.")
    if kind == "TABLE_FUNCTION" and _function(node) not in {*_FUNCTIONS, *OURS}:
        raise UsageError(
            f"{_function(node) or 'this'}() cannot be selected from",
            remedy=f"Known: {', '.join(sorted({*_FUNCTIONS, *OURS}))}; files and networks are out of reach.",
        )
    if kind == "BASE_TABLE":
        name = str(node["table_name"])
        if (name.lower() not in RELATIONS.keys() | ctes and not name.startswith("~")) or node.get("schema_name"):
            raise UsageError(f"there is no relation {name!r}", remedy=near(name, RELATIONS))
    if kind == "SHOW_REF":
        raise UsageError("only a SELECT is answered", remedy="SELECT * FROM columns lists what there is.")


def _walk(value: object) -> Iterator[Node]:
    stack = [value]
    while stack:
        one = stack.pop()
        if isinstance(one, dict):
            yield one
            stack.extend(one.values())
        elif isinstance(one, list):
            stack.extend(one)


def _function(node: Node) -> str:
    if node.get("type") != "TABLE_FUNCTION":
        return ""
    inner = node.get("function") or {}
    return "" if inner.get("schema") else str(inner.get("function_name", "")).lower()


def _call(node: Node) -> Call:
    function = _function(node)
    texts = [one["expression"].get("literal", {}) for one in node["function"]["arguments"]]
    most = 2 if function == "signal" else 1
    if not 1 <= len(texts) <= most or any(one.get("kind") != "STRING" for one in texts) or node.get("sample"):
        takes = "the name of a stream, and of a subset if you like" if function == "signal" else "the name of a subset"
        raise UsageError(f"{function}() takes {takes}, in single quotes", remedy="signal('contact/force')")
    start, length = node["query_location"], node["query_location_length"]
    return Call(
        function,
        tuple(one["text"] for one in texts),
        (start, start + length),
        node["alias"] or function,
        tuple(node["column_name_alias"]),
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


# -- which episodes a signal can be asked of --------------------------------------------------------------------------


@dataclass(frozen=True)
class _Leaf:
    """A relation in a FROM clause, and the columns it has."""

    node: Node
    alias: str
    columns: frozenset[str]


class _Unclear(Exception):
    """The FROM clause is of a kind that is not understood: nothing is left out then."""


@dataclass
class _From:
    """What is joined in one SELECT, as far as it bears on one signal.

    `own` are conditions that pick the signal's rows, `rest` all others; a condition that would pick among its rows only
    after they were matched (beyond an outer or ASOF join) is in `rest` and may not name the signal.
    """

    leaves: list[Node]
    own: list[Node]
    rest: list[Node]
    late: bool = False


def needed_episodes(
    tree: Node,
    call: Call,
    *,
    parse: Callable[[str], Node],
    columns: Callable[[Node, Sequence[Node]], frozenset[str] | None],
    volatile: frozenset[str],
) -> Node | None:
    """Return a query for the ids of all episodes that a signal can be needed of, or None: of all that have it.

    Every row of the answer satisfies all conditions of its SELECT that inner joins do not protect. So the episodes of
    the signal are among those that the other relations, joined under the conditions that do not read the signal's
    values, leave over. What is not understood is left out of the conditions: more is read then, never less.

    Args:
        tree: the parsed query.
        call: the signal.
        parse: SQL to a tree.
        columns: the columns of a relation under WITH clauses; None where it cannot be asked alone.
        volatile: functions that may answer differently when asked twice.
    """
    for select, withs in _selects(tree):
        place = next((node for node in _sources(select.get("from_table")) if _is(node, call)), None)
        if place is None:
            continue
        try:
            found = _joined(select["from_table"], place)
        except _Unclear:
            return None
        (found.rest if found.late else found.own).extend(_conjuncts(select.get("where_clause")))
        return _reduced(place, call, found, withs, parse=parse, columns=columns, volatile=volatile)
    return None


def _is(node: Node, call: Call) -> bool:
    return _function(node) == call.function and node["query_location"] == call.place[0]


def _selects(tree: Node) -> Iterator[tuple[Node, list[Node]]]:
    """Yield every SELECT with the WITH clauses that it can see, the outermost first."""
    stack: list[tuple[object, list[Node]]] = [(tree, [])]
    while stack:
        value, withs = stack.pop()
        if isinstance(value, list):
            stack.extend((one, withs) for one in value)
        elif isinstance(value, dict):
            here = [*withs, *((value.get("cte_map") or {}).get("map", []))]
            if value.get("type") == "SELECT_NODE":
                yield value, here
            stack.extend((one, here) for one in value.values())


def _sources(node: Node | None) -> Iterator[Node]:
    """Yield the relations of a FROM clause, without looking into subqueries."""
    if node is None:
        return
    if node.get("type") == "JOIN":
        yield from _sources(node["left"])
        yield from _sources(node["right"])
    else:
        yield node


def _conjuncts(condition: Node | None) -> list[Node]:
    if condition is None:
        return []
    if condition.get("type") == "CONJUNCTION_AND":
        return [one for child in condition["children"] for one in _conjuncts(child)]
    return [condition]


def _joined(node: Node, place: Node) -> _From:
    """Take a FROM clause apart around the signal at `place`."""
    if node.get("type") != "JOIN":
        return _From([node], [], [])
    kind, how = node["join_type"], node["ref_type"]
    if node.get("alias") or node.get("sample") or how not in {"REGULAR", "CROSS", "ASOF"}:
        raise _Unclear
    if kind not in _BOTH_MUST_MATCH | _RIGHT_MATTERS_WHERE_IT_MATCHES:
        raise _Unclear
    left, right = node["left"], node["right"]
    plain = kind in _BOTH_MUST_MATCH and how != "ASOF"
    conditions = _conjuncts(node.get("condition")) + [_equal(name, left, right) for name in node["using_columns"]]
    inside = any(one is place for one in _sources(right))
    if not inside and not plain:  # rows of the left side are kept or dropped whatever is known of the right
        return _joined(left, place)
    if inside and not plain:
        if right is not place:
            raise _Unclear
        own = conditions if how != "ASOF" else [one for one in conditions if one.get("type") == "COMPARE_EQUAL"]
        others = _joined(left, place)
        return _From([*others.leaves, place], own, [*others.own, *others.rest], late=True)
    sides = [_joined(left, place), _joined(right, place)]
    late = any(side.late for side in sides)
    made = _From([leaf for side in sides for leaf in side.leaves], [], [], late)
    for side in sides:
        made.own += side.own
        made.rest += side.rest
    (made.rest if late else made.own).extend(conditions)
    return made


def _equal(name: str, left: Node, right: Node) -> Node:
    """Return `left.name = right.name`; which relations of the sides those are is found by their columns."""
    sides = [{"class": "USING", "type": "USING", "name": name, "among": list(_sources(one))} for one in (left, right)]
    return {"class": "COMPARISON", "type": "COMPARE_EQUAL", "left": sides[0], "right": sides[1]}


def _reduced(
    place: Node,
    call: Call,
    found: _From,
    withs: Sequence[Node],
    *,
    parse: Callable[[str], Node],
    columns: Callable[[Node, Sequence[Node]], frozenset[str] | None],
    volatile: frozenset[str],
) -> Node | None:
    clean = _clean(withs, volatile)
    if clean is None:
        return None
    leaves: list[_Leaf] = []
    for node in found.leaves:
        known = None if node is place or not _repeats(node, volatile) else columns(node, clean)
        if known is not None:
            leaves.append(_Leaf(node, str(node["alias"] or node.get("table_name", "")).lower(), known))
    signal = _Leaf(place, call.alias.lower(), frozenset({"episode"}))
    usable: list[tuple[Node, set[str]]] = []
    for conditions, mine in ((found.own, True), (found.rest, False)):
        for condition in conditions:
            resolved = _Names([*leaves, signal], volatile).of(condition)
            if resolved is not None and (mine or signal.alias not in resolved[1]):
                usable.append(resolved)
    bound, use = {signal.alias}, list[Node]()
    while grown := {alias for _, names in usable if names & bound for alias in names} - bound:
        bound |= grown
    use = [condition for condition, names in usable if names and names <= bound]
    if not use:
        return None
    return _query(call, [leaf.node for leaf in leaves if leaf.alias in bound], use, clean, parse)


def _clean(withs: Sequence[Node], volatile: frozenset[str]) -> list[Node] | None:
    """Return the WITH clauses that can be asked alone; None where one hides another, or a relation."""
    names = [str(one["key"]).lower() for one in withs]
    if len(set(names)) < len(names) or RELATIONS.keys() & set(names):
        return None
    clean = {name: one for name, one in zip(names, withs, strict=True) if _repeats(one, volatile)}
    while bad := [name for name, one in clean.items() if _named(one) & (set(names) - clean.keys())]:
        clean = {name: one for name, one in clean.items() if name not in bad}
    return list(clean.values())


def _named(value: object) -> set[str]:
    return {str(node["table_name"]).lower() for node in _walk(value) if node.get("type") == "BASE_TABLE"}


def _repeats(value: object, volatile: frozenset[str]) -> bool:
    """Say whether a relation gives the same rows whenever it is asked, and without a signal."""
    for node in _walk(value):
        kind = str(node.get("type"))
        if kind in {"LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER"} or node.get("sample") or node.get("class") == "WINDOW":
            return False
        if kind == "DISTINCT_MODIFIER" and node.get("distinct_on_targets"):
            return False
        if node.get("class") == "FUNCTION" and str(node.get("function_name", "")).lower() in volatile | _ANY | {
            "signal"
        }:
            return False
    return True


_ANY: Final = {
    "any_value", "arbitrary", "first", "last", "arg_max", "arg_min", "argmax", "argmin", "max_by", "min_by", "mode",
    "list", "array_agg", "string_agg", "group_concat", "listagg", "arg_max_null", "arg_min_null",
}  # fmt: skip
"""Aggregates that may choose among rows, or order them, differently when asked twice."""


@dataclass(frozen=True)
class _Names:
    """Finds out which relations a condition reads."""

    leaves: Sequence[_Leaf]
    volatile: frozenset[str]

    def of(self, condition: Node) -> tuple[Node, set[str]] | None:
        """Return the condition with its names made plain, and the aliases it reads; None if that is not certain."""
        found: set[str] = set()
        made = copy.deepcopy(condition) if not _has_using(condition) else self._using(condition)
        if made is None:
            return None
        for node in _walk(made):
            if node.get("class") in {"SUBQUERY", "LAMBDA", "WINDOW", "PARAMETER"}:
                return None
            if node.get("class") == "FUNCTION" and str(node.get("function_name", "")).lower() in self.volatile:
                return None
            if node.get("class") == "COLUMN_REF":
                alias = self._alias([str(one).lower() for one in node["column_names"]])
                if alias is None:
                    return None
                found.add(alias)
        return made, found

    def _alias(self, names: Sequence[str]) -> str | None:
        qualified = [leaf for leaf in self.leaves if leaf.alias == names[0]]
        if len(names) > 1 and qualified:
            return names[0] if len(qualified) == 1 and names[1] in qualified[0].columns else None
        having = [leaf.alias for leaf in self.leaves if names[0] in leaf.columns]
        return having[0] if len(having) == 1 else None

    def _using(self, condition: Node) -> Node | None:
        made = dict(condition)
        for side in ("left", "right"):
            name, among = str(condition[side]["name"]), condition[side]["among"]
            mine = [leaf for leaf in self.leaves if any(leaf.node is one for one in among)]
            having = [leaf for leaf in mine if name.lower() in leaf.columns]
            if not having:
                return None
            made[side] = {**_COLUMN, "column_names": [having[0].alias, name]}
        return {"alias": "", "query_location": 0, "query_location_length": 0, **made}


_COLUMN: Final = {
    "class": "COLUMN_REF", "type": "COLUMN_REF", "alias": "", "query_location": 0, "query_location_length": 0,
}  # fmt: skip


def _has_using(condition: Node) -> bool:
    return any(isinstance(condition.get(side), dict) and condition[side].get("type") == "USING"
               for side in ("left", "right"))  # fmt: skip


def _query(
    call: Call, leaves: Sequence[Node], conditions: Sequence[Node], withs: Sequence[Node], parse: Callable[[str], Node]
) -> Node:
    """Put a query together: a stand-in for the signal, the other relations, and the conditions."""
    alias, name = _quoted(call.alias), call.arguments[0].replace("'", "''")
    tree = parse(
        f"SELECT DISTINCT {alias}.episode FROM "  # noqa: S608 - names are quoted
        f"(SELECT id AS episode FROM episodes WHERE list_contains(streams, '{name}')) AS {alias}, (SELECT 1) AS other "
        "WHERE true AND false"
    )
    node = tree["statements"][0]["node"]
    cross, where = node["from_table"], node["where_clause"]
    source = cross["left"]
    for leaf in leaves:
        source = {**cross, "left": source, "right": leaf}
    node["from_table"] = source
    node["where_clause"] = conditions[0] if len(conditions) == 1 else {**where, "children": list(conditions)}
    node["cte_map"] = {"map": list(withs)}
    return tree


def plain(tree: Node) -> str:
    """Return a tree as JSON text, for `json_deserialize_sql`."""
    return json.dumps(tree)
