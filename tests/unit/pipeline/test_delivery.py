"""What becomes of windows when a store or a backend is ill: it costs no request anything, and every loss has a name."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import prometheus_client
import pytest
from prometheus_client.parser import text_string_to_metric_families

from radiosonde.export import otlp_exporter, waiting
from radiosonde.store.reader import Interval, StoreReader
from radiosonde.store.writer import StoreWriter
from radiosonde.testing import fly
from tests.e2e._receivers import free_port, otlp_sink, wait_for
from tests.factories import make_feature, make_reference

ROW = np.zeros((1, 2))
REFERENCE = make_reference([make_feature("a", (50, 50, 0, 0, 0, 0)), make_feature("b", (50, 50, 0, 0, 0, 0))])
START_S = 1_362_096_000


def observed(rs):
    """Return an observed function, with a reference: its features are counted from the first row on."""
    return rs.observe("delays", reference=REFERENCE)(lambda _: "yes")


def stored_calls(path):
    """Return the calls in a store."""
    return sum(window.calls for _, window in StoreReader(path).parts(Interval()))


def exported_calls(sink):
    """Return the last cumulative count of calls that arrived."""
    metric = sink.metrics().get("radiosonde.prediction.calls")
    return None if metric is None else metric.sum.data_points[-1].as_int


@contextmanager
def hanging():
    """Run a server that takes connections and never answers; yield its URL and a function that waits for one."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(16)
        server.settimeout(30)
        with ExitStack() as stack:
            yield f"http://127.0.0.1:{server.getsockname()[1]}", lambda: stack.enter_context(server.accept()[0])


@pytest.fixture
def otlp(monkeypatch):
    """Return a function that points OTLP at a URL, with a short patience."""

    def point(url):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")

    return point


def test_a_store_that_comes_back_gets_everything(tmp_path):
    """While the folder is away windows wait; when it is back they are all written, and nothing was lost."""
    folder = tmp_path / "spool"
    folder.mkdir()
    with fly(store=folder / "a.db") as rs:
        predict = observed(rs)
        predict(ROW)
        assert rs.flush()
        (folder / "a.db").rename(tmp_path / "kept.db")
        for leftover in folder.iterdir():
            leftover.unlink()
        folder.rmdir()
        for _ in range(3):
            predict(ROW)
            rs.flush()
        folder.mkdir()
        (tmp_path / "kept.db").rename(folder / "a.db")
        predict(ROW)
        assert rs.flush()
        assert rs.losses() == {}
    assert stored_calls(folder / "a.db") == 5


def test_a_store_that_could_not_be_opened_is_tried_again(tmp_path):
    """Without a start the error is not raised; the windows wait until the folder exists."""
    folder = tmp_path / "later"
    flight = fly_without_start(RADIOSONDE_STORE=str(folder / "a.db"))
    try:
        predict = observed(flight)
        predict(ROW)
        flight.flush()
        folder.mkdir()
        predict(ROW)
        assert flight.flush()
        assert flight.losses() == {}
    finally:
        flight.shutdown()
    assert stored_calls(folder / "a.db") == 2


def fly_without_start(**environment):
    """Return a Radiosonde with a separate environment, not started."""
    from radiosonde._guard import Guard
    from radiosonde.testing import Flight

    return Flight(Guard(reraise=True), environment=environment)


def test_beyond_the_bound_the_oldest_windows_are_lost_by_name(tmp_path, monkeypatch):
    """A store that stays away costs bounded memory; at the end what still waits is counted too."""
    monkeypatch.setattr(waiting, "WAITING_BYTES", 4)
    monkeypatch.setattr(waiting, "held_bytes", lambda _: 1)
    flight = fly_without_start(RADIOSONDE_STORE=str(tmp_path / "never" / "a.db"), RADIOSONDE_RUNTIME="off")
    try:
        predict = flight.observe("delays", input=False)(lambda _: "yes")
        for minute in range(7):
            with flight.at(START_S + 60 * minute):
                predict(ROW)
            flight.flush()
        assert flight.losses() == {"store_failed": 3}
    finally:
        flight.shutdown()
    assert flight.statistics().losses["store_failed"] == 7


def test_metrics_and_sketches_arrive(otlp):
    """The healthy case: one flush delivers the cumulative counts and the sketches of the closed windows."""
    with otlp_sink() as sink:
        otlp(sink.endpoint)
        with fly(otlp=True) as rs:
            predict = observed(rs)
            for value in range(20):
                predict(np.array([[value, 1.0]]))
            assert rs.flush(30)
            assert exported_calls(sink) == 20
            assert len(sink.logs()) > 0
            assert rs.losses() == {}
            found = rs.statistics()
            assert found.exports["otlp.metrics"] == found.exports["otlp.sketches"] == 1


def test_a_refusing_backend_is_counted_and_the_counts_arrive_later(otlp):
    """400 answers lose nothing but time: the next cumulative export has it all, and the sketches are sent again."""
    with otlp_sink() as sink:
        sink.answers[:] = [400, 400]
        otlp(sink.endpoint)
        with fly(otlp=True) as rs:
            predict = observed(rs)
            predict(ROW)
            rs.flush(30)
            assert rs.losses() == {"export_failed": 2}
            assert exported_calls(sink) is None
            predict(ROW)
            rs.flush(30)
            assert exported_calls(sink) == 2
            windows = {attribute_of(record, "radiosonde.window.start") for record in sink.logs()}
            assert len(sink.logs()) > 0
            assert windows
            assert rs.losses() == {"export_failed": 2}


def attribute_of(record, name):
    """Return an attribute of a log record as text."""
    return next((str(pair.value) for pair in record.attributes if pair.key == name), "")


def test_sketches_beyond_the_bound_are_lost_by_name(otlp, monkeypatch):
    """Windows with undelivered sketches are dropped from the oldest on; those that wait at the end count too."""
    monkeypatch.setattr(waiting, "WAITING_BYTES", 2)
    monkeypatch.setattr(otlp_exporter, "held_bytes", lambda _: 1)
    otlp(f"http://127.0.0.1:{free_port()}")
    with fly(otlp=True) as rs:
        predict = observed(rs)
        with rs.pipeline()._turn:
            for minute in range(5):
                with rs.at(START_S + 60 * minute):
                    predict(ROW)
        rs.pipeline().take_turn(everything=True)
        assert rs.losses()["sketch_events_dropped"] == 3
        rs.shutdown(5)
        assert rs.statistics().losses["sketch_events_dropped"] == 5


def test_a_hanging_backend_delays_no_prediction_and_no_exit(otlp):
    """While an export hangs, drains and predictions go on, and flush and shutdown keep their deadlines."""
    with hanging() as (url, connected):
        otlp(url)
        with fly(otlp=True, export_interval_s=0.05) as rs:
            predict = observed(rs)
            predict(ROW)
            connected()
            sender = next(thread for thread in threading.enumerate() if thread.name == "radiosonde-otlp")
            for _ in range(1000):
                predict(ROW)
            assert [window.calls for window in rs.windows()] == [1001]
            begun = time.monotonic()
            assert not rs.flush(0.2)
            assert not rs.shutdown(0.5)
            # Deadlines of 0.7 s; far below the 20 s that two hanging requests of the default patience would take.
            assert time.monotonic() - begun < 10
            assert [predict(ROW) for _ in range(3)] == ["yes"] * 3
        wait_for(lambda: not sender.is_alive(), "the hung request to give up")


def test_a_slow_backend_gets_everything(monkeypatch, otlp):
    """An answer that takes a while is an answer: no loss, and the drain did not wait for it."""
    with otlp_sink() as sink:
        gate = threading.Event()
        otlp(sink.endpoint)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "20")
        held = [*sink.requests]
        sink.requests = Gated(sink.requests, gate)
        assert held
        with fly(otlp=True) as rs:
            predict = observed(rs)
            predict(ROW)
            assert not rs.flush(0.3)
            predict(ROW)
            assert [window.calls for window in rs.windows()] == [2]
            gate.set()
            assert rs.flush(30)
            assert exported_calls(sink) == 2
            assert rs.losses() == {}


class Gated(dict):
    """Requests that are taken in once a gate is open."""

    def __init__(self, requests, gate):
        super().__init__(requests)
        self._gate = gate

    def __getitem__(self, path):
        assert self._gate.wait(30)
        return super().__getitem__(path)


def test_prometheus_registers_and_unregisters():
    """A scrape of the default registry includes the latest predictions; after shutdown it has no series of Radiosonde."""
    with fly(prometheus=True) as rs:
        predict = observed(rs)
        predict(ROW)
        predict(ROW)
        families = scraped(prometheus_client.generate_latest())
        assert families["radiosonde_prediction_calls"] == 2
        assert rs.statistics().exports["prometheus"] == 1
    assert not any(
        name.startswith("radiosonde") for name in scraped(prometheus_client.generate_latest(prometheus_client.REGISTRY))
    )


def test_a_scrape_has_no_sample_twice():
    """With a provisional reference made half-way there are two cumulative windows of one series and one sample of each."""
    with fly(prometheus=True) as rs:
        predict = rs.observe("delays")(lambda _: "yes")
        for value in range(1500):
            predict(np.array([[value, 1.0]]))
            if value == 500:
                rs.flush()
        assert len(rs.windows()) >= 1
        samples = [
            (sample.name, tuple(sorted(sample.labels.items())))
            for family in text_string_to_metric_families(prometheus_client.generate_latest().decode())
            if family.name.startswith("radiosonde")
            for sample in family.samples
        ]
        assert len(samples) == len(set(samples))
        assert scraped(prometheus_client.generate_latest())["radiosonde_prediction_calls"] == 1500


def scraped(text):
    """Return the sum of the samples of each family."""
    return {
        family.name: sum(sample.value for sample in family.samples)
        for family in text_string_to_metric_families(text.decode())
    }


def test_a_store_that_hangs_holds_up_no_drain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store has a thread of its own: while it hangs, rings are drained, and once it answers nothing is missing."""
    entered, released = threading.Event(), threading.Event()
    write = StoreWriter.write

    def hang(self: StoreWriter, *arguments: Any, **options: Any) -> int:
        entered.set()
        released.wait(30)
        return write(self, *arguments, **options)

    monkeypatch.setattr(StoreWriter, "write", hang)
    with fly(store=tmp_path / "store.sqlite", ring_bytes=65_536) as rs:
        predict = rs.observe("m")(lambda row: "a")
        predict({"x": 1.0})
        rs.pipeline().take_turn(everything=True)
        assert entered.wait(10)
        for _ in range(40):
            for _ in range(50):
                predict({"x": 1.0})
            assert rs.pipeline().take_turn(everything=True)
        assert rs.losses() == {}
        released.set()
        assert rs.flush()
    parts = StoreReader(tmp_path / "store.sqlite").parts(Interval())
    assert sum(window.calls for _, window in parts) == 2001
