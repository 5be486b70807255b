"""Converts joined labels to windows, each outcome exactly once.

The join store hands out a batch of outcomes again and again until it is acknowledged. Its outcomes are counted into
separate windows, which are written to the store together with the batch's id in one transaction; only then is the batch acknowledged. If
the process dies in between, another process gets the batch, checks whether its store has the id, and counts it if not. Without a store
nothing outlives the process's own counters,
and a batch is acknowledged when it is in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from radiosonde._join.opening import open_join_store
from radiosonde._labels.label_queue import LabelQueue
from radiosonde._receipt_keys import ReceiptKeys
from radiosonde._record.class_codes import MAX_CLASSES
from radiosonde._record.intern import Codes
from radiosonde.model import OTHER_WRONG, OVERFLOW_CLASS, Outcome, losses

if TYPE_CHECKING:
    from collections.abc import Sequence

    from radiosonde._aggregate.aggregator import Aggregator
    from radiosonde._guard import Guard
    from radiosonde._join.store import Batch
    from radiosonde._settings import Settings
    from radiosonde.model import Window
    from radiosonde.reference.profile import Reference

BATCHES = 200
"""Largest number of batches joined in one step of the storing thread."""


class DurableSink(Protocol):
    """Where windows become durable, and with them the ids of the batches they were counted from."""

    def take(self, windows: Sequence[Window]) -> None:
        """Keep windows until they are written."""

    def was_counted(self, batch: Batch) -> bool:
        """Return whether the outcomes of *batch* are among the windows written."""

    def write(self, references: Mapping[tuple[str, str], Reference], batch: Batch | None = None) -> bool:
        """Write the taken windows together with the batch's id; return whether that succeeded."""


class Joiner:
    """Joins and counts the labels of a label queue. For one thread at a time."""

    def __init__(
        self, label_queue: LabelQueue, aggregator: Aggregator, sink: DurableSink, guard: Guard, owner: str
    ) -> None:
        self._label_queue, self._aggregator, self._sink, self._guard, self._owner = (
            label_queue,
            aggregator,
            sink,
            guard,
            owner,
        )
        # By model: undeclared classes, separately for predictions and labels.
        self._predicted: dict[str, Codes] = {}
        self._labels: dict[str, Codes] = {}
        self._counted = ""  # the batch that is in the windows already and could not be written yet

    def deliver(self) -> None:
        """Pass the queue to the join store, without joining. Does not raise: an unreachable store is retried."""
        with self._guard("deliver_labels"):
            self._deliver()

    def join(self, references: Mapping[tuple[str, str], Reference] | None = None) -> None:
        """Pass the queue to the join store, join, count, acknowledge. Does not raise."""
        self.deliver()
        with self._guard("join"):
            self._join(references or {})

    def _deliver(self) -> None:
        failure = self._guard.attempt(self._label_queue.deliver)
        if isinstance(failure, Exception):
            self._guard.warn("labels", "Labels wait: %s", failure)

    def _join(self, references: Mapping[tuple[str, str], Reference]) -> None:
        for _ in range(BATCHES):
            batch = self._guard.attempt(self._label_queue.join, self._owner)
            if isinstance(batch, Exception):
                self._guard.warn("labels", "Labels cannot be joined: %s", batch)
                return
            if batch is None or not self._count(batch, references):
                return
            failure = self._guard.attempt(self._label_queue.acknowledge, batch)
            if isinstance(failure, Exception):
                self._guard.warn(
                    "labels", "A batch of labels cannot be acknowledged and will be delivered again: %s", failure
                )
                return
            self._counted = ""

    def _count(self, batch: Batch, references: Mapping[tuple[str, str], Reference]) -> bool:
        """Count a batch and make it durable; return whether it is."""
        if batch.id != self._counted:
            known = self._label_queue.is_durable and self._guard.attempt(self._sink.was_counted, batch)
            if known is True:
                return True
            if isinstance(known, Exception):
                self._guard.warn("store", "Labels wait for the store: %s", known)
                return False
            outcomes = [self._bounded(outcome) for outcome in batch.outcomes]
            self._sink.take(self._aggregator.update_outcomes(outcomes))
            self._counted = batch.id
        # A join store in memory is lost together with the waiting windows: no ordering is needed, and no disk in this thread.
        return not self._label_queue.is_durable or self._sink.write(references, batch)

    def _bounded(self, outcome: Outcome) -> Outcome:
        """Return *outcome* with its classes under a bounded number of names, and right or wrong as it was.

        A label column may be really an identifier, and receipts name classes that no table of this process bounds.
        """
        if not outcome.is_class:
            return outcome
        predicted, label, former = outcome.predicted, outcome.label, outcome.former
        if predicted not in outcome.classes and predicted != OVERFLOW_CLASS:
            predicted = self._name(self._predicted, outcome, predicted)
        label, former = self._label(outcome, predicted, label), self._label(outcome, predicted, former)
        if predicted is outcome.predicted and label is outcome.label and former is outcome.former:
            return outcome
        return replace(outcome, predicted=predicted, label=label, former=former)

    def _label(self, outcome: Outcome, predicted: str, label: str | float | None) -> str | float | None:
        if not isinstance(label, str):
            return label
        if label == outcome.predicted:
            return predicted
        if label not in outcome.classes:
            label = self._name(self._labels, outcome, label)
        return OTHER_WRONG if label == OVERFLOW_CLASS == predicted else label

    def _name(self, tables: dict[str, Codes], outcome: Outcome, name: str) -> str:
        """Return *name*, or `OVERFLOW_CLASS` where the model's table is full."""
        names = tables.get(outcome.key.model)
        if names is None:
            names = tables[outcome.key.model] = Codes(MAX_CLASSES, overflow_name=OVERFLOW_CLASS)
        if name in names.codes:
            return name
        if tables is self._labels:
            self._tell_alike(outcome, name)
        _, overflowed = names.add(name, self._guard.lose)
        if overflowed:
            self._guard.lose(losses.CLASS_OVERFLOW)
        return OVERFLOW_CLASS if overflowed else name

    def _tell_alike(self, outcome: Outcome, label: str) -> None:
        """Tell a class that labels write in another case than the model: each of them counts as a wrong answer."""
        known = {outcome.predicted, *outcome.classes}
        alike = next((name for name in known if name.casefold() == label.casefold()), None)
        if alike is not None:
            self._guard.warn(
                f"label case {outcome.key.model}",
                "Labels of model %r say %r where it answers %r, and count as wrong answers; write them as it does",
                outcome.key.model,
                label,
                alike,
            )


def label_queue_for(settings: Settings, guard: Guard) -> LabelQueue:
    """Return the label queue of a process with these settings; nothing is opened."""
    keys = ReceiptKeys.parse(settings.receipt_keys) if settings.receipt_keys else None
    target = settings.join_target
    return LabelQueue(
        guard, lambda: open_join_store(target), keys, is_durable=target is not None, id_key=settings.id_key
    )
