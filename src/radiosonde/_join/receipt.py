"""Receipts: the data needed to label a prediction, signed, in at most 200 characters, so that no store is needed.

::

    rs1.k2.8cAgAYLSbzVPgAARIi...            text: ASCII, at most `LONGEST` characters
    └┬─┘└┬┘│└───┬────────┘└───┬─ tag ─┘
     │   │ │    payload       last 22 characters: base64url, no padding, of the first 16 bytes of the HMAC-SHA256, under
     │   │ │                  that key, of every character before them
     │   │ 2 hexadecimal digits: characters of the whole text
     │   key id, 1 to 8 of A-Z a-z 0-9 _ -, and a full stop
     what it is, and layout 1; neither a prediction id nor a UUID holds a full stop

The payload is base64url without padding; little endian unless said otherwise:

=====  =====================================================================================================
bytes  what
=====  =====================================================================================================
1      flags: 1 a value, not a class; 2 a confidence follows; 4 an event time follows; 8 the variant has its text;
       16 and 32 else: which of `VARIANTS`
16     prediction id, big endian as it is written; its first 8 bytes are the start in nanoseconds
4      expiry in seconds since the epoch, unsigned
8      event time in nanoseconds, signed: only where it is not the start
8      a value: float64
4      a class with a confidence: float32, as the ring holds it, so that it falls into the same score bin
3      a class: its place among the class names (255: its own text follows), how many names follow, how many of them have
       a position (255: or more)
texts  model, version, variant (where flagged), cohort; a class: its own text (where 255), the class names. Each is one byte
       with its length and that many bytes of UTF-8, lone surrogates passed through
=====  =====================================================================================================

Omitted for lack of space: the cells of the features (labels by receipt count in every table except features by label), and the class names
of a model with so many that the text would be too long. Then the receipt holds the predicted class only: a label that names its class
works, one that gives a position or a truth value is refused (see `Receipt.truth`) and never counted wrongly. Names that are still too long
are refused when signing; they are never truncated, because a truncated name is another series.

The tag covers the text, not the decoded bytes, and is compared as text before anything is decoded: the decoder never reads input from
anyone without the key, and base64's spare bits and skipped characters allow no second text for the same receipt. The length distinguishes a
truncated receipt from a forged one; it is only a hint until the tag matches.
"""

from __future__ import annotations

import base64
import functools
import hmac
import math
import struct
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from radiosonde._clock import NS
from radiosonde._join.label_values import class_name, finite_number, is_unclear
from radiosonde._join.matching import parse_id
from radiosonde._join.store import PREDICTION, LaneNames, Predictions
from radiosonde._receipt_keys import TAG_CHARACTERS, ReceiptKeys
from radiosonde.errors import ReceiptError
from radiosonde.model import SeriesKey

PREFIX: Final = "rs1."
LONGEST: Final = 200
"""Characters of the longest receipt: fits a header, a query string and a database column of 255 with room to spare."""

MALFORMED: Final = "malformed"
"""Not a receipt, or not one of this layout."""
TRUNCATED: Final = "truncated"
"""Shorter than its length field."""
UNKNOWN_KEY: Final = "unknown_key"
"""Signed with a key that is not among those here."""
FORGED: Final = "forged"
"""Its tag does not match its text: changed, or signed with another key."""
EXPIRED: Final = "expired"
"""Signed here, and too old."""
UNFIT: Final = "unfit"
"""Cannot be signed: its names are too long, or a field is out of range."""

REFUSALS: Final = (MALFORMED, TRUNCATED, UNKNOWN_KEY, FORGED, EXPIRED)
"""Why a receipt is refused."""

VARIANTS: Final = ("stable", "canary", "shadow")

_VALUE, _CONFIDENT, _TIMED, _NAMED_VARIANT = 1, 2, 4, 8
_VARIANT_SHIFT = 4
_HEAD = struct.Struct("<B16sI")
_TIME = struct.Struct("<q")
_SCORE = struct.Struct("<d")
_CONFIDENCE = struct.Struct("<f")
_OWN_TEXT = 255
_NO_NAMES = b""
_LENGTHS = {f"{length:02x}": length for length in range(LONGEST + 1)}
_KEY_END = len(PREFIX) + 9
"""Where the full stop behind the longest key id ends."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """The data of a prediction that a label needs.

    Attributes:
        prediction_id: 32 hex digits.
        key: series of the prediction.
        event_ns: event time of the prediction, nanoseconds since the epoch.
        predicted: predicted class; ``""`` for a value.
        confidence: its confidence, in single precision once it was signed; NaN when the output carried none.
        value: predicted value; NaN for a class. A value has no class, confidence and class names; they are not signed.
        classes: class names, those with a position first; empty when unknown, or when they did not fit.
        declared: how many classes have a position; above ``len(classes)`` when they did not fit.
    """

    prediction_id: str
    key: SeriesKey
    event_ns: int
    predicted: str = ""
    confidence: float = math.nan
    value: float = math.nan
    classes: tuple[str, ...] = ()
    declared: int = 0

    def truth(self, label: str | float) -> str | float | None:
        """Return the class name or number of *label*; None when it is neither for this prediction."""
        if not math.isnan(self.value):
            return finite_number(label)
        if self.classes:
            return class_name(label, self.classes, min(self.declared, len(self.classes)))
        name = class_name(label, (self.predicted,), 0)
        # Without the names, a position or a truth value is ambiguous unless it is the predicted class.
        if name is None or name == self.predicted:
            return name
        return None if is_unclear(label, self.predicted, self.declared) else name

    def predictions(self) -> Predictions:
        """Return the prediction in stored form: a chunk of one row, without cells."""
        start_ns, nonce, index = parse_id(self.prediction_id) or (0, 0, 0)  # a signed prediction has an id
        classes = self.classes if self.predicted in self.classes else (*self.classes, self.predicted)
        code = classes.index(self.predicted) if math.isnan(self.value) else -1
        model, version, variant, cohort = self.key
        declared = min(self.declared, len(self.classes))
        lane = LaneNames(nonce, model, version, variant, (cohort,), classes if code >= 0 else (), declared)
        row = (index, start_ns, self.event_ns, self.value, self.confidence, code, 0)
        return Predictions(lane, np.array([row], dtype=PREDICTION), np.empty((1, 0), dtype=np.uint8))


def is_receipt(text: object) -> bool:
    """Return whether *text* has the form of a receipt, valid or not."""
    return isinstance(text, str) and text.startswith(PREFIX)


def sign(receipt: Receipt, keys: ReceiptKeys, expires_ns: int) -> str:
    """Return the text of *receipt*, signed with the first of *keys*, good until *expires_ns* (rounded up to a second).

    Raises:
        ReceiptError: `UNFIT`: its names are too long together, or a field is out of range.
    """
    try:
        payload = _encode(receipt, expires_ns)
        length = _length(keys.signing, payload)
        if length > LONGEST and receipt.classes:
            payload = _encode(replace(receipt, classes=()), expires_ns)
            length = _length(keys.signing, payload)
    except (struct.error, OverflowError, ValueError) as error:
        raise ReceiptError(UNFIT, f"a field of the receipt is out of range: {error}; see Receipt") from None
    if length > LONGEST:
        raise ReceiptError(
            UNFIT,
            f"the receipt would take {length} characters, {LONGEST} are allowed: shorten the names of model, version, "
            "variant, cohort or class, or label by the prediction id",
        )
    text = f"{PREFIX}{keys.signing}.{length:02x}{base64.urlsafe_b64encode(payload).rstrip(b'=').decode('ascii')}"
    return text + keys.tag(keys.signing, text)


def verify(text: object, keys: ReceiptKeys, now_ns: int) -> Receipt:
    """Return the receipt that *text* is.

    Raises:
        ReceiptError: it is refused; ``reason`` is one of `REFUSALS`.
    """
    if not isinstance(text, str) or not text.startswith(PREFIX) or not text.isascii():
        raise ReceiptError(MALFORMED, "this is not a receipt; pass what current().receipt() returned, unchanged")
    stop = text.find(".", len(PREFIX), _KEY_END)
    length = _LENGTHS.get(text[stop + 1 : stop + 3])
    if stop < 0 or length is None:
        raise _incomplete(text, stop)
    if len(text) < length:
        raise ReceiptError(TRUNCATED, f"{len(text)} of the receipt's {length} characters are left; keep it whole")
    if len(text) > length:
        raise ReceiptError(MALFORMED, "characters follow the end of the receipt; give it as it was returned")
    key = text[len(PREFIX) : stop]
    if key not in keys:
        raise ReceiptError(
            UNKNOWN_KEY,
            f"no key {key!r} is configured to verify the receipt; keep a key until its receipts have expired",
        )
    signed = text[:-TAG_CHARACTERS]
    if not hmac.compare_digest(keys.tag(key, signed), text[-TAG_CHARACTERS:]):
        raise ReceiptError(FORGED, "the receipt was changed, or was signed with another secret under the same key id")
    try:
        receipt, expires_s = _decode(signed[stop + 3 :])
    except (struct.error, IndexError, ValueError):
        raise ReceiptError(
            MALFORMED, "the receipt is signed correctly but unreadable; it was issued by another version of Radiosonde"
        ) from None
    if now_ns >= expires_s * NS:
        raise ReceiptError(EXPIRED, "the receipt has expired; raise receipt_ttl_s if labels arrive this late")
    return receipt


def _incomplete(text: str, stop: int) -> ReceiptError:
    """Return why a text without key id or length is refused: it ends too early, or holds something else."""
    cut_at = _KEY_END if stop < 0 else stop + 3
    if len(text) < cut_at:
        return ReceiptError(TRUNCATED, f"only {len(text)} characters of the receipt are left; keep it whole")
    return ReceiptError(MALFORMED, "the receipt does not begin with a key id and its length")


def _length(key: str, payload: bytes) -> int:
    return len(PREFIX) + len(key) + 3 + -(-len(payload) * 4 // 3) + TAG_CHARACTERS


def _encode(receipt: Receipt, expires_ns: int) -> bytes:
    identity = bytes.fromhex(receipt.prediction_id)
    if len(identity) != 16:
        raise ValueError("a prediction id has 32 hex digits")
    model, version, variant, cohort = receipt.key
    known = variant in VARIANTS
    flags = VARIANTS.index(variant) << _VARIANT_SHIFT if known else _NAMED_VARIANT
    parts = [_NO_NAMES]
    if receipt.event_ns != int.from_bytes(identity[:8], "big"):
        flags |= _TIMED
        parts.append(_TIME.pack(receipt.event_ns))
    if math.isnan(receipt.value):
        if not math.isnan(receipt.confidence):
            flags |= _CONFIDENT
            parts.append(_CONFIDENCE.pack(receipt.confidence))
        place = receipt.classes.index(receipt.predicted) if receipt.predicted in receipt.classes else _OWN_TEXT
        own = () if place < _OWN_TEXT else (receipt.predicted,)
        # More than 255 of anything is too long anyway; clamping to a byte avoids a separate error.
        counts = (min(place, _OWN_TEXT), min(len(receipt.classes), 255), min(receipt.declared, 255))
        names = _texts(*own, *receipt.classes)
        parts.append(bytes(counts))
    else:
        flags |= _VALUE
        names = _NO_NAMES
        parts.append(_SCORE.pack(receipt.value))
    parts[0] = _HEAD.pack(flags, identity, -(-expires_ns // NS))
    parts.append(_texts(model, version, cohort) if known else _texts(model, version, variant, cohort))
    parts.append(names)
    return b"".join(parts)


@functools.lru_cache(maxsize=1024)
def _texts(*texts: str) -> bytes:
    """Return texts with their lengths; a text longer than a byte can express makes the receipt too long."""
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    return b"".join(bytes((min(len(text), 255),)) + text for text in encoded)


def _decode(text: str) -> tuple[Receipt, int]:
    payload = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    flags, identity, expires_s = _HEAD.unpack_from(payload)
    at = _HEAD.size
    event_ns = int.from_bytes(identity[:8], "big")
    if flags & _TIMED:
        (event_ns,) = _TIME.unpack_from(payload, at)
        at += _TIME.size
    confidence = value = math.nan
    place = names = declared = 0
    if flags & _VALUE:
        (value,) = _SCORE.unpack_from(payload, at)
        at += _SCORE.size
    else:
        if flags & _CONFIDENT:
            (confidence,) = _CONFIDENCE.unpack_from(payload, at)
            at += _CONFIDENCE.size
        place, names, declared = payload[at : at + 3]
        at += 3
    has_variant, has_own = bool(flags & _NAMED_VARIANT), not flags & _VALUE and place == _OWN_TEXT
    texts = _read_texts(payload, at, 3 + has_variant + has_own + names)
    variant = texts.pop(2) if has_variant else VARIANTS[flags >> _VARIANT_SHIFT & 3]
    model, version, cohort = texts[:3]
    own, classes = texts[3 : 3 + has_own], tuple(texts[3 + has_own :])
    predicted = "" if flags & _VALUE else own[0] if has_own else classes[place]
    key = SeriesKey(model, version, variant, cohort)
    return Receipt(identity.hex(), key, event_ns, predicted, confidence, value, classes, declared), expires_s


def _read_texts(payload: bytes, at: int, count: int) -> list[str]:
    texts = []
    for _ in range(count):
        end = at + 1 + payload[at]
        if end > len(payload):
            raise ValueError("a text ends behind the payload")
        texts.append(payload[at + 1 : end].decode("utf-8", "surrogatepass"))
        at = end
    if at != len(payload):
        raise ValueError("unexpected bytes follow the last text")
    return texts
