"""Metrics of a diagnosis: floors, gaps, and the status of each model."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from radiosonde.model.watched import WatchedFloor

if TYPE_CHECKING:
    from radiosonde.diagnose import Diagnosis


def models_of(diagnosis: Diagnosis) -> list[str]:
    """Return the models in a diagnosis."""
    places = [each.where for each in diagnosis.checked]
    places += [each.where for each in (*diagnosis.not_checked, *diagnosis.missing)]
    places += [each.where for each in diagnosis.findings]
    return sorted({where.model for where in places} - {""})


def statuses_of(diagnosis: Diagnosis) -> dict[str, str]:
    """Return the status of each model, decided as for the whole."""
    found = {finding.where.model for finding in diagnosis.findings}
    missing = {gap.where.model for gap in diagnosis.missing}
    otherwise = "stale" if diagnosis.is_stale else "healthy"
    return {
        model: "findings" if model in found else "not checked" if missing & {model, ""} else otherwise
        for model in models_of(diagnosis)
    }


def results_of(diagnosis: Diagnosis) -> dict[tuple[str, str, str], int]:
    """Return the number of passed and missing parts of each check, by model, check and result; zeros included."""
    passed = Counter((each.where.model, each.name or "engine") for each in diagnosis.checked)
    skipped = Counter((each.where.model, each.name or "engine") for each in diagnosis.not_checked)
    return {
        (*place, result): counted[place]
        for place in sorted({*passed, *skipped})
        for result, counted in (("passed", passed), ("not_checked", skipped))
    }


def floors_of(diagnosis: Diagnosis) -> tuple[WatchedFloor, ...]:
    """Return the smallest and the largest floor of each check in each unit; infinite where it would have reported nothing."""
    found: dict[tuple[str, str, str], list[float]] = {}
    for checked in diagnosis.checked:
        for floor in checked.floors:
            value = math.inf if math.isnan(floor.value) else float(floor.value)
            found.setdefault((checked.where.model, checked.name, floor.unit), []).append(value)
    return tuple(
        WatchedFloor(*place, bound, pick(values))
        for place, values in sorted(found.items())
        for bound, pick in (("smallest", min), ("largest", max))
    )
