"""Types of answers that an application makes for each request are let go of."""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import enum
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pydantic
import pytest

from radiosonde._record.shapes import TYPES_KNOWN
from radiosonde.testing import fly


def _object_of_its_own_type() -> object:
    """Return an object that cannot be read as an answer."""
    answer = type("Answer", (), {})
    return answer()


FORMS: dict[str, Callable[[], Any]] = {
    "named tuple": lambda: collections.namedtuple("Answer", ["label", "confidence"])("yes", 0.75),  # noqa: PYI024
    "dataclass": lambda: dataclasses.make_dataclass("Answer", ["label", "confidence"])("yes", 0.75),
    "pydantic": lambda: pydantic.create_model("Answer", label=(str, ...), confidence=(float, ...))(
        label="yes", confidence=0.75
    ),
    "enum": lambda: enum.Enum("Answer", {"YES": "yes"}).YES,  # type: ignore[attr-defined]
    "text": lambda: type("Answer", (str,), {})("yes"),
    "number": lambda: type("Answer", (float,), {})(0.75),
    "dict": lambda: type("Answer", (dict,), {})(label="yes", confidence=0.75),
    "unreadable": _object_of_its_own_type,
    "exception": lambda: type("Answer", (Exception,), {})("yes"),
}
MADE = 6 * TYPES_KNOWN


def _single(rs: Any, make: Callable[[], Any]) -> None:
    predict = rs.observe("m", input=False)(make)
    for _ in range(MADE):
        predict()


def _batch(rs: Any, make: Callable[[], Any]) -> None:
    predict = rs.observe("m")(lambda rows: [make() for _ in rows])
    for _ in range(MADE // 2):
        predict([[1.0], [2.0]])


def _coroutine(rs: Any, make: Callable[[], Any]) -> None:
    @rs.observe("m", input=False)
    async def predict() -> Any:
        return make()

    async def main() -> None:
        for _ in range(MADE):
            await predict()

    asyncio.run(main())


WAYS = {"single": _single, "batch": _batch, "coroutine": _coroutine}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("way", WAYS)
def test_a_type_made_for_each_answer_is_not_kept(way: str, form: str) -> None:
    """All rows are counted, and types stay alive only while their readers are remembered, of whole answers and of their parts."""
    alive: list[weakref.ref[type]] = []

    def make() -> Any:
        answer = FORMS[form]()
        alive.append(weakref.ref(type(answer)))
        return answer

    with fly(runtime=False) as rs:
        WAYS[way](rs, make)
        gc.collect()
        assert sum(each() is not None for each in alive) <= 2 * TYPES_KNOWN
        assert sum(window.rows for window in rs.windows()) == MADE
        assert len(alive) == MADE
