"""Parses labels from files and requests. Nothing is guessed; each rejection has a reason.

An accepted label can be stored and compared: text without lone surrogates and no longer than a class name, finite numbers, a valid time.
Whether its prediction is known is determined by the join store.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Any, Final, NamedTuple

from radiosonde._clock import LATEST_S, NS
from radiosonde._guard import Guard
from radiosonde._join.label_values import label_value
from radiosonde._join.receipt import is_receipt, verify
from radiosonde._join.store import Label
from radiosonde._receipt_keys import ReceiptKeys
from radiosonde.errors import ReceiptError
from radiosonde.model import LONGEST_ID, id_text

INVALID_ID: Final = "invalid_id"
"""No id by `radiosonde.model.id_text`: missing, empty, too long, or of a type that is none."""
INVALID_VALUE: Final = "invalid_value"
"""Missing, not finite, or neither text, a number nor a truth value."""
INVALID_TIME: Final = "invalid_time"
"""Not an instant."""
RECEIPT: Final = "receipt_"
"""Before the reason for which a receipt is refused."""

_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?", re.ASCII)


class Refusal(NamedTuple):
    """Why a label is not taken.

    Attributes:
        reason: one word for counting.
        message: a sentence for the sender.
    """

    reason: str
    message: str


class LabelReader:
    """Reads labels; the same for all of them.

    Args:
        keys: keys that verify receipts; without keys receipts are refused.
        naive_utc: read times without a zone as UTC, instead of refusing them.
    """

    def __init__(self, keys: ReceiptKeys | None = None, *, naive_utc: bool = False) -> None:
        self._keys = keys
        self._naive_utc = naive_utc

    def read(self, identity: object, value: object, time: object, now_ns: int) -> Label | Refusal:
        """Return the label, or why it is refused.

        Args:
            identity: prediction id, the caller's own id, or a receipt, which is verified here and passed on as it is.
            value: the actual outcome.
            time: time at which it became known: ISO 8601 with its zone, or seconds since the epoch; None or empty: now.
            now_ns: wall clock.
        """
        known_as = self._identity(identity, now_ns)
        if isinstance(known_as, Refusal):
            return known_as
        said = _value(value)
        if isinstance(said, Refusal):
            return said
        time_ns = self._time_ns(time, now_ns)
        if isinstance(time_ns, Refusal):
            return time_ns
        return Label(known_as, said, time_ns)

    def _identity(self, identity: object, now_ns: int) -> str | Refusal:
        text = identity.strip() if isinstance(identity, str) else ""
        if is_receipt(text):
            return self._receipt(text, now_ns)
        known_as = Guard.attempt(id_text, identity)
        if isinstance(known_as, str):
            return known_as
        if len(text) > LONGEST_ID:
            return Refusal(INVALID_ID, f"the id has {len(text)} characters, {LONGEST_ID} are allowed")
        if text:
            return Refusal(INVALID_ID, f"{_shown(text)} contains characters that are not valid text")
        return Refusal(
            INVALID_ID, f"{_shown(identity)} is not an id; pass the prediction id, your own id, or a receipt"
        )

    def _receipt(self, text: str, now_ns: int) -> str | Refusal:
        if self._keys is None:
            return Refusal(
                f"{RECEIPT}unknown_key",
                "no keys are configured to verify receipts; set RADIOSONDE_RECEIPT_KEYS to the value used where they were issued",
            )
        try:
            verify(text, self._keys, now_ns)
        except ReceiptError as error:
            return Refusal(f"{RECEIPT}{error.reason}", str(error))
        return text

    def _time_ns(self, time: object, now_ns: int) -> int | Refusal:
        if time is None or time == "":
            return now_ns
        instant = _instant(time)
        if isinstance(instant, datetime):
            if instant.tzinfo is None and not self._naive_utc:
                return Refusal(
                    INVALID_TIME,
                    f"{_shown(time)} has no time zone; add its offset, as in +00:00",
                )
            instant = (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp()
        if instant is None or not 0 < instant < LATEST_S:
            return Refusal(INVALID_TIME, f"{_shown(time)} is not a time; give ISO 8601, or seconds since the epoch")
        return instant * NS if isinstance(instant, int) else round(instant * NS)


def _instant(time: object) -> datetime | int | float | None:
    if isinstance(time, datetime):
        return time
    if isinstance(time, date):
        return datetime(time.year, time.month, time.day)  # noqa: DTZ001 - a day without a zone is not an instant yet
    if isinstance(time, (int, float)) and not isinstance(time, bool):
        return time
    if not isinstance(time, str):
        return None
    text = time.strip()
    # Eight digits are a day; as seconds they would lie in 1970 to 1973.
    if _NUMBER.fullmatch(text) and not (len(text) == 8 and text.isdigit()):
        return float(text)
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _value(value: Any) -> str | float | bool | Refusal:
    said = Guard.attempt(label_value, value)
    if said is not None and not isinstance(said, Exception):
        return said
    return Refusal(
        INVALID_VALUE,
        f"{_shown(value)} is not a label; pass text, a finite number or a boolean, and leave out unlabelled rows",
    )


def _shown(value: object) -> str:
    if isinstance(value, int) and value.bit_length() > 1024:  # Python refuses to write out the longest ones
        return f"a number of {value.bit_length()} bits"
    text = Guard.attempt(ascii, value)
    if isinstance(text, Exception):
        return f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."
