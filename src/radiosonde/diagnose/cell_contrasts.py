"""Linear functionals of a feature's cells: the statistics that drift and integrity tests run on.

Each contrast is ``sum(weight * cell count) / sum(cell count)`` over some of the cells, so it is exact, additive over processes,
time and cohorts, and one multiply-add in SQL or PromQL.

* ``missing`` and ``unseen``: share of all rows;
* ``outside``: share of the readable rows beyond the reference's range;
* ``location``: mean normal score of the reference's cells, 0 and unit variance on the reference;
* ``spread``: mean squared normal score, standardised likewise;
* ``category:<name>``: share of one category (those with at least 2 % of the reference).
"""

from __future__ import annotations

from statistics import NormalDist
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from radiosonde.model import ABOVE, BELOW, NULL, UNSEEN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from radiosonde.diagnose.feature_panel import FeaturePanel
    from radiosonde.reference.profile import FeatureProfile

_COMMON_SHARE = 0.02
_NORMAL = NormalDist()


class Contrast(NamedTuple):
    """Weights over one feature's cells.

    Attributes:
        feature: index of the feature.
        name: see the module.
        top: weight per cell in the numerator.
        bottom: weight per cell in the denominator, 0 or 1.
        expected: value on the reference.
    """

    feature: int
    name: str
    top: NDArray[np.float64]
    bottom: NDArray[np.float64]
    expected: float

    @property
    def is_share(self) -> bool:
        """Whether the contrast is the share of an event, with binomial sampling noise."""
        return self.name not in ("location", "spread")


def make_contrasts(panel: FeaturePanel) -> list[Contrast]:
    """Return the contrasts of every feature of *panel*; without a reference only ``missing`` and ``unseen``.

    A provisional reference covers the categories of an hour only, so unseen categories are not evidence.
    """
    width = panel.cells.shape[-1]
    made = []
    for index, profile in enumerate(panel.profiles):
        every = np.ones(width)
        p0 = _wide(profile, width) if profile is not None else np.zeros(width)
        made.append(Contrast(index, "missing", _at(width, NULL), every, float(p0[NULL])))
        if not (panel.provisional and panel.is_categorical(index)):
            made.append(Contrast(index, "unseen", _at(width, UNSEEN), every, float(p0[UNSEEN])))
        if profile is None:
            continue
        readable = every - _at(width, NULL) - _at(width, UNSEEN)
        total = float(p0 @ readable)
        if profile.kind == "categorical":
            made.extend(
                Contrast(index, f"category:{name}", _at(width, cell), readable, float(p0[cell] / total))
                for cell, name in enumerate(profile.categories)
                if p0[cell] / total >= _COMMON_SHARE
            )
            continue
        outside = _at(width, BELOW) + _at(width, ABOVE)
        made.append(Contrast(index, "outside", outside, readable, float(p0 @ outside / total)))
        scores = _normal_scores(p0, profile.body, width)
        made.append(Contrast(index, "location", scores, readable, float(p0 @ scores / total)))
        spread = _standard(scores**2, p0, readable)
        made.append(Contrast(index, "spread", spread, readable, 0.0))
    return made


def _wide(profile: FeatureProfile, width: int) -> NDArray[np.float64]:
    """Return p0 in the layout of a cell row: body left, special cells right."""
    row = np.zeros(width)
    body = profile.body
    row[:body] = profile.p0[:body]
    special = profile.p0[body:]
    row[width - len(special) :] = special
    return row


def _at(width: int, cell: int) -> NDArray[np.float64]:
    row = np.zeros(width)
    row[cell] = 1.0
    return row


def _normal_scores(p0: NDArray[np.float64], body: int, width: int) -> NDArray[np.float64]:
    order = [width + BELOW, *range(body), width + ABOVE]
    shares = p0[order] / p0[order].sum()
    middles = np.cumsum(shares) - shares / 2
    scores = np.zeros(width)
    scores[order] = [_NORMAL.inv_cdf(float(middle)) for middle in np.clip(middles, 1e-4, 1 - 1e-4)]
    readable = np.zeros(width)
    readable[order] = 1.0
    return _standard(scores, p0, readable)


def _standard(
    scores: NDArray[np.float64], p0: NDArray[np.float64], readable: NDArray[np.float64]
) -> NDArray[np.float64]:
    weights = p0 * readable / (p0 @ readable)
    mean = float(weights @ scores)
    sd = float(np.sqrt(weights @ (scores - mean) ** 2)) or 1.0
    return np.asarray((scores - mean) / sd * readable, dtype=np.float64)
