from __future__ import annotations

from datetime import datetime

import pytest

from radiosonde.errors import ConfigurationError, RadiosondeError
from radiosonde_demo.flight import Plan, clear
from radiosonde_demo.flights import NEW_YORK


def test_a_flight_replaces_what_an_earlier_one_left_and_nothing_else(tmp_path):
    """The second flight finds the store of the first removed, and a note of the user's in its place."""
    folder = tmp_path / "new" / "demo"
    clear(folder)
    for name in ("store.db", "store.db-wal", "report.html", "v1.pickle", "note.txt"):
        (folder / name).write_text("x")
    clear(folder)
    assert sorted(path.name for path in folder.iterdir()) == [".radiosonde-demo", "note.txt"]


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    """A folder that holds files and no flight is refused, with the option to use, and stays as it was."""
    (tmp_path / "report.html").write_text("mine")
    with pytest.raises(RadiosondeError, match="choose another folder with --out"):
        clear(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    """A path of a file is refused as the folder of a replay."""
    (tmp_path / "demo").write_text("mine")
    with pytest.raises(RadiosondeError, match="is not a folder"):
        clear(tmp_path / "demo")


@pytest.mark.parametrize(
    ("day", "days", "message"), [(1, 32, "days of March"), (30, 14, "days of March"), (1, 13, "too few")]
)
def test_days_that_cannot_be_flown_are_refused(tmp_path, day, days, message):
    """The replay stays inside March, and is long enough for an incident to show."""
    with pytest.raises(ConfigurationError, match=message):
        Plan(tmp_path, start=datetime(2013, 3, day, tzinfo=NEW_YORK), days=days)


def test_the_whole_of_march_can_be_flown(tmp_path):
    """March has 31 days, and ends at midnight in New York, daylight saving time."""
    assert Plan(tmp_path, days=31).end.isoformat() == "2013-04-01T00:00:00-04:00"


def test_a_healthy_flight_has_no_incidents(tmp_path):
    """The same plan has three incidents, and none when it is healthy."""
    assert len(Plan(tmp_path).incidents.moments()) == 3
    assert Plan(tmp_path, healthy=True).incidents.moments() == []
