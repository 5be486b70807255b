"""A reference in a line and as short HTML, for `repr` and notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radiosonde.model.notebook import card, shown
from radiosonde.model.percent import percent

if TYPE_CHECKING:
    from radiosonde.reference.profile import FeatureProfile, Reference

_NAME = 60


def reference_words(reference: Reference) -> str:
    """Return model, task, size and origin of *reference* on one line."""
    model = f" of {shown(reference.model, _NAME)}" if reference.model else ""
    rows = f"{reference.rows:,}".replace(",", " ")
    made = "provisional, " if reference.provisional else ""
    features = f"{len(reference.features)} feature{'' if len(reference.features) == 1 else 's'}"
    return (
        f"Reference{model}: {made}{reference.task}, {features}, {rows} rows, made {shown(reference.created_at, _NAME)}"
    )


def reference_html(reference: Reference) -> str:
    """Return *reference* as short HTML: one line per feature with its kind, its range and its missing share."""
    rows = [
        (feature.name, feature.kind, _values(feature), _missing(feature), "hidden" if feature.pii else "")
        for feature in reference.features
    ]
    classes = ", ".join(shown(name, _NAME) for name in reference.output.classes[:8])
    facts = [("classes", classes), ("written by version", reference.code_version), ("id", reference.id)]
    return card(reference_words(reference), facts, ("feature", "kind", "values", "missing", "privacy"), rows)


def _values(feature: FeatureProfile) -> str:
    if feature.kind == "categorical":
        named = ", ".join(shown(name, _NAME) for name in feature.categories[:5])
        return named + (f" and {len(feature.categories) - 5} more" if len(feature.categories) > 5 else "")
    return f"{feature.low:.6g} to {feature.bounds[-1]:.6g}" if feature.bounds else ""


def _missing(feature: FeatureProfile) -> str:
    rows = sum(feature.counts)
    return percent(feature.counts[-2] / rows) if rows and len(feature.counts) >= 2 else ""
