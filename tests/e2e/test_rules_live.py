"""Every shipped recording rule, evaluated by a real Prometheus over a real scrape, gives the documented value."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml

from radiosonde.assets import AssetOptions
from radiosonde.assets.grafana import make as make_dashboards
from radiosonde.assets.prometheus import make
from tests.e2e._evaluated import REFERENCE, evaluated
from tests.e2e._receivers import query
from tests.unit.assets.dashboards import expressions, filled

NEEDS_DAYS = re.compile(r"usual_ratio7d$|^radiosonde:class:psi1h$")
"""Rules that compare with the last week."""


@pytest.fixture(scope="module")
def live(tmp_path_factory) -> Iterator[str]:
    """Yield a Prometheus that has scraped growing counts and evaluated every rule several times."""
    import shutil

    program = shutil.which("prometheus")
    if not program:
        pytest.skip("the program 'prometheus' is not installed (Debian: apt-get install prometheus)")
    with evaluated(Path(program), tmp_path_factory.mktemp("live")) as base:
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


@pytest.mark.parametrize(
    "expression",
    [
        'radiosonde:class:ratio1h{radiosonde_variant="canary"}',
        'radiosonde:cell:ratio1h{radiosonde_model_name="fares"}',
        'radiosonde:feature:location1h{radiosonde_model_name="fares"}',
        'radiosonde:feature:psi1h{radiosonde_model_name="fares"}',
    ],
)
def test_without_rows_there_are_no_shares(live, expression):
    """Counters that are zero are exported, and smoothing must not make a distribution of them."""
    counter = re.sub(r"radiosonde:\w+:\w+", "", expression)
    assert query(live, f"radiosonde:class:rows1h{counter}") or query(live, f"radiosonde:feature:rows1h{counter}")
    assert query(live, expression) == []


@pytest.mark.parametrize("dashboard", ["fleet.json", "model.json"])
def test_every_panel_of_a_dashboard_has_data(live, dashboard):
    """Each query as Grafana sends it where no filter is set, those of incidents and alerts too."""
    (document,) = (json.loads(asset.content) for asset in make_dashboards(AssetOptions()) if asset.path == dashboard)
    queries = [filled(expr) for expr in expressions(document)]
    silent = [expr for expr in queries if not query(live, expr)]
    assert len(queries) > 5
    assert silent == []
