"""``python -m benchmarks [PART ...]``: measure, print the figures beside their budgets, keep the distributions.

Every part runs in a fresh interpreter, one after the other, so that none inherits what another imported, set or left.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from benchmarks import _table
from benchmarks._measure import Figure
from benchmarks.peers import _page, _rounds
from benchmarks.peers._catalogue import BARE, OURS, PEERS

PARTS = {
    "record": ("speed.bench_record", "what the caller pays for a row and for a batch"),
    "total": ("speed.bench_total", "CPU of caller and drain together; values per second of batches"),
    "drain": ("speed.bench_drain", "where the consumer's time goes"),
    "tail": ("overhead.bench_tail", "what the consumer thread does to the caller's p99.9"),
    "full-rate": ("overhead.bench_full_rate", "whether every call is counted at full rate"),
    "budget": ("overhead.bench_budget", "whether all our threads stay within the CPU budget"),
    "served": ("overhead.bench_served", "throughput and p99 of a served model, beside OpenTelemetry by hand"),
    "export": ("speed.bench_export", "building and encoding OTLP, rendering a Prometheus page"),
    "receipt": ("speed.bench_receipt", "signing and verifying receipts"),
    "join": ("speed.bench_join", "labels per second through a join store; remembering a prediction for its label"),
    "import": ("speed.bench_import", "time and modules of `import radiosonde`"),
    "runtime": ("speed.bench_runtime", "the health of the process, sampled"),
    "incidents": ("quality.bench_incidents", "false alarms, time to detect, place and onset of failing calls"),
    "cohorts": ("quality.bench_cohorts", "breaks of features in single cohorts: found, exact, dated; false ones; cost"),
    "alerts": ("quality.bench_alerts", "false pages of the alerts that ship, over healthy models"),
    "catalogue": ("quality.bench_catalogue", "kind, place and onset of every incident of the catalogue"),
    "latency": (
        "quality.bench_latency",
        "slow calls: found, place, phase, onset; how many are misdated by more than a day",
    ),
    "live": (
        "quality.bench_live",
        "what a look at a new window costs when detectors are kept up, by length of history",
    ),
    "watch": (
        "quality.bench_watch",
        "what radiosonde watch costs for 20 models of 200 features, and how soon it finds a fault",
    ),
    "floors": ("quality.bench_floors", "whether a change as large as the detection floor is found"),
    "healthy": (
        "quality.bench_healthy",
        "pages and tickets of healthy models, all checks, looked at after every window",
    ),
    "canary": ("quality.bench_canary", "false verdicts on healthy rollouts, rows until a bad cohort is named"),
    "store": ("speed.bench_store", "size of a store of 30 days and how long it takes to read, scaled"),
    "diagnosis": ("quality.bench_stored_days", "how long a diagnosis takes as a store grows to 30 days"),
    "memory": ("speed.bench_memory", "the ring, and memory per feature and series"),
    "fork": ("overhead.bench_fork", "p99 of os.fork() beside predictions and a store"),
    "presence": (
        "overhead.bench_presence",
        "resident memory with all carriers and with an agent; CPU until the first answer",
    ),
}
TIMEOUT_S = 3600
ROUNDS = 15


def main(arguments: list[str] | None = None) -> int:
    """Run and return the exit code: 0 measured, 1 with ``--strict`` and a figure over its budget, 2 could not measure."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.peers and options.parts:
        parser.error("a comparison of peers has no parts; leave out the names")
    if options.peers:
        return _compare(options)
    options.rounds = options.rounds or ROUNDS
    known = _table.budgets()
    rows = []
    for part in options.parts or PARTS:
        print(f"measuring {part}: {PARTS[part][1]} ...", file=sys.stderr, flush=True)
        figures = _measure(PARTS[part][0], options.rounds, options.first_seed)
        if not figures:
            return 2
        for figure in figures:
            _table.keep(figure, options.out)
            rows.append(_table.row(figure, known))
    print(
        f"\n{_table.machine()}\nx Histogram.record: times one Histogram.record of the OpenTelemetry SDK, 3 attributes\n"
    )
    print(_table.text(rows))
    if options.page is not None:
        options.page.write_text(_table.page(rows, options.rounds, options.parts), "utf-8")
        print(f"\nwritten: {options.page}")
    if options.summary:
        page = _table.SUMMARY.read_text("utf-8")
        _table.SUMMARY.write_text(_table.summary(page, rows, options.rounds), "utf-8")
        _table.README.write_text(_table.readme(_table.README.read_text("utf-8"), rows), "utf-8")
        print(f"\nwritten: {_table.SUMMARY} and the table of costs in {_table.README}")
    return int(options.strict and any(_table.OVER in line for line in rows))


def _compare(options: argparse.Namespace) -> int:
    """Compare the peers; a peer that cannot run here is a line that says why, but for the two that it is all about."""
    runs = _rounds.fly(PEERS, rounds=options.rounds or _rounds.ROUNDS)
    _page.keep(runs, options.out)
    failures = [f"{run.peer.name} did not run: {run.failure}" for run in runs if run.failure]
    print("\n".join(["", *failures]), file=sys.stderr)
    if any(run.failure for run in runs if run.peer in (BARE, OURS)):
        return 2
    print(_page.summary(runs))
    if options.summary:
        _page.SUMMARY.write_text(_page.summary(runs), "utf-8")
        _table.README.write_text(_page.readme(_table.README.read_text("utf-8"), runs), "utf-8")
        print(f"written: {_page.SUMMARY} and the table of peers in {_table.README}")
    return 0


def _parser() -> argparse.ArgumentParser:
    listed = "\n".join(f"  {name:8}{summary}" for name, (_, summary) in PARTS.items())
    parser = argparse.ArgumentParser(
        prog="make bench B=...", description="Measure overhead beside its budgets.", epilog=f"parts:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="PART", help="parts to measure; default: all")
    parser.add_argument(
        "--peers", action="store_true", help="compare with other libraries instead, each in an own environment"
    )
    rounds = f"interleaved rounds (default: {ROUNDS}; peers: {_rounds.ROUNDS})"
    parser.add_argument("--rounds", type=int, help=rounds)
    parser.add_argument("--first-seed", type=int, default=0, metavar="N", help="first seed of simulations (default: 0)")
    parser.add_argument(
        "--out", type=Path, default=_table.RESULTS, metavar="DIR", help="folder of the raw distributions"
    )
    parser.add_argument(
        "--summary", action="store_true", help="write the lines into RESULTS.md and the table in README.md"
    )
    parser.add_argument("--page", type=Path, metavar="FILE", help="also write the table of these parts to FILE")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when a figure is over its budget")
    return parser


def _measure(module: str, rounds: int, first_seed: int) -> list[Figure]:
    command = [sys.executable, "-m", "benchmarks._part", module, str(rounds), str(first_seed)]
    root = Path(__file__).parents[1]
    done = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, timeout=TIMEOUT_S, check=False)
    if done.returncode:
        print(f"benchmarks/{module.replace('.', '/')}.py failed; its error is above", file=sys.stderr)
        return []
    return [Figure(**json.loads(line)) for line in done.stdout.splitlines()]


if __name__ == "__main__":
    sys.exit(main())
