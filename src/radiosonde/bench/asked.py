"""A user's function, asked for the answers to rows of a table: single rows or batches, in any form, synchronous or asynchronous.

The function is called bare, so a replay is not recorded as traffic. The rows of each call are made anew: a model that changes its input
changes nothing else.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from radiosonde._clock import NS, monotonic_ns
from radiosonde.bench.rows import Call, form_of, maker, named
from radiosonde.bench.target import load, parameters
from radiosonde.errors import ConfigurationError, RadiosondeError
from radiosonde.forensics.answers import answer_column

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

CONCURRENT = 64
"""Calls of an asynchronous function that run at a time."""


class AskedModel:
    """A function that predicts. Close it, for the event loop of asynchronous ones.

    Args:
        target: ``module:function``.
        form: one of `radiosonde.bench.rows.FORMS`.
        batch_rows: rows per call; 1 passes a row instead of a list of rows.
        output: entry to use of answers that are mappings.

    Attributes:
        name: *target*.
        identity: *target*, its options, and the hash of the file with its code.
        batch_rows: as given.

    Raises:
        ConfigurationError: there is no such function, or it cannot be asked.
    """

    def __init__(self, target: str, form: str, batch_rows: int, output: str | None = None) -> None:
        self.name, self.batch_rows = target, batch_rows
        self._target = load(target)
        self._form, self._output = form, output
        function = self._target.bare
        plain = inspect.unwrap(function)
        plain = plain if inspect.isroutine(plain) else type(plain).__call__
        if inspect.isgeneratorfunction(plain) or inspect.isasyncgenfunction(plain):
            raise ConfigurationError(f"{target} yields its answers; give a function that returns them")
        self._parameters = parameters(function)
        self._runner: asyncio.Runner | None = None
        self.identity = f"{target} as {form}, output {output}, code {_code(plain)}"

    def predict(self, batch: pa.RecordBatch, call_rows: int) -> tuple[NDArray[Any], list[float]]:
        """Return the answers to the rows, and the seconds that each call took.

        Raises:
            ConfigurationError: a call raised, or did not return an answer per row.
        """
        pieces = [batch.slice(first, call_rows) for first in range(0, batch.num_rows, call_rows)]
        calls = [self._call(piece) for piece in pieces]
        try:
            results = self._results(calls)
        except RadiosondeError:
            raise
        except Exception as error:
            raise ConfigurationError(
                f"{self.name} raised {type(error).__name__}: {error}; check --columns and --as, which say what it is given"
            ) from error
        is_row = call_rows == 1
        columns = [
            answer_column(self._one(result) if is_row else result, piece.num_rows, self._output)
            for (result, _), piece in zip(results, pieces, strict=True)
        ]
        if len({column.dtype for column in columns}) > 1:
            columns = [column.astype(object) for column in columns]
        return np.concatenate(columns), [seconds for _, seconds in results]

    def close(self) -> None:
        """End the event loop."""
        if self._runner is not None:
            self._runner.close()
            self._runner = None

    def _call(self, piece: pa.RecordBatch) -> Call:
        """Return the call for some rows."""
        form = self._form
        if form == "auto":
            form = form_of(self._target, piece.slice(0, 1).to_pylist()[0], self._parameters)
        if form == "kwargs":
            if self.batch_rows > 1:
                raise ConfigurationError(f"{self.name} takes the features of one row as arguments; give --batch 1")
            return Call((), named(piece.to_pylist()[0], self._parameters))
        kind = self._parameters[0].annotation if self._parameters else None
        if form == "frame" and not str(getattr(kind, "__module__", "")).startswith("polars"):
            return Call((piece.to_pandas(),), {})  # with the types that the table has
        made = maker(form, kind, self._target.owner)(piece.to_pylist())
        is_whole = self.batch_rows > 1 or form in ("array", "frame")
        return Call((made if is_whole else made[0],), {})

    def _one(self, answer: Any) -> Any:
        """Return the answer to one row as a list of one, unless it is that already."""
        if isinstance(answer, dict) or np.ndim(answer) == 0:
            return [answer]
        return answer if len(answer) == 1 else [answer]

    def _results(self, calls: Sequence[Call]) -> list[tuple[Any, float]]:
        results, waiting = [], []
        for args, kwargs in calls:
            began_ns = monotonic_ns()
            result = self._target.bare(*args, **kwargs)
            if inspect.isawaitable(result):
                waiting.append(result)
                continue
            results.append((result, (monotonic_ns() - began_ns) / NS))
        if not waiting:
            return results
        if self._runner is None:
            self._runner = asyncio.Runner()
        return self._runner.run(_gathered(waiting))


async def _gathered(waiting: Sequence[Any]) -> list[tuple[Any, float]]:
    """Return the results in order."""
    free = asyncio.Semaphore(CONCURRENT)

    async def one(call: Any) -> tuple[Any, float]:
        async with free:
            began_ns = monotonic_ns()
            result = await call
            return result, (monotonic_ns() - began_ns) / NS

    return list(await asyncio.gather(*map(one, waiting)))


def _code(function: Any) -> str:
    """Return the hash of the file that holds a function; empty where it has none."""
    try:
        file = inspect.getsourcefile(function)
        return "" if file is None else hashlib.sha256(Path(file).read_bytes()).hexdigest()[:16]
    except (TypeError, OSError):
        return ""
