"""A Prometheus that scrapes a server with some of everything, and a watch, and evaluates every rule that ships."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from radiosonde.assets import AssetOptions
from radiosonde.assets.prometheus import make
from radiosonde.export.prometheus import PrometheusCollector
from radiosonde.export.snapshot import Snapshot
from radiosonde.model import SeriesKey
from tests.e2e._receivers import prometheus, query, wait_for
from tests.e2e.test_restarted_replica import REFERENCES, served, windows
from tests.factories import (
    make_features,
    make_labels,
    make_latency,
    make_output,
    make_runtime,
    make_snapshot,
    make_watched,
    make_window,
)

REFERENCE = replace(
    REFERENCES["delays", "1"], output=replace(REFERENCES["delays", "1"].output, predicted_counts=(30, 70))
)


def counted(turns: int) -> Snapshot:
    """Return all that a server has counted after *turns* equal turns: two variants, a regression, features, health, losses."""
    cells = {"wind": [4 * turns, 2 * turns, turns, turns, turns, turns], "carrier": [6 * turns, 3 * turns, 0, turns]}
    features = make_window(
        SeriesKey("delays", "1"),
        latency=make_latency([0.02] * (9 * turns) + [3.0] * turns, {"fetch": [0.01] * (9 * turns) + [2.0] * turns}),
        output=make_output([("delayed", 0.75)] * (4 * turns) + [("on time", 0.75)] * (6 * turns)),
        features=make_features(REFERENCE, cells),
        durations_s=[0.02] * (10 * turns),
    )
    canary = make_window(
        SeriesKey("delays", "1", "canary"), durations_s=(),
        labels=make_labels({("correct", "1h"): 6 * turns, ("incorrect", "1h"): 4 * turns}),
    )  # fmt: skip
    snapshot = make_snapshot(
        *windows(turns), features, canary,
        references={**REFERENCES, ("delays", "1"): REFERENCE},
        losses={"ring_overwritten": turns}, records=100 * turns, guarded={"fold": turns}, consumer_cpu_s=0.5 * turns,
    )  # fmt: skip
    runtime = make_runtime(cpu_s=2.0 * turns, periods=100 * turns, throttled_periods=25 * turns)
    return replace(snapshot, runtime=runtime, watched=make_watched())


@contextmanager
def evaluated(program: Path, folder: Path) -> Iterator[str]:
    """Yield a Prometheus that has scraped growing counts and evaluated every rule several times.

    Args:
        program: that is Prometheus.
        folder: for what it keeps.
    """
    paths = []
    for asset in make(AssetOptions()):
        if asset.path in {"rules.yml", "alerts.yml"}:
            # As shipped, but evaluated every second, and alerts fire at once.
            text = re.sub(r"interval: \w+", "interval: 1s", asset.content)
            paths.append(folder / asset.path)
            paths[-1].write_text(re.sub(r"for: \w+", "for: 0s", text))
    turns = itertools.count()
    collector = PrometheusCollector(lambda: counted(next(turns)))
    with served(collector) as port, prometheus(program, port, folder, paths) as base:
        wait_for(lambda: query(base, "radiosonde:canary:wrong_ln_evidence"), "the last rule of the longest chain")
        wait_for(lambda: query(base, "count_over_time(radiosonde:feature:psi1h[1m]) > 3"), "several evaluations")
        yield base
