"""A script that pickles observed callables of all kinds: ``_pickled.py LIBRARY FOLDER``."""

from __future__ import annotations

import asyncio
import copy
import functools
import importlib
import sys
from pathlib import Path

import radiosonde as rs


@rs.observe("function")
def function(row):
    return "late"


@rs.observe(
    "options",
    version=lambda: "7",
    input="row",
    id="order",
    output=lambda answer: answer["label"],
    classes=["on time", "late"],
)
def options(order, *, row=None):
    return {"label": "late"}


@rs.observe("coroutine")
async def coroutine(row):
    await asyncio.sleep(0)
    return "late"


@rs.observe("generator")
def generator(row):
    yield "on time"
    yield "late"


@rs.observe("async generator")
async def async_generator(row):
    yield "on time"
    yield "late"


@rs.observe("later")
def later(row):
    async def work():
        return "late"

    return work()


class Model:
    @rs.observe("method")
    def predict(self, row):
        return "late"

    @rs.observe("async method")
    async def predict_later(self, row):
        return "late"

    @staticmethod
    @rs.observe("static method")
    def predict_static(row):
        return "late"

    @classmethod
    @rs.observe("class method")
    def predict_class(cls, row):
        return "late"


class PerInstance:
    def __init__(self):
        self.predict = rs.observe("bound method")(self.predict)

    def predict(self, row):
        return "late"


class Called:
    def __call__(self, row):
        return "late"


def plain(row, answer):
    return answer


def made():
    """Return the pickled objects, by name: the callable or its owner, and how to call it."""
    model = Model()
    return {
        "function": function,
        "options": options,
        "coroutine": coroutine,
        "generator": generator,
        "async generator": async_generator,
        "later": later,
        "method": model.predict,
        "async method": model.predict_later,
        "static method": Model.predict_static,
        "class method": Model.predict_class,
        "bound method": PerInstance().predict,
        "callable object": rs.observe("callable object")(Called()),
        "observed partial": rs.observe("observed partial")(functools.partial(plain, answer="late")),
        "partial of observed": functools.partial(
            rs.observe("partial of observed")(functools.partial(plain, answer="late")), answer="late"
        ),
        "builtin": rs.observe("builtin")(len),
        "deep copy": copy.deepcopy({"predict": rs.observe("deep copy")(Called())})["predict"],
    }


if __name__ == "__main__":
    name, folder = sys.argv[1:]
    library = importlib.import_module(name)
    for kind, thing in made().items():
        (Path(folder) / f"{kind}.pickle").write_bytes(library.dumps(thing))
