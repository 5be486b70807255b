"""A host that makes its models anew, with few descriptors. Run as a script: the kinds of models to make, and what prints how it went."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import threading
from contextlib import suppress
from pathlib import Path

import numpy as np

import radiosonde as rs

LIMIT = 128
FREE = 64
"""Descriptors that the host may still open at any time, of `LIMIT`."""

ROW = np.zeros((1, 3))
TIMES, SETTLED = 48, 15


def predict(row):
    """Answer."""
    return "yes"


class Loaded:
    """A model that is reloaded."""

    def predict(self, row):
        """Answer."""
        return "yes"


def a_function(number):
    """Decorate a function again."""
    rs.observe("function")(predict)(ROW)


def another_version(number):
    """Deploy another version of a model."""
    rs.observe("versions", version=str(number))(predict)(ROW)


def other_features(number):
    """Decorate a function again that takes other features."""
    rs.observe("features")(lambda row: "yes")({f"x{number}": 1.0, "y": 2.0})


def a_model(number):
    """Load a model again, and observe its method."""
    model = Loaded()
    model.predict = rs.observe("loaded")(model.predict)
    model.predict(ROW)


def a_class(number):
    """Define a class again, whose method is observed."""

    class Model:
        @rs.observe("class")
        def predict(self, row):
            return "yes"

    Model().predict(ROW)


def a_pipeline(number):
    """Fit a pipeline of a library that is observed by a plug-in again."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    make_pipeline(StandardScaler(), LogisticRegression()).fit([[0.0], [1.0]], [0, 1]).predict(np.array([[0.5]]))


def in_a_thread(number):
    """Decorate a function again in a thread of its own."""
    thread = threading.Thread(target=a_function, args=(number,))
    thread.start()
    thread.join()


def a_coroutine(number):
    """Decorate a coroutine again."""

    async def answer(row):
        return "yes"

    asyncio.run(rs.observe("coroutine")(answer)(ROW))


def an_error(number):
    """Decorate a function again that raises."""

    @rs.observe("error")
    def fail(row):
        raise KeyError(number)

    try:
        fail(ROW)
    except KeyError:
        return


KEPT = []


def a_model_that_stays(number):
    """Load one more model, and keep it."""
    KEPT.append(rs.observe(f"model {number}")(Loaded().predict))
    KEPT[-1](ROW)


KINDS = {
    each.__name__: each
    for each in (
        a_function, another_version, other_features, a_model, a_class, a_pipeline, in_a_thread, a_coroutine, an_error,
        a_model_that_stays,
    )
}  # fmt: skip


def opened(count):
    """Return how many of *count* descriptors the host can open now."""
    held: list[int] = []
    with suppress(OSError):
        while len(held) < count:
            held.append(os.open("/dev/null", os.O_RDONLY))
    for descriptor in held:
        os.close(descriptor)
    return len(held)


def mappings():
    """Return how many mappings of files of rings this process has."""
    return sum(line.rstrip().endswith((".ring", ".arena")) for line in Path("/proc/self/maps").read_text().splitlines())


def main(kinds):
    """Make models of *kinds*, one after the other, and print how many descriptors and mappings there were."""
    rs.instrument()
    KINDS["a_pipeline"](0)  # imports what it needs
    resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
    seen = {}
    for kind in kinds:
        least, settled = FREE, 0
        for number in range(TIMES):
            KINDS[kind](number)
            least = min(least, opened(FREE))
            if number == SETTLED:
                settled = mappings()
        seen[kind] = {"opened": least, "more mappings": max(0, mappings() - settled)}
    statistics = rs.statistics()
    lost = {name: count for name, count in statistics.losses.items() if count}
    sys.stdout.write(json.dumps({"seen": seen, "losses": lost}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
