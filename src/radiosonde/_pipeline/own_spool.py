"""Opens the spool of this process, and removes old rings of dead processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radiosonde._ring.spool import Spool, prune_dead
from radiosonde.model import losses

if TYPE_CHECKING:
    from radiosonde._guard import Guard


def open_spool(folder: str, guard: Guard) -> Spool:
    """Return the spool in *folder*; rings that were removed are counted and logged.

    Raises:
        SpoolError: it cannot be used.
    """
    spool, pruned = Spool(folder), 0
    with guard("prune_spool"):
        pruned = prune_dead(spool)
    if pruned:
        guard.lose(losses.SPOOL_PRUNED, pruned)
        guard.warn(
            "pruned",
            "%d rings of dead processes were removed from %s; the newest are kept for radiosonde blackbox",
            pruned,
            spool.folder,
        )
    return spool
