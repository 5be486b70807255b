"""Name what happens inside a prediction, and for whom.

A stage is a phase of the prediction's time; a cohort is a bounded dimension. Cohort values pass an allow-list; the rest
become `other`, and an undeclared dimension is hashed, so no user's value leaks into a metric by accident.
"""

import time

from radiosonde.testing import fly

with fly(cohorts={"plan": ["free", "pro"]}) as rs:

    @rs.observe("ranker", version="3", features=["age", "visits"], task="regression")
    def rank(row):
        with rs.stage("feature_fetch"):
            time.sleep(0.002 if row[0] > 40 else 0.0002)
        with rs.stage("score"):
            if row[1] < 0:
                raise ValueError("visits cannot be negative")
            return 0.1 * row[1]

    for plan, visits in (("free", 3.0), ("pro", 5.0), ("pro", -1.0), ("trial", 2.0)):
        with rs.cohort(plan=plan):
            try:
                rank([50.0, visits])
            except ValueError as error:  # arrives as the function raised it
                print(f"the caller sees: {error}")

    for window in sorted(rs.windows(), key=lambda window: window.key.cohort):
        print(f"{window.key.cohort:12} calls {window.calls}  errors {window.errors}")
        sums_s = window.latency.phase_sums_s.sum(axis=1)
        for phase, spent_s in zip(window.latency.phases, sums_s, strict=True):
            print(f"    {phase:14} {spent_s * 1e3:6.2f} ms")
