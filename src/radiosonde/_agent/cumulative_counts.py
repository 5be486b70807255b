"""Counts outside of the rings, summed over all processes of a spool and over restarts of the agent.

Three parts: the counts of former agents (from the store), those of this agent's own guard, and the pages of counts that processes leave in
the spool (`radiosonde._ring.process_pages`). The page of a dead process is final: it is added to the first
part in a commit, remembered there as absorbed, and removed after it; an agent killed between the two finds it absorbed.
Rings that were counted to their end are remembered likewise, so that the predictions lost in them are counted once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from radiosonde._agent.worker_pages import read_pages
from radiosonde._native import allocate_lock
from radiosonde._pipeline.worker_publisher import GUARDED, LABEL, LOSS
from radiosonde._ring.process_pages import COUNTS
from radiosonde._ring.spool import Spool
from radiosonde.model import losses

if TYPE_CHECKING:
    from radiosonde._guard import Guard

Identity = tuple[str, int]


class CumulativeCounts:
    """The sums.

    Args:
        spool: where processes leave their pages.
        guard: this agent's own counts.
        stored: result of `document` in the last commit of a former agent.
        labels: returns this agent's own label results.

    Attributes:
        buried: rings that were counted to their end, whose files may still be there.
    """

    def __init__(
        self, spool: Spool, guard: Guard, stored: Mapping[str, Any], labels: Callable[[], Mapping[str, int]] = dict
    ) -> None:
        self._spool, self._guard, self._labels = spool, guard, labels
        self._lock = allocate_lock()  # a scrape must not see a page in two places, or in none
        self._before: Counter[str] = Counter(stored.get("counts", {}))
        self._absorbed: set[str] = set(stored.get("absorbed", ()))
        self.buried: set[Identity] = {(process, nonce) for process, nonce in stored.get("buried", ())}
        self._living: dict[str, Counter[str]] = {}
        self._dead: dict[Path, Counter[str]] = {}
        self._being_absorbed: set[str] = set()

    def look(self) -> None:
        """Read the pages that are there."""
        living, dead = {}, {}
        for path, is_alive, counts in read_pages(self._spool, COUNTS, self._guard):
            if path.stem in self._absorbed:
                path.unlink(missing_ok=True)
            elif is_alive:
                living[path.stem] = Counter(counts)
            else:
                dead[path] = Counter(counts)
        with self._lock:
            self._living = living
            self._dead |= dead

    @property
    def has_living(self) -> bool:
        """Whether a process with a page of counts is alive."""
        return bool(self._living)

    @property
    def is_durable(self) -> bool:
        """Whether nothing a dead process left waits for a commit."""
        return not self._dead

    def document(self, buried: Iterable[Identity]) -> dict[str, Any]:
        """Return the state for the next agent, with the rings that end in this commit."""
        self._being_absorbed = {path.stem for path in self._dead}
        pages = {path.stem for path in self._spool.pages(COUNTS.suffix)}
        self._absorbed &= pages  # a page that is not there any more need not be known
        self.buried &= {(file.process, file.nonce) for file in self._spool.rings()}
        return {
            "counts": dict(self._final()),
            "absorbed": sorted(self._absorbed | self._being_absorbed),
            "buried": sorted(self.buried | set(buried)),
        }

    def committed(self, buried: Iterable[Identity]) -> None:
        """Adopt the last `document`, and remove the pages it absorbed."""
        self.buried |= set(buried)
        absorbed = [path for path in self._dead if path.stem in self._being_absorbed]
        with self._lock:
            for path in absorbed:
                self._before += self._dead.pop(path)
        self._absorbed |= self._being_absorbed
        for path in absorbed:
            path.unlink(missing_ok=True)

    def _final(self) -> Counter[str]:
        """Return the counts that no living process can add to."""
        return sum(self._dead.values(), self._before) + self._own()

    def _own(self) -> Counter[str]:
        own = {LOSS + reason: count for reason, count in self._guard.losses().items()}
        return Counter(own | {LABEL + result: count for result, count in self._labels().items()})

    def sums(self) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
        """Return losses by reason (zeros included), label results, and internal errors by place."""
        with self._lock:
            total = sum(self._living.values(), self._final())
        parts = [
            {name.removeprefix(kind): count for name, count in total.items() if name.startswith(kind)}
            for kind in (LOSS, LABEL, GUARDED)
        ]
        guarded = Counter(parts[2]) + Counter(self._guard.errors())
        return {**dict.fromkeys(losses.ALL_LOSSES, 0), **parts[0]}, parts[1], dict(guarded)
