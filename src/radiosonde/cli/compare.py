"""``radiosonde compare A B``: which windows, cohorts and features of two stores, tables or files of fingerprints differ."""

from __future__ import annotations

import json
import math
import sys
import textwrap
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from radiosonde.cli._arguments import name_list
from radiosonde.cli._stores import model_name, time_ns
from radiosonde.errors import ConfigurationError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from radiosonde.cli import Subparsers
    from radiosonde.forensics.comparison import Comparison, GroupResult
    from radiosonde.forensics.keyed import KeyedDifference
    from radiosonde.forensics.sides import ComparedSide

EQUAL, DIFFERENT, NOT_COMPARABLE = 0, 1, 3
SHOWN_GROUPS = 20
WIDTH = 80


def add_parser(subparsers: Subparsers) -> None:
    """Add the command ``compare``."""
    summary = "compare two stores, tables or files of fingerprints, by window, cohort and feature"
    parser = subparsers.add_parser(
        "compare",
        help=summary,
        description=f"{summary}. Exit code: 0 equal, 1 different, 2 could not run, 3 not comparable.",
    )
    what = "store, sealed folder, Parquet or CSV table, folder of Parquet files, or file of `radiosonde fingerprint`"
    parser.add_argument("a", type=Path, metavar="A", help=what)
    parser.add_argument("b", type=Path, metavar="B", help="likewise")
    parser.add_argument(
        "--by", type=name_list, default=(), metavar="A,B", help="cohort dimensions of stores, and columns of tables"
    )
    parser.add_argument("--time", metavar="COLUMN", help="column of event times in tables; compares by window")
    parser.add_argument(
        "--window", type=float, metavar="SECONDS", help="length of windows (default: that of the store, or 60)"
    )
    parser.add_argument("--features", type=name_list, default=(), metavar="A,B", help="features (default: all in both)")
    parser.add_argument(
        "--key",
        type=name_list,
        default=(),
        metavar="A,B",
        help="columns that identify a row; compares two tables row by row too",
    )
    parser.add_argument("--since", type=time_ns, metavar="TIME", help="only windows that start at this time or later")
    parser.add_argument("--until", type=time_ns, metavar="TIME", help="only windows that start before this time")
    parser.add_argument(
        "--model", type=model_name, metavar="NAME", help="model in stores (needed if there are several)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, with every group that is not equal")


def run(args: argparse.Namespace) -> int:
    """Compare, and return 0 for equal, 1 for different, 3 for not comparable."""
    from radiosonde.forensics.comparison import Verdict, compare
    from radiosonde.forensics.sides import Grouping, open_side

    if args.window is not None and not (math.isfinite(args.window) and args.window > 0):
        raise ConfigurationError(f"windows of {args.window} seconds are not possible; give --window a positive number")
    if args.since is not None and args.until is not None and args.since >= args.until:
        raise ConfigurationError("--since must be before --until; swap them")
    request = Grouping(args.by, args.time, args.window, args.features, args.since, args.until, args.model)
    sides = open_side(args.a, request), open_side(args.b, request)
    found = compare(*sides, request)
    keyed = _keyed(args, sides) if args.key else None
    if args.json:
        document = {"a": str(args.a), "b": str(args.b), **found.document()}
        if keyed is not None:
            document["keyed"] = asdict(keyed)
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
    else:
        lines = [*_lines(args.a, args.b, found), *(_keyed_lines(args.key, keyed) if keyed is not None else ())]
        sys.stdout.write("\n".join(lines) + "\n")
    if keyed is not None and not keyed.is_equal:
        return DIFFERENT
    return {Verdict.EQUAL: EQUAL, Verdict.UNKNOWN: NOT_COMPARABLE}.get(found.verdict, DIFFERENT)


def _lines(a: Path, b: Path, found: Comparison) -> Iterator[str]:
    from radiosonde.forensics.comparison import Verdict

    rows = [sum(group.rows[side] for group in found.groups) for side in (0, 1)]
    yield f"A: {a}: {rows[0]:,} rows"
    yield f"B: {b}: {rows[1]:,} rows"
    yield from _wrapped(f"{len(found.features)} features compared: {', '.join(found.features)}")
    for label, names in (("only in A", found.only[0]), ("only in B", found.only[1]), ("hidden", found.hidden)):
        if names:
            yield from _wrapped(f"{label}: {', '.join(names)}")
    if not found.compares_rows:
        yield from _wrapped("rows were not compared: both sides must hash the same features for that")
    yield ""
    counts = ", ".join(f"{found.count(verdict)} {verdict.value}" for verdict in Verdict if found.count(verdict))
    by = f" by {', '.join(found.by)}" if found.by else ""
    yield f"{found.verdict.value}: {len(found.groups)} groups{by}: {counts or 'nothing to compare'}"
    for first, second in found.exchanged:
        yield from _wrapped(f"{first} and {second} are exchanged: each has the values of the other")
    for name, groups in found.differing().items():
        yield from _wrapped(f"{name} differs in {len(groups)} of {len(found.groups)} groups{_where(found, groups)}")
    rejoined = [group for group in found.groups if group.is_rejoined]
    if rejoined:
        yield from _wrapped(
            f"rows differ in {len(rejoined)} of {len(found.groups)} groups where no feature does{_where(found, rejoined)}: "
            "values are joined to other rows"
        )
    yield from _listed(found)


def _keyed(args: argparse.Namespace, sides: Sequence[ComparedSide]) -> KeyedDifference:
    from radiosonde.forensics.keyed import compare_by_key
    from radiosonde.forensics.sides import TableSide

    for side in sides:
        if not isinstance(side, TableSide):
            raise ConfigurationError(
                f"{side.path} holds no rows to compare by key; give two tables, or leave --key out"
            )
    return compare_by_key(args.a, args.b, args.key, args.features)


def _keyed_lines(key: Sequence[str], found: KeyedDifference) -> Iterator[str]:
    yield ""
    yield from _wrapped(
        f"by {', '.join(key)}: {found.common:,} keys in both, {found.only_a:,} only in A, {found.only_b:,} only in B, "
        f"{found.repeated_a:,} several times in A, {found.repeated_b:,} in B; {found.rows:,} rows differ"
    )
    for column in found.columns:
        missing = f", {column.missing_a:,} missing in A, {column.missing_b:,} in B"
        size = "" if column.largest is None else f"; largest difference {column.largest:.6g}, mean {column.mean:+.6g}"
        yield from _wrapped(f"{column.name} differs in {column.rows:,} rows{missing}{size}")


def _where(found: Comparison, groups: Sequence[GroupResult]) -> str:
    """Return the span of windows of *groups*, and the other parts of their keys, if they are few."""
    parts = []
    for place, name in enumerate(found.by):
        values = list(dict.fromkeys(group.key[place] for group in groups))
        if place == 0 and found.window_s is not None:
            starts = [value for value in values if value is not None]
            if starts:
                end_ns = max(starts) + round(found.window_s * 1e9)
                parts.append(f"{_instant(min(starts))} to {_instant(end_ns)} UTC")
        elif len(values) <= 3:
            parts.append(f"{name}={'|'.join('(missing)' if value is None else value for value in values)}")
    return f": {', '.join(parts)}" if parts else ""


def _listed(found: Comparison) -> Iterator[str]:
    from radiosonde.forensics.comparison import Verdict

    listed = [group for group in found.groups if group.verdict is not Verdict.EQUAL]
    if listed and found.by:
        yield ""
    for group in listed[:SHOWN_GROUPS] if found.by or (listed and not listed[0].features) else ():
        rows = f"{group.rows[0]:,}" if group.rows[0] == group.rows[1] else f"{group.rows[0]:,} / {group.rows[1]:,}"
        why = group.reason or ", ".join(group.features)
        if group.is_rejoined:
            why = "rows"
        elif not why:
            why = group.verdict.value if 0 in group.rows else "number of rows"
        key = "  ".join(_part(found, place, value) for place, value in enumerate(group.key))
        yield from _wrapped(f"{key}  {rows} rows  {why}".strip())
    if len(listed) > SHOWN_GROUPS and found.by:
        yield f"... {len(listed) - SHOWN_GROUPS} more; --json lists all"


def _part(found: Comparison, place: int, value: object) -> str:
    if value is None:
        return "(missing)"
    return _instant(value) if place == 0 and found.window_s is not None and isinstance(value, int) else str(value)


def _instant(time_ns: int) -> str:
    return f"{datetime.fromtimestamp(time_ns / 1e9, UTC):%Y-%m-%d %H:%M:%S}"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, subsequent_indent="  ", break_long_words=True) or [""]
