"""Splits a change of a feature into a new mix of cohorts and a change within them, exactly.

With weights *w* (the share of the rows that each cohort has) and means *u* of a contrast before and after (primed),

    u' - u = sum((w' - w) u) + sum(w' (u' - u))

The first sum is the mix: other users, whose inputs are what they were. The second is the change within cohorts. A cohort without rows before has no
*u*; its *u'* is taken, so that new cohorts are mix. Versions are not cohorts: what a new version does to its features is a change within.

A finding on all rows together, of which the mix explains most, is no finding on the feature. Those of one time become one finding on the mix, which
names the cohorts whose share changed. Nothing is added to what is found: the mix alone is no finding.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from radiosonde.diagnose.cell_contrasts import make_contrasts
from radiosonde.diagnose.finding import Evidence, Finding, Place
from radiosonde.diagnose.next_steps import look_at_traffic, look_before
from radiosonde.model import cohort_text, parse_cohort
from radiosonde.model.percent import percent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from radiosonde.diagnose.cell_contrasts import Contrast
    from radiosonde.diagnose.cell_table import CellTable
    from radiosonde.diagnose.feature_panel import FeaturePanel
    from radiosonde.diagnose.finding import Onset, Severity

    Numbers = NDArray[np.float64]

MOSTLY, _SAID = 0.7, 0.1
"""Part of a change from which the mix is its cause, and from which it is stated."""

_CHECKS = {"location": "location", "spread": "spread", "unit": "location", "range": "outside", "missing": "missing", "unseen": "unseen"}  # fmt: skip
_LEAST_MOVE, _OF_LARGEST, _MOST_NAMED = 0.005, 0.2, 5


class Split(NamedTuple):
    """The parts of the change of a contrast; their sum is the change.

    Attributes:
        mix: what the new mix of cohorts explains.
        within: what changed within cohorts.
    """

    mix: float
    within: float

    @property
    def share(self) -> float:
        """The part of the change that the mix explains: 1 where nothing changed within cohorts, negative where it went the other way."""
        whole = self.mix + self.within
        return self.mix / whole if whole else 0.0


def split_change(tops: Numbers, bottoms: Numbers) -> Split:
    """Split the change of the ratio of *tops* and *bottoms* over cohorts; both of shape (2, cohorts), before and after."""
    before, after = bottoms / np.maximum(bottoms.sum(axis=1, keepdims=True), 1e-300)
    was, now = tops / np.maximum(bottoms, 1e-300)
    was = np.where(bottoms[0] > 0, was, now)
    now = np.where(bottoms[1] > 0, now, was)
    return Split(float(((after - before) * was).sum()), float((after * (now - was)).sum()))


def name_mix(table: CellTable | None, panel: FeaturePanel, found: Sequence[Finding], end_ns: int) -> list[Finding]:
    """Return the findings *found* on all rows of *panel*, with those that a new mix of cohorts explains as one finding for each time.

    Args:
        table: the cells by series; None without any.
        panel: the same cells of all cohorts together.
        found: findings.
        end_ns: end of the period.
    """
    if table is None or len({key.cohort for key in table.keys}) < 2:
        return list(found)
    contrasts = {(each.feature, each.name): each for each in make_contrasts(panel)}
    kept: list[Finding] = []
    mixed: list[tuple[Finding, Split]] = []
    for finding in found:
        split = _split_of(table, contrasts, finding, end_ns)
        if split is None:
            kept.append(finding)
        elif split.share >= MOSTLY:
            mixed.append((finding, split))
        else:
            kept.append(replace(finding, evidence=(*finding.evidence, *_said(split))))
    for group in _at_once(mixed, 2 * panel.axis.step_ns):
        made = _finding(table, group, end_ns)
        kept += [made] if made is not None else [finding for finding, _ in group]
    return kept


def _split_of(
    table: CellTable, contrasts: dict[tuple[int, str], Contrast], finding: Finding, end_ns: int
) -> Split | None:
    """Return the split of the change that *finding* is about; None if it is about no contrast or about one version."""
    name = finding.where.feature
    if name not in table.names or finding.where.version:
        return None
    feature, check = table.names.index(name), finding.name.split(".")[1]
    column = table.column(feature)
    sides = _sides(table, finding.onset, end_ns)
    if check == "category":
        chosen = [
            each for (index, _), each in contrasts.items() if index == feature and each.name.startswith("category:")
        ]
    else:
        chosen = [contrasts[feature, _CHECKS[check]]] if (feature, _CHECKS.get(check, "")) in contrasts else []
    cells = np.stack([_by_cohort(table, column[:, side].sum(axis=1)) for side in sides])
    if not chosen or not (cells.sum(axis=(1, 2)) > 0).all():
        return None
    splits = [split_change(cells @ each.top, cells @ each.bottom) for each in chosen]
    return max(splits, key=lambda split: abs(split.mix + split.within))


def _sides(table: CellTable, onset: Onset, end_ns: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the steps outside a finding that are earlier, and those in it."""
    ended = end_ns if onset.ended_ns is None else onset.ended_ns
    return table.start_ns < onset.at_ns, (table.start_ns >= onset.at_ns) & (table.start_ns < ended)


def _by_cohort(table: CellTable, series: Numbers) -> Numbers:
    """Return the sums of *series*, shape (series, columns), over versions."""
    names = sorted({key.cohort for key in table.keys})
    made = np.zeros((len(names), series.shape[1]))
    np.add.at(made, [names.index(key.cohort) for key in table.keys], series)
    return made


def _said(split: Split) -> Iterator[Evidence]:
    if abs(split.share) >= _SAID:
        yield Evidence("mix", round(split.share, 4), "share", f"a new mix of cohorts explains {percent(min(max(split.share, 0.0), 1.0))} of the change")  # fmt: skip


def _at_once(mixed: Sequence[tuple[Finding, Split]], slack_ns: int) -> list[list[tuple[Finding, Split]]]:
    """Group findings whose onsets are alike within their doubt."""
    groups: list[list[tuple[Finding, Split]]] = []
    for each in sorted(mixed, key=lambda pair: -pair[0].confidence.ln_e):
        onset = each[0].onset
        for group in groups:
            lead = group[0][0].onset
            if (lead.ended_ns is None) == (onset.ended_ns is None) and max(lead.earliest_ns, onset.earliest_ns) <= min(lead.latest_ns, onset.latest_ns) + slack_ns:  # fmt: skip
                group.append(each)
                break
        else:
            groups.append([each])
    return groups


class _Move(NamedTuple):
    """A cohort whose share of the rows changed."""

    cohort: str
    before: float
    after: float


def _moves(table: CellTable, onset: Onset, end_ns: int) -> list[_Move]:
    """Return the values of single dimensions whose share of the rows changed, the largest change first."""
    rows = np.stack([table.column(0)[:, side].sum(axis=(1, 2)) for side in _sides(table, onset, end_ns)])
    shares = rows / np.maximum(rows.sum(axis=1, keepdims=True), 1e-9)
    found: dict[str, Numbers] = {}
    for index, key in enumerate(table.keys):
        for name, value in parse_cohort(key.cohort).items():
            text = cohort_text({name: value})
            found[text] = found.get(text, np.zeros(2)) + shares[:, index]
    moves = [_Move(text, float(before), float(after)) for text, (before, after) in found.items()]
    moves.sort(key=lambda move: (-abs(move.after - move.before), move.cohort))
    least = max(_LEAST_MOVE, _OF_LARGEST * abs(moves[0].after - moves[0].before)) if moves else 0.0
    return [move for move in moves if abs(move.after - move.before) >= least][:_MOST_NAMED]


def _finding(table: CellTable, group: Sequence[tuple[Finding, Split]], end_ns: int) -> Finding | None:
    """Return the finding on the mix that explains *group*; None if no cohort can be named."""
    lead = group[0][0]
    moves = _moves(table, lead.onset, end_ns)
    if not moves:
        return None
    words = [f"{move.cohort} from {percent(move.before)} to {percent(move.after)}" for move in moves]
    features = [finding.where.feature for finding, _ in group]
    where = Place(table.model, cohort=moves[0].cohort)
    severity: Severity = "ticket" if any(finding.severity != "info" for finding, _ in group) else "info"
    evidence = [
        *(Evidence(f"share_{move.cohort}", round(move.after, 4), "share", f"{text} of the rows") for move, text in zip(moves, words, strict=True)),
        *(
            Evidence(f"mix_{finding.where.feature}", round(part.share, 4), "share", f"the mix explains {percent(min(part.share, 1.0))} of the change of {finding.where.feature}")
            for finding, part in group[:_MOST_NAMED]
        ),
    ]  # fmt: skip
    several = features[0] if len(features) == 1 else f"{', '.join(features[:_MOST_NAMED])}{' and others' if len(features) > _MOST_NAMED else ''}"  # fmt: skip
    return replace(
        lead, name=f"drift.mix.{moves[0].cohort}", kind="drift", severity=severity, where=where,
        title=f"the mix of cohorts changed: {'; '.join(words[:2])} of the rows",
        verdict=f"All rows together look different in {several}, but the rows of each cohort are as they were: other users, not other inputs.",
        evidence=tuple(evidence), next_steps=(look_at_traffic(where, lead.onset), look_before(where, lead.onset)),
    )  # fmt: skip
