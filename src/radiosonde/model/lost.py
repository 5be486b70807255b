"""Windows that were counted and never stored, as the process that lost them writes it down once the store takes windows again.

Counted by model, because a diagnosis covers one model. Calls are counted besides windows, because windows are merged into longer ones as
they age, while the share of calls does not change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from radiosonde.model.fields import INT, Stored, declared


@dataclass(frozen=True, slots=True, eq=False)
class LostCounts:
    """The losses in the span of the containing window.

    Attributes:
        windows: windows by (model, reason); reasons are names of `radiosonde.model.losses`.
        calls: calls that were counted in them, by the same keys.
    """

    windows: Mapping[tuple[str, str], int] = field(
        default_factory=dict, metadata=declared(INT, keys=("model", "reason"), stored=Stored.PAIRS, read_by="diagnose")
    )
    calls: Mapping[tuple[str, str], int] = field(
        default_factory=dict, metadata=declared(INT, keys=("model", "reason"), stored=Stored.PAIRS, read_by="diagnose")
    )
