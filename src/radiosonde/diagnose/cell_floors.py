"""Detection floors of the check of cells by place: missing and unseen values, and one value in place of others.

The evidence of the scan is computed for shares that would come with probability 0.9, given the rows, the past and the dispersion of a place now. Of
the features, the one with the median and the one with the largest floor are named; of the cohorts, that with the most rows, and for missing values the one with the largest floor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from radiosonde.diagnose.cell_findings import place_words
from radiosonde.diagnose.cell_shapes import KINDS
from radiosonde.diagnose.finding import Floor
from radiosonde.diagnose.floors import length_words
from radiosonde.model.percent import percent

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from radiosonde.diagnose.cell_incidents import Breaks

    Numbers = NDArray[np.float64]

_RISES = np.concatenate([np.geomspace(0.0005, 0.5, 60), np.linspace(0.52, 0.98, 24)])
_WORDS = {"missing": "more missing", "unseen": "more unseen", "one_value": "with one and the same value"}
_HOUR_NS = 3_600_000_000_000

_MEASURED = 1.25
"""Factor from the floor of the evidence to that of a finding, which needs a place and later rows, too; measured with planted faults."""


def cell_floors(breaks: Breaks) -> list[Floor]:
    """Return the floors now: of the largest cohort for each kind, and of missing values in the place where it is largest."""
    table, scan = breaks.table, breaks.scan
    places = np.array([at for at, index in enumerate(breaks.watched) if breaks.places.names[int(index)].cohort], dtype=np.int64)  # fmt: skip
    if not places.size:
        return []
    lead = int(places[np.argmax(scan.members[places] @ table.rows())])
    whom = place_words([breaks.places.names[int(breaks.watched[lead])]], table)
    step_ns = int(np.median(table.end_ns - table.start_ns))
    length = 1 << max(int(np.log2(max(_HOUR_NS // max(step_ns, 1), 1))), 1)
    while length > 2 and scan.steps < 3 * length:
        length //= 2
    made = []
    # A span that gives the alarm, and as long again: blocks may be out of step with the fault, and later rows must confirm it.
    lasting = length_words(2 * length * step_ns)
    broken = {each.feature for each in breaks.reported if each.recovered is None}
    whole = ~np.isin(np.arange(breaks.shapes.kind.size) // table.width, list(broken))
    for kind, words in _WORDS.items():
        cells = np.flatnonzero((breaks.shapes.kind == KINDS.index(kind)) & whole)
        if not cells.size:
            continue
        found = scan.floors(np.full(cells.size, lead), cells, length, _RISES)
        order = np.argsort(np.nan_to_num(found, nan=np.inf), kind="stable")
        for at, whose in dict.fromkeys(((int(order[len(order) // 2]), True), (int(order[-1]), False))[: cells.size]):
            name = table.names[breaks.shapes.where(int(cells[at]))[0]]
            who = "half of the features" if whose else name
            made.append(_floor(float(found[at]), f"{words} for {lasting} in {who} of {whom}"))
    missing = np.flatnonzero((breaks.shapes.kind == 0) & whole)
    if places.size > 1 and missing.size:
        grid = np.array([_half_of(breaks.scan.floors(np.full(missing.size, place), missing, length, _RISES)) for place in places])  # fmt: skip
        worst = int(np.argmax(np.nan_to_num(grid, nan=np.inf)))
        whom = place_words([breaks.places.names[int(breaks.watched[places[worst]])]], table)
        made.append(_floor(float(grid[worst]), f"{_WORDS['missing']} for {lasting} in {whom}"))
    return made


def _half_of(floors: Numbers) -> float:
    """Return the median floor; NaN where more than half are unknown."""
    middle = float(np.median(np.nan_to_num(floors, nan=np.inf)))
    return middle if np.isfinite(middle) else float("nan")


def _floor(rise: float, words: str) -> Floor:
    rise = min(_MEASURED * rise, 1.0) if not np.isnan(rise) else rise
    if np.isnan(rise):
        return Floor(rise, "share", f"nothing yet of {words}")
    return Floor(rise, "share", f"{percent(rise)} {words}")
