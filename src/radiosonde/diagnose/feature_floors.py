"""Detection floors of the feature checks: missing, unseen, and level, in the feature where the check is bluntest.

A change is planted into the counts and the scan of the check is run on them (`radiosonde.diagnose.share_floors`). For shares two
features represent all: the one with the median number of events, and the one with most, which wanders most. The level is tested in all
features at once, and its floor given for the median feature and the worst.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from radiosonde.diagnose.cell_contrasts import make_contrasts
from radiosonde.diagnose.data_signals import (
    LARGE_RISE,
    MIN_RISE,
    TICKET_LN_E,
    TRANSIENT_H,
    drift_blocks,
    level_tolerance,
)
from radiosonde.diagnose.finding import Floor
from radiosonde.diagnose.floors import length_words
from radiosonde.diagnose.scan import step_segments
from radiosonde.diagnose.share_floors import NINE_IN_TEN, ShareRule, lasting_floor
from radiosonde.diagnose.share_scan import block_steps
from radiosonde.model.percent import percent

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from radiosonde.diagnose.cell_contrasts import Contrast
    from radiosonde.diagnose.feature_panel import FeaturePanel

    Numbers = NDArray[np.float64]

_LEVELS = np.geomspace(0.25, 4.0, 41)
_WORDS = {"missing": "more missing values", "unseen": "more unseen values"}


def feature_floors(panel: FeaturePanel) -> list[Floor]:
    """Return the floors of *panel*, all versions together."""
    cells = panel.pooled
    contrasts = make_contrasts(panel)
    made = [
        floor for name in _WORDS for floor in _shares(panel, cells, [each for each in contrasts if each.name == name])
    ]
    levels = [each for each in contrasts if each.name == "location"]
    return [*made, *(_levels(panel, cells, levels) if levels else [])]


def _shares(panel: FeaturePanel, cells: Numbers, contrasts: list[Contrast]) -> list[Floor]:
    """Return the floors of the share that *contrasts* count, in the feature with the median number of events and in that with most."""
    if not contrasts:
        return []
    axis = panel.axis
    tables = [(cells[:, each.feature] @ each.top, cells[:, each.feature] @ each.bottom) for each in contrasts]
    order = sorted(range(len(contrasts)), key=lambda index: float(tables[index][0].sum()))
    length = min(axis.steps(TRANSIENT_H), max(axis.size // 4, 1))
    is_note = contrasts[0].name == "missing" and length < axis.steps(TRANSIENT_H)
    rule = ShareRule(MIN_RISE[contrasts[0].name], reported=LARGE_RISE if is_note else 0.0)
    made = []
    for index in dict.fromkeys((order[len(order) // 2], order[-1])):
        rise, lasted = lasting_floor(axis, *tables[index], block_steps(axis), rule, length)
        words = f"{_WORDS[contrasts[0].name]} for {length_words(lasted * axis.step_ns)} in {panel.names[contrasts[index].feature]}"  # fmt: skip
        text = f"nothing yet of {words}" if np.isnan(rise) else f"{percent(rise)} {words}"
        made.append(Floor(rise, "share", text))
    return made


def _levels(panel: FeaturePanel, cells: Numbers, contrasts: list[Contrast]) -> list[Floor]:
    """Return the smallest lasting shifts of the level, of the median feature and of the worst, in standard deviations of the reference."""
    axis = panel.axis
    hits = np.stack([cells[:, each.feature] @ each.top for each in contrasts], axis=1)
    totals = np.stack([cells[:, each.feature] @ each.bottom for each in contrasts], axis=1)
    blocks, min_outside, min_inside = drift_blocks(axis, hits, totals)
    lasted = max(min_inside, len(blocks.starts) // 4)
    first = len(blocks.starts) - lasted
    if first <= min_outside:
        return [Floor(float("nan"), "sd", "nothing yet of a shift of the level")]
    floor = 1.0 / np.maximum(np.median(blocks.weights, axis=0), 1.0)
    found = np.full(len(contrasts), np.nan)
    for level in _LEVELS[::-1]:
        means = blocks.sums.copy()
        means[first:] += (level - _doubt(blocks.sums, blocks.weights, lasted)) * blocks.weights[first:]
        steps = step_segments(
            blocks._replace(sums=means), floor, axis.size, min_outside=min_outside, min_inside=min_inside, bursts=False
        )
        for index, step in enumerate(steps):
            is_seen = (
                step is not None and step.ln_e >= TICKET_LN_E and step.after - step.before >= level_tolerance(contrasts[index])
            )  # fmt: skip
            found[index] = level if is_seen and (np.isnan(found[index]) or found[index] > level) else found[index]
    lasting = length_words((axis.size - int(blocks.starts[first])) * axis.step_ns)
    order = np.argsort(np.nan_to_num(found, nan=np.inf))
    made = []
    for index, whose in ((int(order[len(order) // 2]), "half of the features"), (int(order[-1]), "")):
        who = whose or panel.names[contrasts[index].feature]
        level = float(found[index])
        text = f"nothing yet of a shift for {lasting} in {who}" if np.isnan(level) else f"a shift of {level:.2g} sd for {lasting} in {who}"  # fmt: skip
        made.append(Floor(level, "sd", text))
    return made if len(contrasts) > 1 else made[1:]


def _doubt(sums: Numbers, weights: Numbers, inside: int) -> Numbers:
    """Return the amount by which the mean of the last *inside* blocks falls below the level one time in ten, from the variance of block means."""
    means = sums / np.maximum(weights, 1e-12)
    return np.asarray(NINE_IN_TEN * means.std(axis=0) / np.sqrt(inside), dtype=np.float64)
