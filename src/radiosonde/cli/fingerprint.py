"""``radiosonde fingerprint``: fingerprints of a table in a file, or what SQL engines need to compute them."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from radiosonde.cli._arguments import name_list
from radiosonde.cli._terminal import progress_bar
from radiosonde.errors import ConfigurationError

if TYPE_CHECKING:
    import argparse

    import pyarrow as pa

    from radiosonde.cli import Subparsers


def add_parser(subparsers: Subparsers) -> None:
    """Add the command ``fingerprint``."""
    summary = "compute the fingerprints of a table, where its features are made"
    parser = subparsers.add_parser(
        "fingerprint",
        help=summary,
        description=f"{summary}; they equal those of a server that was given these rows. The file may exceed memory.",
    )
    parser.add_argument(
        "table", type=Path, nargs="?", metavar="TABLE", help="Parquet or CSV file, or a folder of Parquet files"
    )
    parser.add_argument("--by", type=name_list, default=(), metavar="A,B", help="columns to group rows by")
    parser.add_argument("--time", metavar="COLUMN", help="column of event times; groups rows by window")
    parser.add_argument("--window", type=float, default=60.0, metavar="SECONDS", help="length of windows (default: 60)")
    parser.add_argument(
        "--features", type=name_list, metavar="A,B", help="features (default: all columns but those of --by and --time)"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="Parquet file to write (default: print as CSV)")
    parser.add_argument("--sql", choices=("duckdb", "clickhouse"), help="print the functions for this engine instead")


def run(args: argparse.Namespace) -> int:
    """Compute, and return 0."""
    if args.sql is not None:
        from radiosonde.forensics.sql import STATEMENTS

        sys.stdout.write(STATEMENTS[args.sql])
        return 0
    if args.table is None:
        raise ConfigurationError("which table? give a Parquet or CSV file, or --sql for the functions of an engine")
    if not (math.isfinite(args.window) and args.window > 0):
        raise ConfigurationError(f"windows of {args.window} seconds are not possible; give --window a positive number")
    table = _computed(args)
    if args.out is None:
        _print(table)
        return 0
    from radiosonde.forensics.files import write_fingerprints

    write_fingerprints(table, args.out)
    sys.stdout.write(f"{args.out}: {table.num_rows:,} fingerprints\n")
    return 0


def _computed(args: argparse.Namespace) -> pa.Table:
    from radiosonde.forensics.files import WINDOW, TableFile, fingerprint_table
    from radiosonde.forensics.tables import GroupedFingerprints, grouped

    file = TableFile(args.table)
    keys = [*args.by, *([args.time] if args.time else [])]
    features = args.features or [name for name in file.names if name not in keys]
    file.require([*features, *keys])
    if not features:
        raise ConfigurationError(f"{args.table} has no column left to be a feature; name at least one with --features")
    window = (args.time, args.window) if args.time else None
    sums = GroupedFingerprints(features)
    with progress_bar(f"reading {args.table.name}") as progress:
        for sums in grouped(file.batches([*features, *keys]), features, args.by, window):
            if progress is not None and file.rows:
                progress(min(file.rows, sums.rows), file.rows)
    return fingerprint_table(sums, [*([WINDOW] if window else []), *args.by])


def _print(table: pa.Table) -> None:
    import io

    from pyarrow import csv

    buffer = io.BytesIO()
    csv.write_csv(table, buffer)
    sys.stdout.write(buffer.getvalue().decode())
