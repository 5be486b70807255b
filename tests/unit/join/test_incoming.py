from __future__ import annotations

import math
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radiosonde._join.incoming import LabelReader, Refusal
from radiosonde._join.receipt import REFUSALS, Receipt, sign
from radiosonde._join.store import Label
from radiosonde._receipt_keys import ReceiptKeys
from radiosonde.model import SeriesKey

NS = 10**9
NOW_NS = 1_800_000_000 * NS
ID = "18a1b2c3d4e5f60718a1b2c3d4e5f607"
KEYS = ReceiptKeys([("k1", b"0123456789abcdef")])


def read(identity=ID, value="late", time=None, **options):
    """Read one label."""
    return LabelReader(options.pop("keys", None), **options).read(identity, value, time, NOW_NS)


@pytest.mark.parametrize(
    ("identity", "known_as"),
    [(ID, ID), (" order-7\n", "order-7"), (1234, "1234"), ("ü" * 256, "ü" * 256), (2**127, str(2**127)), (b"id", "id")],
)
def test_an_id(identity, known_as):
    """Ours or the caller's own, text or a whole number, without the spaces around it."""
    assert read(identity) == Label(known_as, "late", NOW_NS)


@pytest.mark.parametrize("identity", ["", " ", None, True, 1.5, [], {}, "a" * 257, "\ud800", "a\0b", 2**128, b"\xff"])
def test_what_is_no_id(identity):
    """Refused, with a sentence that can be printed anywhere."""
    refusal = read(identity)
    assert refusal.reason == "invalid_id"
    assert refusal.message.encode()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("late", "late"), (1, 1), (True, True), (False, False), (1.5, 1.5), (-0.0, -0.0), ("x" * 256, "x" * 256),
        ("a\ud800", "a\ufffd~cd9bc3b4"), (2**53, 2**53), (2**53 + 1, "9007199254740993"), (0, 0), (" ", " "),
    ],
)  # fmt: skip
def test_a_value(value, said):
    """Text as a class is written, numbers and truth values as they are; a number too large to be exact is a name."""
    label = read(value=value)
    assert (label.value, type(label.value)) == (said, type(said))


@pytest.mark.parametrize("value", ["", None, math.nan, math.inf, [], {}, [1], (), pytest.param(1 << 20_000, id="huge")])
def test_what_is_no_value(value):
    """Refused: unlabelled rows are left out, not guessed."""
    assert read(value=value).reason == "invalid_value"


@pytest.mark.parametrize(
    ("time", "time_ns"),
    [
        (None, NOW_NS),
        ("", NOW_NS),
        (1_362_096_000, 1_362_096_000 * NS),
        (1_362_096_000.5, 1_362_096_000 * NS + NS // 2),
        ("1362096000", 1_362_096_000 * NS),
        (" 1362096000.5 ", 1_362_096_000 * NS + NS // 2),
        ("1.362096e9", 1_362_096_000 * NS),
        ("2013-03-01T00:00:00Z", 1_362_096_000 * NS),
        ("2013-03-01 01:00+01:00", 1_362_096_000 * NS),
        ("20130301T000000+0000", 1_362_096_000 * NS),
        (datetime(2013, 3, 1, tzinfo=UTC), 1_362_096_000 * NS),
    ],
)
def test_a_time(time, time_ns):
    """ISO 8601 with its zone, seconds since the epoch, or now."""
    assert read(time=time) == Label(ID, "late", time_ns)


@pytest.mark.parametrize(
    "time",
    ["2013-03-01", "20130301", "2013-03-01T00:00:00", date(2013, 3, 1), datetime(2013, 3, 1)],  # noqa: DTZ001
)
def test_a_time_without_a_zone(time):
    """Names no instant, unless the caller says that it is UTC."""
    refusal = read(time=time)
    assert refusal.reason == "invalid_time"
    assert "no time zone" in refusal.message
    assert read(time=time, naive_utc=True) == Label(ID, "late", 1_362_096_000 * NS)


@pytest.mark.parametrize(
    "time",
    [
        "soon",
        "nan",
        "inf",
        math.nan,
        math.inf,
        -1,
        0,
        True,
        1_362_096_000_000,
        "1e400",
        [],
        "0001-01-01T00:00Z",
    ],
)
def test_what_is_no_time(time):
    """Refused: milliseconds too."""
    assert read(time=time).reason == "invalid_time"


def receipt(expires_s=1_900_000_000):
    """Return a receipt."""
    return sign(Receipt(ID, SeriesKey("delays"), NOW_NS, "late"), KEYS, expires_s * NS)


def test_a_receipt_is_verified_and_passed_on():
    """The join needs all of it, so it stays what it is."""
    assert read(receipt(), keys=KEYS) == Label(receipt(), "late", NOW_NS)


@pytest.mark.parametrize(
    ("text", "keys", "reason"),
    [
        (receipt(), None, "receipt_unknown_key"),
        (receipt(), ReceiptKeys([("k2", b"0123456789abcdef")]), "receipt_unknown_key"),
        (receipt(), ReceiptKeys([("k1", b"0123456789abcdeg")]), "receipt_forged"),
        (receipt(1_700_000_000), KEYS, "receipt_expired"),
        (receipt()[:-1], KEYS, "receipt_truncated"),
        (receipt() + "A", KEYS, "receipt_malformed"),
    ],
)
def test_a_receipt_is_refused_for_its_reason(text, keys, reason):
    """Each reason has a name of its own."""
    assert reason.removeprefix("receipt_") in REFUSALS
    assert read(text, keys=keys).reason == reason


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON, JSON, JSON)
def test_whatever_is_written_is_a_label_or_a_refusal(identity, value, time):
    """Nothing raises, and what passes can be stored: text that encodes, a number that is finite, a positive time."""
    found = read(identity, value, time)
    if isinstance(found, Refusal):
        found.message.encode()
        return
    found.prediction_id.encode()
    assert isinstance(found.value, str) or math.isfinite(found.value)
    assert str(found.value).encode()
    assert 0 < found.time_ns <= 10**20


@given(st.text())
def test_any_text_of_a_time_and_of_a_field(text):
    """Nothing raises."""
    assert isinstance(read(time=text), Label | Refusal)
