"""``radiosonde store``: show, compact and seal a store."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from radiosonde._settings import Settings
from radiosonde.cli._stores import address
from radiosonde.cli._terminal import console, progress_bar
from radiosonde.sources import Address, open_source
from radiosonde.store import SeriesSummary, StoreReader, StoreWriter
from radiosonde.store.compact import Tiers
from radiosonde.store.seal import GRACE_HOURS, seal

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``store show``, ``store compact`` and ``store seal`` to the command line."""
    parser = subparsers.add_parser("store", help="show, compact and seal a store")
    commands = parser.add_subparsers(dest="store_command", required=True, metavar="COMMAND")
    show = commands.add_parser("show", help="show the contents of a store", description="Show the contents of a store.")
    show.add_argument(
        "store",
        type=address,
        nargs="+",
        metavar="STORE",
        help="SQLite file, sealed folder, folder of both, or clickhouse://HOST/DATABASE",
    )
    compacting = commands.add_parser(
        "compact",
        help="merge older windows into hours and days",
        description="Merge windows exactly into minutes, hours and days by their age (RADIOSONDE_STORE_TIERS). Servers do this "
        "gradually as they write; this command does all of it now. Servers may keep running. Ctrl-C loses nothing.",
    )
    compacting.add_argument("store", type=Path, metavar="STORE", help="SQLite file")
    sealing = commands.add_parser(
        "seal",
        help="move closed hours to Parquet",
        description="Move closed hours to Parquet files that DuckDB, Spark and ClickHouse can read directly.",
    )
    sealing.add_argument("store", type=Path, metavar="STORE", help="SQLite file")
    sealing.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of sealed hours")
    sealing.add_argument("--all", action="store_true", dest="everything", help="seal the current hour too")
    sealing.add_argument(
        "--grace-hours",
        type=int,
        default=GRACE_HOURS,
        metavar="N",
        help="hours before the newest one that are kept (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Run the command that *args* names and return the exit code.

    Raises:
        StoreError: the store cannot be read or written.
        ConfigurationError: the extra ``desk`` is not installed.
    """
    if args.store_command == "show":
        return _show(args.store)
    return _compact(args.store) if args.store_command == "compact" else _seal(args)


def _show(paths: Sequence[Address]) -> int:
    terminal = console()
    source = open_source(list(paths))
    for place in source.places:
        rows = place.summaries()
        windows = sum(row.windows for row in rows)
        _say(terminal, f"{place.path}: {windows:,} windows, {_size(place.held_bytes())}")
        if rows:
            terminal.print(_series_table(rows))
    for (model, version), reference in sorted(source.references().items()):
        kind = "provisional reference" if reference.provisional else "reference"
        shape = f"{len(reference.features)} features, {reference.rows:,} rows"
        _say(terminal, f"{kind} {reference.id} of {model} {version}: {shape}")
    return 0


def _compact(path: Path) -> int:
    terminal = console()
    before_windows, before_bytes = _held(path)
    writer = StoreWriter(path, tiers=Tiers.of_days(Settings.resolve().store_tiers))
    try:
        with progress_bar("compacting") as progress:
            writer.compact(progress=None if progress is None else lambda fewer: progress(fewer, before_windows))
    finally:  # after Ctrl-C, too: the steps that were made stay
        writer.close()
        windows, size_bytes = _held(path)
        if windows < before_windows:
            _say(
                terminal,
                f"{path}: {before_windows:,} windows merged into {windows:,}, {_size(before_bytes)} into {_size(size_bytes)}",
            )
    if windows >= before_windows:
        _say(terminal, f"{path}: nothing to merge in {windows:,} windows, {_size(size_bytes)}")
    return 0


def _held(path: Path) -> tuple[int, int]:
    """Return the number of windows of a store and its size in bytes.

    Raises:
        StoreError: there is none at *path*.
    """
    reader = StoreReader(path)
    return sum(row.windows for row in reader.summaries()), reader.held_bytes()


def _seal(args: argparse.Namespace) -> int:
    terminal = console()
    with progress_bar("sealing") as progress:
        hours = seal(args.store, args.out, everything=args.everything, grace_hours=args.grace_hours, progress=progress)
    windows = sum(hour.windows for hour in hours)
    size_bytes = sum(hour.size_bytes for hour in hours)
    if hours:
        _say(terminal, f"sealed {windows:,} windows into {args.out} ({len(hours):,} segments, {_size(size_bytes)})")
    elif args.everything:
        _say(terminal, "nothing to seal: the store has no windows")
    else:
        _say(terminal, "nothing to seal: the newest hours are still open; pass --all to seal them too")
    return 0


def _say(terminal: Console, line: str) -> None:
    # Never folded, so that names and paths can be copied.
    terminal.print(line, soft_wrap=True)


def _series_table(rows: Sequence[SeriesSummary]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 2, 0, 0))
    # One column for the three names: as three they would be folded to a few letters each.
    table.add_column("model version variant", overflow="fold")
    for name in ("cohorts", "windows", "calls", "rows"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("from (UTC)", "to (UTC)"):
        table.add_column(name, no_wrap=True)
    for row in rows:
        numbers = [f"{number:,}" for number in (row.cohorts, row.windows, row.calls, row.rows)]
        names = Text(f"{row.model} {row.version} {row.variant}")
        table.add_row(names, *numbers, _instant(row.start_ns), _instant(row.end_ns))
    return table


def _instant(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns // 1_000_000_000, UTC).strftime("%Y-%m-%d %H:%M")


def _size(size_bytes: float) -> str:
    for unit in ("B", "kB", "MB"):
        if size_bytes < 1000:
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.1f} GB"
