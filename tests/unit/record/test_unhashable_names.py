"""Names of phases and errors that cannot be looked up by themselves."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from radiosonde.model import name_of
from radiosonde.testing import fly


class Unhashable(str):
    """A text whose hash raises."""

    __slots__ = ()

    def __hash__(self):
        raise RuntimeError("no hash for you")


RELEASED = memoryview(b"ab")
RELEASED.release()


@pytest.mark.parametrize(
    "name", [Unhashable("fetch"), RELEASED, [1], memoryview(bytearray(b"x"))], ids=lambda name: type(name).__name__
)
def test_a_name_whose_hash_raises_is_still_a_name(name):
    """A phase and an error of it are counted, each time, without an internal error."""
    with fly() as rs:

        def predict(row):
            with rs.stage(name):
                return "yes"

        observed = rs.observe("m")(predict)
        for _ in range(3):
            observed([1.0])
            rs.record("m", 0.1, error=name)
        windows = rs.windows()
        assert sum(window.calls for window in windows) == 6
        assert sum(sum(window.errors.values()) for window in windows) == 3
        assert {phase for window in windows for phase in window.latency.phases} == {name_of(name)}
        assert not rs.statistics().guarded


class Untrue:
    """An object that has no truth value and is equal to nothing, as a missing value of pandas or an array."""

    __hash__ = object.__hash__

    def __bool__(self):
        raise TypeError("neither true nor false")

    def __eq__(self, other):
        raise TypeError("equal to nothing")

    def __str__(self):
        return "untrue"


class Classless:
    """An object that raises when its class is read."""

    @property
    def __class__(self):
        raise ValueError("of no class")


ODD_SERIES = {
    "of no class": Classless,
    "unhashable": Unhashable("fetch"), "released": RELEASED, "list": [1], "no truth": Untrue(), "array": np.array([1, 2]),
    "missing": pd.NA, "not a number": float("nan"), "bytes": b"caf\xe9", "numpy": np.str_("late"), "none": None,
    "half a character": "\ud800", "nothing": "", "frame": pd.DataFrame({"a": [1, 2]}),
}  # fmt: skip


@pytest.mark.parametrize("odd", ODD_SERIES.values(), ids=ODD_SERIES)
@pytest.mark.parametrize("role", ["name", "version", "variant", "error"])
def test_completed_calls_of_any_name_count(odd, role):
    """Name, version, variant and error of a call timed elsewhere may be anything: it is counted, three times in one series."""
    odd = odd() if odd is Classless else odd  # not before: pytest asks parameters for their class
    given = {"name": "m", "version": "1", "variant": "canary", "error": None} | {role: odd}
    with fly() as rs:
        for _ in range(3):
            rs.record(given["name"], 0.1, version=given["version"], variant=given["variant"], error=given["error"])
        windows = [window for window in rs.windows() if window.runtime is None]
        assert [window.calls for window in windows] == [3]
        assert not rs.statistics().guarded


@pytest.mark.parametrize("odd", ODD_SERIES.values(), ids=ODD_SERIES)
@pytest.mark.parametrize("role", ["version", "variant", "classes", "features"])
def test_observed_functions_of_any_name_count(odd, role):
    """Arguments of `observe` may be anything, too."""
    odd = odd() if odd is Classless else odd
    given = {role: [odd, "other"] if role in ("classes", "features") else odd}
    with fly() as rs:
        predict = rs.observe("m", **given)(lambda row: "other")
        for _ in range(3):
            predict([1.0, 2.0])
        windows = [window for window in rs.windows() if window.runtime is None]
        assert [window.calls for window in windows] == [3]
        assert int(windows[0].output.class_counts.sum()) == 3
        assert not rs.statistics().guarded
