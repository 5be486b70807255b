"""Write two weeks of telemetry to a store, break a unit half-way, and ask what happened.

`radiosonde diagnose` reads the store alone: no model, no server, no knowledge of what was broken.
"""

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

import radiosonde as rs
from radiosonde.cli import main

folder = Path(tempfile.mkdtemp())
random = np.random.default_rng(7)
training = {"wind": random.gamma(3.0, 4.0, 20_000).round(1), "temperature": random.normal(50, 15, 20_000).round(0)}
reference = rs.Reference.fit(training, model="delays")


@rs.observe("delays", version="1.0.0", reference=reference)
def predict(row):
    return "late" if row["wind"] > 20 else "on time"


rs.start(store=folder / "store.db", window_s=3600, prometheus=False)
begin = datetime(2013, 3, 1, tzinfo=UTC)
for hour in range(14 * 24):
    with rs.at(begin + timedelta(hours=hour)):
        for _ in range(20):
            wind = random.gamma(3.0, 4.0).__round__(1)
            if hour >= 7 * 24:
                wind *= 0.447  # from here on in metres per second, unknown to the model
            predict({"wind": wind, "temperature": round(random.normal(50, 15))})
rs.shutdown()

print(f"the wind changed its unit at {begin + timedelta(days=7)}\n")
code = main(["diagnose", str(folder / "store.db")])  # in a shell: radiosonde diagnose store.db
print(f"\nexit code {code}: 0 healthy, 1 findings, 3 not checked, 4 stale")
