"""Where the copy of a database lies, and when databases are asked for what is new."""

from __future__ import annotations

from pathlib import Path

import pytest

from radiosonde.cli import main
from radiosonde.errors import ConfigurationError, StoreError
from radiosonde.sources import parse
from radiosonde.store import StoreWriter
from radiosonde.watch.copying import CopyingLooker, default_copy

DATABASE = "clickhouse://someone:secret@db:1234/otel"


@pytest.mark.parametrize(
    ("address", "name"),
    [
        (DATABASE, "watch-db-1234-otel.sqlite"),
        ("clickhouse://db/otel", "watch-db-8123-otel.sqlite"),
        ("clickhouse://[::1]:81/a%20b", "watch-%3A%3A1-81-a%20b.sqlite"),
    ],
    ids=["all parts", "no port", "odd characters"],
)
def test_the_copy_of_a_database_has_one_place_for_an_account(tmp_path, address, name):
    """By its address, so that two watches find the same; without user and password."""
    variables = {"XDG_STATE_HOME": str(tmp_path / "state")}
    assert default_copy(parse(address), variables) == tmp_path / "state/radiosonde" / name
    assert (tmp_path / "state/radiosonde").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("base", ["", "relative/path", None], ids=["empty", "relative", "none"])
def test_without_a_usable_variable_it_is_in_the_home(tmp_path, monkeypatch, base):
    """A relative path is to be ignored, by the specification of XDG."""
    monkeypatch.setenv("HOME", str(tmp_path))
    variables = {} if base is None else {"XDG_STATE_HOME": base}
    assert default_copy(parse(DATABASE), variables).parent == tmp_path / ".local/state/radiosonde"


def test_a_folder_that_cannot_be_made_is_an_error_with_what_to_do(tmp_path):
    """Here a file is in the way."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="set XDG_STATE_HOME, or pass --state FILE") as refused:
        default_copy(parse(DATABASE), {"XDG_STATE_HOME": str(tmp_path / "file")})
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("spelling", ["store.sqlite", "./store.sqlite"])
def test_a_copy_is_never_written_into_a_store(tmp_path, monkeypatch, capsys, spelling):
    """A store that is watched too cannot be the state."""
    monkeypatch.chdir(tmp_path)
    StoreWriter(Path("store.sqlite")).close()
    assert main(["watch", "--once", DATABASE, "store.sqlite", "--state", spelling]) == 2
    assert "pass another --state FILE" in capsys.readouterr().err


class Asked:
    """A copy, or a looker, that counts how often it is asked and can be made to fail."""

    def __init__(self):
        self.times, self.fails = 0, False

    def refresh(self, now_ns):
        """Count."""
        self.times += 1
        if self.fails:
            raise StoreError("gone")

    def has_grown(self, now_ns):
        """Say yes."""
        return True

    def look(self, now_ns):
        """Return something."""
        return "a look"


def test_a_database_is_asked_again_after_a_pause_and_at_once_after_a_failure():
    """Never is something diagnosed while the copy is behind."""
    copy = Asked()
    looker = CopyingLooker(Asked(), [copy], every_s=600.0)
    copy.fails = True
    for asked in (1, 2):
        with pytest.raises(StoreError):
            looker.look(0)
        assert copy.times == asked
    copy.fails = False
    assert looker.has_grown(0)
    assert looker.look(0) == "a look"
    assert copy.times == 3
