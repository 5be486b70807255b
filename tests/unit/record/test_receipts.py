"""`current().receipt()`: what a prediction that has ended says of itself, signed."""

from __future__ import annotations

import contextvars
import math

import numpy as np
import pytest

from radiosonde import current
from radiosonde._clock import wall_ns
from radiosonde._join.receipt import Receipt, verify
from radiosonde._receipt_keys import ReceiptKeys
from radiosonde.errors import ConfigurationError, ReceiptError
from radiosonde.model import SeriesKey, losses
from radiosonde.testing import Flight, fly

KEYS = "k1=" + "5e" * 32
DAY_NS = 86_400 * 10**9


def check(text):
    """Return the receipt that a text is."""
    return verify(text, ReceiptKeys.parse(KEYS), wall_ns())


def test_a_receipt_says_what_was_recorded():
    """Series, cohort, event time, class in the ring's precision, class names in column order; signed for 90 days."""
    with fly(receipt_keys=KEYS, cohorts={"carrier": ["UA"]}) as rs:
        predict = rs.observe("delays", version="2.3.1", variant="canary", classes=["on time", "late"])(
            lambda _: np.array([[0.3, 0.7]])
        )
        predict([1.0])
        with rs.cohort(carrier="UA"), rs.at(1_362_096_000):
            predict([1.0])
        made = current()
        text = made.receipt()
        assert text.startswith("rs1.k1.")
        assert repr(check(text)) == repr(
            Receipt(
                made.id,
                SeriesKey("delays", "2.3.1", "canary", "carrier=UA"),
                1_362_096_000 * 10**9,
                "late",
                float(np.float32(0.7)),
                math.nan,
                ("on time", "late"),
                2,
            )
        )
        now_ns = wall_ns()
        assert verify(text, ReceiptKeys.parse(KEYS), now_ns + 89 * DAY_NS)
        with pytest.raises(ReceiptError, match="expired"):
            verify(text, ReceiptKeys.parse(KEYS), now_ns + 91 * DAY_NS)


def test_a_value_and_learned_classes():
    """A number is a value at the time of its start; classes learned from answers have no position."""
    with fly(receipt_keys=KEYS, receipt_ttl_s=10) as rs:
        rs.observe("price", task="regression")(lambda _: 1.5)([1.0])
        receipt = check(current().receipt())
        assert (receipt.value, receipt.predicted, receipt.event_ns) == (1.5, "", int(current().id[:16], 16))
        answer = rs.observe("answer")(lambda x: "yes" if x[0] else "no")
        answer([1.0])
        answer([0.0])
        receipt = check(current().receipt())
        assert (receipt.predicted, receipt.classes, receipt.declared) == ("no", ("yes", "no"), 0)
        assert math.isnan(receipt.confidence)


def test_a_receipt_is_made_after_shutdown_too():
    """The names behind the codes are those of the prediction, also when the next start begins new ones."""
    with fly(receipt_keys=KEYS, cohorts={"carrier": ["*"]}) as rs:
        predict = rs.observe("delays")(lambda _: "yes")
        with rs.cohort(carrier="UA"):
            predict([1.0])
        before = current()
        rs.shutdown()
        rs.start(receipt_keys=KEYS, cohorts={"carrier": ["*"]}, prometheus=False)
        with rs.cohort(carrier="AA"):
            predict([1.0])
        assert check(before.receipt()).key.cohort == "carrier=UA"
        assert check(current().receipt()).key.cohort == "carrier=AA"


def test_without_keys_it_says_how_to_make_one():
    """The message holds the command."""
    with fly() as rs:
        rs.observe("delays")(lambda _: "yes")([1.0])
        with pytest.raises(ConfigurationError, match=r'RADIOSONDE_RECEIPT_KEYS.*python -c "import secrets; print\('):
            current().receipt()


def test_inside_the_prediction_there_is_none_yet():
    """A call too early is a mistake in the code, and raises."""
    with fly(receipt_keys=KEYS) as rs:
        predict = rs.observe("delays")(lambda _: current().receipt())
        with pytest.raises(ConfigurationError, match="call it after the observed function returned"):
            predict([1.0])


def test_with_no_prediction_there_is_no_receipt():
    """In a context without a prediction, and with everything off."""
    assert contextvars.Context().run(lambda: current().receipt()) == ""

    def predict_off():
        Flight(environment={"RADIOSONDE_DISABLED": "true"}).observe("delays")(lambda _: "yes")([1.0])
        return current().receipt()

    assert contextvars.Context().run(predict_off) == ""


def fail(_):
    """Raise."""
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("function", "value"),
    [
        (lambda x: np.full((len(x), 2), 0.5), np.zeros((3, 2))),
        (fail, [1.0]),
        (lambda _: None, [1.0]),
        (lambda _: math.nan, [1.0]),
        (lambda _: "long" * 40, [1.0]),
    ],
    ids=["batch", "failed", "no output", "no number", "long name"],
)
def test_what_has_no_receipt_is_counted(function, value):
    """The caller gets an empty text, never an exception: a request must not fail for a receipt."""
    with fly(receipt_keys=KEYS) as rs:
        predict = rs.observe("delays")(function)
        try:
            predict(value)
        except ZeroDivisionError:
            assert function is fail
        assert current().receipt() == ""
        assert rs.losses()[losses.RECEIPT_UNISSUED] == 1


def test_an_overwritten_record_gives_none():
    """When the ring has wrapped around, the slot holds another prediction; the newer one has its own receipt."""
    with fly(receipt_keys=KEYS, ring_bytes=65_536) as rs:
        predict = rs.observe("delays")(lambda x: str(int(x[0])))
        predict([7.0])
        first = current()
        slots = rs.pipeline()._ring_consumers[0].ring.capacity
        for _ in range(slots):
            predict([8.0])
        assert first.receipt() == ""
        assert check(current().receipt()).predicted == "8"
        assert rs.statistics().losses[losses.RECEIPT_UNISSUED] == 1


def test_the_secret_is_in_no_text_of_the_settings():
    """Neither the settings nor a message about them shows it."""
    with fly(receipt_keys=KEYS) as rs:
        assert "5e5e" not in repr(rs.pipeline().settings)
    with pytest.raises(ConfigurationError, match="'k1' has 4 bytes") as raised, fly(receipt_keys="k1=5e5e5e5e"):
        pass
    assert "5e5e" not in str(raised.value)
