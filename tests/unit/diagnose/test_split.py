"""Sample-ratio mismatch in a diagnosis: one cohort that gets another share of a version is named, an uneven split is none."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.quality.incidents.service import Traffic, series
from radiosonde.diagnose.checks.split import look
from radiosonde.diagnose.registry import Report, View

MINUTES = 240


def look_at(shares, keys, *, per_minute=40.0, seed=1, born=0):
    """Return the report on cohorts whose calls go to the second version by *shares*, from minute *born* on."""
    rng = np.random.default_rng(seed)
    half = len(keys) // 2
    made = rng.poisson(per_minute, (half, MINUTES))
    now = np.arange(MINUTES) >= born
    new = rng.binomial(made, np.asarray(shares)[:, None] * now)
    calls = np.concatenate([made - new, new]).astype(float)
    report = Report()
    look(View("m", Traffic(keys, calls, np.zeros_like(calls)).windows(), [], {}, False, []), report)
    return report


@pytest.mark.parametrize("odd", [0.05, 0.4, 0.95])
@pytest.mark.parametrize("born", [0, 60])
def test_the_cohort_that_gets_another_share_is_named(odd, born):
    """Five cohorts with a fifth of their calls on the new version, and one with less, twice as much, nearly all."""
    report = look_at([0.2, 0.2, odd, 0.2, 0.2, 0.2], series(2, region=6), born=born)
    (finding,) = report.findings
    assert (finding.where.cohort, finding.where.version, finding.severity) == ("region=r2", "v2", "ticket")


def test_a_value_of_one_of_two_dimensions_is_named():
    """One plan of three in two regions: the plan, not the regions."""
    keys = series(2, plan=3, region=4)
    shares = [0.08 if "plan=p1" in key.cohort else 0.2 for key in keys[:12]]
    report = look_at(shares, keys, per_minute=60.0)
    assert {finding.where.cohort for finding in report.findings} == {"plan=p1"}


@pytest.mark.parametrize("shares", [[0.05, 0.5, 0.1, 0.9, 0.2, 0.3], [0.1, 0.1, 0.1, 0.6, 0.6, 0.6]])
def test_a_split_that_is_uneven_everywhere_is_said_and_no_finding(shares):
    """A version that is rolled out region by region."""
    report = look_at(shares, series(2, region=6))
    assert not report.findings
    assert "as if that were meant" in report.gaps[0].because


@pytest.mark.parametrize("seed", range(6))
def test_a_random_split_is_no_finding_and_says_its_floor(seed):
    """A tenth of the calls of each cohort."""
    report = look_at([0.1] * 8, series(2, region=8), seed=seed)
    assert report.findings == report.gaps == []
    assert "odds" in report.checked[0].floors[0].text


@pytest.mark.parametrize("shares", [[0.2, 0.4], [0.2, 0.2, 0.5], [0.2, 0.2, 0.5, 0.2]])
def test_few_cohorts_cannot_be_told_apart(shares):
    """Two of three are alike by chance: too few to identify an outlier."""
    report = look_at(shares, series(2, region=len(shares)))
    assert not report.findings
    assert f"serve {len(shares)} cohorts" in report.gaps[0].because


def test_one_version_is_not_looked_at():
    """Nothing to compare."""
    one = look_at([0.0, 0.0], series(2, region=2))
    assert "one version only" in one.gaps[0].because
    assert one.checked == []
