"""A sealer killed at every one of its steps: no row is lost, none is counted twice."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from radiosonde.sources import open_source
from radiosonde.store import StoreWriter
from radiosonde.store.seal import seal
from tests.factories import HOUR_NS, START_NS, make_reference
from tests.unit.store.strategies import assert_same, make_part

# Seals copies 1, 2, 3, ... of a store; the n-th copy in a process that is killed before the n-th of the audited calls
# that have an effect: opening the store, opening a file to write or to sync, renaming. Ends with the first copy that
# is sealed to the end, and prints its number. Forked, because importing pyarrow again for each copy would take half a minute.
DIES = """
import os, shutil, signal, sys
from pathlib import Path
import pyarrow.parquet
from radiosonde.store.seal import seal
from radiosonde.store.columns import FEATURES, rows_table
rows_table([(1, 0, "wind", [1], 0)], FEATURES)  # pyarrow looks for pandas at the first array: once, here
folder = Path(sys.argv[1])
step = 0
def watch(event, arguments):
    global left
    if event in ("os.rename", "sqlite3.connect") or (event == "open" and str(arguments[0]).startswith(str(folder))):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
status = 1
while status:
    step += 1
    shutil.copy(folder / "written.sqlite", folder / f"{step}.sqlite")
    child = os.fork()
    if not child:
        left = step
        sys.addaudithook(watch)
        seal(folder / f"{step}.sqlite", folder / f"sealed-{step}", everything=True)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert status in (0, signal.SIGKILL), status
print(step)
"""


@pytest.mark.slow
def test_dying_at_any_step_neither_loses_nor_doubles_a_row(tmp_path: Path) -> None:
    """Readers of both carriers see every part once, right after the death and after the next run with a late part."""
    written = [make_part(7, sketches={("wind", "kll"): b"k"}), make_part(8, start_ns=START_NS + HOUR_NS)]
    StoreWriter(tmp_path / "written.sqlite").write(written, {("delays", "1"): make_reference()})
    run = subprocess.run(
        [sys.executable, "-c", DIES, str(tmp_path)], stdout=subprocess.PIPE, text=True, check=True, timeout=400
    )
    steps = int(run.stdout)
    doubled = 0
    for step in range(1, steps + 1):
        store, out = tmp_path / f"{step}.sqlite", tmp_path / f"sealed-{step}"
        both = [store, out] if list(out.glob("process=*")) else [store]
        assert sorted(window.rows for window in open_source(both).windows()) == [7, 8], f"died at step {step}"
        doubled += sum(len(open_source(path).windows()) for path in both) > 2
        StoreWriter(store).write([make_part(9)])
        seal(store, out, everything=True)
        assert open_source(store).windows() == []
        stored = {window.rows: window for window in open_source([store, out]).windows()}
        assert sorted(stored) == [7, 8, 9], f"sealed again after step {step}"
        assert_same(stored[7], written[0])
        assert not list(out.rglob("*.tmp"))
    assert steps > 12
    assert doubled, "no death fell between the files and the deletion: the test has lost its point"
