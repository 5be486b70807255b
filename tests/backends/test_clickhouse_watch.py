"""A watch of ClickHouse as a process: it notifies once through kills, beside a second watch, and over an outage of the database."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from radiosonde._clock import wall_ns
from tests.backends._clickhouse import serving
from tests.backends._window_events import event_database
from tests.e2e._receivers import free_port
from tests.e2e._watched import Service, hook, until, watching


@pytest.fixture
def database(clickhouse_engine, tmp_path):
    """Return an empty database of events, which were all written now."""
    for made in event_database(clickhouse_engine, tmp_path):
        made.written_ns = wall_ns()
        yield made


class EventService(Service):
    """The service of the tests of `watch`, whose windows are events in ClickHouse.

    Args:
        database: the database, in which the healthy minutes are at once.
    """

    def __init__(self, database):
        self._database, self._sent = database, 0
        super().__init__(None)

    def store(self, windows):
        """Insert the windows."""
        self._database.insert(windows, first=self._sent + 1)
        self._sent += len(windows)


@pytest.fixture
def service(database, tmp_path, monkeypatch):
    """Return a service with five healthy hours; the next minutes fail in one region. Watches keep their state in the test's folder."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return EventService(database)


def test_a_killed_watch_notifies_once_and_reads_each_window_once(service, database, tmp_path):
    """Killed between attempts, and after the notification; its state is where the address of the database says."""
    with hook() as receiver:
        receiver.answers = [503] * 2
        service.write(10)
        for attempt in range(2):
            with watching(database.address, tmp_path, "--webhook", receiver.url) as watch:
                until(lambda wanted=attempt: receiver.asked > wanted, "an attempt", watch)
                watch.process.kill()
        for _ in range(2):
            with watching(database.address, tmp_path, "--webhook", receiver.url) as watch:
                until(lambda: receiver.taken, "the notification", watch)
                watch.has_looked_at(service.write(1))
                watch.process.kill()
        assert [(each["event"], each["event_id"][-2:]) for each in receiver.taken] == [("opened", "-1")]
        (state,) = (tmp_path / "state" / "radiosonde").glob("*.sqlite")
        assert state.name.endswith(f"{database.name}.sqlite")


def test_of_two_watches_of_a_database_one_notifies_and_the_other_takes_over(service, database, tmp_path):
    """They share the lease, which is beside the copy; the second goes on with the copy of the first."""
    with hook() as receiver, watching(database.address, tmp_path, "--webhook", receiver.url, name="first") as first:
        until(lambda: first.value("radiosonde_watch_leading") == 1, "the lease", first)
        with watching(database.address, tmp_path, "--webhook", receiver.url, name="second") as second:
            service.write(10)
            until(lambda: receiver.taken, "the notification", first)
            assert second.value("radiosonde_watch_leading") == 0
            first.process.kill()
            first.process.wait(10)
            until(lambda: second.value("radiosonde_watch_leading") == 1, "the other to take over", second)
            second.has_looked_at(service.write(1))
            assert second.value("radiosonde_incident_active") == 1
            assert len(receiver.taken) == 1


def test_a_database_that_is_gone_is_said_and_caught_up(service, database, clickhouse_engine, tmp_path):
    """Also by a watch that starts meanwhile: it opens an incident of its own, ends it, and diagnoses what came in between."""
    port = free_port()
    address = f"clickhouse://127.0.0.1:{port}/{database.name}"
    with hook() as receiver:
        with ExitStack() as up, watching_once_up(up, clickhouse_engine, port, address, tmp_path, receiver) as watch:
            until(lambda: watch.value("radiosonde_watch_looks_total", "done"), "a look", watch)
            up.close()
            until(lambda: receiver.taken, "the watch to say so", watch)
            assert receiver.taken[0]["name"] == "telemetry.watch.source"
            assert watch.value("radiosonde_incident_active", "telemetry.watch.source") == 1
            watch.process.kill()
        service.write(10)
        with watching(address, tmp_path, "--webhook", receiver.url) as watch:
            until(lambda: watch.value("radiosonde_watch_looks_total", "failed"), "a failure", watch)
            with serving(clickhouse_engine, port):
                until(lambda: len(receiver.taken) >= 3, "what came meanwhile", watch)
    told = [(each["event"], each["name"].partition(".")[0]) for each in receiver.taken]
    assert told[0] == ("opened", "telemetry")
    assert sorted(told[1:]) == [("opened", "cohort"), ("recovered", "telemetry")]


def watching_once_up(up, engine, port, address, folder, receiver):
    """Serve *engine* at *port* until *up* is closed, and watch it."""
    up.enter_context(serving(engine, port))
    return watching(address, folder, "--webhook", receiver.url)
