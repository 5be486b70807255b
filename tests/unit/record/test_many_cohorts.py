"""Calls of many cohorts, made while the consumer is busy elsewhere, are counted in their cohort and at their time."""

from __future__ import annotations

import time
from collections import Counter

import pytest

from radiosonde.testing import fly

WINDOW_S = 5


def _answer(number: int) -> str:
    """Return one of two classes; some calls raise, and some take longer."""
    if number % 50 == 0:
        raise KeyError(number)
    sum(range(number % 400))
    return "yes" if number % 3 else "no"


@pytest.mark.parametrize(
    ("models", "cohorts"), [(1, 3), (1, 20), (1, 50), (1, 120), (1, 190), (3, 150)], ids=lambda value: f"{value}"
)
def test_calls_of_many_cohorts_are_counted_while_nothing_is_drained(models: int, cohorts: int) -> None:
    """Calls, errors and classes by model and cohort, and no window outside the time in which they were made."""
    names = [f"c{number}" for number in range(cohorts)]
    made: dict[str, Counter[str]] = {"calls": Counter(), "errors": Counter(), "classes": Counter()}
    with fly(window_s=WINDOW_S, ring_bytes=1 << 16, runtime=False, cohorts={"t": names}) as rs:
        observed = [rs.observe(f"m{number}", input=False)(_answer) for number in range(models)]
        rs.pipeline().take_turn()
        began = time.time()
        with rs.pipeline()._turn:
            for number in range(24_000):
                model, name = number % models, names[(number // models) % cohorts]
                place = f"m{model} t={name}"
                with rs.cohort(t=name):
                    try:
                        observed[model](number)
                    except KeyError:
                        made["errors"][place] += 1
                    else:
                        made["classes"][place] += 1
                made["calls"][place] += 1
        ended = time.time()
        assert rs.flush(60)
        found: dict[str, Counter[str]] = {name: Counter() for name in made}
        for window in rs.windows():
            place = f"{window.key.model} {window.key.cohort}"
            found["calls"][place] += window.calls
            found["errors"][place] += sum(window.errors.values())
            found["classes"][place] += int(window.output.class_counts.sum())
            if window.calls:
                assert began - WINDOW_S <= window.start_ns / 1e9 <= ended
        assert rs.losses() == {}
    assert {name: +counts for name, counts in found.items()} == made
