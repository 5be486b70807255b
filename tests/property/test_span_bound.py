"""For any traffic, spans created afterwards stay within their bound, and those beyond it are counted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radiosonde._aggregate.aggregator import Aggregator
from radiosonde._aggregate.tail_sampler import TailSampler
from radiosonde._guard import Guard
from radiosonde._ring.layout import DONE, FAILED
from tests.unit.aggregate.blocks import NS, Clock, block, stream

TURNS = st.lists(
    st.tuples(
        st.integers(0, 90),  # seconds since the last turn
        st.integers(0, 40),  # ordinary records
        st.integers(0, 80),  # errors
        st.integers(0, 40),  # unsure
        st.booleans(),  # whether windows are closed
    ),
    max_size=30,
)


@given(turns=TURNS, per_minute=st.integers(1, 100), seed=st.integers(0, 2**32))
def test_the_bound_holds_in_any_minute_and_nothing_vanishes(turns, per_minute, seed):
    """No 60 seconds hold more spans than allowed; errors and unsure ones are kept or counted; no id comes twice."""
    clock, guard = Clock(), Guard(reraise=True)
    with pytest.MonkeyPatch.context() as patch:
        for module in ("allowance", "tail_sampler", "aggregator", "state"):
            patch.setattr(f"radiosonde._aggregate.{module}.monotonic_ns", clock)
        tail_sampler = TailSampler(per_minute, guard, seed=seed)
        aggregator = Aggregator(60.0, "worker-1", tail_sampler)
        made, remarkable, source = [], 0, stream()
        for pause_s, ordinary, errors, unsure, closes in turns:
            clock.pass_s(pause_s)
            records = block([clock.now_ns / NS] * (ordinary + errors + unsure))
            if len(records):
                records.headers["duration_ns"] = np.arange(1, len(records) + 1)
                records.headers["mark"][:errors] += FAILED - DONE
                records.headers["error"][:errors] = 1
                records.headers["confidence"][errors : errors + unsure] = 0.5
                aggregator.fold(source, records)
                remarkable += errors + unsure
            if closes:
                aggregator.close(everything=True)
            made += [(clock.now_ns, span) for span in tail_sampler.take()]
    times = np.array([at for at, _ in made])
    for at in times:
        assert np.count_nonzero((times >= at) & (times < at + 60 * NS)) <= per_minute
    kept = sum(not {"error", "low_confidence"}.isdisjoint(span.reasons) for _, span in made)
    # The slowest that are refused are counted, too.
    assert kept + guard.losses().get("spans_bounded", 0) >= remarkable
    assert len({span.span_id for _, span in made}) == len(made)
