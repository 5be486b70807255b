"""What failing calls share is named, with its share among the others; what they share with all calls is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.quality.incidents.service import START_NS, Traffic, calls, failing, plant, series
from radiosonde.diagnose import check
from radiosonde.diagnose.failing_features import FailedRows, failed_rows, shared_values, smallest_share
from radiosonde.model import FeatureCounts
from tests.factories import make_feature, make_reference

MINUTES, ONSET = 120, 90
REFERENCE = make_reference(
    [make_feature("age", (100,) * 10 + (0, 0, 10, 0)), make_feature("plan", (60, 30, 10, 1, 1), categories=("free", "pro", "old"))],
    model="m",
)  # fmt: skip
BODY, WIDTH = 10, 14


def table(age, plan):
    """Return cells of both features: of *age* by cell, of *plan* by category, missing and unseen."""
    made = np.zeros((2, WIDTH), dtype=np.int64)
    made[0] = age
    made[1, :3], made[1, -2:] = plan[:3], plan[3:]
    return made


def drawn(rng, rows, age=None, plan=None):
    """Return the cells of *rows* rows of usual shares, or of those given."""
    usual = np.array([0.099] * BODY + [0, 0, 0.01, 0])
    return table(rng.multinomial(rows, usual if age is None else age), rng.multinomial(rows, [0.6, 0.29, 0.1, 0.005, 0.005] if plan is None else plan))  # fmt: skip


def served(seed=1, age=None, plan=None, rate=0.1):
    """Return windows in which from the onset on *rate* of the calls fail, whose rows have shares of their own."""
    rng = np.random.default_rng(seed)
    keys = series(1, region=2)
    made = calls(rng, MINUTES, keys, 400.0, swing=0.0)
    traffic = plant(rng, Traffic(keys, made, failing(rng, made, 0.0005)), rate, ONSET)
    windows = []
    for window in traffic.windows():
        failures = sum(window.errors.values())
        is_ill = window.start_ns >= START_NS + ONSET * 60_000_000_000
        failed = drawn(rng, failures, age if is_ill else None, plan if is_ill else None)
        cells = failed + drawn(rng, window.calls - failures)
        features = FeatureCounts(
            REFERENCE.grid_id, REFERENCE.id, False, ("age", "plan"), cells, np.zeros(2, np.uint64), failed_cells=failed
        )
        windows.append(replace(window, features=features))
    return windows


def at(*cells):
    """Return shares of *age* that are all in *cells*."""
    made = np.zeros(WIDTH)
    made[list(cells)] = 1 / len(cells)
    return made


@pytest.mark.parametrize(
    ("age", "plan", "feature", "value"),
    [
        (at(-2), None, "age", "missing"),
        (at(8, 9), None, "age", "> 8"),
        (at(0), None, "age", "\u2264 1"),
        (at(4, 5), None, "age", "between 4 and 6"),
        (at(-3), None, "age", "> 10"),
        (None, [0.0, 0.0, 1.0, 0.0, 0.0], "plan", "= old"),
        (None, [0.0, 0.0, 0.0, 0.0, 1.0], "plan", "a value that is not in the reference"),
    ],
)
def test_a_value_that_failing_calls_share_is_named_in_the_finding(age, plan, feature, value):
    """Missing, a range at either end or inside, outside the reference, a category, an unknown one."""
    (finding,) = [found for found in check(served(age=age, plan=plan), {("m", "v1"): REFERENCE}).findings if found.kind == "errors"]  # fmt: skip
    shared = [entry for entry in finding.evidence if entry.name == "shared"]
    assert [f"have {feature} {value};" in entry.text for entry in shared] == [True]
    assert shared[0].value > 0.9
    assert f"have {feature} {value};" in finding.verdict


@pytest.mark.parametrize("seed", range(6))
def test_failing_calls_that_are_like_all_others_share_nothing(seed):
    """Failures that fall on all alike, many or few."""
    diagnosis = check(served(seed, rate=0.3 if seed % 2 else 0.02), {("m", "v1"): REFERENCE})
    assert not [each for finding in diagnosis.findings for each in finding.evidence if each.name == "shared"]
    assert not [note for note in diagnosis.notes if note.name.startswith("errors.shared")]


def test_half_of_the_failing_calls_are_enough_where_others_rarely_have_it():
    """The other half fails for another reason."""
    age = 0.5 * at(-2) + 0.5 * np.array([0.1] * BODY + [0] * 4)
    windows = served(age=age)
    keys = {window.key for window in windows}
    rows = failed_rows(windows, {("m", "v1"): REFERENCE}, keys, START_NS + ONSET * 60_000_000_000, 2**62)
    (shared,) = shared_values(rows)
    assert (shared.feature, shared.value) == ("age", "missing")
    assert shared.share == pytest.approx(0.5, abs=0.05)
    assert shared.share_others == pytest.approx(0.01, abs=0.005)


def test_what_always_failed_is_a_note_and_no_finding():
    """One call in two thousand fails, always those of an old plan: the report lists it as a note."""
    windows = served(plan=[0.0, 0.0, 1.0, 0.0, 0.0], rate=0.003)
    diagnosis = check(windows, {("m", "v1"): REFERENCE})
    (note,) = [note for note in diagnosis.notes if note.name.startswith("errors.shared")]
    assert note.name == "errors.shared.plan"
    assert note.severity == "info"


@pytest.mark.parametrize(("failing_rows", "floor"), [(5, None), (12, (0.5, 1.0)), (1000, (0.3, 0.4))])
def test_the_floor_falls_with_the_number_of_failing_rows(failing_rows, floor):
    """Of five rows nothing would be said."""
    failed = np.zeros((1, 14))
    failed[0, 0] = failing_rows
    found = smallest_share(FailedRows(("age",), (None,), failed, np.full((1, 14), 500.0)))
    assert np.isnan(found) if floor is None else floor[0] <= found <= floor[1]
