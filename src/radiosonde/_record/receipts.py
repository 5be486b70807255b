"""Creates the receipt of a finished prediction from its slot.

Permanent mistakes (no keys, a call inside the prediction) raise, because the first try shows them. Conditions that depend on traffic (a
batch, a reused slot, a cohort with a long name) do not: a request must not fail for a receipt, so the
caller gets ``""`` and the loss is counted.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from radiosonde._clock import NS, wall_ns
from radiosonde._join.receipt import Receipt, sign
from radiosonde._receipt_keys import MAKE_ONE, ReceiptKeys
from radiosonde._record.token import AT, INDEX, Token, is_in_progress
from radiosonde._record.tracing import prediction_id
from radiosonde._ring.layout import DONE, ENDED, OUTPUT_CLASS, OUTPUT_SCORE
from radiosonde.errors import ConfigurationError, ReceiptError
from radiosonde.model import SeriesKey, losses

if TYPE_CHECKING:
    from radiosonde._record.record_writer import RecordWriter


def issue(token: Token) -> str:
    """Return the signed receipt of the prediction of *token*; ``""`` when none can be made, counted.

    Raises:
        ConfigurationError: there are no keys, they cannot be read, or the prediction is still in progress.
    """
    writer: RecordWriter = token[0]
    host = writer.recorder.host
    if not host.settings.receipt_keys:
        if any(problem.variable == "RADIOSONDE_RECEIPT_KEYS" for problem in host.settings.problems):
            host.guard.lose(losses.RECEIPT_UNISSUED)  # the variable has been logged; a request must not fail for it
            return ""
        raise ConfigurationError(
            "no key is configured to sign receipts; set RADIOSONDE_RECEIPT_KEYS, or start(receipt_keys=...), to the output "
            f"of: {MAKE_ONE}"
        )
    keys = ReceiptKeys.parse(host.settings.receipt_keys)
    if is_in_progress(token):
        raise ConfigurationError(
            "receipt() was called inside the prediction, which has no output yet; call it after the observed function returned"
        )
    with host.guard("receipt", losses.RECEIPT_UNISSUED):
        return _issue(token, keys)
    return ""


def _issue(token: Token, keys: ReceiptKeys) -> str:
    host = token[0].recorder.host
    receipt = _read(token)
    why: object = receipt
    if isinstance(receipt, Receipt):
        try:
            return sign(receipt, keys, wall_ns() + round(host.settings.receipt_ttl_s * NS))
        except ReceiptError as error:
            why = error
    host.guard.lose(losses.RECEIPT_UNISSUED)
    host.guard.warn("receipt", "No receipt for a prediction of %r: %s", token[0].recorder.name, why)
    return ""


def _read(token: Token) -> Receipt | str:
    """Return the receipt to be signed, or why there is none."""
    writer: RecordWriter = token[0]
    ring, recorder, outputs = writer.ring, writer.recorder, writer.outputs
    ended = (token[INDEX] + 1) * 4 + DONE
    start_ns, event_ns, series, score, code, confidence, kind, rows, mark = ENDED.unpack_from(ring.memory, token[AT])
    if mark != ended:
        if mark >> 2 == ended >> 2:
            return "it raised, so it has no output"
        return "its record has been overwritten; ask for the receipt right after the prediction, or raise ring_bytes"
    if rows != 1:
        return "it was a batch, whose rows have no ids of their own; label the rows from your own table, or predict row by row"
    key = SeriesKey(recorder.name, recorder.version, recorder.variant, writer.cohorts.names[series])
    said = (prediction_id(token), key, event_ns or start_ns)
    if kind == OUTPUT_CLASS and code >= 0:
        classes = outputs.classes
        return Receipt(*said, classes.name_of(code), confidence, math.nan, tuple(classes.names), outputs.declared)
    if kind == OUTPUT_SCORE and math.isfinite(score):
        return Receipt(*said, value=score)
    return "its output has neither a class nor a value; give observe(..., output=...)"
