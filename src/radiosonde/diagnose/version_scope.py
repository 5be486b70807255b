"""Determines which versions a data change affects, and which have too little data.

"Only version 2" is a claim about the others, so it needs rows of the others: a version that was retired before the
onset, or serves a handful of calls, is not one that stayed as it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

_FEW = 10
"""Number of expected hits of an affected version: 10 expected and almost none seen is not by chance."""

_AFFECTED = 0.2


class VersionScope(NamedTuple):
    """Versions by their index.

    Attributes:
        versions: the affected ones, where at least one other demonstrably is not; empty otherwise.
        untested: those with too few rows since the onset.
    """

    versions: tuple[int, ...]
    untested: tuple[int, ...]


def judge_versions(rises: NDArray[np.float64], trials: NDArray[np.float64]) -> VersionScope:
    """Return the scope of a change.

    Args:
        rises: rise of the share of hits, by version.
        trials: trials of the shares after the onset, by version.
    """
    counted = trials >= _FEW
    largest = float((rises[counted] if counted.any() else rises).max())
    affected = (rises >= _AFFECTED * largest) & (trials > 0)
    expected = trials * largest >= _FEW
    spared = expected & ~affected
    versions = np.flatnonzero(affected) if spared.any() else np.empty(0, dtype=np.int64)
    return VersionScope(tuple(versions.tolist()), tuple(np.flatnonzero(~affected & ~expected).tolist()))


def scope_words(names: Sequence[str], scope: VersionScope) -> str:
    """Return a sentence with the versions of *names* that are affected, unaffected, and unknown."""
    rest = set(range(len(names))) - set(scope.untested)
    if scope.untested:
        spared = rest - set(scope.versions) if scope.versions else ()
        affected = f"Version {_listed(names, scope.versions or rest)} is affected"
        unharmed = f", version {_listed(names, spared)} is not" if spared else ""
        return f"{affected}{unharmed}; version {_listed(names, scope.untested)} has too few rows since the onset to decide."
    if scope.versions:
        return f"Only version {_listed(names, scope.versions)} is affected: its own preprocessing."
    return "All versions alike: upstream of the model."


def _listed(names: Sequence[str], indices: Iterable[int]) -> str:
    return ", ".join(names[index] or "(none)" for index in sorted(indices))
