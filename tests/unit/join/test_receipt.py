from __future__ import annotations

import math

import pytest

from radiosonde._join.memory import MemoryJoinStore
from radiosonde._join.receipt import LONGEST, UNFIT, Receipt, is_receipt, sign, verify
from radiosonde._join.store import Label
from radiosonde._receipt_keys import ReceiptKeys
from radiosonde.errors import ConfigurationError, RadiosondeError, ReceiptError
from radiosonde.model import Outcome, SeriesKey

DAY_NS = 86_400 * 10**9
ID = "18a1b2c3d4e5f60718a1b2c3d4e5f607"
EVENT_NS = 0x18A1B2C3D4E5F607
KEY = SeriesKey("delays", "2.3.1", "canary", "carrier=UA")
OLD, NEW = b"an old secret of ours", b"the new secret of ours"


def test_a_rotated_key_still_verifies_and_no_longer_signs():
    """The first key signs, all verify; without the old key its receipts are refused."""
    before, during, after = (ReceiptKeys(pairs) for pairs in ([("k1", OLD)], [("k2", NEW), ("k1", OLD)], [("k2", NEW)]))
    receipt = Receipt(ID, KEY, EVENT_NS, "late", 0.5)
    old, new = sign(receipt, before, 2 * EVENT_NS), sign(receipt, during, 2 * EVENT_NS)
    assert (old[:7], new[:7]) == ("rs1.k1.", "rs1.k2.")
    assert verify(old, during, EVENT_NS) == verify(new, during, EVENT_NS) == verify(new, after, EVENT_NS)
    with pytest.raises(ReceiptError, match="no key 'k1' is configured") as raised:
        verify(old, after, EVENT_NS)
    assert raised.value.reason == "unknown_key"
    assert isinstance(raised.value, RadiosondeError)


@pytest.mark.parametrize(
    "text",
    [
        "k2=dGhlIG5ldyBzZWNyZXQgb2Ygb3Vycw==,k1=616e206f6c6420736563726574206f66206f757273",
        " k2 = dGhlIG5ldyBzZWNyZXQgb2Ygb3Vycw , k1=616E206F6C6420736563726574206F66206F757273,",
    ],
)
def test_keys_are_read_from_text(text):
    """Base64 with or without padding, hexadecimal in either case; the first signs."""
    keys, same = ReceiptKeys.parse(text), ReceiptKeys([("k2", NEW), ("k1", OLD)])
    assert (keys.signing, keys.ids) == ("k2", ("k2", "k1"))
    assert [keys.tag(name, "text") for name in keys.ids] == [same.tag(name, "text") for name in same.ids]


def test_both_alphabets_of_base64_are_one():
    """A secret written with + and / is the one written with - and _."""
    assert ReceiptKeys.parse("k=+/+/+/+/+/+/+/+/+/+/+/").tag("k", "") == ReceiptKeys.parse(
        "k=-_-_-_-_-_-_-_-_-_-_-_"
    ).tag("k", "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no receipt key is given"),
        (" , ", "no receipt key is given"),
        ("c2VjcmV0c2VjcmV0c2VjcmV0", "receipt key number 1 is not of the form id=secret"),
        ("k1=c2VjcmV0", "'k1' has 6 bytes, 16 are the least"),
        ("k1=", "'k1' has 0 bytes, 16 are the least"),
        ("k1=c2VjcmV0c2VjcmV0!", "'k1' is neither hexadecimal nor base64"),
        ("k1=c2VjcmV0é", "'k1' is neither hexadecimal nor base64"),
        ("=c2VjcmV0c2VjcmV0c2VjcmV0", "id is not 1 to 8 letters"),
        ("key.1=c2VjcmV0c2VjcmV0c2VjcmV0", "id is not 1 to 8 letters"),
        ("c2VjcmV0c2VjcmV0==!", "with an unreadable id is neither"),
        ("k=c2VjcmV0c2VjcmV0c2VjcmV0,k=c2VjcmV0c2VjcmV0c2VjcmV1", "'k' is given twice"),
    ],
)
def test_keys_that_cannot_be_used_are_told_without_their_secret(text, message):
    """The message says what to do, and shows nothing of the secret."""
    with pytest.raises(ConfigurationError, match=message) as raised:
        ReceiptKeys.parse(text)
    assert "c2VjcmV0" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_keys_show_no_secret():
    """Neither their text nor their attributes hold one."""
    keys = ReceiptKeys([("k2", NEW), ("k1", OLD)])
    assert repr(keys) == "ReceiptKeys(k2, k1)"
    assert "secret" not in f"{keys} {vars(keys)}"


def test_names_too_long_are_refused_with_what_to_do():
    """A receipt is at most 200 characters, one less than the first that is not."""
    keys = ReceiptKeys([("k", OLD)])
    text = sign(Receipt(ID, KEY._replace(model="m" * 80), EVENT_NS, "late"), keys, 2 * EVENT_NS)
    assert len(text) == LONGEST
    assert verify(text, keys, EVENT_NS).key.model == "m" * 80
    too_long = Receipt(ID, KEY._replace(model="m" * 81), EVENT_NS, "late")
    with pytest.raises(ReceiptError, match="201 characters, 200 are allowed: shorten the names") as raised:
        sign(too_long, keys, 2 * EVENT_NS)
    assert raised.value.reason == UNFIT


@pytest.mark.parametrize(
    "receipt",
    [
        Receipt("18a1", KEY, EVENT_NS, "late"),
        Receipt("z" * 32, KEY, EVENT_NS, "late"),
        Receipt(ID, KEY, 1 << 63, "late"),
        Receipt(ID, KEY, EVENT_NS, "late", 1e300),
        Receipt(ID, KEY, EVENT_NS, "late", declared=-1),
    ],
)
def test_fields_out_of_range_are_refused(receipt):
    """Values that do not fit into the layout are refused when signing."""
    with pytest.raises(ReceiptError, match="out of range") as raised:
        sign(receipt, ReceiptKeys([("k1", OLD)]), 2 * EVENT_NS)
    assert raised.value.reason == UNFIT


@pytest.mark.parametrize("expires_ns", [-(10**9), 1 << 63])
def test_an_expiry_out_of_range_is_refused(expires_ns):
    """Before 1970 and after 2106."""
    with pytest.raises(ReceiptError, match="out of range"):
        sign(Receipt(ID, KEY, EVENT_NS, "late"), ReceiptKeys([("k1", OLD)]), expires_ns)


def test_no_id_is_taken_for_a_receipt():
    """Prediction ids, UUIDs and callers' own ids are not receipts."""
    assert is_receipt(sign(Receipt(ID, KEY, EVENT_NS, "late"), ReceiptKeys([("k1", OLD)]), 2 * EVENT_NS))
    assert not any(
        is_receipt(other) for other in (ID, "123e4567-e89b-12d3-a456-426614174000", "order-7", "", None, b"rs1.")
    )


TWO = Receipt(ID, KEY, EVENT_NS, "late", 0.75, math.nan, ("on time", "late"), 2)
LEARNED = Receipt(ID, KEY, EVENT_NS, "1", 0.75, math.nan, ("1", "0"), 0)
CUT = Receipt(ID, KEY, EVENT_NS, "late", 0.75, declared=40)
CUT_LEARNED = Receipt(ID, KEY, EVENT_NS, "7", 0.75)


@pytest.mark.parametrize(
    ("receipt", "label", "name"),
    [
        (TWO, "late", "late"),
        (TWO, "never", "never"),
        (TWO, 0, "on time"),
        (TWO, True, "late"),
        (TWO, None, None),
        (TWO, [1], None),
        (LEARNED, True, "1"),
        (LEARNED, 0, "0"),
        (CUT, "late", "late"),
        (CUT, "on time", "on time"),
        (CUT, 3, None),  # the name of position 3 did not fit, so it is not guessed
        (CUT_LEARNED, 7, "7"),
        (CUT_LEARNED, 8.0, "8"),
        (CUT_LEARNED, True, None),
    ],
)
def test_a_label_names_a_class_as_it_does_for_an_id(receipt, label, name):
    """By text, number, truth value or position; ambiguous labels are refused, never guessed."""
    assert receipt.truth(label) == name


def joined(receipt, label):
    """Return the result of a join store for a label, given only the receipt."""
    store = MemoryJoinStore()
    store.remember([receipt.predictions()])
    store.receive([Label(receipt.prediction_id, receipt.truth(label), EVENT_NS + DAY_NS)])
    batch = store.join("me", now_ns=EVENT_NS + DAY_NS)
    assert dict(batch.results) == {"joined": 1}
    return batch.outcomes[0]


def test_a_store_needs_no_more_than_the_receipt_of_a_class():
    """Series and time of the prediction, the lag of the label, and the order of two declared classes."""
    assert repr(joined(TWO, "on time")) == repr(
        Outcome(KEY, EVENT_NS, "late", 0.75, math.nan, "on time", 86_400.0, classes=("on time", "late"))
    )
    assert joined(LEARNED, "0").classes == ()
    assert (joined(CUT, "on time").predicted, joined(CUT, "late").label) == ("late", "late")


def test_a_store_needs_no_more_than_the_receipt_of_a_value():
    """The value and the number it is compared with."""
    outcome = joined(Receipt(ID, KEY, EVENT_NS, value=1.5), 3)
    assert (outcome.value, outcome.predicted, outcome.classes, outcome.label) == (1.5, "", (), 3.0)


@pytest.mark.parametrize(
    ("label", "value"), [(3, 3.0), (True, 1.0), ("3", 3.0), ("three", None), (math.nan, None), (None, None), ([], None)]
)
def test_a_label_of_a_value_is_a_finite_number(label, value):
    """As for an id."""
    assert Receipt(ID, KEY, EVENT_NS, value=1.5).truth(label) == value
