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

PARTS = {
    "record": ("speed.bench_record", "what the caller pays for a row and for a batch"),
    "total": ("speed.bench_total", "CPU of caller and drain together; values per second of batches"),
    "drain": ("speed.bench_drain", "where the consumer's time goes"),
    "tail": ("overhead.bench_tail", "what the consumer thread does to the caller's p99.9"),
    "budget": ("overhead.bench_budget", "whether all our threads stay within the CPU budget"),
    "export": ("speed.bench_export", "building and encoding OTLP, rendering a Prometheus page"),
    "import": ("speed.bench_import", "time and modules of `import radiosonde`"),
    "memory": ("speed.bench_memory", "the ring, and memory per feature and series"),
}
TIMEOUT_S = 900


def main(arguments: list[str] | None = None) -> int:
    """Run and return the exit code: 0 measured, 1 with ``--strict`` and a figure over its budget, 2 could not measure."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.summary and options.parts:
        parser.error("a summary needs all parts; leave out the names")
    known = _table.budgets()
    rows = []
    for part in options.parts or PARTS:
        print(f"measuring {part}: {PARTS[part][1]} ...", file=sys.stderr, flush=True)
        figures = _measure(PARTS[part][0], options.rounds)
        if not figures:
            return 2
        for figure in figures:
            _table.keep(figure, options.out)
            rows.append(_table.row(figure, known))
    print(
        f"\n{_table.machine()}\nx Histogram.record: times one Histogram.record of the OpenTelemetry SDK, 3 attributes\n"
    )
    print(_table.text(rows))
    if options.summary:
        _table.SUMMARY.write_text(_table.summary(rows, options.rounds), "utf-8")
        _table.README.write_text(_table.readme(_table.README.read_text("utf-8"), rows), "utf-8")
        print(f"\nwritten: {_table.SUMMARY} and the table of costs in {_table.README}")
    return int(options.strict and any(_table.OVER in line for line in rows))


def _parser() -> argparse.ArgumentParser:
    listed = "\n".join(f"  {name:8}{summary}" for name, (_, summary) in PARTS.items())
    parser = argparse.ArgumentParser(
        prog="make bench B=...", description="Measure overhead beside its budgets.", epilog=f"parts:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="PART", help="parts to measure; default: all")
    parser.add_argument("--rounds", type=int, default=15, help="interleaved rounds (default: %(default)s)")
    parser.add_argument(
        "--out", type=Path, default=_table.RESULTS, metavar="DIR", help="folder of the raw distributions"
    )
    parser.add_argument("--summary", action="store_true", help="write benchmarks/RESULTS.md and the table in README.md")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when a figure is over its budget")
    return parser


def _measure(module: str, rounds: int) -> list[Figure]:
    command = [sys.executable, "-m", "benchmarks._part", module, str(rounds)]
    root = Path(__file__).parents[1]
    done = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, timeout=TIMEOUT_S, check=False)
    if done.returncode:
        print(f"benchmarks/{module.replace('.', '/')}.py failed; its error is above", file=sys.stderr)
        return []
    return [Figure(**json.loads(line)) for line in done.stdout.splitlines()]


if __name__ == "__main__":
    sys.exit(main())
