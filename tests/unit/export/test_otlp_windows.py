"""Windows as events over OTLP: all of them, each recognisable when it comes twice, and the references they are read against."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from radiosonde._guard import Guard
from radiosonde.export import otlp, otlp_windows, waiting
from radiosonde.export.otlp import OtlpExporter
from radiosonde.export.otlp_windows import WindowEvents
from radiosonde.store.window_text import window_of_text
from radiosonde.testing import fly
from tests.e2e._receivers import attributes, otlp_sink
from tests.factories import HOUR_NS, KEY, make_feature, make_reference, make_window
from tests.unit.store.strategies import assert_same

REFERENCE = make_reference([make_feature("a", (50, 50, 0, 0, 0, 0)), make_feature("b", (50, 50, 0, 0, 0, 0))])
VERSION = (KEY.model, KEY.version)


def received(sink, name):
    """Return attributes and body of the events of a name, in order of arrival."""
    return [
        (attributes(record.attributes), record.body.string_value, record.time_unix_nano)
        for record in sink.logs()
        if record.event_name == name
    ]


def hours(count):
    """Return windows of so many hours."""
    return [make_window(start_ns=hour * HOUR_NS, end_ns=(hour + 1) * HOUR_NS) for hour in range(count)]


@pytest.fixture
def sent(monkeypatch):
    """Yield a sink, and a function that sends the waiting windows with some references to it."""
    with otlp_sink() as sink:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", sink.endpoint)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
        guard, client = Guard(reraise=True), OtlpExporter()
        queue = WindowEvents(guard, "me")
        yield sink, queue, lambda references: [result.ok for result in queue.flush(client, references)]
        client.shutdown()


def test_every_window_of_a_flight_is_an_event(tmp_path, monkeypatch):
    """With the counts that the store has, those of labels that came later and those of the process itself included."""
    with otlp_sink() as sink:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", sink.endpoint)
        with fly(otlp=True, window_events=True, store=tmp_path / "a.db", runtime=True) as rs:
            predict = rs.observe("delays", reference=REFERENCE, classes=["yes", "no"])(lambda row: "yes")
            for value in range(20):
                predict(np.array([[value, 1.0]]))
            assert rs.flush(30)
            rs.label(rs.current().id, "no")
            assert rs.flush(30)
            stored = rs.windows()
        found = [window_of_text(body) for _, body, _ in received(sink, "radiosonde.window")]
        (reference,) = received(sink, "radiosonde.reference")
    mine = [window for window in found if window.key.model == "delays"]
    assert sum(window.calls for window in mine) == 20 == sum(window.calls for window in stored)
    assert sum(int(window.labels.lag_counts.sum()) for window in mine if window.labels) == 1
    assert sum(window.features.cells.sum() for window in mine if window.features) == 40
    assert {window.process for window in mine} == {window.process for window in stored}
    assert reference[0]["radiosonde.reference.id"] == REFERENCE.id
    assert rs.losses() == {}


def test_windows_are_not_sent_unless_asked_for(monkeypatch):
    """They are as many events as there are series in each minute."""
    with otlp_sink() as sink:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", sink.endpoint)
        with fly(otlp=True) as rs:
            rs.observe("delays", input=False)(lambda row: "yes")(1)
            assert rs.flush(30)
        assert received(sink, "radiosonde.window") == []


def test_an_event_has_the_bounds_and_the_number_of_its_window(sent):
    """Its time is the end of the window, as that of a sketch is; and the body is the window."""
    sink, queue, send = sent
    windows = hours(3)
    queue.put(windows)
    assert all(send({}))
    found = received(sink, "radiosonde.window")
    assert [each["radiosonde.window.number"] for each, _, _ in found] == [1, 2, 3]
    for window, (each, body, time_ns) in zip(windows, found, strict=True):
        assert each["event.name"] == "radiosonde.window"
        assert (each["radiosonde.window.start"], each["radiosonde.window.end"]) == (window.start_ns, window.end_ns)
        assert (each["radiosonde.model.name"], each["radiosonde.cohort"]) == (window.key.model, window.key.cohort)
        assert time_ns == window.end_ns
        assert_same(window_of_text(body), window)


@pytest.mark.parametrize("refused", [1, 2, 3])
def test_a_window_that_is_sent_again_has_its_number(sent, monkeypatch, refused):
    """After a backend has refused requests, nothing is missing, and what came twice has the same number and body."""
    monkeypatch.setattr(otlp, "MAX_RECORD_BYTES", 1)
    sink, queue, send = sent
    queue.put(hours(4))
    for _ in range(refused):
        sink.answers[:] = [200, 400]
        assert send({})[-1] is False
    queue.put(hours(5)[4:])
    assert all(send({}))
    bodies = {}
    for each, body, _ in received(sink, "radiosonde.window"):
        assert bodies.setdefault(each["radiosonde.window.number"], body) == body
    assert sorted(bodies) == [1, 2, 3, 4, 5]
    assert Counter(window_of_text(body).start_ns // HOUR_NS for body in bodies.values()) == Counter(range(5))


def test_numbers_stay_when_the_oldest_are_dropped(sent, monkeypatch):
    """A queue that is full drops windows, which are counted; the others keep their numbers."""
    sink, queue, send = sent
    sink.answers[:] = [400]
    queue.put(hours(3))
    assert send({}) == [False]
    monkeypatch.setattr(waiting, "WAITING_BYTES", 1)
    queue._waiting._most = 1
    queue.put(hours(4)[3:])
    queue._waiting._most = 1 << 30
    queue.put(hours(5)[4:])
    assert all(send({}))
    assert [each["radiosonde.window.number"] for each, _, _ in received(sink, "radiosonde.window")] == [5]
    assert queue._guard.losses()["window_events_dropped"] == 4


def test_a_window_that_no_document_can_hold_is_lost_by_name(sent):
    """Its neighbours are sent."""
    sink, queue, send = sent
    first, second, third = hours(3)
    queue.put([first, replace(second, errors={"KeyError": b"x"}), third])
    assert all(send({}))
    assert [each["radiosonde.window.number"] for each, _, _ in received(sink, "radiosonde.window")] == [1, 3]
    assert queue._guard.losses()["window_events_dropped"] == 1


def test_a_reference_is_sent_once_when_it_changes_and_once_a_day(sent, monkeypatch):
    """Until a backend has taken it, and before the windows that are read against it."""
    sink, _, send = sent
    now = [1_000_000 * 10**9]
    monkeypatch.setattr(otlp_windows, "wall_ns", lambda: now[0])
    other = make_reference([make_feature("a", (10, 90, 0, 0, 0, 0))])
    sink.answers[:] = [400]
    assert send({VERSION: REFERENCE}) == [False]
    for reference, later_s in ((REFERENCE, 0), (REFERENCE, 60), (other, 60), (other, 86_000), (other, 86_000)):
        now[0] += later_s * 10**9
        assert all(send({VERSION: reference}))
    found = [each["radiosonde.reference.id"] for each, _, _ in received(sink, "radiosonde.reference")]
    assert found == [REFERENCE.id, other.id, other.id]
