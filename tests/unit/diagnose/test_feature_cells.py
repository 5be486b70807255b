"""The check of features by version and cohort: what is found, where, since when, and what is no fault."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.quality.incidents.cohort_cells import EXPECTED, WORLDS, Fault, cohorts, make_reference
from radiosonde.diagnose.cell_findings import is_of_cohort
from radiosonde.diagnose.cell_incidents import find_breaks
from radiosonde.diagnose.cell_table import make_cell_tables
from radiosonde.diagnose.check import check

FEATURES, ONSET, MINUTES = 4, 120, 140
REFERENCES = {("m", version): make_reference(FEATURES) for version in ("v1", "v2")}


def served(*faults, seed=1, minutes=MINUTES, per_minute=1500.0, world="steady", length=1):
    """Return the windows of a model with *faults*."""
    rng = np.random.default_rng(seed)
    made = WORLDS[world](rng, cohorts(rng, minutes, per_minute=per_minute, features=FEATURES, length=length))
    return made.windows(rng, faults)


def broken(windows, references=REFERENCES):
    """Return the reported breaks: feature, kind, place and onset in windows."""
    (breaks,) = [find_breaks(table) for table in make_cell_tables(windows, references)]
    found = []
    for each in breaks.reported:
        (name,) = [breaks.places.names[index] for index in each.cover.places]
        found.append((breaks.table.names[each.feature], each.kind, name.version, name.cohort, each.onset))
    return found


@pytest.mark.parametrize(
    ("kind", "share", "version", "cohort"),
    [
        ("missing", 0.3, "v1", "region=r3"),
        ("missing", 0.05, "", "region=r0"),
        ("missing", 1.0, "", "region=r5"),
        ("unseen", 0.1, "v2", ""),
        ("unseen", 1.0, "", "region=r5"),
        ("zero", 0.3, "", "region=r1"),
        ("zero", 1.0, "v2", "region=r0"),
        ("stuck", 0.4, "", "region=r4"),
        ("stuck", 1.0, "", "region=r5"),
        ("scaled", 1.0, "", "region=r5"),
        ("scaled", 0.3, "v1", "region=r2"),
        ("recoded", 1.0, "", "region=r3"),
        ("recoded", 0.7, "v2", ""),
    ],
)
def test_values_that_are_replaced_are_found_with_feature_place_and_onset(kind, share, version, cohort):
    """One break of the true kind, at the true version and cohort, within a window of the true onset; cohort r5 has 2 % of the rows."""
    feature = 3 if kind == "recoded" else 1
    ((name, said, *where, onset),) = broken(served(Fault(kind, share, feature, version, cohort, ONSET)))
    assert (name, said, where) == ("c3" if kind == "recoded" else "x1", EXPECTED[kind], [version, cohort])
    assert abs(onset - ONSET) <= 1


def of_cohorts(windows):
    """Return what is reported of single cohorts: feature, kind, places."""
    (breaks,) = [find_breaks(table) for table in make_cell_tables(windows, REFERENCES)]
    named = [each for each in breaks.reported if is_of_cohort(breaks, each)]
    return [(each.feature, each.kind, [breaks.places.names[index] for index in each.cover.places]) for each in named]


@pytest.mark.parametrize(
    "world",
    ["autoregressive", "daily", "read", "unlike", "arriving", "gusty", "gusty_apart", "daily_apart", "outage_over"],
)
def test_what_wanders_comes_in_readings_or_changes_its_mix_is_no_break(world):
    """Two days of ten-minute windows of a healthy model have no break: neither drift, nor weather, nor a cohort that grows five-fold."""
    assert of_cohorts(served(world=world, minutes=288, per_minute=300.0, length=10)) == []


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_first_weekend_moves_all_cohorts_and_breaks_none(seed):
    """After five workdays levels rise by two standard deviations everywhere and three times as many values are missing."""
    assert of_cohorts(served(world="weekly", seed=seed, minutes=24 * 8, per_minute=100.0, length=60)) == []


@pytest.mark.parametrize("kind", ["missing", "stuck", "scaled"])
def test_a_cohort_that_breaks_on_a_weekend_is_found_beside_all_that_moved(kind):
    """Half of the values of one cohort are replaced on Saturday, while the values of all cohorts move."""
    fault = Fault(kind, 0.5, 1, "", "region=r1", 24 * 5 + 8)
    ((name, said, (place,)),) = of_cohorts(served(fault, world="weekly", minutes=24 * 7, per_minute=100.0, length=60))
    assert (name, said, place.cohort) == (1, EXPECTED[kind], "region=r1")


@pytest.mark.parametrize(("start", "steps"), [(120, 2), (123, 3)])
def test_a_burst_that_later_rows_do_not_confirm_is_not_reported(start, steps):
    """A tenth of the values of one cohort are missing for some minutes: an alarm, and no break."""
    fault = Fault("missing", 0.12, 1, "", "region=r0", start, start + steps)
    assert of_cohorts(served(fault, minutes=180)) == []


def test_a_grown_cohort_hides_nothing_and_is_nothing():
    """While the mix changes, a fault in one cohort is still found there, and nowhere else."""
    fault = Fault("missing", 0.5, 1, "", "region=r2", 250)
    ((name, kind, version, cohort, onset),) = broken(served(fault, world="unlike", minutes=288, length=10))
    assert (name, kind, version, cohort) == ("x1", "missing", "", "region=r2")
    assert abs(onset - 250) <= 1


@pytest.mark.parametrize("first", [("missing", 1.0), ("zero", 1.0), ("scaled", 0.5)], ids=["missing", "zero", "scaled"])
def test_an_outage_of_the_past_hides_no_later_fault(first):
    """A fault that was over an hour ago is out of the baseline: a smaller one of its kind is found in the same cohort."""
    kind, share = first
    faults = Fault(kind, share, 1, "", "region=r1", 60, 75), Fault(kind, 0.4 * share, 1, "", "region=r1", ONSET)
    found = broken(served(*faults, minutes=150))
    assert [(each[1], each[3]) for each in found] == [(EXPECTED[kind], "region=r1")] * 2
    assert [abs(each[4] - onset) <= 1 for each, onset in zip(found, (60, ONSET), strict=True)] == [True, True]


@pytest.mark.parametrize("last", [ONSET + 3, ONSET + 7, ONSET + 15])
def test_a_look_after_some_windows_says_what_a_later_one_says(last):
    """A break that a look found is in every later look, with the same feature, kind, place and onset."""
    windows = served(Fault("missing", 0.5, 1, "v2", "", ONSET))
    end = min(window.start_ns for window in windows) + last * 60_000_000_000
    assert broken([window for window in windows if window.start_ns < end]) == broken(windows) != []


def test_parts_in_any_order_are_the_whole():
    """Windows cut over two processes, in reverse, give the same breaks."""
    windows = served(Fault("unseen", 0.2, 2, "", "region=r1", ONSET))
    parts = []
    for window in reversed(windows):
        cells = window.features.cells
        for process, part in (("a", cells // 2), ("b", cells - cells // 2)):
            rows = int(part[0].sum())
            counted = replace(window.features, cells=part, counted_rows=rows, weight_square_sum=rows)
            parts.append(replace(window, process=process, features=counted))
    assert broken(parts) == broken(windows) != []


def test_the_finding_names_feature_version_cohort_and_onset():
    """A whole diagnosis pages for it, once, with the share before and after, and says which cohorts are spared."""
    (finding,) = check(served(Fault("missing", 0.5, 2, "", "region=r5", ONSET)), REFERENCES).findings
    assert (finding.name, finding.severity) == ("data.missing.x2", "page")
    assert (finding.where.version, finding.where.cohort, finding.where.feature) == ("", "region=r5", "x2")
    assert "x2 of region=r5: missing values rose from" in finding.title
    told = {item.name: item.value for item in finding.evidence}
    assert told["missing_after"] == pytest.approx(0.5, abs=0.05)
    assert told["missing_before"] == pytest.approx(0.01, abs=0.005)
    assert told["rows_of_all"] == pytest.approx(0.02, abs=0.005)


def test_a_healthy_look_prints_floors_and_what_it_left_out():
    """Passed means floors for each kind, and places beyond the bound are named as not checked."""
    windows = served()
    (passed,) = [said for said in check(windows, REFERENCES).checked if said.name == "feature_cells"]
    assert [floor.value > 0 for floor in passed.floors].count(True) >= 4
    assert any("more missing" in floor.text and "region=" in floor.text for floor in passed.floors)
    (table,) = make_cell_tables(windows, REFERENCES)
    kept = find_breaks(table, most=200)
    assert kept.left_out == len(kept.places.names) - kept.watched.size > 0
    assert 0 in kept.watched
    assert (kept.places.members[kept.watched] @ table.rows()).min() >= max(
        kept.places.members[index] @ table.rows() for index in range(len(kept.places.names)) if index not in set(kept.watched.tolist())
    )  # fmt: skip


def test_without_a_reference_missing_values_are_found_and_levels_are_not_judged():
    """A model without a profile has its missing values checked by place."""
    fault = Fault("missing", 0.5, 1, "v2", "", ONSET)
    assert [each[:4] for each in broken(served(fault), {})] == [("x1", "missing", "v2", "")]
    assert broken(served(Fault("zero", 1.0, 1, "v2", "", ONSET)), {}) == []
