"""Previews the results of labels before they are received.

For loading a file of labels: a wrong column, or classes spelled differently from the model's, would cost every label, and is detected here
instead of a day later.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from radiosonde._join.joining import Findings, JoinLookup, Received, join_labels, readable
from radiosonde._join.label_values import class_name
from radiosonde._join.matching import FoundPrediction, Match
from radiosonde._join.store import INVALID, Label

MOST_NAMES = 1000
"""Largest number of distinct names and values; a column of labels may really be an identifier."""


@dataclass
class Preview:
    """Preview of some labels; may be accumulated over many `preview` calls.

    Attributes:
        labels: number of labels.
        met: number of labels with a known prediction.
        invalid: labels that their prediction cannot be compared with, by (model, value).
        named: labels that name a class, by (model, class).
        classes: by model, the classes that its answers have; none for a model that answers numbers.
    """

    labels: int = 0
    met: int = 0
    invalid: Counter[tuple[str, str]] = field(default_factory=Counter)
    named: Counter[tuple[str, str]] = field(default_factory=Counter)
    classes: dict[str, dict[str, None]] = field(default_factory=dict)

    @property
    def strays(self) -> Counter[tuple[str, str]]:
        """Labels of classes that the model never answers, by (model, class)."""
        return Counter({key: count for key, count in self.named.items() if key[1] not in self.classes[key[0]]})

    def add(self, label: Received, prediction: FoundPrediction, match: Match) -> None:
        """Count a label whose prediction is known."""
        names = prediction.lane.names
        self.met += 1
        known = self.classes.setdefault(names.model, {})
        if prediction.class_code >= 0:
            known.update(dict.fromkeys(names.classes))
        if match.result == INVALID:
            _count(self.invalid, (names.model, str(label.value)))
        elif prediction.class_code >= 0:
            name = class_name(label.value, names.classes, names.declared)
            _count(self.named, (names.model, name or ""))

    def refuse(self, model: str, value: object) -> None:
        """Count a label that the answer of its prediction, by receipt, cannot be compared with."""
        self.labels += 1
        self.met += 1
        self.classes.setdefault(model, {})
        _count(self.invalid, (model, str(value)))


def _count(counts: Counter[tuple[str, str]], key: tuple[str, str]) -> None:
    if key in counts or len(counts) < MOST_NAMES:
        counts[key] += 1
    else:
        counts[key[0], "..."] += 1


def preview(labels: Sequence[Label], lookup: JoinLookup, into: Preview) -> None:
    """Add to *into* what joining *labels* would find with *lookup*; nothing is changed."""
    into.labels += len(labels)
    join_labels([readable(label) for label in labels], lookup, Findings(witness=into.add))
