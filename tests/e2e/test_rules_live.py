"""Every recording rule that ships, evaluated by a real Prometheus over a real scrape, gives what it says."""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from radiosonde.assets import AssetOptions
from radiosonde.assets.grafana import make as make_dashboards
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
    make_window,
)
from tests.unit.assets.dashboards import expressions, filled

REFERENCE = replace(
    REFERENCES["delays", "1"], output=replace(REFERENCES["delays", "1"].output, predicted_counts=(30, 70))
)
OF_A_WATCH = re.compile(r"^(sum by .*\()?(radiosonde_(incident|check)_|ALERTS)")
"""Queries of what `radiosonde watch` and alerts export."""
NEEDS_DAYS = re.compile(r"usual_ratio7d$|^radiosonde:class:psi1h$")
"""Rules that compare with the last week."""


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
    return replace(snapshot, runtime=runtime)


@pytest.fixture(scope="module")
def live(tmp_path_factory) -> Iterator[str]:
    """Yield a Prometheus that has scraped growing counts and evaluated every rule several times."""
    import shutil

    program = shutil.which("prometheus")
    if not program:
        pytest.skip("the program 'prometheus' is not installed (Debian: apt-get install prometheus)")
    folder = tmp_path_factory.mktemp("live")
    rules = next(asset.content for asset in make(AssetOptions()) if asset.path == "rules.yml")
    # As shipped, but evaluated every second.
    (folder / "rules.yml").write_text(re.sub(r"interval: \w+", "interval: 1s", rules))
    turns = itertools.count()
    collector = PrometheusCollector(lambda: counted(next(turns)))
    with served(collector) as port, prometheus(Path(program), port, folder, [folder / "rules.yml"]) as base:
        wait_for(lambda: query(base, "radiosonde:canary:wrong_ln_evidence"), "the last rule of the longest chain")
        wait_for(lambda: query(base, "count_over_time(radiosonde:feature:psi1h[1m]) > 3"), "several evaluations")
        yield base


def recorded() -> list[str]:
    """Return the names of all rules that need no week of history."""
    document = yaml.safe_load(next(asset.content for asset in make(AssetOptions()) if asset.path == "rules.yml"))
    names = [rule["record"] for group in document["groups"] for rule in group["rules"]]
    return [name for name in names if not NEEDS_DAYS.search(name)]


def test_every_rule_returns_data(live):
    """None of them is empty on a server that has some of everything."""
    silent = [name for name in recorded() if not query(live, name)]
    assert silent == []


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ('radiosonde:failures:ratio5m{radiosonde_model_name="delays", radiosonde_variant="stable"}', 0.05),
        ('radiosonde:slow:ratio1h{radiosonde_model_name="delays", radiosonde_variant="stable"}', 0.05),
        ('radiosonde:feature:null_ratio1h{radiosonde_feature_name="wind"}', 0.1),
        ('radiosonde:feature:unseen_ratio1h{radiosonde_feature_name="carrier"}', 0.1),
        ('radiosonde:feature:outside_ratio1h{radiosonde_feature_name="wind"}', 0.2),
        ('radiosonde:confidence:mean1h{radiosonde_model_name="delays", radiosonde_variant="stable"}', 0.75),
        ("radiosonde:value:mean1h", 5.0),
        ('radiosonde:outcomes:wrong_ratio1d{radiosonde_variant="canary", radiosonde_label_lag="1h"}', 0.4),
        ('radiosonde:outcomes:wrong_ratio1d{radiosonde_variant="stable", radiosonde_label_lag="1h"}', 3 / 13),
        ('radiosonde:canary:wrong_change{radiosonde_label_lag="1h"}', 0.4 - 3 / 13),
        ('radiosonde:calibration:error1d{radiosonde_model_name="delays", radiosonde_variant="stable"}', (1.2 + 1.9) / 12),
        ("radiosonde:residuals:mean_absolute1d", 2.0),
        ("radiosonde:residuals:mean1d", -4 / 4 + 4 / 4),
        ("radiosonde:cpu:throttled_ratio5m", 0.25),
        (
            (
                'radiosonde:tail:seconds1h{radiosonde_phase="fetch"}'
                ' / ignoring (radiosonde_phase) radiosonde:tail:seconds1h{radiosonde_phase="total"}'
            ),
            2.0 / 3.0,
        ),
    ],
)  # fmt: skip
def test_a_rule_gives_the_share_that_was_counted(live, expression, value):
    """Ratios do not depend on how much was scraped, so they are exact."""
    found = [float(item["value"][1]) for item in query(live, expression)]
    assert found == pytest.approx([value], rel=1e-6, abs=1e-9)


def test_distance_from_the_reference_is_that_of_numpy(live):
    """PSI of a feature, with shares smoothed by half a row, at one evaluation."""
    at = f'{{radiosonde_model_name="delays", radiosonde_feature_name="wind"}} @ {time.time() - 2:.3f}'
    cells = {
        item["metric"]["radiosonde_feature_cell"]: float(item["value"][1])
        for item in query(live, f"radiosonde:cell:ratio1h{at}")
    }
    (found,) = query(live, f"radiosonde:feature:psi1h{at}")
    shares = np.array([cells[cell] for cell in ("00", "01", "below", "above", "null", "unseen")])
    reference = np.array(REFERENCE.features[0].p0)
    assert shares.sum() == pytest.approx(1.0)
    psi = ((shares - reference) * np.log(shares / reference)).sum()
    assert float(found["value"][1]) == pytest.approx(psi, rel=1e-9)


@pytest.mark.parametrize("dashboard", ["fleet.json", "model.json"])
def test_every_panel_of_a_dashboard_has_data(live, dashboard):
    """Each query as Grafana sends it where no filter is set; what only a watch exports is empty without one."""
    (document,) = (json.loads(asset.content) for asset in make_dashboards(AssetOptions()) if asset.path == dashboard)
    queries = [filled(expr) for expr in expressions(document)]
    silent = [expr for expr in queries if not query(live, expr) and not OF_A_WATCH.search(expr)]
    assert len(queries) > 5
    assert silent == []
