"""The health of the process is measured at the source, kept apart from the models, and released at shutdown."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import prometheus_client
import pytest

from radiosonde._guard import Guard
from radiosonde._health import health as module
from radiosonde._health.health import DurationTable, HealthSampler
from radiosonde.model import LATENCY, RUNTIME_KEY
from radiosonde.sources import open_source
from radiosonde.store.seal import seal
from radiosonde.testing import Flight, fly

ROW = np.zeros((1, 2))


def predict(_):
    """Answer."""
    return "yes"


def runtime_of(rs):
    """Return the health counted so far; sampled now, whenever the last sample was."""
    pipeline = rs.pipeline()
    pipeline.take_turn()
    pipeline.health._sampled_ns -= 10**9
    return pipeline.snapshot().runtime


@pytest.mark.parametrize(
    "duration_ns", [0, 1, 953, 954, 10**6, 2**10 * 10**9, 10**15, *(2**k for k in range(0, 60, 7))]
)
def test_a_duration_falls_into_the_bucket_that_holds_it(duration_ns):
    """One at a time, as the vectorised table of latencies counts it."""
    table = DurationTable()
    table.add(duration_ns)
    (bucket,) = np.flatnonzero(table.snapshot().counts)
    upper = LATENCY.upper_bounds_s()
    seconds = duration_ns / 1e9
    assert seconds <= upper[bucket] * (1 + 1e-9) or bucket == LATENCY.size - 1
    assert bucket == 0 or seconds > upper[bucket - 1] * (1 - 1e-9)


def test_a_collection_where_the_stack_is_all_but_full_raises_nothing(monkeypatch):
    """The interpreter would print the exception. At every depth at which a collection can begin, ours fits on the stack."""
    sampler, raised = HealthSampler(60.0, "p"), []

    def collect_below(frames):
        if frames:
            collect_below(frames - 1)
        else:
            gc.collect(0)

    with monkeypatch.context() as patch, ThreadPoolExecutor(1) as threads:
        patch.setattr(sys, "unraisablehook", lambda unraisable: raised.append(unraisable.exc_type))
        sampler.start()
        try:
            deepest = 0
            for frames in range(1, sys.getrecursionlimit()):
                try:
                    threads.submit(collect_below, frames).result()
                except RecursionError:
                    break
                deepest = frames
        finally:
            sampler.stop()
    assert deepest > 100, "the stack was full from the start"
    assert raised == []
    assert int(sampler._pauses.snapshot().counts.sum()) >= deepest - 8, "but for the last, each is counted"


def test_cpu_memory_and_collections_are_counted():
    """A second of work is CPU seconds; each collection is a pause."""
    with fly() as rs:
        rs.observe("delays")(predict)(ROW)
        before, begun_s = runtime_of(rs), time.process_time()
        ends_ns = time.process_time_ns() + 200_000_000
        while time.process_time_ns() < ends_ns:
            pass
        for _ in range(5):
            gc.collect()
        after, used_s = runtime_of(rs), time.process_time() - begun_s
    # `before` was sampled a moment before its clock was read here.
    assert 0.2 <= after.cpu_s - before.cpu_s <= used_s + 0.5
    assert after.gc_pauses.counts.sum() - before.gc_pauses.counts.sum() >= 5
    assert after.gc_pauses.sum_s > before.gc_pauses.sum_s
    assert after.rss_bytes > 10 << 20


def test_a_blocked_loop_is_seen_by_its_timer():
    """A prediction in a coroutine starts the observation of its loop; a block of 0.6 s is a lag of at least 0.35 s."""

    async def serve(rs):
        rs.observe("delays")(predict)(ROW)
        rs.watch_loop()
        time.sleep(0.6)  # noqa: ASYNC251 - the tested fault
        for _ in range(200):
            await asyncio.sleep(0.01)
            if runtime_of(rs).loop_lags.counts.any():
                return runtime_of(rs)
        return None

    with fly() as rs:
        seen = asyncio.run(serve(rs))
    assert 0.35 <= seen.loop_lags.sum_s < 5.0
    assert seen.loop_lags.quantile_s(1.0) >= 0.35


def test_a_loop_is_looked_at_once_and_ends_when_it_wants():
    """Asked with every request, one timer runs; it keeps neither the loop alive nor its end waiting."""

    async def serve(rs):
        for _ in range(100):
            rs.watch_loop()
        return len(asyncio.get_running_loop()._scheduled)

    with fly() as rs:
        assert asyncio.run(serve(rs)) == 1
        gc.collect()
        assert len(rs.pipeline().health._loops) == 0


def test_work_that_waits_for_a_thread_is_counted_with_its_wait():
    """Behind a gate that is held for 0.3 s, the second piece of work waited at least as long."""
    gate = threading.Event()
    with fly() as rs, ThreadPoolExecutor(1) as pool:
        rs.observe("delays")(predict)(ROW)
        first, second = pool.submit(rs.queued(gate.wait)), pool.submit(rs.queued(sum), [1, 2])
        time.sleep(0.3)
        gate.set()
        assert (first.result(10), second.result(10)) == (True, 3)
        seen = runtime_of(rs).pool_waits
    assert seen.counts.sum() == 2
    assert 0.3 <= seen.sum_s < 10


def test_what_queued_work_raises_is_its_own():
    """An error passes through, and the wait counts."""
    with fly() as rs, ThreadPoolExecutor(1) as pool:
        with pytest.raises(ZeroDivisionError):
            pool.submit(rs.queued(divmod), 1, 0).result(10)
        assert rs.queued(predict).__name__ == "predict"


def test_windows_are_stored_and_sealed_apart_from_the_models(tmp_path):
    """Nothing that reads models sees them; asked for, they come from SQLite and from Parquet alike."""
    store, sealed = tmp_path / "flights.sqlite", tmp_path / "sealed"
    with fly(store=store) as rs:
        rs.observe("delays")(predict)(ROW)
        rs.flush()
        assert {window.key.model for window in rs.windows()} == {"delays"}
        process = rs.pipeline().process
    for _ in range(2):
        source = open_source([path for path in (store, sealed) if path.exists()])
        assert {window.key.model for window in source.windows()} == {"delays"}
        assert {row.model for place in source.places for row in place.summaries()} == {"delays"}
        found = source.runtime_windows()
        assert {(window.key, window.process, window.calls) for window in found} == {(RUNTIME_KEY, process, 0)}
        assert all(window.end_ns - window.start_ns == 60 * 10**9 for window in found)
        assert sum(window.runtime.observed_s for window in found) > 0
        seal(store, sealed, everything=True)


def test_a_window_ends_with_its_time():
    """Samples of one window are one part of it; the first sample of the next one hands it out."""
    health = HealthSampler(1.0, "worker-1")
    health.start()
    try:
        handed = []
        deadline = time.monotonic() + 90
        while len(handed) < 2 and time.monotonic() < deadline:
            handed += health.sample()
            time.sleep(0.05)
        first, second = handed[:2]
        assert second.start_ns - first.start_ns in (10**9, 2 * 10**9)
        assert 0 < second.runtime.observed_s < 3
        assert health.total.observed_s >= first.runtime.observed_s + second.runtime.observed_s
    finally:
        health.stop()


def test_off_is_off():
    """No hook, no window, no metric; the queued function is unwrapped."""
    hooks = len(gc.callbacks)
    with fly(runtime=False) as rs:
        rs.observe("delays")(predict)(ROW)
        rs.flush()
        assert len(gc.callbacks) == hooks
        assert rs.pipeline().snapshot().runtime is None
        assert rs.queued(predict) is predict
        rs.watch_loop()
    flight = Flight(Guard(reraise=True), environment={"RADIOSONDE_RUNTIME": "off"})
    assert flight.pipeline().health is None
    flight.shutdown()


def test_the_end_takes_the_hooks_back():
    """After shutdown the collector calls no hook of Radiosonde, and a second start counts from zero."""
    hooks = list(gc.callbacks)
    flight = Flight(Guard(reraise=True), environment={})
    for _ in range(2):
        flight.start(prometheus=False)
        flight.observe("delays")(predict)(ROW)
        flight.flush()
        assert len(gc.callbacks) == len(hooks) + 1
        flight.shutdown()
        assert gc.callbacks == hooks


def test_a_forked_child_counts_for_itself():
    """One hook, no pause of the parent's, a process of its own."""
    with fly() as rs:
        rs.observe("delays")(predict)(ROW)
        rs.flush()
        hooks, parent = len(gc.callbacks), rs.pipeline().process
        gc.collect()
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            health = rs.pipeline().health
            before = (len(gc.callbacks) - hooks, int(health._pauses.snapshot().counts.sum()))
            os.write(writer, repr((*before, rs.pipeline().process != parent)).encode())
            os._exit(0)
        os.waitpid(pid, 0)
        assert os.read(reader, 100) == b"(-1, 0, True)"
        os.close(reader)
        os.close(writer)


def test_prometheus_shows_it(monkeypatch):
    """The page of a process that predicts has its CPU time, memory and pauses."""
    registry = prometheus_client.CollectorRegistry()
    monkeypatch.setattr(prometheus_client, "REGISTRY", registry)
    with fly(prometheus=True) as rs:
        rs.observe("delays")(predict)(ROW)
        rs.flush()
        gc.collect()
        runtime_of(rs)
        page = prometheus_client.generate_latest(registry).decode()
    values = dict(line.rsplit(" ", 1) for line in page.splitlines() if line.startswith("radiosonde_runtime"))
    assert float(values["radiosonde_runtime_cpu_time_seconds_total"]) > 0
    assert float(values["radiosonde_runtime_memory_bytes"]) > 10 << 20
    assert float(values["radiosonde_runtime_gc_pause_seconds_count"]) >= 1


def test_the_first_sample_asks_for_gpu_memory_and_the_next_do_not(monkeypatch):
    """Also where the machine has just started, and its monotonic clock with it."""
    asked, now_ns = [], [3 * 10**9]
    monkeypatch.setattr(module, "monotonic_ns", lambda: now_ns[0])
    monkeypatch.setattr(module.probes, "gpu_probe", lambda: lambda: asked.append(now_ns[0]) or 7)
    health = HealthSampler(60.0, "process")
    try:
        for _ in range(23):  # the first begins
            health.sample()
            now_ns[0] += 10**9
        assert health.total.gpu_bytes == 7
        assert asked == [4 * 10**9, 14 * 10**9, 24 * 10**9]
    finally:
        health.stop()
