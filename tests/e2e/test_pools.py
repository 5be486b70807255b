"""Pools of processes and programs that become others, with nothing but `observe` in them: every call is stored."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest

from tests.e2e._receivers import wait_for
from tests.stress._scripts import stored_calls

pytestmark = pytest.mark.slow

PREDICT = """
import concurrent.futures, multiprocessing, os, subprocess, sys, threading
import radiosonde as rs

@rs.observe("delays")
def predict(features):
    return "late" if features["wind"] > 10 else "early"

def job(count):
    for wind in range(count):
        predict({"wind": float(wind)})
    return os.getpid()

if __name__ == "__main__":
"""
POOL = """
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=multiprocessing.get_context({method!r})) as pool:
        list(pool.map(job, [20] * 5))
"""
AGAIN = "    job(50)\n    if len(sys.argv) < 2: {become}\n"
PROGRAM = "sys.executable, [sys.executable, __file__, 'again']"

USES = {
    "an executor, spawned": POOL.format(method="spawn"),
    "an executor, forked": POOL.format(method="fork"),
    "an executor, from a fork server": POOL.format(method="forkserver"),
    "an executor that is not waited for": """
    pool = concurrent.futures.ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn"))
    for each in [pool.submit(job, 20) for _ in range(5)]: each.result()
    pool.shutdown(wait=False)
""",
    "a pool, recycled": """
    with multiprocessing.get_context("spawn").Pool(2, maxtasksperchild=2) as pool:
        pool.map(job, [20] * 5, chunksize=1)
""",
    "processes, forked": """
    for process in [multiprocessing.get_context("fork").Process(target=job, args=(50,)) for _ in range(2)]:
        process.start(); process.join()
""",
    "processes, from a fork server": """
    for process in [multiprocessing.get_context("forkserver").Process(target=job, args=(50,)) for _ in range(2)]:
        process.start(); process.join()
""",
    "joblib": "    import joblib; joblib.Parallel(2)(joblib.delayed(job)(20) for _ in range(5))",
    "joblib, multiprocessing": "    import joblib; joblib.Parallel(2, 'multiprocessing')(joblib.delayed(job)(20) for _ in range(5))",
    "execv": AGAIN.format(become=f"os.execv({PROGRAM})"),
    "execvpe": AGAIN.format(become=f"os.execvpe({PROGRAM}, os.environ)"),
    "execl": AGAIN.format(become="os.execl(sys.executable, sys.executable, __file__, 'again')"),
    "an exec that fails": """
    job(50)
    try: os.execvp("no-such-program", ["no-such-program"])
    except FileNotFoundError: job(50)
""",
    "a child that becomes another program": """
    job(100)
    if not os.fork(): os.execv("/bin/true", ["true"])
    assert os.wait()[1] == 0
""",
}


@pytest.mark.parametrize("use", USES)
def test_every_call_is_stored(use, tmp_path):
    """A hundred calls, from any process."""
    if use.startswith("joblib") and importlib.util.find_spec("joblib") is None:
        pytest.skip("needs joblib")
    (tmp_path / "pooled.py").write_text(PREDICT + USES[use])
    store = tmp_path / "store.db"
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "pooled.py"], cwd=tmp_path, capture_output=True, text=True, timeout=240,
        env={**os.environ, "RADIOSONDE_STORE": str(store)}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    # Workers that were not joined deliver a moment later.
    wait_for(lambda: sum(stored_calls(store).values()) >= 100, "every call")
    assert sum(stored_calls(store).values()) == 100
