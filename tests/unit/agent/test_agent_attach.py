"""Rings of other processes: names, references, batches, and predictions in flight at a crash."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from radiosonde._guard import Guard
from radiosonde._ring.names import COHORTS, Name, NameWriter
from radiosonde.cli import main
from radiosonde.reference.codec import from_text
from radiosonde.store.reader import Interval, StoreReader
from tests.factories import make_feature, make_reference
from tests.unit.pipeline.spooled import draining, rings, serving, stored


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """Return the path of a spool that its first user creates."""
    return tmp_path / "spool"


def test_processes_that_learned_names_in_another_order_add_up(spool: Path) -> None:
    """Classes, phases, error types, cohorts and categories have other codes in each process; counts go by name."""
    with serving(spool) as one, serving(spool) as two, draining(spool) as agent:
        one.predict(({"origin": "JFK"}, "late", "fetch"), times=5)
        one.predict(({"origin": "EWR"}, "on_time", "infer"), times=3)
        agent.turn()
        two.predict(({"origin": "EWR"}, "on_time", "infer"), times=20)
        agent.turn()
        two.predict(({"origin": "LGA"}, "error", ""), ({"origin": "JFK"}, "late", "fetch"), times=7)
        agent.turn()
        (window,) = agent.snapshot().windows
        assert agent.commit(is_end=True)
    total = stored(spool)
    for found in (window, total):
        assert (found.calls, dict(found.errors)) == (42, {"ValueError": 7})
        assert dict(zip(found.output.classes, found.output.class_counts.tolist(), strict=True)) == {
            "late": 12,
            "on_time": 23,
        }
        assert sorted(found.latency.phases) == ["fetch", "infer"]
    # The grid is of what both processes saw.
    (reference,) = StoreReader(spool / "agent.sqlite").references()
    categories = from_text(reference.document, origin="store").features[0].categories
    cells = total.features.cells[0].tolist()
    assert {name: cells[place] for place, name in enumerate(categories)} == {"JFK": 12, "EWR": 23, "LGA": 7}
    assert sum(cells) == 42


def test_a_category_that_comes_later_is_counted_in_its_cell(spool: Path) -> None:
    """A grid made in one process holds for the others, also for names they learn after they were given it."""
    with serving(spool) as one, serving(spool) as two, draining(spool) as agent:
        one.predict(*(({"origin": origin}, "late", "") for origin in "ABC"), times=4)
        agent.turn()
        agent.commit(is_end=True)  # makes the grid
        for origin in "CBAD":
            two.predict(({"origin": origin}, "late", ""), times=2)
            agent.turn()
        (window,) = agent.snapshot().windows
        (reference,) = agent.snapshot().references.values()
        agent.commit()
    with serving(spool) as three, draining(spool) as agent:
        three.predict(*(({"origin": origin}, "late", "") for origin in "CA"), times=5)
        agent.turn()
        (later,) = agent.snapshot().windows
    assert reference.provisional
    by_name = {name: place for place, name in enumerate(reference.features[0].categories)}
    cells, cells_later = window.features.cells[0], later.features.cells[0]
    assert [int(cells[by_name[origin]]) for origin in "ABC"] == [6, 6, 6]
    assert int(cells.sum()) == 20  # D is unseen
    assert [int(cells_later[by_name[origin]]) for origin in "ABC"] == [11, 6, 11]


def test_all_processes_of_a_version_share_a_provisional_grid(spool: Path) -> None:
    """Counts add up only within one grid, so there is one, independent of the first rows of each process."""
    with serving(spool) as one, serving(spool) as two, draining(spool) as agent:
        one.predict(*(({"wind": float(wind)}, "late", "") for wind in range(40)), times=3)
        agent.turn()
        agent.commit(is_end=True)
        two.predict(*(({"wind": 1000.0 + wind}, "late", "") for wind in range(40)), times=2)
        agent.turn()
        agent.commit()
        (window,) = agent.snapshot().windows
    assert window.features.provisional
    above = window.features.cells[0, -3]  # body cells, below, above, missing, invalid
    assert (int(window.features.cells.sum()), int(above)) == (200, 80)


def test_names_that_were_lost_stand_as_their_codes(spool: Path) -> None:
    """A disk that was full when a name came costs the name, not the counts, wherever the gap is."""
    with serving(spool, cohorts={"plan": ["*"]}) as server:
        for plan in ("free", "pro", "team"):
            server.predict(({"wind": 1.0}, plan, ""), times=2, plan=plan)
        server.kill()
        (path,) = spool.glob("*.names")
        path.unlink()
        writer = NameWriter(path)
        writer.append(Name(COHORTS, 0, 2, "plan=pro"))
        writer.close()
        with draining(spool) as agent:
            agent.turn()
            windows = agent.snapshot().windows
    assert {window.key.cohort: window.calls for window in windows} == {"#1": 2, "plan=pro": 2, "#3": 2}
    counts = {
        name: int(count)
        for window in windows
        for name, count in zip(window.output.classes, window.output.class_counts, strict=True)
        if count
    }
    assert counts == {"#0": 2, "#1": 2, "#2": 2}


def test_batches_come_through_the_arena_of_another_process(spool: Path) -> None:
    """Every row of a batch is counted, also when the agent that drained it died before its commit."""
    with serving(spool) as server:
        with draining(spool) as first:
            server.do("batch", rows=1000, value=3.0, answer="late")
            first.turn()
            assert first.commit()
            server.do("batch", rows=500, value=3.0, answer="on_time")
            first.turn()
        with draining(spool) as second:
            server.do("batch", rows=250, value=3.0, answer="late")
            assert second.close()
            assert rings(spool) == [".arena", ".names", ".ring"]
    total = stored(spool, "batches")
    assert (total.calls, total.rows) == (3, 1750)
    assert total.features.cells.sum(axis=1).tolist() == [1750, 1750]
    assert dict(zip(total.output.classes, total.output.class_counts.tolist(), strict=True)) == {
        "late": 1250,
        "on_time": 500,
    }


def test_a_batch_whose_classes_lost_their_names_is_counted(spool: Path) -> None:
    """Codes of a batch lie in the arena; those without a name are used as names too."""
    with serving(spool) as server:
        server.do("batch", rows=10, value=3.0, answer="late")
        server.kill()
        (path,) = spool.glob("*.names")
        path.unlink()
        with draining(spool) as agent:
            agent.turn()
    total = stored(spool, "batches")
    assert (total.output.classes, total.output.class_counts.tolist()) == (("#0",), [10])


def test_the_reference_of_the_server_is_the_agents(spool: Path, tmp_path: Path) -> None:
    """A profile given to the server lies in the spool; cells are counted by it, and no sketch holds a pii value."""
    reference = make_reference(
        [make_feature("wind", (1, 1, 0, 0, 0, 0)), replace(make_feature("age", (1, 1, 0, 0, 0, 0)), pii=True)]
    )
    reference.save(tmp_path / "delays.json")
    with serving(spool, references={"*": str(tmp_path / "delays.json")}) as server, draining(spool) as agent:
        server.predict(({"wind": 0.5, "age": 1.5}, "late", ""), ({"wind": -1.0, "age": 1.5}, "late", ""))
        agent.turn()
        agent.commit()
        assert agent.snapshot().references["delays", "1"].id == reference.id
    (window,) = (window for _, window in StoreReader(spool / "agent.sqlite").parts(Interval()))
    assert not window.features.provisional
    assert window.features.cells.tolist() == [[1, 0, 1, 0, 0, 0], [0, 0, 0, 2, 0, 0]]
    assert {feature for feature, _ in window.features.sketches} == {"wind"}


def test_what_was_in_flight_when_a_process_died_is_told(
    spool: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Counted by name and not as a call, named in a crash report for `blackbox`, and no value reaches the log."""
    reference = make_reference(
        [make_feature("wind", (1, 1, 0, 0, 0, 0)), replace(make_feature("age", (1, 1, 0, 0, 0, 0)), pii=True)]
    )
    reference.save(tmp_path / "delays.json")
    guard = Guard(reraise=True)
    with serving(spool, references={"*": str(tmp_path / "delays.json")}) as server, draining(spool, guard) as agent:
        server.predict(({"wind": 0.5, "age": 61.0}, "late", ""), times=5)
        server.do("hold", row={"wind": 777.5, "age": 62.0})
        server.do("hold", row={"wind": 778.0, "age": 63.0})
        server.kill()
        agent.turn()
        assert guard.losses() == {"died_in_flight": 2}
        assert stored(spool).calls == 5
        assert rings(spool) == []
    (message,) = [record.getMessage() for record in caplog.records]
    assert "died with 2 predictions in flight" in message
    assert f"radiosonde blackbox {spool}" in message
    assert "777.5" not in message
    (report,) = spool.glob("*.crash.json")
    assert stat.S_IMODE(report.stat().st_mode) == 0o600
    assert all(age not in report.read_text() for age in ('"61"', '"62"', '"63"'))

    assert main(["blackbox", str(spool), "--json", "--last", "2"]) == 1
    (ring,) = json.loads(capsys.readouterr().out)["rings"]
    assert (ring["model"], ring["is_alive"], len(ring["last"])) == ("delays", False, 2)
    assert [each["features"] for each in ring["in_flight"]] == [
        [{"wind": "777.5", "age": "(pii)"}],
        [{"wind": "778", "age": "(pii)"}],
    ]
    assert main(["blackbox", str(spool), "--dead"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("delays 1 stable  process ")
    assert lines[0].endswith("DEAD")
    assert sum("IN FLIGHT WHEN IT DIED" in line for line in lines) == 2
    assert "    features   wind=777.5  age=(pii)" in lines


def test_a_torn_crash_report_does_not_hide_the_others(spool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is named on stderr, like a torn ring."""
    spool.mkdir(mode=0o700)
    (spool / "a-00000000.crash.json").write_text('{"process": "a"')
    (spool / "b-00000000.crash.json").write_text("[]")
    assert main(["blackbox", str(spool), "--json"]) == 2
    found = json.loads(capsys.readouterr().out)
    assert found["rings"] == []
    assert ["is damaged, or not a crash report" in each for each in found["unreadable"]] == [True, True]


def test_the_oldest_crash_reports_go_first(spool: Path) -> None:
    """Twenty are kept: a model that crashes in a loop does not fill the disk."""
    spool.mkdir(mode=0o700)
    for number in range(25):
        (spool / f"old{number}-00000000.crash.json").write_text("{}")
    with serving(spool) as server, draining(spool, Guard()) as agent:
        server.do("hold", row={"wind": 1.0})
        server.kill()
        agent.turn()
    kept = list(spool.glob("*.crash.json"))
    assert len(kept) == 20
    (newest,) = [path for path in kept if not path.name.startswith("old")]
    assert json.loads(newest.read_text())["model"] == "delays"


def test_a_full_disk_leaves_no_half_name(tmp_path: Path) -> None:
    """A name that was cut short is taken back, so that those after it are read."""
    resource = pytest.importorskip("resource")
    path = tmp_path / "x.names"
    writer = NameWriter(path)
    writer.append(Name(COHORTS, 0, 1, "plan=free"))
    size = path.stat().st_size
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 5, limit[1]))
    try:
        with pytest.raises(OSError, match="No space left"):
            writer.append(Name(COHORTS, 0, 2, "plan=pro"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert path.stat().st_size == size
    writer.close()


def test_rows_count_alike_in_arrays(spool: Path) -> None:
    """Cells of the agent are those that the same rows give inside the server."""
    values = np.linspace(-5, 5, 100).tolist()
    calls = [({"wind": value}, "late", "") for value in values]
    with serving(spool) as server, draining(spool) as agent:
        server.predict(*calls)
        agent.turn()
        agent.commit()
        (window,) = agent.snapshot().windows
    assert window.features.cells[0, :-4].tolist() == [10] * 10
