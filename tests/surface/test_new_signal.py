"""A new signal is a declaration and the line that counts it: two files, and it is in the merge, in SQLite and in Parquet."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import radiosonde
from radiosonde.model.addition import add
from radiosonde.model.fields import INT, declared

PACKAGE = Path(radiosonde.__file__).parent
GOLDEN = Path(__file__).parents[1] / "golden"
DECLARED_IN = "model/window.py"

# Each: the class, the field with its declaration, the file and text where it is counted, the text that counts it,
# what reads it from a window, what 3 calls make of it, and what the sum of two windows holds.
SIGNALS = {
    "number of a window": (
        "Window",
        'slow_calls: int = field(default=0, metadata=declared(INT, read_by="a test"))',
        ("_aggregate/state.py", "rows=self.traffic.rows,", "slow_calls=self.traffic.calls,"),
        ("window.slow_calls", 3, 6),
    ),
    "largest float of a window, not finite": (
        "Window",
        'longest_s: float = field(default=0.0, metadata=declared(FLOAT, merge=Merge.LARGEST, read_by="a test"))',
        ("_aggregate/state.py", "rows=self.traffic.rows,", 'longest_s=float("inf"),'),
        ("window.longest_s", float("inf"), float("inf")),
    ),
    "counts by name": (
        "Window",
        (
            "retries: Mapping[str, int] = field("
            'default_factory=dict, metadata=declared(INT, keys=("reason",), read_by="a test"))'
        ),
        ("_aggregate/state.py", "rows=self.traffic.rows,", 'retries={"timeout": self.traffic.calls},'),
        ("window.retries", {"timeout": 3}, {"timeout": 6}),
    ),
    "table by class": (
        "OutputCounts",
        (
            "squares: Sums = field(default_factory=lambda: np.zeros((0, 20)), "
            'metadata=declared(FLOAT, "class", "confidence", read_by="a test"))'
        ),
        ("_aggregate/answers.py", "return OutputCounts(", "squares=np.full((len(names), 20), 0.25),"),
        ("window.output.squares.sum(axis=1).tolist()", [5.0, 5.0], [10.0, 10.0]),
    ),
    "number of a feature": (
        "FeatureCounts",
        (
            "zeros: Counts = field(default_factory=lambda: np.zeros(0, dtype=np.int64), "
            'metadata=declared(INT, "feature", at="features.zeros", read_by="a test"))'
        ),
        ("_aggregate/features.py", "return FeatureCounts(", "zeros=np.arange(len(self._grid.names)) + 1,"),
        ("window.features.zeros.tolist()", [1, 2], [2, 4]),
    ),
    "buckets of latency": (
        "LatencyCounts",
        (
            "waits: Counts = field(default_factory=lambda: np.zeros(240, dtype=np.int64), "
            'metadata=declared(INT, "bucket", stored=Stored.TRIMMED, at="waiting.waits", read_by="a test"))'
        ),
        ("_aggregate/traffic.py", "return LatencyCounts(", "waits=np.arange(240, dtype=np.int64) // 239,"),
        ("window.latency.waits[-2:].tolist()", [0, 1], [0, 2]),
    ),
}

SCRIPT = """
import json, sqlite3, sys
from pathlib import Path
import radiosonde as rs
from radiosonde.sketches.merge import sum_windows
from radiosonde.sources import open_source
from radiosonde.store import StoreWriter
from radiosonde.store.seal import seal

folder, read = Path(sys.argv[1]), eval("lambda window: " + sys.argv[2])
store, golden = folder / "store.sqlite", folder / "golden.sqlite"

columns = {"wind": [0.5, 1.5, 2.5] * 10, "rain": [1.0, 2.0, 3.0] * 10}

@rs.observe("signals", reference=rs.Reference.fit(columns, model="signals"))
def predict(row):
    return "yes" if row["wind"] > 1 else "no"

rs.start(store=store, window_s=3600)
with rs.at(1_362_096_000.0):
    for wind in (0.5, 1.5, 2.5):
        predict({"wind": wind, "rain": 1.0})
rs.shutdown()
(window,) = open_source(store).windows()
found = {"sqlite": read(window), "sum": read(sum_windows([window, window]))}
former = [read(part) for part in open_source(golden).windows() if part.features and part.calls]
StoreWriter(golden, clock_ns=lambda: 1_362_096_600 * 10**9).write([window])
found["upgraded"] = [read(part) for part in open_source(golden).windows() if part.key.model == "signals"]
assert [read(part) for part in open_source(golden).windows() if part.features and part.key.model == "delays"] == former
seal(store, folder / "sealed", everything=True)
found["parquet"] = [read(part) for part in open_source(folder / "sealed").windows() if part.key.model == "signals"]
assert len(open_source(folder / "sealed").windows()) == 4, "sealed by the version before, and by this one"
print(json.dumps(found))
"""


@pytest.mark.parametrize("name", SIGNALS)
def test_a_signal_is_declared_and_counted_and_nothing_else(name, tmp_path):
    """With two lines more it is counted, added up, stored, added to an older store, sealed and read back."""
    kind, declaration, (counted_in, anchor, count), (read, once, twice) = SIGNALS[name]
    shutil.copytree(PACKAGE, tmp_path / "src/radiosonde", ignore=shutil.ignore_patterns("__pycache__"))
    _insert_field(tmp_path / "src/radiosonde" / DECLARED_IN, kind, declaration)
    file = tmp_path / "src/radiosonde" / counted_in
    text = file.read_text()
    assert text.count(anchor) == 1
    file.write_text(text.replace(anchor, f"{anchor} {count}"))
    shutil.copy(GOLDEN / "schema2.sqlite", tmp_path / "golden.sqlite")
    shutil.copytree(GOLDEN / "schema2", tmp_path / "sealed")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path), read],
        env={**os.environ, "PYTHONPATH": str(tmp_path / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found == {"sqlite": once, "sum": twice, "upgraded": [once], "parquet": [once]}


def test_the_page_of_the_store_lists_every_field():
    """The table in the docs is what the declarations make of it."""
    done = subprocess.run(
        [sys.executable, "tools/generate_store_page.py", "--check"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("metadata", "says"),
    [
        ({}, "Bare.count is not declared: give its field metadata=declared"),
        (declared(INT), "read_by"),
        (declared(INT, "planet", read_by="a test"), "no field of Bare names the rows of axis 'planet'"),
    ],
)
def test_a_field_that_is_not_declared_is_refused(metadata, says):
    """The error names the class and the field, or the axis, and what to write."""
    bare = dataclasses.make_dataclass("Bare", [("count", int, dataclasses.field(metadata=metadata))])
    with pytest.raises(TypeError, match=re.escape(says)):
        add([bare(1), bare(2)])


def _insert_field(file: Path, kind: str, declaration: str) -> None:
    """Add a field behind the last one of class *kind*."""
    head, body = file.read_text().split(f"class {kind}:")
    end = min(place for place in (body.find("\n    @property"), body.find("\n\n\n"), len(body)) if place >= 0)
    file.write_text(f"{head}class {kind}:{body[:end].rstrip()}\n    {declaration}\n{body[end:]}")
