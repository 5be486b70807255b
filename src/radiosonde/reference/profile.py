"""The reference profile: the distribution of the training data, as one value that is shipped with the model artifact.

A profile is plain frozen data. Fitting lives in `radiosonde.reference.fit`, the JSON file in
`radiosonde.reference.codec`, and assigning values to cells in `radiosonde.reference.grid`.

Cells: a numeric feature has ``low`` and strictly ascending upper ``bounds``. A value *v* below ``low`` is in ``below``,
above ``bounds[-1]`` in ``above``, else in body cell ``searchsorted(bounds, v, side="left")``: the first body cell is the
closed interval ``[low, bounds[0]]``, every other is ``(bounds[j-1], bounds[j]]``. Bounds are the distinct reference deciles, so a
feature with an atom (rain is zero in nine hours of ten) gets a cell for the atom and fewer than ten cells.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Self

from radiosonde.model import name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

Kind = Literal["numeric", "categorical"]
Task = Literal["classification", "regression", "unknown"]


@dataclass(frozen=True, slots=True)
class FeatureProfile:
    """Reference of one feature.

    Attributes:
        name: feature name.
        kind: ``numeric`` or ``categorical``.
        low: smallest reference value (numeric; 0.0 for categorical).
        bounds: strictly ascending upper bounds of the body cells (numeric; empty for categorical, or when the
            reference holds no finite value: then every finite value is ``above``).
        categories: the allow-listed categories by falling frequency, one body cell each (categorical).
        counts: reference rows per cell, in the order of `cell_names`.
        p0: smoothed reference share per cell, same order: ``(n + .5) / (N + .5 * cells)``; > 0, sums to 1.
        quantiles: the reference quantiles at 0, 1 %, 5 %, 25 %, 50 %, 75 %, 95 %, 99 %, 100 % (numeric; for people).
        pii: its values are hidden: neither sketches nor the profile hold any, see `without_values`.
        key_id: of a ``pii`` feature with hashed categories: identifies the key (`radiosonde.model.concealed`).
        weights: log-likelihood-ratio weight per cell for each alternative (name to weights), see `radiosonde.reference.weights`.
    """

    name: str
    kind: Kind
    low: float
    bounds: tuple[float, ...]
    categories: tuple[str, ...]
    counts: tuple[int, ...]
    p0: tuple[float, ...]
    quantiles: tuple[float, ...] = ()
    pii: bool = False
    weights: tuple[tuple[str, tuple[float, ...]], ...] = ()
    key_id: str = ""

    @property
    def body(self) -> int:
        """Number of body cells."""
        return len(self.bounds) if self.kind == "numeric" else len(self.categories)


@dataclass(frozen=True, slots=True)
class OutputProfile:
    """Reference of the model's output on held-out or training rows.

    Attributes:
        classes: class names; index is the column of a probability matrix (classification).
        priors: share of each *label* class in the reference, same order; empty when no target was given.
        predicted_counts: rows per predicted class, same order; empty when no prediction column was given.
        score_label_counts: rows per label class and confidence bin of the predicted score, classes x 20; empty likewise.
        value_edges: ascending deciles of the predicted value or target (regression).
    """

    classes: tuple[str, ...] = ()
    priors: tuple[float, ...] = ()
    predicted_counts: tuple[int, ...] = ()
    score_label_counts: tuple[tuple[int, ...], ...] = ()
    value_edges: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class Reference:
    """A reference profile. Make one with `Reference.fit`, read one with `Reference.load`.

    Attributes:
        model: model name the profile was made for; ``""`` fits any.
        task: ``classification``, ``regression`` or ``unknown``.
        features: one profile per feature, in the model's column order.
        output: reference of the output.
        rows: reference rows.
        schema_hash: hash of feature names, kinds and order.
        data_hash: order-free hash of the rows.
        code_version: version of Radiosonde that made it.
        created_at: UTC time, ISO 8601.
        provisional: made from the first rows seen in production instead of training data.
    """

    model: str
    task: Task
    features: tuple[FeatureProfile, ...]
    output: OutputProfile
    rows: int
    schema_hash: str
    data_hash: str
    code_version: str
    created_at: str
    provisional: bool = False

    def __post_init__(self) -> None:
        # Here, and not where profiles are fitted: one that was written by an earlier version, or made by hand, holds values too.
        if any(feature.pii for feature in self.features):
            object.__setattr__(self, "features", tuple(without_values(each, self.rows) for each in self.features))

    def __repr__(self) -> str:
        from radiosonde.reference.words import reference_words

        return f"<{reference_words(self)}>"

    def _repr_html_(self) -> str:
        from radiosonde.reference.words import reference_html

        return reference_html(self)

    @property
    def grid_id(self) -> str:
        """Identity of the cell geometry: names, kinds, edges and categories. Counts add only within one grid."""
        return grid_id(self.features)

    @property
    def id(self) -> str:
        """Identity of the whole profile, without the time of its creation; ``reference_id`` in windows."""
        from radiosonde.reference.codec import identity

        return identity(self)

    @classmethod
    def fit(  # noqa: PLR0913  # three columns by role and five choices, all by keyword: its options are its interface
        cls,
        frame: Any,  # a pandas or polars frame, a mapping of arrays, or a path: no common type exists
        *,
        target: str | None = None,
        prediction: str | None = None,
        score: str | None = None,
        model: str = "",
        task: Task | None = None,
        features: Sequence[str] | None = None,
        pii: Sequence[str] = (),
        pii_key: str = "",
        progress: Callable[[int, int], None] | None = None,
    ) -> Self:
        """Make a reference from training or, better, held-out rows.

        Args:
            frame: pandas or polars frame, mapping of column name to array, or path of a Parquet file, which is read
                batch by batch and may exceed memory.
            target: column of true labels or values.
            prediction: column of predicted classes or values.
            score: column of the model's confidence in [0, 1].
            model: name of the model the profile is for; ``""`` fits any.
            task: ``classification`` or ``regression``; inferred from the target (or prediction) when None.
            features: feature columns in the model's order; default: all other columns.
            pii: features with hidden values: the profile counts only how many rows have one, and no sketch is made.
            pii_key: keeps categories of such features as hashes under this key, which the model server needs too
                (``RADIOSONDE_PII_KEY``).
            progress: called with (rows done, rows to do); every row is read twice.

        Raises:
            ConfigurationError: a named column is missing or cannot be used, or there is no row.
        """
        from radiosonde.reference.fit import FitOptions, fit

        options = FitOptions(
            target=target,
            prediction=prediction,
            score=score,
            model=model,
            task=task,
            features=features,
            pii=pii,
            pii_key=pii_key,
        )
        return fit(cls, frame, options, progress)

    def save(self, path: str | Path) -> None:
        """Write the profile as one JSON file, atomically: a reader sees the old or the new file.

        Raises:
            ProfileError: the file cannot be written.
        """
        from radiosonde.reference.codec import save

        save(self, path)

    @classmethod
    def load(cls, path: str | Path) -> Reference:
        """Read a profile written by `save`.

        Raises:
            ProfileError: the file is missing, damaged, not a profile, or from a newer version.
        """
        from radiosonde.reference.codec import load

        return load(path)


def safely_named(
    features: Sequence[FeatureProfile], output: OutputProfile
) -> tuple[tuple[FeatureProfile, ...], OutputProfile]:
    """Return both with features, categories and classes named as in the model server, see `radiosonde.model.names`."""
    renamed = tuple(
        replace(feature, name=name_of(feature.name), categories=tuple(map(name_of, feature.categories)))
        for feature in features
    )
    return renamed, replace(output, classes=tuple(map(name_of, output.classes)))


def without_values(feature: FeatureProfile, rows: int) -> FeatureProfile:
    """Return a ``pii`` feature without anything that is a value of it, others as they are.

    Bounds and quantiles of a number are values of rows, and so are categories unless they are hashes. Only the numbers of rows with a
    value, without one, or with one of another kind remain.
    """
    is_safe = feature.key_id if feature.kind == "categorical" else not feature.bounds and not feature.quantiles
    if not feature.pii or is_safe or not feature.counts:
        return feature
    from radiosonde.reference.weights import feature_weights, smoothed_shares

    *body, missing, other = feature.counts
    if feature.kind == "categorical":
        counts: tuple[int, ...] = (missing, sum(body) + other)  # all are values that the profile does not know
    else:
        counts = (0, sum(body), missing, other)  # all are above, as where no bound is known
    p0 = smoothed_shares(counts)
    return replace(
        feature, low=0.0, bounds=(), categories=(), quantiles=(), counts=counts, p0=p0,
        weights=feature_weights(feature.kind, 0, p0, rows),
    )  # fmt: skip


def grid_id(features: Sequence[FeatureProfile]) -> str:
    """Return the identity of a cell geometry: 16 hexadecimal digits of a hash of names, kinds, edges and categories."""
    import hashlib
    import json

    geometry = [
        (feature.name, feature.kind, feature.low.hex(), [bound.hex() for bound in feature.bounds], feature.categories)
        for feature in features
    ]
    return hashlib.sha256(json.dumps(geometry).encode()).hexdigest()[:16]
