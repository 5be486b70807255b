"""One replica of a service with two models, a canary, cohorts, late labels and faults. Arguments: store, seed, number of calls.

Faults from the middle on: the canary raises for one carrier, a phase is slow now and then, a feature is missing, one is scaled, one has a category
that the reference does not know, and labels stop.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np

import radiosonde as rs

CARRIERS, PLANS = ("UA", "AA", "DL"), ("free", "pro")


def rows(rng: np.random.Generator, count: int, scale: float = 1.0) -> dict[str, Any]:
    """Return columns of features."""
    return {
        "amount": rng.gamma(2.0, 4.0, count) * scale,
        "age": rng.normal(40, 10, count),
        "speed": rng.uniform(0, 10, count),
        "country": rng.choice(["US", "DE", "FR", "IN", "BR"], count, p=[0.5, 0.2, 0.15, 0.1, 0.05]),
    }


def score(amount: float) -> float:
    """Return the probability of fraud."""
    return float(1 / (1 + np.exp(-(0.35 * amount - 3.0))))


def references() -> tuple[rs.Reference, rs.Reference]:
    """Return the references of both models."""
    rng = np.random.default_rng(7)
    table = rows(rng, 20_000)
    fraud = np.where(rng.random(20_000) < 1 / (1 + np.exp(-(0.35 * table["amount"] - 3.0))), "fraud", "ok")
    arrival = {"amount": table["amount"], "days": 3 + 0.5 * table["amount"]}
    return (
        rs.Reference.fit({**table, "fraud": fraud}, target="fraud", model="risk"),
        rs.Reference.fit(arrival, target="days", model="eta", task="regression"),
    )


def main(store: str, seed: int, calls: int) -> None:
    """Serve, and end as a server does."""
    rng = np.random.default_rng(seed)
    risk_reference, eta_reference = references()
    rs.start(store=store, cohorts={"carrier": list(CARRIERS), "plan": list(PLANS)}, cpu_budget=float("inf"), window_s=2)
    state = {"carrier": "", "bad": False}

    def release(version: str, variant: str) -> Any:
        @rs.observe("risk", version=version, variant=variant, reference=risk_reference, classes=["ok", "fraud"])
        def predict(row: dict[str, Any]) -> list[list[float]]:
            with rs.stage("fetch"):
                time.sleep(0.03 if state["bad"] and rng.random() < 0.05 else 0.0002)
            if version == "2" and state["carrier"] == "UA" and state["bad"] and rng.random() < 0.5:
                raise KeyError("carrier")
            probability = score(row["amount"])
            return [[1 - probability, probability]]

        return predict

    releases = {"1": release("1", "stable"), "2": release("2", "canary")}

    @rs.observe("eta", version="7", reference=eta_reference, task="regression")
    def eta(row: dict[str, Any]) -> float:
        return 3 - 0.5 * float(row["amount"])

    for call in range(calls):
        bad = state["bad"] = call > calls // 2
        row = {name: column[0].item() for name, column in rows(rng, 1, 1.3 if bad else 1.0).items()}
        truth = "fraud" if rng.random() < score(row["amount"]) else "ok"
        if bad and rng.random() < 0.1:
            row["speed"] = None
        if bad and rng.random() < 0.05:
            row["country"] = "XX"
        state["carrier"] = str(rng.choice(CARRIERS, p=[0.1, 0.5, 0.4]))
        with rs.cohort(carrier=state["carrier"], plan=str(rng.choice(PLANS))):
            try:
                releases["2" if rng.random() < 0.2 else "1"](row)
            except KeyError:
                continue
            if call < calls * 0.9 and rng.random() < 0.8:
                identity = rs.current().id
                rs.label(identity, truth, time=time.time() + float(rng.choice([1, 600, 7200])))
                if rng.random() < 0.05:  # corrected
                    rs.label(identity, "ok" if truth == "fraud" else "fraud", time=time.time() + 90_000)
        if call % 3 == 0:
            eta({"amount": row["amount"]})
            rs.label(rs.current().id, 3 - 0.5 * row["amount"] + rng.normal())
    rs.flush()
    rs.shutdown()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
