"""Start, flush, shutdown, and what may happen between and after them."""

from __future__ import annotations

import socket
import threading
import urllib.request

import numpy as np
import prometheus_client
import pytest

from radiosonde._guard import Guard
from radiosonde.errors import ConfigurationError, StoreError
from radiosonde.reference.profile import Reference
from radiosonde.store.reader import Interval, StoreReader
from radiosonde.testing import Flight, fly
from tests.factories import make_feature, make_reference

ROW = np.zeros((1, 2))


def predict(_):
    """Answer."""
    return "yes"


def stored_calls(path):
    """Return the calls in a store."""
    return sum(window.calls for _, window in StoreReader(path).parts(Interval()))


def test_nothing_has_to_be_started():
    """The first prediction starts everything; settings come from the environment."""
    flight = Flight(Guard(reraise=True), environment={"RADIOSONDE_MAX_SERIES": "1", "RADIOSONDE_WINDOW_S": "3600"})
    try:
        assert flight.statistics().records == 0
        flight.observe("delays")(predict)(ROW)
        assert [window.calls for window in flight.windows()] == [1]
        assert flight.pipeline().settings.max_series == 1
    finally:
        assert flight.shutdown()


def test_starting_twice_is_refused():
    """The second start says what to do instead."""
    with fly() as rs, pytest.raises(ConfigurationError, match="shutdown"):
        rs.start()


def test_starting_after_a_prediction_is_refused():
    """Settings cannot change while recording."""
    flight = Flight(Guard(reraise=True), environment={})
    try:
        flight.observe("delays")(predict)(ROW)
        with pytest.raises(ConfigurationError, match="before the first prediction"):
            flight.start(prometheus=False)
    finally:
        flight.shutdown()


def test_starting_after_a_decoration_is_allowed():
    """Decorators run at import, settings come in main()."""
    flight = Flight(Guard(reraise=True), environment={})
    observed = flight.observe("delays")(predict)
    flight.start(prometheus=False, window_s=7)
    try:
        with flight.at(1_000_000):
            observed(ROW)
        (window,) = flight.windows()
        assert window.end_ns - window.start_ns == 7_000_000_000
    finally:
        flight.shutdown()


def test_a_setting_that_is_unknown_is_refused():
    """The message lists the known ones."""
    with (
        pytest.raises(ConfigurationError, match=r"unknown setting stroe; did you mean store.*Known are .*window_s"),
        fly(stroe="x"),
    ):
        pass


def test_disabled_means_no_pipeline():
    """With the switch off the decorator returns the function itself."""
    flight = Flight(environment={"RADIOSONDE_DISABLED": "true"})
    flight.start()
    assert flight.observe("delays")(predict) is predict


def test_after_shutdown_functions_work_unrecorded_and_start_records_again(tmp_path):
    """Shutdown ends recording, not the model; a new start begins at zero under a new identity."""
    with fly(store=tmp_path / "a.db") as rs:
        observed = rs.observe("delays")(predict)
        observed(ROW)
        first = rs.pipeline().process
        assert rs.shutdown()
        assert [observed(ROW) for _ in range(5)] == ["yes"] * 5
        assert rs.statistics().records == 1
        rs.start(prometheus=False, store=tmp_path / "b.db")
        assert rs.statistics().records == 0
        observed(ROW)
        observed(ROW)
        assert [window.calls for window in rs.windows()] == [2]
        assert rs.pipeline().process != first
    assert (stored_calls(tmp_path / "a.db"), stored_calls(tmp_path / "b.db")) == (1, 2)


def test_shutdown_and_flush_after_shutdown_do_nothing(tmp_path):
    """Nothing is opened again, and nothing is written twice."""
    with fly(store=tmp_path / "a.db", prometheus=True) as rs:
        rs.observe("delays")(predict)(ROW)
        assert rs.shutdown()
        (tmp_path / "a.db").unlink()
        assert rs.flush()
        assert rs.shutdown()
        assert not (tmp_path / "a.db").exists()
        assert not registered()


def registered():
    """Return whether Radiosonde's metrics are in prometheus-client's default registry."""
    return any(metric.name.startswith("radiosonde") for metric in prometheus_client.REGISTRY.collect())


def test_flush_before_anything_opens_nothing():
    """A flush with nothing recorded leaves the way free for a start."""
    flight = Flight(Guard(reraise=True), environment={})
    flight.observe("delays")(predict)
    assert flight.flush()
    assert not registered()
    flight.start()
    try:
        assert registered()
    finally:
        flight.shutdown()
    assert not registered()


def test_a_store_that_cannot_be_opened_is_an_error_at_start(tmp_path):
    """And leaves nothing behind: the next start may use the registry and the port."""
    flight = Flight(Guard(reraise=True), environment={})
    with pytest.raises(StoreError):
        flight.start(store=tmp_path / "no" / "such" / "folder.db")
    flight.start(store=tmp_path / "here.db")
    flight.observe("delays")(predict)(ROW)
    assert flight.shutdown()
    assert stored_calls(tmp_path / "here.db") == 1


def test_a_taken_port_is_an_error_at_start():
    """The message names the port; the registry is free afterwards."""
    flight = Flight(Guard(reraise=True), environment={})
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"prometheus_port {port} .* choose another port"):
            flight.start(prometheus_port=port)
    assert not registered()
    flight.start(prometheus_port=port)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
            assert b"radiosonde_" in answer.read()
    finally:
        flight.shutdown()


@pytest.mark.parametrize("host", ["127.0.0.2", "0.0.0.0", "localhost"])
def test_the_page_is_served_where_it_is_told(host, free_port):
    """The address is a setting; an unavailable one is an error that names it."""
    flight = Flight(Guard(reraise=True), environment={"RADIOSONDE_PROMETHEUS_HOST": host})
    flight.start(prometheus_port=free_port)
    try:
        asked = "127.0.0.1" if host == "0.0.0.0" else host
        with urllib.request.urlopen(f"http://{asked}:{free_port}/metrics", timeout=60) as answer:
            assert b"radiosonde_" in answer.read()
    finally:
        flight.shutdown()
    with pytest.raises(ConfigurationError, match=r"prometheus_host 203\.0\.113\.1 is not available"):
        flight.start(prometheus_port=free_port, prometheus_host="203.0.113.1")


def test_a_second_radiosonde_in_the_registry_is_an_error_at_start():
    """Two collectors of the same metrics would answer every scrape with an error."""
    with fly(prometheus=True), pytest.raises(ConfigurationError, match="prometheus=False"), fly(prometheus=True):
        pass
    assert not registered()


def test_a_bad_reference_is_an_error_at_start(tmp_path):
    """A profile named in the settings is read when they are."""
    path = tmp_path / "broken.json"
    path.write_text("{")
    with pytest.raises(ValueError, match=r"broken\.json"), fly(references={"delays": str(path)}):
        pass


def test_a_bad_reference_found_later_costs_the_reference_only():
    """Without a start it is counted, and predictions are recorded with a provisional one."""
    flight = Flight(environment={"RADIOSONDE_REFERENCE": "/no/such/profile.json"})
    try:
        assert flight.observe("delays")(predict)(ROW) == "yes"
        assert flight.windows()[0].calls == 1
        assert flight.statistics().guarded["reference"] >= 1
    finally:
        flight.shutdown()


def test_a_reference_decides_names_order_and_width(tmp_path):
    """Rows by name are put in the reference's order; arrays of another width are lost by name, the call is not."""
    path = tmp_path / "delays.json"
    make_reference([make_feature("b", (1, 1, 0, 0, 0, 0)), make_feature("a", (1, 0, 0, 0, 0), bounds=(5.0,))]).save(
        path
    )
    assert Reference.load(path).features[0].name == "b"
    with fly(references={"*": str(path)}) as rs:
        observed = rs.observe("delays")(predict)
        observed({"a": 4.0, "b": 1.5})
        observed({"a": 6.0})
        observed(np.zeros((1, 3)))
        (window,) = rs.windows()
        assert window.calls == 3
        assert window.features.names == ("b", "a")
        assert window.features.cells.tolist() == [[0, 1, 0, 0, 1, 0], [1, 0, 0, 1, 0, 0]]
        assert not window.features.provisional
        assert rs.losses() == {"features_width": 1}


def test_statistics_say_what_happened(tmp_path):
    """Records, rows, labels, series, windows, exports and the sampling ratio after known traffic."""
    with fly(store=tmp_path / "a.db", cohorts={"plan": ["*"]}) as rs:
        observed = rs.observe("delays")(lambda rows: ["yes"] * len(rows))
        observed([[1.0], [2.0], [3.0]])
        with rs.cohort(plan="pro"):
            observed([[1.0]])
        rs.label("", "yes")
        assert rs.flush()
        found = rs.statistics()
        assert (found.records, found.rows, found.in_flight, found.series) == (2, 4, 0, 2)
        assert found.labels["invalid"] == 1
        assert found.windows_open == 0
        assert found.windows_closed >= 2
        assert found.exports["store"] >= 1
        assert found.exported_bytes > 0
        assert (found.sampling_ratio, dict(found.guarded)) == (1.0, {})
        assert found.consumer_cpu_s > 0
        assert set(found.losses.values()) == {0}


def test_predictions_in_progress_are_in_flight():
    """Begun and not ended; counted when they end."""
    with fly() as rs:
        begun, go_on = threading.Event(), threading.Event()

        @rs.observe("slow")
        def slow(_):
            begun.set()
            assert go_on.wait(30)
            return "yes"

        thread = threading.Thread(target=slow, args=(ROW,))
        thread.start()
        assert begun.wait(30)
        rs.pipeline().take_turn()
        assert (rs.statistics().in_flight, rs.statistics().records) == (1, 0)
        go_on.set()
        thread.join(30)
        assert [window.calls for window in rs.windows()] == [1]
        assert rs.statistics().in_flight == 0


def test_statistics_while_windows_open_and_close():
    """Asking from another thread never meets a dictionary that changes under it."""
    with fly(window_s=1) as rs:
        observed, stop, failures = rs.observe("delays")(predict), threading.Event(), []

        def ask():
            while not stop.is_set():
                try:
                    rs.statistics()
                except RuntimeError as error:
                    failures.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        for second in range(1, 600):
            with rs.at(second):
                observed(ROW)
            if second % 50 == 0:
                rs.pipeline().take_turn()
        stop.set()
        thread.join(30)
        assert failures == []


def test_a_fold_that_fails_is_counted_and_the_rest_goes_on(monkeypatch):
    """Our own bug in the consumer loses the slice by name, not the turn."""
    with fly(reraise=False) as rs:
        observed = rs.observe("delays")(predict)
        observed(ROW)
        rs.pipeline().take_turn()
        consumer = rs.pipeline()._ring_consumers[0]
        with rs.pipeline()._turn:
            observed(ROW)
            observed(ROW)
            consumer.stream.errors, errors = None, consumer.stream.errors  # folding a failed record raises
            consumer.stream.cohorts, cohorts = [], consumer.stream.cohorts
        rs.pipeline().take_turn()
        consumer.stream.errors, consumer.stream.cohorts = errors, cohorts
        observed(ROW)
        assert sum(window.calls for window in rs.windows()) == 2
        assert rs.losses() == {"record_failed": 2}
        assert rs.statistics().guarded == {"fold": 1}
