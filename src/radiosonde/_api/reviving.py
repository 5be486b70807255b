"""Observed functions unpickled from another process: recorded by the pipeline of this process.

A worker of Ray, Spark or joblib unpickles a function for each task. Each would make a recorder, with a ring of megabytes; so a
recorder has a key, and one that was met here before is the same one.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from radiosonde._native import RLock
from radiosonde._record.recorder import KNOWN

if TYPE_CHECKING:
    from radiosonde._record.recorder import Observed, Recorder

MOST_KEPT = 64
"""Recorders kept although no function uses them just now: the next task brings theirs. Arbitrary; bounds memory."""

_kept: OrderedDict[str, Recorder] = OrderedDict()  # guarded by _lock
_lock = RLock()  # a finaliser may unpickle


def revive(key: str, observed: Observed) -> Recorder | Off:
    """Return the recorder of *key* in this process; a no-op recorder when Radiosonde is off."""
    from radiosonde._api.surface import SURFACE  # which imports this module

    if SURFACE.is_off:
        return Off(key, observed)
    with _lock:
        recorder = KNOWN.get(key)
        if recorder is None:
            recorder = SURFACE.recorder_for(observed)
            recorder.known_as(key)
            recorder.held_by(revive)  # for good: the wrapper of one task is gone before the next one brings its own
            _kept[key] = recorder
            if len(_kept) > MOST_KEPT:
                _kept.popitem(last=False)
        return recorder


class Off:
    """Stands where a wrapper has a recorder and its writer, and records nothing."""

    def __init__(self, key: str, observed: Observed) -> None:
        self._key, self._observed = key, observed
        self.writer = self

    def held_by(self, wrapper: object) -> None:
        """Do nothing: no resource is held."""

    def __reduce__(self) -> Any:
        return revive, (self._key, self._observed)  # it may be on where it goes next

    def begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Begin nothing."""

    def finish(self, token: object, result: object) -> None:
        """End nothing."""

    def fail(self, token: object, error: BaseException) -> None:
        """End nothing."""
