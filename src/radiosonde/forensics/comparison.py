"""Compares two sides by their fingerprints: which windows, cohorts and features differ.

The features of both sides are compared. Rows are compared only where both sides hash the same features, because the hash of a row depends on
all of them. Equal fingerprints mean equal data but for a chance of 2**-64 per comparison; a group that is not covered by its
fingerprints (rows were sampled, or an older definition was used) is reported as not comparable, never as equal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from radiosonde.errors import ConfigurationError
from radiosonde.forensics.sides import (
    ComparedSide,
    Grouping,
    Groups,
    HashedGroup,
    StoredSide,
    TableSide,
    window_of,
    with_default_keys,
)
from radiosonde.forensics.tables import Key


class Verdict(Enum):
    """The result of one group."""

    EQUAL = "equal"
    DIFFERENT = "different"
    ONLY_A = "only in A"
    ONLY_B = "only in B"
    UNKNOWN = "not comparable"


@dataclass(frozen=True, slots=True)
class GroupResult:
    """One group.

    Attributes:
        key: the start of the window, if there are windows, and the values it is grouped by.
        verdict: the result.
        rows: number of rows in A and in B, 0 where the group is missing.
        features: features whose values differ.
        is_rejoined: each feature has the same values, but the rows differ: values are joined to other rows.
        reason: why the group is not comparable.
    """

    key: Key
    verdict: Verdict
    rows: tuple[int, int]
    features: tuple[str, ...] = ()
    is_rejoined: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The result of a comparison.

    Attributes:
        by: names of the parts of keys.
        window_s: length of windows in seconds; None without windows.
        features: compared features.
        only: features that A alone and B alone have.
        hidden: features that a store hides.
        compares_rows: whether the fingerprints of rows were compared.
        groups: results by key, in order.
        exchanged: pairs of features of which each has the values of the other in some group.
    """

    by: tuple[str, ...]
    window_s: float | None
    features: tuple[str, ...]
    only: tuple[tuple[str, ...], tuple[str, ...]]
    hidden: tuple[str, ...]
    compares_rows: bool
    groups: tuple[GroupResult, ...]
    exchanged: tuple[tuple[str, str], ...]

    def count(self, verdict: Verdict) -> int:
        """Return the number of groups with a result."""
        return sum(group.verdict is verdict for group in self.groups)

    @property
    def verdict(self) -> Verdict:
        """The result of all groups: different if any is, not comparable if any is or there is none, else equal."""
        if any(group.verdict not in {Verdict.EQUAL, Verdict.UNKNOWN} for group in self.groups):
            return Verdict.DIFFERENT
        return Verdict.EQUAL if self.groups and not self.count(Verdict.UNKNOWN) else Verdict.UNKNOWN

    def differing(self) -> Mapping[str, Sequence[GroupResult]]:
        """Return the groups in which each feature differs, features in their order."""
        found: dict[str, list[GroupResult]] = {}
        for name in self.features:
            groups = [group for group in self.groups if name in group.features]
            if groups:
                found[name] = groups
        return found

    def document(self) -> dict[str, Any]:
        """Return the comparison as JSON values; groups that are equal are counted, not listed."""
        return {
            "verdict": self.verdict.value,
            "by": list(self.by),
            "window_s": self.window_s,
            "features": list(self.features),
            "only_a": list(self.only[0]),
            "only_b": list(self.only[1]),
            "hidden": list(self.hidden),
            "compares_rows": self.compares_rows,
            "exchanged": [list(pair) for pair in self.exchanged],
            "counts": {verdict.value: self.count(verdict) for verdict in Verdict},
            "groups": [
                {
                    "key": list(group.key),
                    "verdict": group.verdict.value,
                    "rows_a": group.rows[0],
                    "rows_b": group.rows[1],
                    "features": list(group.features),
                    "is_rejoined": group.is_rejoined,
                    "reason": group.reason,
                }
                for group in self.groups
                if group.verdict is not Verdict.EQUAL
            ],
        }


def compare(a: ComparedSide, b: ComparedSide, request: Grouping) -> Comparison:
    """Compare two sides.

    Raises:
        ConfigurationError: they have no feature in common, a named one is missing, or one cannot be grouped as asked.
    """
    request = with_default_keys((a, b), request)
    window_s = window_of((a, b), request)
    hidden = tuple(dict.fromkeys(name for side in (a, b) if isinstance(side, StoredSide) for name in side.hidden))
    names, only = _features(a, b, request, hidden)
    found = [side.groups(request, names, window_s) for side in (a, b)]
    compares_rows = all(isinstance(side, TableSide) or {*side.names(request)} == {*names} for side in (a, b))
    keys = sorted({*found[0], *found[1]}, key=_order)
    groups = [_compared(key, found[0], found[1], compares_rows=compares_rows) for key in keys]
    by = (*(("window",) if window_s is not None else ()), *request.by)
    exchanged = _exchanged(found[0], found[1], groups)
    return Comparison(by, window_s, names, only, hidden, compares_rows, tuple(groups), exchanged)


def _features(
    a: ComparedSide, b: ComparedSide, request: Grouping, hidden: Sequence[str]
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], tuple[str, ...]]]:
    """Return the features to compare, and those that one side alone has."""
    left, right = a.names(request), b.names(request)
    if request.features:
        for side, held in ((a, left), (b, right)):
            missing = [name for name in request.features if name not in held]
            if missing:
                raise ConfigurationError(f"{side.path} has no feature {', '.join(missing)}; it has: {', '.join(held)}")
        return request.features, ((), ())
    common = tuple(name for name in left if name in right)
    if not common:
        raise ConfigurationError(
            f"{a.path} and {b.path} have no feature in common; compare tables of the same features"
        )
    only = [
        # A table has columns that are no features of a model.
        () if isinstance(side, TableSide) and not isinstance(other, TableSide)
        else tuple(name for name in held if name not in common and name not in hidden)
        for side, other, held in ((a, b, left), (b, a, right))
    ]  # fmt: skip
    return common, (only[0], only[1])


def _compared(key: Key, a: Groups, b: Groups, *, compares_rows: bool) -> GroupResult:
    left, right = a.get(key), b.get(key)
    if left is None or right is None:
        verdict = Verdict.ONLY_B if left is None else Verdict.ONLY_A
        return GroupResult(key, verdict, (left.rows if left else 0, right.rows if right else 0))
    rows = left.rows, right.rows
    reason = _gap("A", left) or _gap("B", right)
    if reason:
        return GroupResult(key, Verdict.UNKNOWN if rows[0] == rows[1] else Verdict.DIFFERENT, rows, reason=reason)
    features = tuple(name for name, value in left.prints.features.items() if right.prints.features[name] != value)
    is_rejoined = compares_rows and not features and left.prints.row != right.prints.row
    is_equal = not features and not is_rejoined and rows[0] == rows[1]
    return GroupResult(key, Verdict.EQUAL if is_equal else Verdict.DIFFERENT, rows, features, is_rejoined)


def _gap(name: str, group: HashedGroup) -> str:
    if group.is_whole:
        return ""
    if group.prints.rows < group.rows:
        return f"the fingerprints of {name} cover {group.prints.rows} of {group.rows} rows"
    return f"the fingerprints of {name} are of another definition, or lack a feature"


def _exchanged(a: Groups, b: Groups, groups: Sequence[GroupResult]) -> tuple[tuple[str, str], ...]:
    found: dict[tuple[str, str], None] = {}
    for group in groups:
        if len(group.features) > 1:
            left, right = a[group.key].prints.features, b[group.key].prints.features
            place = {left[name]: name for name in group.features}
            for name in group.features:
                other = place.get(right[name])
                if other is not None and left[name] == right[other] and name < other:
                    found[name, other] = None
    return tuple(found)


def _order(key: Key) -> list[tuple[bool, Any]]:
    return [(part is not None, part) for part in key]
