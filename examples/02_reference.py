"""Make a reference profile from training data, and count production against it.

The profile is one JSON file that travels with the model: cells of every feature, what share of the training rows each
holds, the classes. `radiosonde reference build train.parquet --target late` makes the same from a file.
"""

import tempfile
from pathlib import Path

import numpy as np

import radiosonde as rs
from radiosonde.testing import fly

random = np.random.default_rng(7)
training = {
    "wind": random.gamma(2.0, 4.0, 20_000),  # miles per hour
    "carrier": random.choice(["AA", "DL", "UA"], 20_000),
}
late = np.where(training["wind"] > 12, "late", "on time")
path = Path(tempfile.mkdtemp()) / "delays.reference.json"
rs.Reference.fit({**training, "late": late}, target="late", model="delays").save(path)

reference = rs.Reference.load(path)
wind = reference.features[0]
print(f"{reference.task} on {reference.rows} rows; classes {reference.output.classes}")
print(f"wind: {wind.body} cells up to {[round(bound, 1) for bound in wind.bounds]}")

with fly() as flight:

    @flight.observe("delays", reference=path)
    def predict(row):
        return "late" if row["wind"] > 12 else "on time"

    for number in range(1000):
        # Wind arrives in metres per second from here on, and one carrier is new.
        predict({"wind": training["wind"][number] * 0.447, "carrier": "B6" if number % 10 == 0 else "UA"})
    (window,) = flight.windows()

for name, cells in zip(window.features.names, window.features.cells, strict=True):
    print(f"{name:8} bins {cells[:-4].tolist()}, below above null unseen {cells[-4:].tolist()}")
