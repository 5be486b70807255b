"""A server is killed (SIGKILL) at a drawn point of a drawn run: each row of a call that ended is in a count, the others are in a loss.

One example draws a table, its containers and cuts into calls, and where the process dies: before a call, while its features are read
(the n-th row of a batch too), inside the function or one of its stages, while its answer is read, or after it. The process kills
itself there, so the point is exact. An agent then drains what it left; pandas and numpy say what has to be in the windows.

Processes are forked from one that has imported everything, because an import takes longer than an example.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import radiosonde
from tests.property.test_table_oracle import EXAMPLES
from tests.unit.pipeline.spooled import draining

REFERENCE = radiosonde.Reference.fit({"n": np.arange(100.0), "k": ["0", "1", "2", "3"] * 25}, model="m")
POINTS = ("before", "features", "row", "function", "stage", "answer", "after")
IN_FLIGHT = ("features", "row", "function", "stage", "answer")

_SERVERS = """
import collections, json, os, signal, sys
import numpy as np, pandas as pd, polars as pl, pyarrow as pa
import radiosonde as rs
from radiosonde.testing import fly

def die():
    os.kill(os.getpid(), signal.SIGKILL)

class Fatal(collections.abc.Sequence):
    # Rows, one of which kills whoever takes it.
    def __init__(self, rows, at):
        self.rows, self.at = rows, at
    def __len__(self):
        return len(self.rows)
    def __getitem__(self, place):
        if isinstance(place, slice):
            raise TypeError
        if place == self.at:
            die()
        return self.rows[place]

CONTAINERS = {
    "dicts": lambda rows: [dict(zip("nk", row)) for row in rows],
    "columns": lambda rows: dict(zip("nk", map(list, zip(*rows)))),
    "deque": lambda rows: collections.deque(dict(zip("nk", row)) for row in rows),
    "pandas": lambda rows: pd.DataFrame(rows, columns=["n", "k"]),
    "polars": lambda rows: pl.DataFrame(rows, schema={"n": pl.Float64, "k": pl.String}, orient="row"),
    "arrow": lambda rows: pa.table(dict(zip("nk", map(list, zip(*rows))))),
}

def serve(order):
    rs.start(prometheus=False, spool=order["spool"], agent=True)
    point = ""
    def reads(value):
        if point == "features":
            die()
        return value
    def answers(value):
        if point == "answer":
            die()
        return value
    @rs.observe("m", reference=order["reference"], task="classification", input=lambda value, said: reads(value), output=answers)
    def predict(value, said):
        with rs.stage("score"):
            if point == "stage":
                die()
        if point == "function":
            die()
        if said == "error":
            raise ValueError
        return said
    for number, (kind, rows, said) in enumerate(order["calls"]):
        point = order["point"] if number == order["fatal"] else ""
        if point == "before":
            die()
        value = CONTAINERS[kind](rows)
        if point == "row":
            value = Fatal(CONTAINERS["dicts"](rows), order["row"])
        try:
            predict(value, said)
        except ValueError:
            pass
        if point == "after":
            die()

with fly() as warm:  # loads what each process would load otherwise
    for make in CONTAINERS.values():
        warm.observe("m", input=lambda value: value, output=lambda value: value)(lambda value: ["late"])(make([[1.0, "0"]]))
    warm.windows()

for line in sys.stdin:
    child = os.fork()
    if not child:
        try:
            serve(json.loads(line))
        finally:
            os._exit(3)
    print(os.waitpid(child, 0)[1], flush=True)
"""


@pytest.fixture(scope="module")
def servers():
    """Return a function that runs one server until it dies, and returns how it ended."""
    with subprocess.Popen(
        [sys.executable, "-c", _SERVERS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:

        def run(**order):
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
            return int(process.stdout.readline())

        yield run
        process.stdin.close()
        assert process.wait(60) == 0


ROW = st.tuples(st.none() | st.integers(-20, 120).map(float), st.none() | st.sampled_from(["0", "1", "2", "3", "new"]))


@st.composite
def runs(draw):
    """Draw the calls of a run (container, rows, answers or ``error``), which of them is fatal, and where and at which row."""
    calls = []
    for _ in range(draw(st.integers(1, 8))):
        rows = draw(st.lists(ROW, min_size=1, max_size=9))
        labels = st.none() | st.sampled_from(["late", "ok"])
        said = draw(st.just("error") | st.lists(labels, min_size=len(rows), max_size=len(rows)))
        calls.append((draw(st.sampled_from(["dicts", "columns", "deque", "pandas", "polars", "arrow"])), rows, said))
    fatal = draw(st.integers(0, len(calls) - 1))
    points = [point for point in POINTS if point != "answer" or calls[fatal][2] != "error"]  # which has none
    return calls, fatal, draw(st.sampled_from(points)), draw(st.integers(0, len(calls[fatal][1]) - 1))


def expected(calls):
    """Return rows, errors, classes, missing answers and the cells of the features of calls that ended."""
    table = pd.DataFrame([row for _, rows, _ in calls for row in rows], columns=["n", "k"])
    said = [answer for _, rows, answers in calls if answers != "error" for answer in answers]
    number, category = REFERENCE.features
    bounds, known = np.array(number.bounds), table["n"].dropna().to_numpy(dtype=float)
    cells = {"n": Counter({"null": int(table["n"].isna().sum())}), "k": Counter({"null": int(table["k"].isna().sum())})}
    cells["n"]["below"], cells["n"]["above"] = int((known < number.low).sum()), int((known > bounds[-1]).sum())
    inside = known[(known >= number.low) & (known <= bounds[-1])]
    cells["n"].update(np.searchsorted(bounds, inside, side="left").tolist())
    for text, rows in table["k"].value_counts().items():
        cells["k"][category.categories.index(text) if text in category.categories else "unseen"] += int(rows)
    return {
        "calls": len(calls),
        "rows": len(said),  # what a call that raised was given is in the cells alone
        "errors": sum(answers == "error" for _, _, answers in calls),
        "classes": +Counter(answer for answer in said if answer is not None),
        "without an answer": said.count(None),
        "cells": {name: +counts for name, counts in cells.items()},
    }


def found(windows):
    """Return the same of what an agent drained."""
    total = {"calls": 0, "rows": 0, "errors": 0, "classes": Counter(), "without an answer": 0}
    cells = {"n": Counter(), "k": Counter()}
    for window in windows:
        total["calls"] += window.calls
        total["rows"] += window.rows
        total["errors"] += sum(window.errors.values())
        total["classes"].update(dict(zip(window.output.classes, window.output.class_counts.tolist(), strict=True)))
        total["without an answer"] += window.output.unreadable
        if window.features is not None:
            for name, row in zip(cells, window.features.cells.tolist(), strict=True):
                cells[name].update(dict(enumerate(row[:-4])))
                cells[name].update(dict(zip(("below", "above", "null", "unseen"), row[-4:], strict=True)))
    total["classes"] = +total["classes"]
    return total | {"cells": {name: +counts for name, counts in cells.items()}}


@pytest.mark.slow
@settings(
    max_examples=max(8, EXAMPLES // 20),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)
@given(run=runs())
def test_every_row_of_a_killed_server_is_in_a_count_or_in_a_loss(servers, run):
    """Calls that ended are in the windows with all their rows; the one that had begun is the only loss, and has a name."""
    calls, fatal, point, row = run
    with tempfile.TemporaryDirectory() as folder:
        spool = Path(folder) / "spool"
        REFERENCE.save(Path(folder) / "m.reference.json")
        status = servers(
            spool=str(spool), reference=f"{folder}/m.reference.json", calls=calls, fatal=fatal, point=point, row=row
        )
        assert status == signal.SIGKILL
        windows, lost = [], Counter()
        if spool.exists():  # nothing is made before the first call
            with draining(spool) as agent:
                agent.turn()
                snapshot = agent.snapshot()
                windows, lost = snapshot.windows, Counter(agent.statistics().losses)
                assert list(spool.glob("*.ring")) == [] or agent.commit()
    assert found(windows) == expected(calls[: fatal + (point == "after")])
    assert +lost == ({"died_in_flight": 1} if point in IN_FLIGHT else {})
