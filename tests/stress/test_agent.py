"""Workers and agents are killed under load, and the backend goes away; every prediction that returned is counted, once."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from radiosonde._agent import agent_exports
from radiosonde._agent.agent_exports import AgentExports
from radiosonde._guard import Guard
from radiosonde._pipeline.delivery import Delivery
from radiosonde._settings import Settings
from radiosonde.export import otlp_exporter, waiting
from radiosonde.reference.profile import Reference
from radiosonde.store.reader import Interval, StoreReader
from radiosonde.store.totals import read_cumulative_state
from radiosonde.testing import fly
from tests.e2e._prefork import Predictions, agent, children, ended, load, serving, stop
from tests.e2e._receivers import OtlpSink, attributes, free_port, otlp_sink, wait_for
from tests.unit.pipeline import spooled

KILLS = 30
DOWN_S = 20.0
GUNICORN = ["gunicorn", "-w", "4", "-b", "127.0.0.1:PORT", "--log-level", "error", "app:app"]


@contextmanager
def loaded(port: int, answered: set[int]) -> Iterator[None]:
    """Ask for one number after the other from four threads; afterwards *answered* has those that got an answer."""
    over = threading.Event()
    numbers = itertools.takewhile(lambda _: not over.is_set(), itertools.count(1))
    client = threading.Thread(target=lambda: answered.update(load(port, numbers)))
    client.start()
    try:
        yield
    finally:
        over.set()
        client.join(60)


@pytest.mark.slow
def test_no_prediction_is_lost_or_doubled_when_workers_and_agents_are_killed(tmp_path: Path) -> None:
    """Four gunicorn workers, one killed every second for 30 s; then the agent killed and started again, twice."""
    spool, pause, answered = tmp_path / "spool", threading.Event(), set[int]()
    drainer, _ = agent(spool)
    environment = {
        "RADIOSONDE_SPOOL": str(spool),
        "RADIOSONDE_AGENT": "1",
        "RADIOSONDE_COHORTS": "lot=*",
        "WORK_S": ".002",
    }
    try:
        with serving(tmp_path, GUNICORN, environment) as (server, port), loaded(port, answered):
            for kill in range(KILLS):
                pause.wait(1.0)
                workers = children(server.pid)
                os.kill(workers[kill % len(workers)], signal.SIGKILL)
            for _ in range(2):
                drainer.kill()
                drainer.wait(10)
                assert drainer.stdout is not None
                drainer.stdout.close()
                pause.wait(1.0)
                drainer, _ = agent(spool)
                pause.wait(2.0)
    finally:
        code = stop(drainer)
    assert code == 0
    made = Predictions(tmp_path / "predictions.log")
    counted, process = Counter[int](), ""
    for _, window in StoreReader(spool / "agent.sqlite", sketches=False).parts(Interval()):
        counted[int(window.key.cohort.removeprefix("lot="))] += window.calls
        process = window.process
    cumulative = read_cumulative_state(spool / "agent.sqlite", process)
    died = cumulative.counts["counts"]["loss.died_in_flight"]
    assert {name: count for name, count in cumulative.counts["counts"].items() if count} == {
        "loss.died_in_flight": died
    }

    assert len(answered) > 300
    assert answered <= made.returned.keys()
    assert all(count == 1 for number, count in made.returned.items() if number)
    # Predictions begun by a killed worker: it died in flight, or ended and was killed before the app logged that.
    unnoted = made.begun - made.returned
    assert 0 < died <= unnoted.total() <= KILLS
    for lot in range(20):
        noted = by_lot(made.returned)[lot]
        assert noted <= counted[lot] <= noted + by_lot(unnoted)[lot]
    assert counted.total() - made.returned.total() + died <= unnoted.total()
    assert sum(window.calls for window in cumulative.totals) == counted.total()
    assert list(spool.glob("*.ring")) == []


def by_lot(numbers: Counter[int]) -> Counter[int]:
    """Return how many predictions of each lot there are."""
    lots = Counter[int]()
    for number, count in numbers.items():
        lots[number % 20] += count
    return lots


# The backend goes away ------------------------------------------------------------------------------------------------


class Delivered:
    """Data of one process in a sink: the newest cumulative values, and the values in the sketches of each window."""

    def __init__(self, sink: OtlpSink, instance: str) -> None:
        self.calls, self.losses = 0, dict[str, int]()
        for resource in mine(sink, "/v1/metrics", "resource_metrics", instance):
            metrics = {
                metric.name: metric.sum.data_points for scope in resource.scope_metrics for metric in scope.metrics
            }
            if points := metrics.get("radiosonde.prediction.calls"):
                self.calls = sum(point.as_int for point in points)
            for point in metrics.get("radiosonde.sdk.losses", ()):
                self.losses[attributes(point.attributes)["radiosonde.loss.reason"]] = point.as_int
        self.values = dict[tuple[Any, ...], int]()
        for resource in mine(sink, "/v1/logs", "resource_logs", instance):
            for record in (record for scope in resource.scope_logs for record in scope.log_records):
                said = attributes(record.attributes)
                if said["radiosonde.sketch.kind"] == "kll_double":
                    # A request whose answer was lost on the way is sent again: the same window twice is one.
                    place = (said["radiosonde.window.start"], said["radiosonde.cohort"], record.body.string_value)
                    self.values[place] = said["radiosonde.sketch.n"]


def mine(sink: OtlpSink, path: str, resources: str, instance: str) -> Iterator[Any]:
    """Return the resources of all requests that a process sent."""
    for request in sink.requests[path]:
        for resource in getattr(request, resources):
            if attributes(resource.resource.attributes)["service.instance.id"] == instance:
                yield resource


@pytest.mark.slow
def test_nothing_is_lost_while_the_receiver_is_down_for_20_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent of four loaded workers, and a process that exports by itself: metrics and sketches are whole in the end."""
    spool, sink, port, answered = tmp_path / "spool", OtlpSink(), free_port(), set[int]()
    for name, value in {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "2",
        "OTEL_METRIC_EXPORT_INTERVAL": "1000",
        "RADIOSONDE_WINDOW_S": "1",
        "RADIOSONDE_SPANS_PER_MINUTE": "0",
        "RADIOSONDE_SPOOL": str(spool),
    }.items():
        monkeypatch.setenv(name, value)
    # Without a reference, sketches wait for an hour of rows.
    reference = Reference.fit({"number": np.arange(20.0)}, model="delays")
    reference.save(tmp_path / "reference.json")
    monkeypatch.setenv("RADIOSONDE_REFERENCE", str(tmp_path / "reference.json"))
    with ExitStack() as servers:
        drainer, _ = agent(spool)
        servers.enter_context(ended(drainer))
        rs = servers.enter_context(fly(otlp=True, window_s=1, export_interval_s=1, spans_per_minute=0))
        observed = rs.observe("delays", version="1", reference=reference)(lambda _: "late")
        # Work, so that no machine answers faster than an agent under full load can count every row, which is not guaranteed.
        environment = {"RADIOSONDE_AGENT": "1", "WORK_S": ".005"}
        _, server_port = servers.enter_context(serving(tmp_path, GUNICORN, environment))
        servers.enter_context(loaded(server_port, answered))
        own = itertools.count(1)

        def predict_until(condition: Callable[[], object], what: str) -> None:
            wait_for(lambda: [observed({"number": float(next(own))}) for _ in range(20)] and condition(), what, 60)

        with otlp_sink(port, sink):
            predict_until(lambda: sink.requests["/v1/metrics"] and sink.requests["/v1/logs"], "both signals")
        began, before = time.monotonic(), rs.statistics().records
        predict_until(lambda: time.monotonic() - began >= DOWN_S, "20 s to pass")
        missed = rs.statistics()
        assert missed.losses["export_failed"] > 3
        assert missed.records - before > 1000
        told = len(sink.requests["/v1/metrics"])
        with otlp_sink(port, sink):
            predict_until(lambda: len(sink.requests["/v1/metrics"]) > told + 2, "both to have come back")
            instance = rs.pipeline().process
            servers.close()  # the load ends, then the workers, then both exporters
    made = Predictions(tmp_path / "predictions.log")
    assert made.begun == made.returned
    assert answered == set(made.returned) - {0}
    for process, calls in ((instance, next(own) - 1), ((spool / "agent.id").read_text(), made.returned.total())):
        delivered = Delivered(sink, process)
        assert (delivered.calls, sum(delivered.values.values())) == (calls, calls)
        assert {reason for reason, count in delivered.losses.items() if count} == {"export_failed"}
    assert instances(sink) == {instance, (spool / "agent.id").read_text()}


def test_beyond_the_bound_delivered_and_dropped_are_what_was_produced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A receiver that is down for longer than the bound costs exactly the oldest windows, in a server and in an agent."""
    port = free_port()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    monkeypatch.setattr(waiting, "WAITING_BYTES", 5)
    monkeypatch.setattr(otlp_exporter, "held_bytes", lambda _: 1)
    monkeypatch.setattr(agent_exports, "REST_NS", 0)
    guard, sink, lots = Guard(reraise=True), OtlpSink(), range(20)
    # Without a reference, sketches wait for an hour of rows.
    reference = Reference.fit({"number": np.arange(20.0)}, model="delays")
    with fly(otlp=True, cohorts={"lot": ["*"]}, sketch_cohorts=True, spans_per_minute=0) as rs:
        observed = rs.observe("delays", version="1", reference=reference)(lambda _: "late")
        for lot in lots:
            with rs.cohort(lot=lot):
                observed({"number": float(lot)})
            rs.pipeline().take_turn(everything=True)
            if lot == 12:
                send(rs.pipeline()._delivery)
        with otlp_sink(port, sink):
            send(rs.pipeline()._delivery)
        assert {r: c for r, c in rs.losses().items() if r != "export_failed"} == {"sketch_events_dropped": 15}
        assert len(Delivered(sink, rs.pipeline().process).values) == 5
    spool, path = tmp_path / "spool", tmp_path / "reference.json"
    reference.save(path)
    settings = Settings(otlp=True, sketch_cohorts=True, export_interval_s=3600, spans_per_minute=0)
    exports = partial(AgentExports, settings, guard)
    with (
        spooled.serving(spool, cohorts={"lot": ["*"]}, references={"*": str(path)}) as server,
        spooled.draining(spool, guard, make_exports=exports) as drainer,
    ):
        for lot in lots:
            server.predict(({"number": float(lot)}, "late", ""), lot=str(lot))
            drainer.turn()
            drainer.commit()
            if lot == 12:
                send(drainer.exports._delivery)
        with otlp_sink(port, sink):
            send(drainer.exports._delivery)
        drainer.exports.close()
        lost = drainer.statistics().losses
        assert (lost["sketch_events_dropped"], lost["export_failed"]) == (15, 3)
        assert len(Delivered(sink, drainer.process).values) == 5


def send(delivery: Delivery) -> None:
    """Have the OTLP exporter deliver, in this thread."""
    (otlp,) = [each for each in delivery._exporters if each.setting == "otlp"]
    otlp.flush()


def instances(sink: OtlpSink) -> set[str]:
    """Return the senders of metrics."""
    return {
        attributes(resource.resource.attributes)["service.instance.id"]
        for request in sink.requests["/v1/metrics"]
        for resource in request.resource_metrics
    }
