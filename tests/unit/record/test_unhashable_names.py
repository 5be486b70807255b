"""Names of phases and errors that cannot be looked up by themselves."""

from __future__ import annotations

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
    """A phase and an error of it are counted, each time, and nothing of ours fails."""
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
