"""From what the peers said to a table: RESULTS.md, the README's few columns, and the raw file."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.peers._catalogue import BARE
from benchmarks.peers._rounds import BURST, Run

SUMMARY = Path(__file__).parent / "RESULTS.md"
BEGIN, END = '<!-- written by make bench B="--peers --summary" -->\n', "<!-- end of peers -->"
HEADS = (
    "peer", "caller, median", "p99", "over bare", "CPU over bare", "memory over bare", "grown", "installed", "import", "first answer",
    "counted", "delivers",
)  # fmt: skip
README_HEADS = ("", "caller", "CPU", "memory", "installed", "import", "first answer", "what arrives")
MIB = 2**20


@dataclass(frozen=True)
class Line:
    """The figures of a peer that ran.

    Attributes:
        median_us, p99_us: of the caller, the function's own time included: first quartile over the rounds, because
            neighbours on a shared machine only ever add to the wall clock.
        over_us: of the medians, observed - bare of the same process.
        cpu_us: of the process per prediction, flush included, observed - bare: median over the rounds.
        memory_mib: resident set that is not there with a bare call; *grown_mib* of it came with the predictions.
        import_ms, first_ms: CPU after `import numpy`, for the import, and until the first answer (the harness's own imports
            included, as with the bare call): medians over fresh interpreters.
        counted_ratio: of the predictions made, those the telemetry holds.
    """

    median_us: float
    p99_us: float
    over_us: float
    cpu_us: float
    memory_mib: float
    grown_mib: float
    import_ms: float
    first_ms: float
    counted_ratio: float


def line(run: Run, bare: Run) -> Line:
    """Return the figures of *run* beside those of the bare call's process."""
    medians, p99s, without = (
        [told[arm][name] for told in run.rounds]
        for arm, name in (("observed", "median_us"), ("observed", "p99_us"), ("bare", "median_us"))
    )
    median_us, p99_us, bare_us = (float(np.quantile(values, 0.25)) for values in (medians, p99s, without))
    return Line(
        median_us=median_us,
        p99_us=p99_us,
        over_us=median_us - bare_us,
        cpu_us=float(np.median([told["observed"]["cpu_us"] - told["bare"]["cpu_us"] for told in run.rounds])),
        memory_mib=(run.ready_kib + run.grown_kib - bare.ready_kib - bare.grown_kib) / 1024,
        grown_mib=(run.grown_kib - bare.grown_kib) / 1024,
        import_ms=_import_ms(run, "import_cpu_s"),
        first_ms=_import_ms(run, "first_cpu_s"),
        counted_ratio=run.counted / run.predictions,
    )


def _import_ms(run: Run, name: str) -> float:
    return 1e3 * float(np.median([told[name] for told in run.imports]))


def rows(runs: Sequence[Run]) -> list[tuple[str, ...]]:
    """Return the cells of the table in RESULTS.md. A peer that did not run has a reason instead of figures."""
    bare = _bare(runs)
    return [_cells(run, bare) for run in runs]


def _cells(run: Run, bare: Run) -> tuple[str, ...]:
    if run.failure:
        return (run.peer.name, *[""] * (len(HEADS) - 2), f"did not run: {run.failure}".replace("|", "/"))
    found = line(run, bare)
    own = (f"{_short(found.median_us)} us", f"{_short(found.p99_us)} us")
    if run is bare:
        return (run.peer.name, *own, *[""] * (len(HEADS) - 6), f"{_short(found.first_ms)} ms", "", run.peer.delivers)
    return (
        run.peer.name,
        *own,
        f"{_short(found.over_us)} us",
        f"{_short(found.cpu_us)} us",
        f"{_short(found.memory_mib)} MiB",
        f"{_short(found.grown_mib)} MiB",
        f"{_short(run.installed_bytes / MIB)} MiB in {run.distributions}",
        f"{_short(found.import_ms)} ms",
        f"{_short(found.first_ms)} ms",
        f"{100 * found.counted_ratio:.2f} %",
        run.peer.delivers,
    )


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 10 else f"{value:.1f}"


def _bare(runs: Sequence[Run]) -> Run:
    return next(run for run in runs if run.peer is BARE)


def table(cells: Sequence[Sequence[str]], heads: Sequence[str] = HEADS) -> str:
    """Return a Markdown table."""
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads), *("| " + " | ".join(c) + " |" for c in cells)]
    return "\n".join(lines) + "\n"


def summary(runs: Sequence[Run]) -> str:
    """Return the page that is committed."""
    bare = _bare(runs)
    predictions = max(len(run.rounds) for run in runs) * BURST
    versions = ", ".join(f"{run.peer.distribution} {run.version}" for run in runs if run.numpy)
    others = [run for run in runs if run.numpy not in ("", bare.numpy)]
    versions += "".join(f" ({run.peer.distribution} with numpy {run.numpy})" for run in others)
    return f"""# Beside its peers, measured

Written by `make bench B="--peers --summary"`: one run, each peer in an environment and a process of its own, in turns of {BURST:_} predictions.
The model is a network of 30 -> 64 -> 64 -> 2 in numpy; the call is one row of 30 floats; {predictions:_} predictions in all.

Machine: {os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}; {versions}; cores shared with others.

{table(rows(runs))}
* *caller*: wall time of a call in a closed loop, the model included; first quartile over the rounds. *Over bare* is beside the bare call in
  the same process, of the medians. Neighbours on the machine meet long calls more often than short ones: that is most of a p99 of milliseconds.
* *CPU*: of the whole process, its threads and one flush every {BURST:_} predictions included (OTLP export to a local receiver, scrape, roll-over or
  store: what the peer does in a minute at 333 predictions a second), minus the bare call's.
* *memory*: resident set at the end, minus a bare process's; *grown*: since the first answer and flush.
* *installed*: beyond numpy, without byte code, and in how many packages. *Import*: CPU, over `import numpy`. *First answer*: CPU from there on until
  one prediction is made, with what is imported late and the set-up (Radiosonde defers most of it), and with the harness's own imports.
* *counted*: predictions the telemetry held at the end, of those made.

Not alike, in either direction: bucket edges are written by hand for OpenTelemetry and prometheus-client, Radiosonde learns its own; those two count
nothing that is missing or unseen; prometheus-client opens no connection; Radiosonde feeds three carriers at once; whylogs keeps what its default
resolver says; Logfire records arguments and not results (its defaults), and makes the spans that Radiosonde, without a tracer, does not. OpenTelemetry would be a
quarter cheaper with model, version and variant on the resource instead of on every record. whylogs needs numpy < 2.
""".replace("_000", " 000")


def readme(page: str, runs: Sequence[Run]) -> str:
    """Return the README with an updated table of peers.

    Raises:
        ValueError: it has no marks to write between.
    """
    before, _, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"README.md has no table between {BEGIN.strip()} and {END}")
    bare = _bare(runs)
    chosen = []
    for run in runs:
        if run is bare:
            continue
        _, _, _, over, cpu, memory, _, installed, imported, first, *_ = _cells(run, bare)
        figures = (over, cpu, memory, installed.partition(" in ")[0], imported, first)
        chosen.append((run.peer.name, *figures, "did not run here" if run.failure else run.peer.briefly))
    return before + BEGIN + table(chosen, README_HEADS) + END + after


def keep(runs: Sequence[Run], folder: Path) -> None:
    """Write what every round said to ``peers.json`` in *folder*."""
    folder.mkdir(parents=True, exist_ok=True)
    document = [dataclasses.asdict(run) for run in runs]
    (folder / "peers.json").write_text(json.dumps(document, indent=1) + "\n", "utf-8")
