"""Every exporter of the list keeps every law of `radiosonde.export.exporter`: healthy, dead and hanging."""

from __future__ import annotations

import os
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import prometheus_client
import pytest

from radiosonde._guard import Guard
from radiosonde._settings import Settings, variables_in_force
from radiosonde.errors import RadiosondeError
from radiosonde.export.carriers import CARRIERS, make_exporters
from radiosonde.export.exporter import ExportContext, Exporter
from radiosonde.export.prometheus import PrometheusCollector
from radiosonde.model import SeriesKey, losses
from radiosonde.model.spans import KeptSpan
from radiosonde.reference.profile import Reference
from radiosonde.testing import fly
from tests.e2e._receivers import free_port, otlp_sink

PATIENCE_S = 60.0

World = Callable[[Path, pytest.MonkeyPatch], AbstractContextManager[dict[str, Any]]]


@contextmanager
def store_in(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Yield the settings of a store that can be written."""
    yield {"store": folder / "a.db"}


@contextmanager
def no_store(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Yield the settings of a store whose folder is not there."""
    yield {"store": folder / "absent" / "a.db"}


@contextmanager
def locked_store(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Yield the settings of a store that another process holds."""
    with sqlite3.connect(folder / "a.db", isolation_level=None) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        yield {"store": folder / "a.db"}
        holder.execute("ROLLBACK")
    holder.close()


@contextmanager
def sink(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Yield the settings of a backend that takes all."""
    with otlp_sink() as receiver:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint)
        yield {"otlp": True}


@contextmanager
def no_backend(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Yield the settings of a backend that is not there."""
    patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    patch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    yield {"otlp": True}


@contextmanager
def hanging_backend(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Yield the settings of a backend that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        patch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "3")
        yield {"otlp": True}


@contextmanager
def multiprocess_folder(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Yield the settings of prometheus-client's multiprocess mode."""
    yield {"prometheus_folder": folder}


@contextmanager
def no_folder(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Yield the settings of that mode with a folder that is not there."""
    yield {"prometheus_folder": folder / "absent"}


def with_settings(**settings: Any) -> World:
    """Return a world that needs nothing but settings."""
    return lambda *_: nullcontext(settings)


@contextmanager
def crowded_registry(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Yield the settings of a registry that another Radiosonde is in."""
    with fly() as rs:
        other = PrometheusCollector(rs.pipeline().snapshot)
        prometheus_client.REGISTRY.register(other)
        try:
            yield {"prometheus": True}
        finally:
            prometheus_client.REGISTRY.unregister(other)


@contextmanager
def taken_port(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Yield the settings of a port that is in use."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield {"prometheus_port": server.getsockname()[1]}


@dataclass(frozen=True)
class Case:
    """How to test one carrier.

    Attributes:
        healthy: it works.
        dead: it does not.
        hanging: it answers late or never; where that can be.
        of_windows: the loss of a window that was not delivered; empty where windows are not delivered one by one.
        of_spans: likewise of a span.
    """

    healthy: World
    dead: World
    hanging: World | None = None
    of_windows: str = ""
    of_spans: str = ""


CASES = {
    "OTLP": Case(sink, no_backend, hanging_backend, losses.SKETCH_EVENTS_DROPPED, losses.SPANS_DROPPED),
    "Prometheus registry": Case(with_settings(prometheus=True), crowded_registry),
    "Prometheus page": Case(with_settings(prometheus_port=0), taken_port),
    "Prometheus files": Case(multiprocess_folder, no_folder),
    "store": Case(store_in, no_store, locked_store, losses.STORE_FAILED),
}


def test_every_carrier_is_tested():
    """A new line in the list needs a case here."""
    assert CASES.keys() == {carrier.name for carrier in CARRIERS}


@pytest.fixture(params=sorted(CASES))
def case(request) -> Case:
    """Return how to test one carrier, each in turn."""
    return CASES[request.param]


@pytest.fixture(scope="module")
def telemetry():
    """Return (five windows with sketches, a snapshot of them, three spans)."""
    # A reference, because there are no sketches before one is known, and a provisional one takes an hour.
    reference = Reference.fit(pd.DataFrame({"wind": np.arange(300.0), "rain": np.ones(300)}))
    with fly(runtime=False) as rs:
        for model in "abcde":
            predict = rs.observe(model, reference=reference)(lambda features: 1.0)
            for value in range(300):
                predict(np.array([[float(value), 1.0]]))
        rs.pipeline().take_turn()
        closed = rs.pipeline()._aggregator.close(everything=True)
        windows = [window for window in closed if window.features is not None and window.features.sketches]
        assert len(windows) == 5
        span = partial(
            KeptSpan, trace_id=1, parent_span_id=0, key=SeriesKey("a"), prediction_id="x", start_ns=1, end_ns=2, rows=1,
            reasons=("error",), error_type="", class_name="", confidence=None, cells="", phases_s=(),
        )  # fmt: skip
        yield windows, rs.pipeline().snapshot(), [span(span_id=number + 1) for number in range(3)]


def exporter_of(settings: dict[str, Any], telemetry: Any, guard: Guard) -> Exporter:
    """Return the one exporter of these settings."""
    _, snapshot, _ = telemetry
    resolved = Settings.resolve({}, **{"prometheus": False, **settings})
    context = ExportContext(resolved, guard, lambda: snapshot, lambda: snapshot.references, "me")
    (exporter,) = make_exporters(context)
    return exporter


def delivered(exporter: Exporter) -> int:
    """Return the successful exports."""
    return sum(exporter.counts().exports.values())


def test_all_is_delivered(case, telemetry, tmp_path, monkeypatch):
    """A healthy carrier takes windows, spans and snapshots, and nothing is lost."""
    windows, _, spans = telemetry
    guard = Guard(reraise=True)
    with case.healthy(tmp_path, monkeypatch) as settings:
        exporter = exporter_of(settings, telemetry, guard)
        exporter.open()
        exporter.prepare()
        exporter.export(windows, spans)
        exporter.flush()
        exporter.close(PATIENCE_S)
    assert guard.losses() == {}
    assert delivered(exporter) >= 1 or exporter.interval_s is None


def test_closing_twice_is_closing_once(case, telemetry, tmp_path, monkeypatch):
    """Before it was opened, after, and again: nothing is raised, and nothing is counted twice."""
    windows, _, spans = telemetry
    guard = Guard(reraise=True)
    with case.dead(tmp_path, monkeypatch) as settings:
        exporter = exporter_of(settings, telemetry, guard)
        exporter.close(PATIENCE_S)
        exporter.export(windows, spans)
        exporter.close(PATIENCE_S)
        counted = guard.losses()
        exporter.close(PATIENCE_S)
    assert guard.losses() == counted


def test_a_dead_carrier_says_so(case, telemetry, tmp_path, monkeypatch):
    """Opening either works, or raises one of our errors; again it is tried again."""
    with case.dead(tmp_path, monkeypatch) as settings:
        exporter = exporter_of(settings, telemetry, Guard(reraise=True))
        found = [Guard.attempt(exporter.open) for _ in range(2)]
        exporter.close(PATIENCE_S)
    assert all(each is None or (isinstance(each, RadiosondeError) and str(each)) for each in found)


@pytest.mark.parametrize("flushes", [0, 1, 3])
def test_what_is_not_delivered_is_counted(case, telemetry, tmp_path, monkeypatch, flushes):
    """However often a dead carrier was tried, at the end each window and each span is one loss of its name."""
    windows, _, spans = telemetry
    guard = Guard(reraise=True)
    with case.dead(tmp_path, monkeypatch) as settings:
        exporter = exporter_of(settings, telemetry, guard)
        exporter.export(windows, spans)
        for _ in range(flushes):
            exporter.flush()
        exporter.close(PATIENCE_S)
    expected = {case.of_windows: len(windows), case.of_spans: len(spans)}
    lost = {reason: count for reason, count in guard.losses().items() if reason != losses.EXPORT_FAILED}
    assert lost == {reason: count for reason, count in expected.items() if reason}
    assert delivered(exporter) == 0


def test_it_starts_again(case, telemetry, tmp_path, monkeypatch):
    """An exporter that was closed is opened again, and delivers again."""
    windows, _, spans = telemetry
    guard = Guard(reraise=True)
    with case.healthy(tmp_path, monkeypatch) as settings:
        exporter = exporter_of(settings, telemetry, guard)
        for _ in range(2):
            before = delivered(exporter)
            exporter.open()
            exporter.export(windows, spans)
            exporter.flush()
            exporter.close(PATIENCE_S)
            assert delivered(exporter) > before or exporter.interval_s is None
    assert guard.losses() == {}


def test_a_hanging_carrier_holds_up_its_own_thread_only(case, telemetry, tmp_path, monkeypatch):
    """While a flush hangs, windows are kept and a close ends; windows taken by the flush are delivered or counted."""
    if case.hanging is None:
        pytest.skip("it is asked and never asks: nothing can hang")
    windows, _, spans = telemetry
    guard = Guard()
    with case.hanging(tmp_path, monkeypatch) as settings:
        exporter = exporter_of(settings, telemetry, guard)
        exporter.export(windows, spans)
        flush = threading.Thread(target=exporter.flush, daemon=True)
        flush.start()
        exporter.export(windows, [])
        exporter.close(0.1)
        assert flush.is_alive() or case.of_windows == losses.STORE_FAILED, "the close did not wait for the backend"
        flush.join(PATIENCE_S)
        assert not flush.is_alive()
        exporter.close(0.1)
    lost = guard.losses()
    assert len(windows) <= lost[case.of_windows] <= 2 * len(windows)


def test_a_fork_is_outlived(case, telemetry, tmp_path, monkeypatch):
    """Forking and releasing raise nothing, opened or not; afterwards the parent continues to export."""
    windows, _, spans = telemetry
    guard = Guard(reraise=True)
    with case.healthy(tmp_path, monkeypatch) as settings:
        exporter = exporter_of(settings, telemetry, guard)
        for opens in (False, True):
            if opens:
                exporter.open()
            child = os.fork()
            if not child:
                failure = Guard.attempt(exporter.abandon)
                os._exit(0 if failure is None else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        exporter.export(windows, spans)
        exporter.flush()
        exporter.close(PATIENCE_S)
    assert guard.losses() == {}


@pytest.mark.parametrize("world", ["healthy", "dead", "off"])
def test_doctor_knows_its_health(world, tmp_path, monkeypatch):
    """Each carrier says one thing about itself, in a sentence, and what to type where something is to do."""
    for carrier in CARRIERS:
        case = CASES[carrier.name]
        made = {"healthy": case.healthy, "dead": case.dead, "off": with_settings(prometheus=False)}[world]
        with made(tmp_path, monkeypatch) as given:
            settings = Settings.resolve({}, **{"prometheus": False, **given})
            found = list(carrier.health(settings, variables_in_force()))
        assert len(found) <= 1
        for health in found:
            assert health.said
            assert health.state in {"healthy": {"ok", "off"}, "dead": {"fix", "off"}, "off": {"off"}}[world]
