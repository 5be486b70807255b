"""Testing support: an isolated pipeline for tests of observed code, which raises internal errors.

    from radiosonde.testing import fly

    def test_my_model():
        with fly() as rs:
            predict = rs.observe("delays")(my_predict)
            predict([1.0, 2.0])
            (window,) = rs.windows()
            assert window.calls == 1

Internal errors of Radiosonde are raised instead of swallowed; the environment is not read; nothing is exported unless a setting enables it;
every row is counted without sampling, unless a ``cpu_budget`` is given.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Unpack

from radiosonde._api.surface import Surface
from radiosonde._guard import Guard
from radiosonde.model import Window

if TYPE_CHECKING:
    from radiosonde._settings.options import StartOptions

__all__ = ["Flight", "fly"]


class Flight(Surface):
    """The functions of `radiosonde` with a separate pipeline, and its counts."""

    def windows(self) -> tuple[Window, ...]:
        """Drain, and return the cumulative windows so far: one per series, without sketches."""
        return self.pipeline().snapshot().windows

    def losses(self) -> dict[str, int]:
        """Drain, and return the losses so far by reason, those that did not happen left out."""
        self.pipeline().take_turn()
        return {reason: count for reason, count in self.statistics().losses.items() if count}


@contextmanager
def fly(*, reraise: bool = True, **settings: Unpack[StartOptions]) -> Iterator[Flight]:
    """Start a Radiosonde of one's own and shut it down afterwards.

    Args:
        reraise: raise errors of Radiosonde's own instead of counting them.
        **settings: as for `radiosonde.start`; Prometheus is off and every row is counted
            unless asked for otherwise.

    Raises:
        ConfigurationError: a setting cannot be used.
    """
    flight = Flight(Guard(reraise=reraise), environment={})
    usual: StartOptions = {"prometheus": False, "cpu_budget": math.inf}
    usual.update(settings)
    flight.start(**usual)
    try:
        yield flight
    finally:
        flight.shutdown()
