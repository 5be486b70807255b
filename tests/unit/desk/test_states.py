"""What the desk shows of a store in any state: with incidents, healthy, empty, missing, foreign, locked, damaged, too new, old, growing."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing

import pytest

from radiosonde._guard import Guard
from radiosonde.cli._stores import filled_in, policy_of
from radiosonde.desk import Looking
from radiosonde.store import StoreWriter
from tests.factories import START_NS
from tests.unit.desk.stores import MINUTE_NS, Page, client, looked, service
from tests.unit.store.strategies import make_part


@pytest.fixture(scope="module")
def failing(tmp_path_factory):
    """Return the desk over a service whose calls fail for an hour."""
    return looked(service(tmp_path_factory.mktemp("desk") / "s.sqlite"))


def text_of(page, address="/"):
    """Return the text of a page that must be well formed and hold nothing inline."""
    answer = page.get(address)
    parsed = Page(answer.text)
    assert parsed.faults == []
    return parsed.text


def test_the_fleet_leads_to_the_incident_and_its_runbook(failing):
    """The failing model is on top with its incident, and the incident's page holds verdict, causes, timeline and filled commands."""
    page = client(failing)
    text = text_of(page)
    assert "1 model: 1 with findings" in text
    (incident,) = [each for each in failing.board.incidents if "errors" in failing.board.incidents[each].finding.kind]
    links = Page(page.get("/").text).links
    assert f"/incident?id={incident}" in links
    assert "/model?name=delays" in links
    text = text_of(page, f"/incident?id={incident}")
    store = failing.board.stores[0].path
    for expected in (
        "Is it over? Not fixed",
        "During the incident: 50 %; before it: 0 % (calls that fail)",
        f"radiosonde incident verify {store} {incident}",
        f"radiosonde incident ack {store} {incident}",
        "would have been found",
        "goes on in the last window",
        "Not declared",
        "likely",
        "ruled out",
    ):
        assert expected in text, expected


def test_the_model_shows_its_signals_in_the_order_of_triage(failing):
    """Sections come in the order of questions, each chart has its words for screen readers, and floors are listed."""
    answer = client(failing).get("/model?name=delays&last=all").text
    headings = ["Traffic", "Failures", "Latency", "Data", "Answers", "What was checked"]
    places = [answer.index(f"{heading} <small>") for heading in headings]
    assert places == sorted(places)
    assert 'aria-label="Calls a minute. 200 a minute to 200 a minute, last 200 a minute"' in answer
    assert 'aria-label="Share of failed calls. 0 % to 50 %, last 50 %"' in answer
    assert "Mean duration by phase. fetch: " in answer
    assert "would have reported" in answer
    assert 'class="incident"' in answer


def test_a_healthy_fleet_says_what_it_would_have_seen(tmp_path):
    """Green comes with the smallest change that would have been reported."""
    text = text_of(client(looked(service(tmp_path / "s.sqlite", fails_from=10_000))))
    assert "No incident is open" in text
    assert "would have reported errors: " in text


def broken(path, kind):
    """Make a store at *path* that cannot be read, of *kind*; return the words that its page must show."""
    if kind == "missing":
        return "there is no file or folder"
    if kind == "nothing":
        path.touch()
        return "nothing has been written to this store yet"
    if kind == "text":
        path.write_text("these are no windows " * 400)
        return "is not a Radiosonde store"
    if kind == "folder":
        path.mkdir()
        return "no store in folder"
    if kind == "foreign":
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE mine (a)")
        return "of another application"
    service(path, minutes=3)
    if kind == "too new":
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA user_version = 99")
        return "upgrade with"
    with path.open("r+b") as file:  # damaged
        file.seek(100)
        file.write(b"\xff" * 40_000)
    return str(path)


@pytest.mark.parametrize("kind", ["missing", "nothing", "text", "folder", "foreign", "too new", "damaged"])
def test_a_store_that_cannot_be_read_has_a_page_with_advice(tmp_path, kind):
    """The page names the store and what to do; beside a good store, that one is shown as usual."""
    path = tmp_path / "bad.sqlite"
    words = broken(path, kind)
    alone = client(looked(path))
    assert alone.get("/").status_code == 200
    text = text_of(alone)
    assert words in text
    assert "No store can be read" in text
    assert "bad.sqlite" in text_of(alone, "/stores")
    beside = client(looked(path, service(tmp_path / "good.sqlite", minutes=30)))
    text = text_of(beside)
    assert words in text
    assert "1 model:" in text


def test_a_locked_store_has_a_page_with_advice(tmp_path, monkeypatch):
    """A store that another process holds exclusively is named with advice."""
    path = service(tmp_path / "s.sqlite", minutes=3)
    monkeypatch.setattr("radiosonde.store.connection.BUSY_TIMEOUT_S", 0.05)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("UPDATE windows SET rows = rows + 1")
        text = text_of(client(looked(path)))
    assert "another process has held the store" in text


def test_an_empty_store_has_a_page_with_the_next_command(tmp_path):
    """A store without windows shows how to write to it, and its page changes once there is one."""
    path = tmp_path / "s.sqlite"
    writer = StoreWriter(path, clock_ns=lambda: START_NS)
    writer.write([], {})
    looking = looked(path)
    text = text_of(client(looking))
    assert "No windows yet" in text
    assert f"RADIOSONDE_STORE={path}" in text
    assert "Holds no window yet" in text_of(client(looking), "/stores")
    number = looking.board.number
    writer.write([make_part(5, start_ns=START_NS, end_ns=START_NS + MINUTE_NS)])
    looking.turn()
    assert looking.board.number > number
    assert "1 model:" in text_of(client(looking))


def test_a_store_that_grows_is_looked_at_again(tmp_path):
    """Without new windows a turn changes nothing; with them the model is diagnosed again and its charts reach further."""
    path = service(tmp_path / "s.sqlite", minutes=30, fails_from=10_000)
    looking = looked(path)
    board = looking.board
    looking.turn()
    assert looking.board is board
    more = make_part(7, start_ns=START_NS + 30 * MINUTE_NS, end_ns=START_NS + 31 * MINUTE_NS)
    StoreWriter(path, clock_ns=lambda: START_NS).write([more])
    looking.turn()
    assert looking.board.models["delays"].series.end_ns == START_NS + 31 * MINUTE_NS


def test_a_store_that_disappears_and_returns(tmp_path):
    """The page names a store that was removed, and shows it again when it is back."""
    path = service(tmp_path / "s.sqlite", minutes=10)
    looking = looked(path)
    moved = path.rename(tmp_path / "moved.sqlite")
    looking.turn()
    assert "there is no file or folder" in text_of(client(looking))
    assert looking.board.models == {}
    moved.rename(path)
    looking.turn()
    assert "1 model:" in text_of(client(looking))


def test_before_the_first_look_the_page_says_so(tmp_path):
    """A page that is opened at once is answered at once."""
    page = client(Looking([service(tmp_path / "s.sqlite", minutes=3)], policy_of, filled_in))
    text = text_of(page)
    assert "first look under way" in text
    assert "The stores are being read" in text


def test_a_damaged_reference_hides_no_other_model(tmp_path):
    """The page names the damaged reference and how to repair it, and shows every other model, also in later looks."""
    paths = [service(tmp_path / f"{name}.sqlite", model=name, minutes=10) for name in "abc"]
    with closing(sqlite3.connect(paths[1])) as connection:
        connection.execute("UPDATE reference_profiles SET document = replace(document, '\"wind\"', '\"sun\"')")
        connection.commit()
    looking = Looking(paths, policy_of, filled_in, guard=Guard(reraise=True))
    looking.start()
    try:
        deadline = time.monotonic() + 120
        while set(looking.board.models) != {"a", "c"} and time.monotonic() < deadline:
            time.sleep(0.02)
    finally:
        looking.stop(60)
    assert set(looking.board.models) == {"a", "c"}
    text = text_of(client(looking))
    assert "the stored reference of b 1 is damaged" in text
    assert "build it again" in text
    assert "2 models: " in text


def test_an_internal_error_is_named_and_hides_no_page(tmp_path):
    """A bug in a look is named on the page, which goes on to be served; the error is logged by the guard and kills no thread."""

    def broken_policy(stores, source):
        raise ZeroDivisionError

    looking = Looking([service(tmp_path / "s.sqlite", minutes=3)], broken_policy, filled_in, guard=Guard())
    looking.start()
    try:
        deadline = time.monotonic() + 120
        while not looking.board.problem and time.monotonic() < deadline:
            time.sleep(0.02)
    finally:
        looking.stop(60)
    assert "The last look failed" in text_of(client(looking))
    assert "a bug" in looking.board.problem
