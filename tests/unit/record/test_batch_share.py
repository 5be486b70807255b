"""Reading a large batch costs its caller a small part of what the model itself takes."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from radiosonde.testing import fly

OWN_S, MOST_SHARE = 0.25, 0.05
"""A model that takes at least so much CPU of its own, and the part of it that a batch may add."""

ROWS, WIDTH, REPEATS = 100_000, 30, 5
MATRIX = np.random.default_rng(0).random((ROWS, WIDTH))
NAMES = [f"x{place}" for place in range(WIDTH)]
CARRIERS = np.random.default_rng(0).integers(0, 20, ROWS)

INPUTS = {
    "an array": lambda: MATRIX,
    "an array of single precision": lambda: MATRIX.astype(np.float32),
    "a frame": lambda: pd.DataFrame(MATRIX, columns=NAMES),
    "a frame of single precision": lambda: pd.DataFrame(MATRIX.astype(np.float32), columns=NAMES),
    "a polars frame": lambda: pl.DataFrame(MATRIX, schema=NAMES),
    "an Arrow table": lambda: pa.table({name: MATRIX[:, place] for place, name in enumerate(NAMES)}),
    "columns by name": lambda: {name: MATRIX[:, place].copy() for place, name in enumerate(NAMES)},
    "categories": lambda: pd.DataFrame({"x": MATRIX[:, 0], "carrier": pd.Categorical.from_codes(CARRIERS, [*"abcdefghijklmnopqrst"])}),
}  # fmt: skip


def cpu_of(function, *arguments):
    """Return the CPU seconds of this thread in a call."""
    began_s = time.thread_time()
    function(*arguments)
    return time.thread_time() - began_s


@pytest.mark.parametrize("name", INPUTS)
def test_a_batch_adds_a_small_part_of_the_time_of_its_model(name):
    """Beside a model that takes a quarter of a second, reading a batch takes at most 5 % of its time, for any container."""
    rows = INPUTS[name]()
    work = np.random.default_rng(1).random(4_000_000)

    def model(batch):
        return np.sin(work)

    own_s = 0.0
    while own_s < OWN_S:
        own_s += cpu_of(model, rows)
    with fly() as rs:
        predict = rs.observe("m")(lambda batch: None)
        predict(rows)
        added = []
        for _ in range(REPEATS):
            assert rs.pipeline().take_turn()
            added.append(cpu_of(predict, rows))
        assert min(added) <= MOST_SHARE * own_s, (min(added), own_s)
