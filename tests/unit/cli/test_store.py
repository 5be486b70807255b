"""``radiosonde store``: what a person sees."""

from __future__ import annotations

import argparse
from contextlib import contextmanager
from pathlib import Path

import pytest

from radiosonde._clock import wall_ns
from radiosonde.cli import store as command
from radiosonde.errors import StoreError
from radiosonde.model import SeriesKey
from radiosonde.store import StoreReader, StoreWriter
from radiosonde.store.retention import DAY_NS
from tests.factories import HOUR_NS, START_NS, make_reference
from tests.unit.store.strategies import make_part


def run(*arguments: str | Path) -> int:
    """Run ``radiosonde store ...`` as the frame does."""
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    return command.run(parser.parse_args(["store", *map(str, arguments)]))


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a store of three hours of one model in two cohorts, with its reference."""
    monkeypatch.setenv("COLUMNS", "100")
    path = tmp_path / "flights.sqlite"
    parts = [
        make_part(
            1000 * (hour + 1),
            key=SeriesKey("delays", "2.3.1", "canary", f"carrier={carrier}"),
            start_ns=START_NS + hour * HOUR_NS,
            end_ns=START_NS + (hour + 1) * HOUR_NS,
        )
        for hour in range(3)
        for carrier in ("UA", "AA")
    ]
    StoreWriter(path).write(parts, {("delays", "2.3.1"): make_reference()})
    return path


def test_show_says_what_is_in_a_store(path, capsys):
    """One row per model, version and variant, then the place with its size, then the references; at most 100 columns."""
    assert run("show", path) == 0
    shown = capsys.readouterr().out
    table = [line.split() for line in shown.splitlines() if line.startswith("delays")]
    assert table == [
        ["delays", "2.3.1", "canary", "2", "6", "12,000", "12,000", "2013-03-01", "00:00", "2013-03-01", "03:00"]
    ]
    assert f"{path}: 6 windows, " in shown
    assert f"reference {make_reference().id} of delays 2.3.1: 2 features, 100 rows" in shown
    assert max(len(line) for line in shown.splitlines() if str(path) not in line) <= 100


def test_compact_adds_up_what_is_old_and_says_what_it_saved(tmp_path, monkeypatch, capsys):
    """The tiers of the settings are in force, counts stay, and a second time there is nothing to do."""
    monkeypatch.setenv("RADIOSONDE_STORE_TIERS", "1,2,3650")
    path = tmp_path / "old.sqlite"
    now = [wall_ns() - 90 * DAY_NS]
    writer = StoreWriter(path, clock_ns=lambda: now[0])
    start_ns = now[0] - now[0] % DAY_NS
    for minute in range(48 * 2):
        key = SeriesKey("delays", "1", "stable", "")
        writer.write(
            [
                make_part(
                    5, key=key, start_ns=start_ns + minute * HOUR_NS // 2, end_ns=start_ns + (minute + 1) * HOUR_NS // 2
                )
            ]
        )
    assert run("compact", path) == 0
    assert f"{path}: 96 windows merged into 2, " in capsys.readouterr().out
    assert sum(row.calls for row in StoreReader(path).summaries()) == 96 * 5
    assert run("compact", path) == 0
    assert f"{path}: nothing to merge in 2 windows" in capsys.readouterr().out


def test_an_interrupted_compaction_keeps_its_steps_and_says_so(tmp_path, monkeypatch, capsys):
    """Ctrl-C ends it between two steps: what was added up stays added up, and no count changes."""
    path = tmp_path / "old.sqlite"
    start_ns = (wall_ns() // DAY_NS - 90) * DAY_NS
    writer = StoreWriter(path, clock_ns=lambda: start_ns)
    begun = [start_ns + hour * HOUR_NS for hour in range(12 * 120)]  # more days than are added up in a step
    writer.write([make_part(5, key=SeriesKey("delays"), start_ns=each, end_ns=each + HOUR_NS) for each in begun])

    @contextmanager
    def pressed(_title):
        def progress(_done, _total):
            raise KeyboardInterrupt

        yield progress

    monkeypatch.setattr(command, "progress_bar", pressed)
    with pytest.raises(KeyboardInterrupt):
        run("compact", path)
    assert " windows merged into " in capsys.readouterr().out
    assert 60 < sum(row.windows for row in StoreReader(path).summaries()) < 12 * 120
    assert sum(row.calls for row in StoreReader(path).summaries()) == 12 * 120 * 5


def test_compact_makes_no_store(tmp_path):
    """A path without a store is an error, and stays without one."""
    with pytest.raises(StoreError, match="no store at"):
        run("compact", tmp_path / "typo.sqlite")
    assert not list(tmp_path.iterdir())


def test_seal_moves_closed_hours_and_show_reads_both(path, capsys):
    """Sealing says how much went where; the folder shows both places."""
    out = path.parent / "sealed"
    assert run("seal", path, "--out", out) == 0
    assert f"sealed 2 windows into {out} (1 segments, " in capsys.readouterr().out
    assert run("show", path.parent) == 0
    shown = capsys.readouterr().out
    assert f"{path}: 4 windows, " in shown
    assert f"{out}: 2 windows, " in shown


def test_seal_says_why_nothing_was_sealed(path, capsys):
    """Hours within the grace stay, `--all` takes them, and an empty store says that it is empty."""
    out = path.parent / "sealed"
    run("seal", path, "--out", out, "--grace-hours", "2")
    assert capsys.readouterr().out == "nothing to seal: the newest hours are still open; pass --all to seal them too\n"
    run("seal", path, "--out", out, "--all")
    assert capsys.readouterr().out.startswith("sealed 6 windows")
    run("seal", path, "--out", out, "--all")
    assert capsys.readouterr().out == "nothing to seal: the store has no windows\n"


def test_a_missing_store_is_an_error_the_frame_reports(tmp_path):
    """The command raises what the frame turns into a message and exit code 2."""
    with pytest.raises(StoreError, match="no store at"):
        run("show", tmp_path / "nothing.sqlite")
