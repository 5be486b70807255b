"""``radiosonde blackbox DIR``: print the records of living and dead processes in a spool."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from radiosonde._ring.recall import CRASH_REPORT, Recalled, Recollection, read_crash_report, recall
from radiosonde._ring.spool import RING, Spool
from radiosonde.errors import SpoolError


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "blackbox",
        help="print the last predictions of each process, and those in flight at a crash",
        description="Print the last predictions of each process, living or dead, and those in flight, from the rings in a spool and "
        "the crash reports of the agent. Exit code: 0 nothing was in flight in a dead process, 1 something was, 2 could not run.",
    )
    parser.add_argument("spool", metavar="DIR", help="spool folder (RADIOSONDE_SPOOL of the server)")
    parser.add_argument(
        "--last", type=int, default=3, metavar="N", help="completed predictions to print per ring (default: 3)"
    )
    parser.add_argument("--dead", action="store_true", help="print dead processes only")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace) -> int:
    """Print the records. A damaged ring is reported and the others are still read.

    Raises:
        SpoolError: the folder cannot be used.
    """
    found, complaints, last = list[Recollection](), list[str](), max(0, args.last)
    if not Path(args.spool).is_dir():  # a `Spool` would be made there
        raise SpoolError(f"there is no folder {args.spool}; pass the RADIOSONDE_SPOOL of the server")
    spool = Spool(args.spool)
    looks = [partial(recall, file, last=last) for file in spool.rings()]
    # Dead processes whose rings the agent has adopted, the last one first. Between the two a ring may have both.
    removed = sorted(spool.folder.glob(f"*{CRASH_REPORT}"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    looks += [
        partial(read_crash_report, path) for path in removed if not path.with_suffix("").with_suffix(RING).exists()
    ]
    for look in looks:
        try:
            recollection = look()
        except SpoolError as error:
            complaints.append(str(error))
            continue
        if not (args.dead and recollection.is_alive):
            found.append(replace(recollection, last=recollection.last[:last]))
    if args.json:
        print(json.dumps({"rings": [asdict(each) for each in found], "unreadable": complaints}, indent=2))
    else:
        print("\n".join(_lines(found)) if found else f"no rings in {args.spool}")
    for complaint in complaints:
        print(f"radiosonde: {complaint}", file=sys.stderr)
    if any(each.in_flight and not each.is_alive for each in found):
        return 1
    return 2 if complaints and not found else 0


def _lines(found: list[Recollection]) -> Iterator[str]:
    # Dead processes with predictions in flight first: they are the likely reason for the call.
    for each in sorted(found, key=lambda one: (one.is_alive, not one.in_flight)):
        named = " ".join(part for part in (each.model, each.version, each.variant) if part)
        yield f"{named}  process {each.process} (pid {each.pid}), {'alive' if each.is_alive else 'DEAD'}"
        for prediction in each.in_flight:
            yield from _prediction(prediction, "running" if each.is_alive else "IN FLIGHT WHEN IT DIED")
        for prediction in each.last:
            yield from _prediction(prediction, prediction.state)
        if not each.in_flight and not each.last:
            yield "  no prediction"
        yield ""


def _prediction(prediction: Recalled, state: str) -> Iterator[str]:
    took = "" if prediction.duration_s is None else f"  {prediction.duration_s * 1e3:.3f} ms"
    yield f"  {state}  {_time(prediction.start_ns)}{took}  id {prediction.id}"
    if prediction.event_ns:
        yield f"    event time {_time(prediction.event_ns)}"
    if prediction.cohort:
        yield f"    cohort     {prediction.cohort}"
    if prediction.rows != 1:
        yield f"    rows       {prediction.rows}"
    if prediction.phase:
        yield f"    in phase   {prediction.phase}"
    if prediction.phases_s:
        yield "    phases     " + ", ".join(
            f"{name} {spent * 1e3:.3f} ms" for name, spent in prediction.phases_s.items()
        )
    if prediction.error:
        yield f"    error      {prediction.error}"
    if prediction.output:
        yield f"    output     {prediction.output}"
    for number, row in enumerate(prediction.features):
        head = "features" if number == 0 else ""
        yield from _wrapped(f"    {head:<10} ", [f"{name}={value}" for name, value in row.items()])
    if not prediction.features:
        yield "    features   none recorded"


def _wrapped(head: str, words: list[str], width: int = 100) -> Iterator[str]:
    line = head
    for word in words:
        if len(line) + len(word) > width and line.strip() and line != head:
            yield line.rstrip()
            line = " " * len(head)
        line += word + "  "
    yield line.rstrip()


def _time(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S.%f UTC")
