"""Cost of a receipt: signing one, verifying one, and all of `current().receipt()` for a prediction that has ended.

Paid by who asks for one, never by a prediction. A thousand different predictions of one model in four cohorts, as a service
sees them: what texts have in common is encoded once.
"""

from __future__ import annotations

import functools
from contextlib import ExitStack
from typing import TYPE_CHECKING

from benchmarks._measure import Figure, interleave, microseconds, per_call_s, yardstick
from benchmarks.speed.bench_record import still_flight
from benchmarks.workloads import arrays, model, reference
from radiosonde._clock import NS
from radiosonde._join.receipt import Receipt, sign, verify
from radiosonde._receipt_keys import ReceiptKeys
from radiosonde._record.current import Prediction, current
from radiosonde.model import SeriesKey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

START_NS = 1_362_096_000 * NS
EXPIRES_NS = START_NS + 90 * 86_400 * NS
KEYS = "k2=" + "5e" * 32 + ",k1=" + "a7" * 32
COHORTS = ("carrier=UA,plan=free", "carrier=UA,plan=pro", "carrier=AA,plan=free", "carrier=AA,plan=pro")
CLASSES = ("on time", "late")


def measure(rounds: int) -> Iterator[Figure]:
    """Yield the three figures."""
    keys = ReceiptKeys.parse(KEYS)
    receipts = [_receipt(number) for number in range(1000)]
    texts = [sign(receipt, keys, EXPIRES_NS) for receipt in receipts]
    size = f"{min(map(len, texts))} to {max(map(len, texts))} characters"
    with ExitStack() as ends:
        arms: dict[str, Callable[[], float]] = {
            "yardstick": yardstick(),
            "receipt-sign": lambda: per_call_s(lambda receipt: sign(receipt, keys, EXPIRES_NS), receipts),
            "receipt-verify": lambda: per_call_s(lambda text: verify(text, keys, START_NS), texts),
            "receipt-current": functools.partial(per_call_s, Prediction.receipt, _ended(ends)),
        }
        samples = interleave(arms, rounds)
    for arm, what in (
        ("receipt-sign", f"signing a receipt, {size}"),
        ("receipt-verify", "verifying a receipt"),
        ("receipt-current", "current().receipt(), all of it"),
    ):
        ratios = [taken / unit for taken, unit in zip(samples[arm], samples["yardstick"], strict=True)]
        raw = {f"{name}_s": samples[name] for name in (arm, "yardstick")}
        yield Figure(arm, what, ratios, absolute=microseconds(samples[arm]), raw=raw)


def _receipt(number: int) -> Receipt:
    start_ns = START_NS + number * 1_000_003
    key = SeriesKey("delays", "2.3.1", "stable", COHORTS[number % len(COHORTS)])
    identity = f"{start_ns:016x}5eed5eed{number:08x}"
    return Receipt(identity, key, start_ns, CLASSES[number % 2], 0.5 + number / 2000, classes=CLASSES, declared=2)


def _ended(ends: ExitStack) -> list[Prediction]:
    """Return predictions that have ended and whose records are still in the ring."""
    flight = ends.enter_context(still_flight(receipt_keys=KEYS))
    predict = flight.observe("delays", version="2.3.1", reference=reference())(model())
    ended = []
    for row in arrays():
        predict(row)
        found = current()
        if not isinstance(found, Prediction) or not found.receipt():
            raise RuntimeError("what is to be measured makes no receipt")
        ended.append(found)
    return ended
