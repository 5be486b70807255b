"""One life of a replica of a service with two models, a canary, cohorts, late labels and faults, under a clock of its own.

Hours of traffic pass in seconds: the wall clock and the monotonic clock of this process are one counter, which a call moves on by as much as it is
said to take. Everything else is as in a server: the ring, the consumer, the store, requests to a collector and a page that is scraped. So
every reader gets the same traffic with the times it has in production.

The replicas share a store of windows, and have a store of labels each. A batch of labels is leased for a minute of the wall clock, and a replica
whose clock is a minute ahead would take every batch of the other and count it a second time.

Arguments: folder, seed of the replica, minute at which hours end (Unix time), first and last minute of this life before that.
"""

from __future__ import annotations

import heapq
import os
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np

MINUTE_NS = 60 * 10**9
CARRIERS = ("UA", "AA", "DL")
CARRIER_SHARES = [0.15, 0.45, 0.4]
RISK_CALLS, ETA_CALLS = 100, 30
"""Calls of each model in a minute, by one replica."""
PORT = "LAB_PORT"
SCALE = 1.609344
"""Miles to kilometres."""


class Fault(NamedTuple):
    """What is planted, and where.

    Attributes:
        minutes: how long before the end it begins.
        model: of the two.
        place: version, cohort, phase or feature.
    """

    minutes: int
    model: str
    place: str


FAULTS = {
    "errors in a cohort": Fault(75, "risk", "2 carrier=UA"),
    "slow phase": Fault(72, "risk", "fetch"),
    "missing feature": Fault(70, "risk", "speed"),
    "scaled feature": Fault(68, "eta", "distance"),
    "other answers": Fault(66, "risk", "fraud"),
    "labels stopped": Fault(64, "risk", ""),
}
MINUTES = 210
RESTART = 30
"""Minutes before the end at which a replica ends; it is away for two."""
RECENT = 80
"""Minutes before the end from which on there is an export and a scrape each minute, and not every sixth."""
LIVES = ((0, MINUTES, 0), (1, MINUTES, RESTART), (1, RESTART - 2, 0))
"""Replica, first minute and last minute, before the end."""


class Clock:
    """The time of this process, for both of its clocks.

    A thread beside the main one that reads both, one after the other, gets one time, although the main thread may have moved it on by half
    a minute in between: in a server that moment is too short for a clock that is set back.
    """

    def __init__(self, ns: int) -> None:
        self.ns = ns
        self._main = threading.get_ident()
        self._read = threading.local()

    def wall_ns(self) -> int:
        """Return the time in nanoseconds."""
        self._read.ns = self.ns
        return self.ns

    def monotonic_ns(self) -> int:
        """Return the same; beside the main thread as it was when the thread read the wall clock."""
        return self.ns if threading.get_ident() == self._main else getattr(self._read, "ns", self.ns)


def rows(rng: np.random.Generator, count: int) -> dict[str, Any]:
    """Return columns of features."""
    return {
        "amount": rng.gamma(2.0, 4.0, count),
        "age": rng.normal(40, 10, count),
        "speed": rng.uniform(0, 10, count),
        "country": rng.choice(["US", "DE", "FR", "IN", "BR"], count, p=[0.5, 0.2, 0.15, 0.1, 0.05]),
    }


def trips(rng: np.random.Generator, count: int) -> dict[str, Any]:
    """Return columns of features of the other model."""
    return {"distance": rng.gamma(3.0, 4.0, count), "stops": rng.integers(0, 4, count).astype(float)}


def score(amount: Any) -> Any:
    """Return the probability of fraud."""
    return 1 / (1 + np.exp(-(0.35 * amount - 3.0)))


def references() -> Any:
    """Return the references of both models."""
    import radiosonde as rs

    rng = np.random.default_rng(7)
    table, trip = rows(rng, 20_000), trips(rng, 20_000)
    chance = score(table["amount"])
    fraud = np.where(rng.random(20_000) < chance, "fraud", "ok")
    answers = np.where(chance > 0.5, "fraud", "ok")
    days = 3 + 0.5 * trip["distance"]
    return (
        rs.Reference.fit(
            {**table, "truth": fraud, "answer": answers, "confidence": np.maximum(chance, 1 - chance)},
            target="truth",
            prediction="answer",
            score="confidence",
            model="risk",
        ),
        rs.Reference.fit({**trip, "days": days}, target="days", model="eta", task="regression"),
    )


class Service:
    """Both models and what is wrong with them at a minute.

    Args:
        clock: which calls move on.
        seed: of the replica.
    """

    def __init__(self, clock: Clock, seed: int) -> None:
        import radiosonde as rs

        self._rs, self._clock, self._seed = rs, clock, seed
        self._faults: set[str] = set()
        self._carrier = ""
        self._labels: list[tuple[int, int, str, str]] = []
        risk, eta = references()
        self._releases = [self._release(risk, "1", "stable"), self._release(risk, "2", "canary")]

        @rs.observe("eta", version="7", reference=eta, task="regression")
        def arrive(row: dict[str, Any]) -> float:
            self._clock.ns += 2_000_000
            return 3 + 0.5 * float(row["distance"])

        self._arrive = arrive

    def _release(self, reference: Any, version: str, variant: str) -> Any:
        @self._rs.observe("risk", version=version, variant=variant, reference=reference, classes=["ok", "fraud"])
        def predict(row: dict[str, Any]) -> list[list[float]]:
            with self._rs.stage("fetch"):
                is_slow = "slow phase" in self._faults and self._rng.random() < 0.05
                self._clock.ns += int((600_000_000 if is_slow else 3_000_000) * self._rng.lognormal(0, 0.2))
            with self._rs.stage("score"):
                self._clock.ns += int(4_000_000 * self._rng.lognormal(0, 0.2))
            is_bad = "errors in a cohort" in self._faults and version == "2" and self._carrier == "UA"
            if is_bad and self._rng.random() < 0.5:
                raise KeyError("carrier")
            chance = float(score(row["amount"] + (4.0 if "other answers" in self._faults else 0.0)))
            return [[1 - chance, chance]]

        return predict

    def minute(self, before_end: int, end_ns: int) -> None:
        """Serve one minute, and end it a nanosecond early: the last export of a process is at its end, later than that of its last minute."""
        self._faults = {name for name, fault in FAULTS.items() if before_end <= fault.minutes}
        self._rng = rng = np.random.default_rng([self._seed, before_end])
        count = rng.poisson(RISK_CALLS)
        table = rows(rng, count)
        if "missing feature" in self._faults:
            table["speed"] = np.where(rng.random(count) < 0.4, np.nan, table["speed"])
        trip = trips(rng, ETA_CALLS)
        if "scaled feature" in self._faults:
            trip["distance"] = trip["distance"] * SCALE
        chance = score(table["amount"])
        truths = np.where(rng.random(count) < chance, "fraud", "ok")
        carriers = rng.choice(CARRIERS, count, p=CARRIER_SHARES)
        started_ns = end_ns - MINUTE_NS
        for call in range(count):
            self._clock.ns = max(self._clock.ns, started_ns + call * 58 * 10**9 // count)
            self._predict(
                {name: column[call].item() for name, column in table.items()}, carriers[call].item(), truths[call]
            )
            if call % 3 == 0 and call // 3 < ETA_CALLS:
                self._estimate({name: column[call // 3].item() for name, column in trip.items()})
            self._send_labels()
        assert self._clock.ns < end_ns
        self._clock.ns = end_ns - 1

    def _predict(self, row: dict[str, Any], carrier: str, truth: str) -> None:
        self._carrier = carrier
        with self._rs.cohort(carrier=carrier):
            try:
                self._releases[int(self._rng.random() < 0.25)](row)
            except KeyError:
                return
        if self._rng.random() < 0.8:
            identity = self._rs.current().id
            for each, lag_s in ((truth, self._rng.choice([5, 300, 900])), ("ok", 1500)):
                if each == truth or self._rng.random() < 0.05:  # a correction
                    heapq.heappush(
                        self._labels, (self._clock.ns + int(lag_s) * 10**9, len(self._labels), identity, each)
                    )

    def _estimate(self, row: dict[str, Any]) -> None:
        self._arrive(row)
        self._rs.label(self._rs.current().id, 3 + 0.5 * row["distance"] + self._rng.normal())

    def _send_labels(self) -> None:
        while self._labels and self._labels[0][0] <= self._clock.ns:
            _, _, identity, label = heapq.heappop(self._labels)
            if "labels stopped" not in self._faults:
                self._rs.label(identity, label)


def main(folder: Path, seed: int, end_minute: int, first: int, last: int) -> None:
    """Live from the first minute to the last, and end as a server does."""
    clock = Clock((end_minute - first) * MINUTE_NS)
    time.time_ns, time.perf_counter_ns = clock.wall_ns, clock.monotonic_ns  # before the library takes them
    import radiosonde as rs

    port = int(os.environ[PORT])
    rs.start(
        store=str(folder / "store.sqlite"), labels=str(folder / f"labels-{seed}.sqlite"), cohorts={"carrier": list(CARRIERS)},
        cpu_budget=float("inf"), window_s=60, prometheus_port=port, export_interval_s=3600.0,
        window_events=True,
    )  # fmt: skip
    service = Service(clock, seed)
    pages = (folder / f"pages-{seed}-{first}.txt").open("w")
    for before_end in range(first, last, -1):
        service.minute(before_end, (end_minute - before_end + 1) * MINUTE_NS)
        if (
            before_end == first or before_end <= RECENT or before_end % 6 == 0
        ):  # an export and a scrape each minute, lately
            assert rs.flush(120)
            scrape(port, seed, (end_minute - before_end + 1) * 60, pages)
    pages.close()
    clock.ns = (end_minute - last) * MINUTE_NS
    assert rs.shutdown(120)


def scrape(port: int, replica: int, time_s: int, pages: TextIO) -> None:
    """Scrape the page, and add its samples with the labels of a scrape and the time."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        text = answer.read().decode()
    labels = f'job="lab",instance="{replica}"'
    for line in text.splitlines():
        if not line.startswith("#"):
            name, brace, rest = line.partition("{")
            sample = f"{name}{{{labels},{rest}" if brace else line.replace(" ", f"{{{labels}}} ", 1)
            pages.write(f"{sample} {time_s}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
