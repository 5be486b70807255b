"""Joins labels with stored predictions: the part shared by all join stores.

A store passes the labels and a `JoinLookup`, and writes the result, in one transaction.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple, Protocol

import numpy as np

from radiosonde._clock import NS
from radiosonde._guard import Guard
from radiosonde._join.label_values import LARGEST, label_value
from radiosonde._join.matching import FoundPrediction, Match, Stated, match, outcome_of, parse_id
from radiosonde._join.prediction_chunks import Key, Place, PredictionChunk, place_of
from radiosonde._join.store import EXPIRED, INVALID, UNKNOWN, Batch, Label
from radiosonde.model import Outcome, id_text

MAX_AGE_S = 30 * 86_400.0
"""Age at which a prediction expires, counted from its start, which is part of the id."""

WAIT_S = 3_600.0
"""How long a label waits for a prediction that is not there: drains, spools and clocks of other hosts are slower than some
label feeds, but not by hours."""

_AT_ONCE = 32
"""Pages looked up together: at most some 2.5 MB in memory."""


class Received(NamedTuple):
    """A label in a store.

    Attributes:
        id: prediction id or the caller's own; None when it cannot be one.
        value: text, number or truth value; None when it is none.
        time_ns: time at which the label became known.
        since_ns: time of the first unsuccessful lookup of its prediction; 0: not yet.
    """

    id: str | None
    value: str | float | bool | None
    time_ns: int
    since_ns: int = 0


class JoinLookup(Protocol):
    """Lookups that joining needs."""

    def aliases(self, names: Sequence[str]) -> Mapping[str, str]:
        """Return the prediction ids of those *names* that are callers' own ids."""

    def chunks(self, places: Sequence[Place]) -> Iterable[Sequence[PredictionChunk]]:
        """Return the stored chunks at each place."""

    def stated(self, nonce: int, keys: Sequence[Key]) -> Mapping[Key, Stated]:
        """Return the earlier statements for those of *keys* that have a label."""


@dataclass
class Findings:
    """The result of joining.

    Attributes:
        outcomes: to be counted.
        results: labels by result.
        stated: statements to store for each labelled prediction, by nonce and key.
        unfound: labels whose prediction is not there.
        witness: called with each label, its prediction and the result.
    """

    outcomes: list[Outcome] = field(default_factory=list)
    results: Counter[str] = field(default_factory=Counter)
    stated: dict[tuple[int, Key], Stated] = field(default_factory=dict)
    unfound: list[Received] = field(default_factory=list)
    witness: Callable[[Received, FoundPrediction, Match], object] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to hand out."""
        return not self.outcomes and not self.results

    def batch(self) -> Batch:
        """Return the batch to hand out."""
        return Batch(secrets.token_hex(16), self.outcomes, dict(self.results))


_Sought = tuple[Received, Key]


def readable(label: Label) -> Received:
    """Return a label in stored form; an unreadable label is stored too, and counted as invalid when it is joined."""
    value = Guard.attempt(label_value, label.value)
    time_ns = int(label.time_ns)
    own = id_text(label.prediction_id) if -(1 << 63) <= time_ns < 1 << 63 else None
    return Received(own, None if isinstance(value, Exception) else value, 0 if own is None else time_ns)


def target_of(prediction_id: str) -> tuple[int, Key] | None:
    """Return nonce and key of a prediction id; None for an id of another form."""
    parts = parse_id(prediction_id)
    if parts is None or parts[0] >> 63:
        return None
    return parts[1], (parts[2], parts[0])


def known_names(names: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str, int]]:
    """Yield (own id, prediction id, its start) of callers' names; names of other targets are skipped."""
    for own, prediction_id in names:
        target, text = target_of(prediction_id), id_text(own)
        if target is not None and text is not None:
            yield text, prediction_id, target[1][1]


def join_labels(labels: Sequence[Received], lookup: JoinLookup, found: Findings | None = None) -> Findings:
    """Join *labels* with the predictions and earlier statements found by *lookup*, into *found*."""
    found = Findings() if found is None else found
    sought: dict[Place, list[_Sought]] = {}
    nameless: list[Received] = []
    for label in labels:
        if label.id is None or label.value is None:
            found.results[INVALID] += 1
            continue
        target = target_of(label.id)
        if target is None:
            nameless.append(label)
        else:
            sought.setdefault(place_of(target[0], target[1][0]), []).append((label, target[1]))
    # Text in the form of a prediction id may still be a caller's own id (a UUID, a trace id).
    nameless += _join_at(sought, lookup, found)
    if nameless:
        aliases = lookup.aliases([label.id for label in nameless if label.id is not None])
        renamed: dict[Place, list[_Sought]] = {}
        for label in nameless:
            alias = aliases.get(label.id or "")
            target = None if alias is None else target_of(alias)
            if target is None:
                found.unfound.append(label)
            else:
                # From now on by prediction id, so that it waits for the right page; the meaning of a name never changes.
                renamed.setdefault(place_of(target[0], target[1][0]), []).append((label._replace(id=alias), target[1]))
        found.unfound += _join_at(renamed, lookup, found)
    return found


def _join_at(sought: Mapping[Place, list[_Sought]], lookup: JoinLookup, found: Findings) -> list[Received]:
    """Join labels by place into *found*; return those whose prediction is not there."""
    missing: list[Received] = []
    places = iter(sought)
    while group := list(islice(places, _AT_ONCE)):
        for place, chunks in zip(group, lookup.chunks(group), strict=True):
            missing += _join_page(place[0], sought[place], chunks, lookup, found)
    return missing


def _join_page(
    nonce: int, labels: list[_Sought], chunks: Sequence[PredictionChunk], lookup: JoinLookup, found: Findings
) -> list[Received]:
    pairs: list[tuple[_Sought, FoundPrediction]] = []
    # A prediction may be stored twice, from its ring and from a receipt: the one with cells is preferred.
    for chunk in sorted(chunks, key=lambda each: each.cells.shape[1], reverse=True):
        if not labels:
            break
        rows = chunk.find([key for _, key in labels])
        hits = np.flatnonzero(rows >= 0)
        if len(hits):
            pairs += zip([labels[hit] for hit in hits.tolist()], chunk.take(rows[hits]), strict=True)
            labels = [label for label, row in zip(labels, rows.tolist(), strict=True) if row < 0]
    if pairs:
        known = lookup.stated(nonce, [key for (_, key), _ in pairs])
        _match_all(nonce, pairs, known, found)
    return [label for label, _ in labels]


def _match_all(
    nonce: int, pairs: list[tuple[_Sought, FoundPrediction]], known: Mapping[Key, Stated], found: Findings
) -> None:
    stated, outcomes, results = found.stated, found.outcomes, found.results
    for (label, key), prediction in pairs:
        before = stated.get((nonce, key)) or known.get(key)
        result, outcome, after = matched = match(label.value, label.time_ns, prediction, before)
        if found.witness is not None:
            found.witness(label, prediction, matched)
        results[result] += 1
        if outcome is not None:
            outcomes.append(outcome)
        if after is not None and after is not before:
            stated[nonce, key] = after


@dataclass(frozen=True, slots=True)
class Patience:
    """How long labels wait, at one moment.

    Attributes:
        now_ns: the moment.
        oldest_ns: start of the oldest prediction that may still be stored.
        wait_ns: how long a label waits.
        horizons_ns: by nonce, start of the youngest prediction that was dropped before it was too old.
        has_aliases: whether callers use their own ids. If not, an id in the form of an expired prediction id is one.
    """

    now_ns: int
    oldest_ns: int
    wait_ns: int
    horizons_ns: Mapping[int, int]
    has_aliases: bool

    @classmethod
    def at(
        cls, now_ns: int, max_age_s: float, wait_s: float, *, horizons_ns: Mapping[int, int], has_aliases: bool
    ) -> Patience:
        """Return the patience of *now_ns*."""
        return cls(now_ns, now_ns - round(max_age_s * NS), round(wait_s * NS), horizons_ns, has_aliases)

    @property
    def waited_out_ns(self) -> int:
        """A label first looked up before this time has expired."""
        return self.now_ns - self.wait_ns

    def fate(self, label: Received) -> str | None:
        """Return the result of a label whose prediction is not there; None: it waits."""
        target = target_of(label.id or "")
        is_old = target is not None and (
            target[1][1] < self.oldest_ns or target[1][1] <= self.horizons_ns.get(target[0], 0)
        )
        has_waited = 0 < label.since_ns <= self.waited_out_ns
        if is_old and (has_waited or not self.has_aliases):
            return EXPIRED
        return UNKNOWN if has_waited else None

    def sort(self, unfound: Iterable[Received], results: Counter[str]) -> Iterator[Received]:
        """Yield the labels that wait, with the time since they do; count the others in *results*."""
        for label in unfound:
            fate = self.fate(label)
            if fate is not None:
                results[fate] += 1
            else:
                yield label if label.since_ns else label._replace(since_ns=self.now_ns)


class GivenUp(NamedTuple):
    """The result of expiring a chunk.

    Attributes:
        outcomes: one for each prediction without a label.
        rest: the part kept for the next call, for lack of room; None for nothing.
        gone: keys of the rows that are not kept.
    """

    outcomes: list[Outcome]
    rest: PredictionChunk | None
    gone: list[Key]


def give_up(chunk: PredictionChunk, siblings: Iterable[PredictionChunk], labelled: Iterable[Key], room: int) -> GivenUp:
    """Give up a chunk whose predictions are too old; its labels did not come.

    Args:
        chunk: the expired chunk.
        siblings: the other chunks of its page: a prediction in two chunks expires with the last of them.
        labelled: keys that have a label.
        room: bound on the outcomes.
    """
    keys = chunk.keys()
    elsewhere = {key for sibling in siblings for key in sibling.keys()}  # noqa: SIM118 - a method, not a dict's
    settled = elsewhere.union(labelled)
    answered = (chunk.rows["class_code"] >= 0) | (np.abs(chunk.rows["score"]) <= LARGEST)
    is_open = np.array([key not in settled for key in keys]) & answered
    rest = np.flatnonzero(is_open)[room:]
    is_open[rest] = False
    outcomes = [outcome_of(each, None) for each in chunk.take(np.flatnonzero(is_open))]
    is_rest = np.zeros(len(keys), dtype=np.bool_)
    is_rest[rest] = True
    gone = [key for key, stays in zip(keys, is_rest.tolist(), strict=True) if not stays and key not in elsewhere]
    return GivenUp(outcomes, chunk.only(is_rest) if len(rest) else None, gone)
