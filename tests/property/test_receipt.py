"""Receipts: signed content is recovered, and nothing else is ever accepted."""

from __future__ import annotations

import base64
import math
import string
import struct

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from radiosonde._join.receipt import (
    EXPIRED,
    FORGED,
    LONGEST,
    MALFORMED,
    REFUSALS,
    TRUNCATED,
    UNFIT,
    UNKNOWN_KEY,
    Receipt,
    sign,
    verify,
)
from radiosonde._receipt_keys import ReceiptKeys
from radiosonde.errors import ReceiptError
from radiosonde.model import SeriesKey

KEYS = ReceiptKeys([("k1", b"0123456789abcdef")])
EXPIRES_NS = 1_900_000_000 * 10**9
NOW_NS = 1_800_000_000 * 10**9
ID = "18a1b2c3d4e5f60718a1b2c3d4e5f607"
START_NS = 0x18A1B2C3D4E5F607

# Short enough that everything fits in any draw: `test_names_are_whole_or_refused` draws the long ones.
TEXT = st.text(max_size=3)
SINGLE = st.floats(width=32, allow_nan=True, allow_infinity=True)
SERIES = st.builds(SeriesKey, TEXT, TEXT, st.sampled_from(["stable", "canary", "shadow"]) | TEXT, TEXT)
IDENTITY = st.binary(min_size=16, max_size=16).map(bytes.hex)
TIME = st.integers(-(2**63), 2**63 - 1)
CLASSES = st.lists(TEXT, max_size=2, unique=True).map(tuple)


@st.composite
def receipts(draw):
    """Draw a receipt of a class or of a value."""
    common = (draw(IDENTITY), draw(SERIES), draw(TIME))
    if draw(st.booleans()):
        return Receipt(*common, value=draw(st.floats(allow_nan=False)))
    classes = draw(CLASSES)
    predicted = draw(st.sampled_from(classes) if classes and draw(st.booleans()) else st.text(max_size=2))
    return Receipt(*common, predicted, draw(SINGLE), math.nan, classes, draw(st.integers(0, len(classes))))


EXAMPLES = [
    Receipt(
        ID, SeriesKey("delays", "2.3.1", "canary", "carrier=UA"), START_NS, "late", 0.75, math.nan, ("no", "late"), 2
    ),
    Receipt(ID, SeriesKey("price", "", "ü", ""), START_NS - 1, value=-1.5),
    Receipt(ID, SeriesKey("m"), START_NS, "a"),
]
KEY_IDS = ["k", "k1", "key-2_25"]


def refusal(text, keys=KEYS, now_ns=NOW_NS):
    """Return why a text is refused; any other exception fails the test."""
    with pytest.raises(ReceiptError) as raised:
        verify(text, keys, now_ns)
    return raised.value.reason


def outcome(function, *arguments):
    """Return the reason of a `ReceiptError`, empty without one."""
    try:
        function(*arguments)
    except ReceiptError as error:
        return error.reason
    return ""


@given(receipts())
def test_what_was_signed_comes_back(receipt):
    """Every field, NaN, infinities, unicode and lone surrogates; the text is short and is no id."""
    text = sign(receipt, KEYS, EXPIRES_NS)
    assert repr(verify(text, KEYS, NOW_NS)) == repr(receipt)
    assert len(text) <= LONGEST
    assert text.isascii()
    assert not set(text) - set(string.ascii_letters + string.digits + "-_.")


@given(receipts(), st.binary(min_size=16, max_size=16))
def test_another_secret_verifies_nothing(receipt, secret):
    """The same key id with another secret is a forgery, another id an unknown key."""
    assume(secret != b"0123456789abcdef")
    text = sign(receipt, ReceiptKeys([("k1", secret)]), EXPIRES_NS)
    assert refusal(text) == FORGED
    assert refusal(text, ReceiptKeys([("k2", secret)])) == UNKNOWN_KEY


@pytest.mark.parametrize("key", KEY_IDS)
@pytest.mark.parametrize("receipt", EXAMPLES, ids=["class", "value", "bare"])
def test_every_single_bit_change_is_refused(receipt, key):
    """All bits of all characters, of the text as bytes and of the decoded base64."""
    keys = ReceiptKeys([(key, b"0123456789abcdef")])
    text = sign(receipt, keys, EXPIRES_NS)
    assert verify(text, keys, NOW_NS).prediction_id == ID
    for place in range(len(text)):
        for bit in range(8):
            changed = text[:place] + chr(ord(text[place]) ^ 1 << bit) + text[place + 1 :]
            assert refusal(changed, keys) in REFUSALS
    start = len("rs1.") + len(key) + 3
    raw = base64.urlsafe_b64decode(text[start:-22] + "=" * (-len(text[start:-22]) % 4))
    for place in range(8 * len(raw)):
        flipped = bytearray(raw)
        flipped[place // 8] ^= 1 << place % 8
        payload = base64.urlsafe_b64encode(bytes(flipped)).decode().rstrip("=")
        assert refusal(text[:start] + payload + text[-22:], keys) == FORGED


@pytest.mark.parametrize("receipt", EXAMPLES, ids=["class", "value", "bare"])
def test_every_single_character_change_is_refused(receipt):
    """All printable characters in all places: no spare bits of base64, no skipped character, no other spelling."""
    text = sign(receipt, KEYS, EXPIRES_NS)
    for place in range(len(text)):
        for character in set(string.printable + "ſéª") - {text[place]}:
            assert refusal(text[:place] + character + text[place + 1 :]) in REFUSALS
            assert refusal(text[:place] + character + text[place:]) in REFUSALS


@pytest.mark.parametrize("receipt", EXAMPLES, ids=["class", "value", "bare"])
def test_a_truncated_receipt_says_so(receipt):
    """At every length that still begins like a receipt the reason is that; below, it is no receipt."""
    text = sign(receipt, KEYS, EXPIRES_NS)
    for length in range(len(text)):
        assert refusal(text[:length]) == (TRUNCATED if length >= 4 else MALFORMED)


@given(st.text() | st.binary() | st.none() | st.integers() | st.floats())
def test_anything_else_is_refused(value):
    """No text, bytes or object makes anything but the documented error."""
    assert refusal(value) == MALFORMED or (isinstance(value, str) and value.startswith("rs1."))


@settings(max_examples=500)
@given(st.text(alphabet=string.ascii_letters + string.digits + "-_.=+/ é", max_size=210), st.booleans())
def test_what_only_begins_like_a_receipt_is_refused(text, is_known):
    """Random characters behind the prefix, and behind a known key and a right length."""
    if is_known:
        tail = text[:180]
        text = f"k1.{len(tail) + 9:02x}{tail}"
    assert refusal("rs1." + text) in REFUSALS


@settings(max_examples=500)
@given(st.binary(max_size=120))
def test_a_signed_payload_of_rubbish_is_refused(payload):
    """A valid signature over another layout gets the documented error too."""
    encoded = base64.urlsafe_b64encode(payload).decode().rstrip("=")
    text = f"rs1.k1.{len(encoded) + 31:02x}{encoded}"
    text += KEYS.tag("k1", text)
    assert outcome(verify, text, KEYS, NOW_NS) in {MALFORMED, EXPIRED, ""}


@given(receipts(), st.integers(1, 2**32 - 1), st.integers(0, 10**9 - 1), st.integers(0, 2**63))
def test_a_receipt_is_good_until_its_second_is_over(receipt, expires_s, fraction_ns, now_ns):
    """Refused from the expiry on, rounded up to a second, and good before."""
    expires_ns = expires_s * 10**9 - fraction_ns
    text = sign(receipt, KEYS, expires_ns)
    if now_ns >= expires_s * 10**9:
        assert refusal(text, now_ns=now_ns) == EXPIRED
    else:
        assert verify(text, KEYS, now_ns).prediction_id == receipt.prediction_id
    verify(text, KEYS, expires_ns - 1)
    verify(text, KEYS, expires_s * 10**9 - 1)
    assert refusal(text, now_ns=expires_s * 10**9) == EXPIRED


@given(SERIES, st.text(max_size=300), st.lists(st.text(max_size=40), max_size=40, unique=True))
def test_names_are_whole_or_refused(key, predicted, classes):
    """Class names are left out together, the predicted class never: it comes back whole or the receipt is not made."""
    receipt = Receipt(ID, key, START_NS, predicted, 0.5, math.nan, tuple(classes), len(classes))
    if outcome(sign, receipt, KEYS, EXPIRES_NS):
        assert outcome(sign, receipt, KEYS, EXPIRES_NS) == UNFIT
        return
    text = sign(receipt, KEYS, EXPIRES_NS)
    found = verify(text, KEYS, NOW_NS)
    assert len(text) <= LONGEST
    assert (found.key, found.predicted, found.declared) == (key, predicted, len(classes))
    assert found.classes in {tuple(classes), ()}


def test_the_layout_is_what_the_page_says():
    """One receipt, byte by byte: a stable format for readers in other languages."""
    text = sign(EXAMPLES[0], KEYS, EXPIRES_NS)
    assert text[:9] == f"rs1.k1.{len(text):02x}"
    payload = base64.urlsafe_b64decode(text[9:-22] + "=" * (-len(text[9:-22]) % 4))
    assert payload == (
        bytes([2 | 1 << 4]) + bytes.fromhex(ID) + struct.pack("<I", 1_900_000_000) + struct.pack("<f", 0.75)
        + bytes([1, 2, 2]) + b"\x06delays\x052.3.1\x0acarrier=UA" + b"\x02no\x04late"
    )  # fmt: skip
    import hmac

    tag = hmac.digest(b"0123456789abcdef", text[:-22].encode(), "sha256")[:16]
    assert text[-22:] == base64.urlsafe_b64encode(tag).decode()[:22]
