"""Losses of the store are written into it as soon as it accepts windows again, and a diagnosis reports them."""

from __future__ import annotations

import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from radiosonde._guard import Guard
from radiosonde.cli import main
from radiosonde.export import waiting
from radiosonde.model import losses
from radiosonde.sources import open_source
from radiosonde.testing import Flight
from tests.factories import make_window

START_S = 1_362_096_000


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let another program hold the store."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def full(path: Path) -> Iterator[None]:
    """Let no file grow beyond a few kilobytes."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


@contextmanager
def gone(path: Path) -> Iterator[None]:
    """Let the folder be away, as a network disk may be."""
    path.parent.rename(path.parent.with_name("elsewhere"))
    try:
        yield
    finally:
        path.parent.with_name("elsewhere").rename(path.parent)


@pytest.mark.parametrize("outage", [locked, full, gone])
def test_a_store_that_is_away_for_a_while(outage, tmp_path, monkeypatch, capsys):
    """Every call is stored or recorded as lost, by model, reason and span; diagnose prints the gaps."""
    monkeypatch.setattr(waiting, "WAITING_BYTES", 50_000)
    monkeypatch.setattr("radiosonde._sqlite.BUSY_TIMEOUT_S", 0.01)
    (tmp_path / "disk").mkdir()
    path = tmp_path / "disk" / "a.db"
    flight = Flight(Guard(reraise=True), environment={"RADIOSONDE_STORE": str(path), "RADIOSONDE_LABELS": "memory"})
    try:
        predict = flight.observe("delays", input=False)(lambda _: "yes")
        other = flight.observe("prices", input=False)(lambda _: "yes")

        def minute(number: int) -> None:
            with flight.at(START_S + 60 * number):
                for _ in range(3):
                    predict(None)
                other(None)

        minute(0)
        assert flight.flush(60)
        with outage(path):
            for number in range(1, 31):
                minute(number)
                assert not flight.flush(60)
        assert flight.flush(60)
        minute(31)
        assert flight.flush(60)
        lost = flight.losses()[losses.STORE_FAILED]
    finally:
        flight.shutdown()
    source = open_source(path)
    told = [window for window in source.runtime_windows() if window.lost is not None]
    windows = {place: count for window in told for place, count in window.lost.windows.items()}
    calls = {place[0]: count for window in told for place, count in window.lost.calls.items()}
    assert sum(windows.values()) == lost - windows.get(("__runtime__", losses.STORE_FAILED), 0)
    assert {reason for _, reason in windows} == {losses.STORE_FAILED}
    kept = {model: sum(w.calls for w in source.windows(model=model)) for model in ("delays", "prices")}
    assert {model: kept[model] + calls[model] for model in kept} == {"delays": 96, "prices": 32}
    assert {window.start_ns for window in told} == {(START_S + 60) * 10**9}
    main(["diagnose", str(path)])
    printed = " ".join(capsys.readouterr().out.split())
    assert "what was lost (delays): because 100 % of the calls between 2013-03-01 00:01 and" in printed
    assert f"({losses.STORE_FAILED} {windows['delays', losses.STORE_FAILED]})" in printed


def test_windows_that_no_store_can_hold_are_told_too(tmp_path):
    """Their neighbours are stored, flush says that something is missing, and the reason is another."""
    flight = Flight(Guard(reraise=True), environment={"RADIOSONDE_STORE": str(tmp_path / "a.db")})
    try:
        flight.observe("delays", input=False)(lambda _: "yes")(None)
        flight.pipeline()._delivery.export([make_window(), replace(make_window(), rows=2**80)])
        assert not flight.flush(60)
        assert flight.flush(60)
        assert flight.losses() == {losses.STORE_REFUSED: 1}
    finally:
        flight.shutdown()
    (told,) = [window for window in open_source(tmp_path / "a.db").runtime_windows() if window.lost is not None]
    assert told.lost.windows == {(make_window().key.model, losses.STORE_REFUSED): 1}
    assert told.lost.calls == {(make_window().key.model, losses.STORE_REFUSED): make_window().calls}
    assert (told.start_ns, told.end_ns) == (make_window().start_ns, make_window().end_ns)
