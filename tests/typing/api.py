"""What type checkers must see through `observe`: the user's own signature. Checked by mypy and pyright, never executed.

A line with two ignores is a mistake both checkers must report: an ignore that is not needed is itself an error.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from pathlib import Path
from typing import assert_type

import radiosonde as rs
from radiosonde.errors import ConfigurationError, RadiosondeError


@rs.observe("plain")
def plain(rows: list[float], *, top: int = 1) -> float:
    return rows[top]


@rs.observe
def bare(rows: list[float]) -> float:
    return rows[0]


@rs.observe
async def abare(rows: list[float]) -> float:
    return rows[0]


@rs.observe()
def empty(rows: list[float]) -> float:
    return rows[0]


@rs.observe("served", version="2.3.1", variant="canary", task="classification", classes=["on time", "late"])
async def served(rows: dict[str, float]) -> str:
    return str(rows)


@rs.observe("streamed", input=False)
def streamed(prompt: str) -> Generator[str, int, bool]:
    sent = yield prompt
    return sent > 0


@rs.observe("astreamed", input="prompt", output=len)
async def astreamed(prompt: str) -> AsyncGenerator[str, None]:
    yield prompt


class Model:
    @rs.observe("method", input=str.upper, features=("a", "b"))
    def predict(self, rows: list[float]) -> list[int]:
        return [int(row) for row in rows]

    @rs.observe("amethod", reference=Path("delays.reference.json"))
    async def apredict(self, rows: list[float]) -> list[int]:
        return [int(row) for row in rows]

    @classmethod
    @rs.observe("cmethod", reference="delays.reference.json")
    def cpredict(cls, row: float) -> int:
        return int(row)

    @staticmethod
    @rs.observe("smethod", task="regression")
    def spredict(row: float) -> int:
        return int(row)


def a_signature_is_kept(model: Model) -> None:
    assert_type(plain([1.0], top=0), float)
    assert_type(bare([1.0]), float)
    assert_type(empty([1.0]), float)
    assert_type(streamed("x"), Generator[str, int, bool])
    assert_type(astreamed("x"), AsyncGenerator[str, None])
    assert_type(model.predict([1.0]), list[int])
    assert_type(Model.cpredict(1.0), int)
    assert_type(Model.spredict(1.0), int)


async def an_awaited_result_is_kept(model: Model) -> None:
    assert_type(await abare([1.0]), float)
    assert_type(await served({}), str)
    assert_type(await model.apredict([1.0]), list[int])
    async for piece in astreamed("x"):
        assert_type(piece, str)


def a_wrong_call_is_reported(model: Model) -> None:
    plain("x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    plain([1.0], bottom=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    model.predict()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    rs.observe("m", task="ranking")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    rs.observe("m", "1.0")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    rs.observe("m", input=True)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]


def settings_are_keywords_of_start() -> None:
    rs.start(store=Path("delays.sqlite"), window_s=300, agent="auto", spool="spool", cohorts={"plan": ["free"]})
    rs.start(store=None, references={"delays": Path("delays.json")})
    rs.start(stroe="delays.sqlite")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    rs.start(window_s="300")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    rs.start(agent="maybe")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def a_callable_of_any_kind_is_kept(function: Callable[[bytes], str]) -> None:
    assert_type(rs.observe("any")(function), Callable[[bytes], str])


def context_managers_and_values() -> None:
    with rs.stage("feature_fetch"), rs.cohort(carrier="UA", plan="pro"):
        plain([1.0])
    assert_type(rs.__version__, str)
    error: type[RadiosondeError] = ConfigurationError
    raise error
