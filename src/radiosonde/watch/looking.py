"""Looks at a source: sees whether it has grown, and runs the engine over its whole windows.

A window whose end has not come by the wall clock is left out: an agent writes it in parts every few seconds, and half a minute of calls
would be taken for a drop. Windows of a replay, whose event time is of another year, are all whole.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from radiosonde._clock import NS
from radiosonde.diagnose import Diagnosis, Finding, Freshness, Policy, check
from radiosonde.diagnose.status import window_length_ns
from radiosonde.errors import StoreError
from radiosonde.model import RUNTIME_MODEL, Exemplar, Window, parse_cohort
from radiosonde.sources import StoredSource, open_source

SETTLES_NS = 5 * NS
"""How long the parts of a window may take to be written."""

PolicyOf = Callable[[Sequence[Path], StoredSource], Policy]


class Look(NamedTuple):
    """What a look found.

    Attributes:
        diagnosis: the answer of the engine.
        window_ns: length of the windows.
        example: of a finding: a call that it affected; None where none is known.
    """

    diagnosis: Diagnosis
    window_ns: int
    example: Callable[[Finding], Exemplar | None]


class Looker(Protocol):
    """Something that can be diagnosed again and again."""

    def has_grown(self, now_ns: int) -> bool:
        """Say whether there is something new since the last look. Cheap."""
        ...

    def look(self, now_ns: int) -> Look:
        """Diagnose."""
        ...


class StoreLooker:
    """Diagnoses stores, each time from all their windows.

    Args:
        stores: as for `open_source`; a folder may get new stores meanwhile.
        policy_of: returns what people have declared, asked at each look.
        model: this model only; None for all.
        require: as for `check`.
    """

    def __init__(
        self,
        stores: Sequence[Path],
        policy_of: PolicyOf,
        *,
        model: str | None = None,
        require: Collection[str] | None = None,
    ) -> None:
        self._stores, self._policy_of = list(stores), policy_of
        self._model, self._require = model, require
        self._seen: object = None

    def has_grown(self, now_ns: int) -> bool:
        """Say whether a place has other parts than at the last look.

        Raises:
            StoreError: a store cannot be read.
        """
        del now_ns
        return self._marks(open_source(self._stores, sketches=False)) != self._seen

    def look(self, now_ns: int) -> Look:
        """Diagnose all windows that have ended.

        Raises:
            StoreError: a store cannot be read.
            ConfigurationError: the configuration cannot be read.
        """
        source = open_source(self._stores, sketches=False)
        marks = self._marks(source)
        windows = [
            window
            for window in (
                *source.windows(None, now_ns - SETTLES_NS, self._model),
                *source.runtime_windows(None, now_ns - SETTLES_NS),
            )
            if window.end_ns <= now_ns - SETTLES_NS
        ]
        written_ns = source.last_written_ns()
        diagnosis = check(
            windows,
            source.references(),
            model=self._model,
            require=self._require,
            freshness=None if written_ns is None else Freshness(written_ns, now_ns),
            policy=self._policy_of(self._stores, source),
        )
        self._seen = marks
        counting = [window for window in windows if window.key.model != RUNTIME_MODEL]
        examples = examples_of(counting)
        return Look(diagnosis, window_length_ns(counting), lambda finding: example_of(examples, finding))

    @staticmethod
    def _marks(source: StoredSource) -> object:
        try:
            return [(place.path, place.mark()) for place in source.places]
        except OSError as error:
            raise StoreError(f"{error.filename}: {error.strerror}; check that the store is still there") from error


Examples = list[tuple[Window, Exemplar]]


def examples_of(windows: Sequence[Window]) -> Examples:
    """Return the traced calls of *windows*, the latest windows last."""
    return [(window, each) for window in windows for each in window.latency.exemplars.values() if each.trace_id]


def example_of(examples: Examples, finding: Finding) -> Exemplar | None:
    """Return the slowest traced call at the place of *finding* since its onset; None where there is none."""
    where, onset = finding.where, finding.onset
    cohort = dict(_dimensions(where.cohort))
    chosen = [
        each
        for window, each in examples
        if window.key.model == where.model
        and where.version in ("", window.key.version)
        and where.variant in ("", window.key.variant)
        and cohort.items() <= dict(_dimensions(window.key.cohort)).items()
        and window.end_ns > onset.at_ns
        and (onset.ended_ns is None or window.start_ns < onset.ended_ns)
    ]
    return max(chosen, key=lambda each: each.value_s, default=None)


def _dimensions(cohort: str) -> Collection[tuple[str, str]]:
    try:
        return list(parse_cohort(cohort).items())
    except ValueError:  # the overflow, or one that somebody named by hand
        return [("", cohort)]
