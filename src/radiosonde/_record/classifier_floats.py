"""Determines whether floats of a classifier are names of classes, probabilities of the second class, or neither.

The floats seen so far decide, since one alone may be any of them: 1.0 is a class or a probability, 0.3 a probability or a margin.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from radiosonde.model import class_text

PROBABILITY_SLACK: Final = 1e-6
"""How far rounding may carry a probability above 1."""

MOST_OUTSIDE: Final = 0.1
"""Share of the numbers of a classifier outside [0, 1] above which none is a probability. Of margins (`decision_function`) and logits a
third or more are outside; of probabilities with a fault here and there, few."""

ODD_NUMBERS: Final = 1
"""Numbers outside that say nothing of the others, however few these are: a single fault."""

NO_PROBABILITIES: Final = (
    "too many are outside [0, 1]: these are margins or logits, not probabilities; return `predict_proba`, or classes"
)


class ClassifierFloats:
    """The floats of one classifier.

    Args:
        codes: codes of its classes by name; read, not copied.
        declared: how many classes were declared.
        takes_probability: whether a float may be a probability: of classes that were only seen, and of three or more, none is.
    """

    def __init__(self, codes: Mapping[Any, int], declared: int, *, takes_probability: bool) -> None:
        self._codes, self._declared, self._takes_probability = codes, declared, takes_probability
        self._meaning: Literal["labels", "probabilities"] | None = None
        self._inside = self._outside = 0

    def are_labels(self, lowest: float, highest: float, *, is_whole: bool) -> bool:
        """Return whether floats name classes, else they are probabilities of the second class, or none.

        Of at most two classes 0.0 and 1.0 could be either. Mostly that is the same class; where it is not, the first float
        that is not one of them decides, and until then a float that names a declared class is that class.
        """
        if not self._takes_probability:
            return True
        if self._meaning is None and not is_whole:
            self._meaning = "probabilities"
        elif self._meaning is None and (lowest < 0.0 or highest > 1.0) and self._name_classes(lowest, highest):
            self._meaning = "labels"
        if self._meaning is not None or not self._declared:
            return self._meaning == "labels"
        # Whole numbers within [0, 1]: labels where a declared class is called so, and is not the one the position means.
        ends = {int(lowest), int(highest)}
        return any(self._codes.get(str(end), end) != end for end in ends)

    def are_probabilities(self, inside: int, outside: int) -> bool:
        """Return whether the floats so far, including these, are probabilities.

        Args:
            inside: how many are within [0, 1].
            outside: how many are not and are not whole either; a whole one, such as -1, often means that there is no answer.
        """
        self._inside += inside
        self._outside += outside
        return self._outside <= max(ODD_NUMBERS, MOST_OUTSIDE * (self._inside + self._outside))

    def _name_classes(self, *numbers: float) -> bool:
        return not self._declared or all(class_text(number) in self._codes for number in numbers)
