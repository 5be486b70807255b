"""Queues labels from any thread for the join store, and counts them by result.

Three queues, each bounded and each emptied by `LabelQueue.deliver`: predictions that wait for labels (from the consumer),
the callers' own names for predictions, and labels. While a store does not respond, entries wait here; entries beyond the bound are a
counted loss. `LabelQueue.receive` bypasses the queue: it returns when the labels are durable.

One thread at a time is inside the store, held by one lock; `put` never takes it.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from radiosonde._clock import wall_ns
from radiosonde._guard import Guard
from radiosonde._join.label_values import label_value
from radiosonde._join.matching import parse_id
from radiosonde._join.memory import MemoryJoinStore
from radiosonde._join.preview import Preview
from radiosonde._join.receipt import Receipt, is_receipt, verify
from radiosonde._join.store import INVALID, RESULTS, Batch, JoinStore, Label, Predictions
from radiosonde._native import allocate_lock
from radiosonde._receipt_keys import ReceiptKeys
from radiosonde.errors import ReceiptError
from radiosonde.model import id_text, losses
from radiosonde.model.concealed import conceal

QUEUE = 65_536
"""Labels that may wait for the store; more are refused and counted."""

_ID_HASH_BYTES = 12
"""Of a hashed id: two of a thousand million ids have the same hash with a probability of 6e-12."""

WAITING_ROWS = 262_144
"""Predictions that may wait for the store, some 20 MB; the oldest beyond it can no longer be labelled, and are counted."""

BATCH_LABELS = 1000
"""Labels joined at a time. Scattered over as many windows they take a second to count and to write, and windows of
traffic wait behind them for as long."""

REFUSED = "refused"
"""A receipt that was not signed with our keys, is damaged or has expired. Never reaches a store."""


class LabelQueue:
    """The queues in front of the join store, and the counts of label results.

    Args:
        guard: counts errors and losses.
        open_store: opens the join store, at first use.
        keys: keys that verify receipts; None refuses all receipts.
        is_durable: whether the join store outlives the process.
        id_key: hashes callers' own ids before the store gets them; empty: they are stored as they are.
    """

    def __init__(
        self,
        guard: Guard,
        open_store: Callable[[], JoinStore],
        keys: ReceiptKeys | None,
        *,
        is_durable: bool,
        id_key: str = "",
    ) -> None:
        self.is_durable = is_durable
        self._id_key = id_key
        self._guard, self._open_store, self._keys = guard, open_store, keys
        self._store: JoinStore | None = None
        self._lock = allocate_lock()
        self._labels: deque[Label] = deque()
        self._names: deque[tuple[str, str]] = deque()
        self._predictions: deque[Predictions] = deque()
        self._rows = 0
        self._has_labels = False
        self._forgone = self._counted_forgone = self._counted_pruned = 0
        self._last_ns = 0
        self._results: Counter[str] = Counter()

    # Any thread ------------------------------------------------------------------------------------------------------

    def put(self, prediction_id: object, value: object, time_ns: int | None) -> None:
        """Queue a label. Costs an append; an unsupported value is counted as invalid."""
        label = self._label(prediction_id, value, time_ns)
        if label is None:
            return
        if len(self._labels) >= QUEUE:
            self._guard.lose(losses.LABEL_QUEUE_FULL)
            return
        self._labels.append(label)

    def receive(self, labels: Sequence[tuple[object, object, int | None]]) -> int:
        """Pass labels to the store now; return the number accepted. They are durable when this returns.

        Raises:
            StoreError: the store cannot be reached; none was taken.
        """
        readable = [label for each in labels if (label := self._label(*each)) is not None]
        if readable:
            with self._lock:
                self._deliver_labels(readable)
        return len(readable)

    def preview(self, labels: Sequence[Label], into: Preview) -> None:
        """Add to *into* the result that joining *labels* would have; a receipt includes its prediction.

        Raises:
            StoreError: the store cannot be reached.
        """
        by_receipt = MemoryJoinStore()
        kept: list[Label] = []
        brought: list[Label] = []
        for label in labels:
            receipt = self._verified(label.prediction_id) if is_receipt(label.prediction_id) else None
            truth = None if receipt is None else receipt.truth(label.value)
            if receipt is not None and truth is not None:
                by_receipt.remember([receipt.predictions()])
                brought.append(Label(receipt.prediction_id, truth, label.time_ns))
            elif receipt is not None:
                into.refuse(receipt.key.model, label.value)
            else:
                stored = _stored_id(label.prediction_id, self._id_key) or label.prediction_id
                kept.append(Label(stored, label.value, label.time_ns))
        with self._lock:
            self._opened().preview(kept, into)
        by_receipt.preview(brought, into)

    def alias(self, own_id: object, prediction_id: str) -> None:
        """Register the caller's own id for a prediction; a value refused by `radiosonde.model.id_text` is counted and logged."""
        text = Guard.attempt(id_text, own_id)
        if not isinstance(text, str):
            self._guard.lose(losses.OWN_ID_UNREADABLE)
            self._guard.warn(
                "id",
                "An own id cannot be read (a %s); give observe(..., id=...) or alias() text, a whole number or a UUID",
                type(own_id).__name__,
            )
            return
        if len(self._names) >= QUEUE:
            self._guard.lose(losses.LABEL_QUEUE_FULL)
            return
        self._names.append((_stored_id(text, self._id_key) or text, prediction_id))

    def _label(self, prediction_id: object, value: object, time_ns: int | None) -> Label | None:
        self._has_labels = True
        plain, own_id = Guard.attempt(label_value, value), Guard.attempt(_identity, prediction_id, self._id_key)
        if not isinstance(own_id, str) or plain is None or isinstance(plain, Exception):
            self._results[INVALID] += 1
            what = "an id" if not isinstance(own_id, str) else "a value"
            self._guard.warn(
                f"label {what}",
                "A label is invalid: %s of type %s is not supported; give text, a number or a UUID as id, and text, a finite number or a "
                "truth value as value",
                what,
                type(prediction_id if what == "an id" else value).__name__,
            )
            return None
        if time_ns is None:
            # Later than the one before, though the clock may not have moved: of two labels for one prediction the later wins.
            time_ns = self._last_ns = max(self._last_ns + 1, wall_ns())
        return Label(own_id, plain, time_ns)

    @property
    def waiting(self) -> int:
        """Labels and names in the queues."""
        return len(self._labels) + len(self._names)

    @property
    def needs_cells(self) -> bool:
        """Whether predictions should be kept with the cells of their features.

        A shared store may get labels at any time. A store in memory gets labels of this process only; most processes never label, so the
        cost of cells is avoided until the first label.
        """
        return self.is_durable or self._has_labels

    @property
    def is_crowded(self) -> bool:
        """Whether a quarter of the predictions that may wait do."""
        return self._rows * 4 >= WAITING_ROWS

    def results(self) -> Mapping[str, int]:
        """Return the labels so far by result."""
        return {**dict.fromkeys((*RESULTS, REFUSED), 0), **self._results}

    # The thread that talks to the store ------------------------------------------------------------------------------

    def keep(self, predictions: Predictions) -> None:
        """Take predictions that may be labelled; the consumer."""
        self._predictions.append(predictions)
        self._rows += len(predictions.rows)
        while self._rows > WAITING_ROWS:
            dropped = len(self._predictions.popleft().rows)
            self._rows -= dropped
            self.forgo(dropped)

    def forgo(self, count: int) -> None:
        """Note predictions that no label can find any more; the consumer.

        They are counted as a loss once there are labels: a process that never labels has lost nothing. Those before the
        first label count then, too.
        """
        self._forgone += count

    def _count_forgone(self) -> None:
        """Count predictions that labels cannot find; under the lock."""
        if not self._has_labels:
            return
        forgone, pruned = self._forgone, getattr(self._store, "pruned", 0)  # Redis keeps its own bounds
        if forgone > self._counted_forgone:
            self._guard.lose(losses.PREDICTIONS_UNJOINABLE, forgone - self._counted_forgone)
            self._counted_forgone = forgone
        if pruned > self._counted_pruned:
            self._guard.lose(losses.JOIN_PRUNED, pruned - self._counted_pruned)
            self._counted_pruned = pruned

    def deliver(self) -> None:
        """Hand the store everything that waits.

        Raises:
            StoreError: it cannot be reached; the rest keeps waiting.
        """
        if not (self._predictions or self._names or self._labels or self._has_labels):
            return
        with self._lock:
            store = self._opened()
            chunks = [self._predictions.popleft() for _ in range(len(self._predictions))]
            try:
                if chunks:
                    store.remember(chunks)
            except Exception:
                self._predictions.extendleft(reversed(chunks))
                raise
            self._rows -= sum(len(chunk.rows) for chunk in chunks)
            self._deliver_all(self._names, store.alias)
            self._deliver_all(self._labels, self._deliver_labels)
            self._count_forgone()

    @staticmethod
    def _deliver_all(queue: deque[Any], deliver: Callable[[list[Any]], None]) -> None:
        items = [queue.popleft() for _ in range(len(queue))]
        try:
            if items:
                deliver(items)
        except Exception:
            queue.extendleft(reversed(items))
            raise

    def _deliver_labels(self, labels: Sequence[Label]) -> None:
        """Pass *labels* to the store; the prediction of a receipt precedes its label."""
        plain: list[Label] = []
        said: list[Predictions] = []
        results: Counter[str] = Counter()
        for label in labels:
            if not is_receipt(label.prediction_id):
                plain.append(label)
                continue
            receipt = self._verified(label.prediction_id)
            truth = None if receipt is None else receipt.truth(label.value)
            if receipt is None or truth is None:
                results[REFUSED if receipt is None else INVALID] += 1
                continue
            said.append(receipt.predictions())
            plain.append(Label(receipt.prediction_id, truth, label.time_ns))
        store = self._opened()
        if said:
            store.remember(said)
        if plain:
            store.receive(plain)
        self._results.update(results)  # last: labels of a call that raised above are retried

    def _verified(self, text: str) -> Receipt | None:
        if self._keys is None:
            self._guard.warn(
                "receipt", "A label by receipt was refused: no keys are configured; set RADIOSONDE_RECEIPT_KEYS"
            )
            return None
        try:
            return verify(text, self._keys, wall_ns())
        except ReceiptError as error:
            self._guard.warn(f"receipt {error.reason}", "A label by receipt was refused: %s", error)
            return None

    def join(self, owner: str) -> Batch | None:
        """Join what can be joined; None when there is nothing to do.

        Raises:
            StoreError: the store cannot be reached.
        """
        with self._lock:
            return self._opened().join(owner, now_ns=wall_ns(), limit=BATCH_LABELS)

    def acknowledge(self, batch: Batch) -> None:
        """Count the labels of a batch by result, and forget the batch.

        Raises:
            StoreError: the store cannot be reached; the batch comes again.
        """
        with self._lock:
            self._opened().acknowledge(batch.id)
        self._results.update(batch.results)
        self._has_labels = self._has_labels or any(
            batch.results.values()
        )  # other processes may label these predictions
        if invalid := batch.results.get(INVALID, 0):
            self._guard.warn(
                "label invalid",
                "%d labels are invalid: their text says that there is none (NA, null), or is no number where the model answers "
                "numbers; docs/labels.md says what equals what",
                invalid,
            )

    @property
    def early(self) -> int:
        """Labels whose prediction has not been seen yet."""
        return 0 if self._store is None else self._store.waiting

    def _opened(self) -> JoinStore:
        if self._store is None:
            self._store = self._open_store()
        return self._store

    def open(self) -> None:
        """Open the store now.

        Raises:
            StoreError: it cannot be opened.
        """
        with self._lock:
            self._opened()

    def close(self) -> None:
        """Close the store; entries still waiting are counted as lost."""
        if (
            self.is_durable and self._rows
        ):  # other processes may label them while the store exists, and would not find them
            self._guard.lose(losses.PREDICTIONS_UNJOINABLE, self._rows)
        elif self._rows:
            self.forgo(self._rows)
        if self._labels or self._names:
            self._guard.lose(losses.LABEL_QUEUE_FULL, len(self._labels) + len(self._names))
        for queue in (self._predictions, self._labels, self._names):
            queue.clear()
        self._rows = 0
        with self._lock:
            self._count_forgone()
            if self._store is not None:
                self._store.close()
            self._store = None


def _identity(prediction_id: object, id_key: str) -> str | None:
    """Return an id or a receipt as it is compared."""
    if isinstance(prediction_id, str) and is_receipt(text := prediction_id.strip()):
        return text
    return _stored_id(id_text(prediction_id), id_key)


def _stored_id(text: str | None, id_key: str) -> str | None:
    """Return an id as the store has it: a caller's own is hashed under *id_key*, if there is one.

    Text in the form of a prediction id (32 hexadecimal digits) stays unchanged, because it is ambiguous.
    """
    if not id_key or text is None or parse_id(text) is not None:
        return text
    return conceal(text, id_key, size_bytes=_ID_HASH_BYTES)
