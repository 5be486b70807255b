"""The health of the process as points of metrics."""

from __future__ import annotations

from dataclasses import replace

from radiosonde.export.builder import BlockBuilder
from radiosonde.export.prometheus import PrometheusCollector
from tests.factories import make_durations, make_runtime, make_snapshot


def families(runtime):
    """Return the blocks of a snapshot with *runtime*, by metric name, those of the health only."""
    blocks = BlockBuilder().build(replace(make_snapshot(), runtime=runtime)).families
    return {name: found for name, found in blocks.items() if name.startswith("radiosonde.runtime.")}


def test_numbers_are_told_as_they_are():
    """Each number has its metric, without attributes; a pause is counted in the bucket that ends above it."""
    found = families(
        make_runtime(throttled_periods=228, throttled_s=1.5, gpu_bytes=7, gc_pauses=make_durations([0.0001, 0.002, 5]))
    )
    values = {name: block.values[0] for name, (block,) in found.items() if not name.endswith(".pause")}
    assert values == {
        "radiosonde.runtime.cpu.time": 6.0,
        "radiosonde.runtime.cpu.periods": 600,
        "radiosonde.runtime.cpu.throttled_periods": 228,
        "radiosonde.runtime.cpu.throttled_time": 1.5,
        "radiosonde.runtime.memory": 100_000_000,
        "radiosonde.runtime.gpu.memory": 7,
    }
    (pauses,) = found["radiosonde.runtime.gc.pause"]
    assert pauses.labels.rows == ((),)
    assert pauses.labels.edges == tuple(2.0**power for power in range(-13, 2))
    # 0.12 ms holds 0.1 ms, 3.9 ms (not 1.95 ms) holds 2 ms, and 5 s is beyond the last bound.
    assert list(pauses.counts) == [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]


def test_what_is_not_there_has_no_metric():
    """No GPU, no loop, no pool, and nothing at all where health is not counted."""
    assert not {"gpu.memory", "loop.lag", "pool.wait"} & {name[19:] for name in families(make_runtime())}
    assert {"radiosonde.runtime.loop.lag"} < set(families(make_runtime(loop_lags=make_durations([0.1]))))
    assert families(None) == {}


def test_processes_that_an_agent_speaks_for_are_told_apart():
    """The same metrics, once per process, with its identity."""
    runtimes = {"a": make_runtime(cpu_s=6.0), "b": make_runtime(cpu_s=7.5, loop_lags=make_durations([0.1]))}
    found = BlockBuilder().build(replace(make_snapshot(), runtimes=runtimes)).families
    cpu = found["radiosonde.runtime.cpu.time"]
    assert [(block.labels.rows, block.values) for block in cpu] == [
        (((("radiosonde.process", "a"),),), (6.0,)),
        (((("radiosonde.process", "b"),),), (7.5,)),
    ]
    (lags,) = found["radiosonde.runtime.loop.lag"]
    assert lags.labels.rows == ((("radiosonde.process", "b"),),)


def test_a_page_of_an_agent_has_a_line_per_process():
    """As a scrape sees it."""
    snapshot = replace(make_snapshot(), runtimes={"a": make_runtime(), "b": make_runtime(cpu_s=7.5)})
    page = PrometheusCollector(lambda: snapshot).render().decode().splitlines()
    assert [line for line in page if line.startswith("radiosonde_runtime_cpu_time_seconds_total")] == [
        'radiosonde_runtime_cpu_time_seconds_total{radiosonde_process="a"} 6.0',
        'radiosonde_runtime_cpu_time_seconds_total{radiosonde_process="b"} 7.5',
    ]


def test_processes_beyond_the_bound_are_cut_last_first_and_counted():
    """Whole processes; of 23 time series each, for their pauses, and no room for the second."""
    snapshot = replace(make_snapshot(), runtimes={"a": make_runtime(), "b": make_runtime()})
    unbounded = BlockBuilder().build(snapshot)
    series = sum(block.series for family in unbounded.families.values() for block in family)
    bounded = BlockBuilder(series - 1).build(snapshot)
    assert (unbounded.cut, bounded.cut) == (0, 23)
    (kept,) = bounded.families["radiosonde.runtime.cpu.time"]
    assert kept.labels.rows == ((("radiosonde.process", "a"),),)
