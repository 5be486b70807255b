"""``radiosonde doctor`` knows the watch: whether one runs, what is declared, whether it can be reached."""

from __future__ import annotations

import socket

import pytest

from radiosonde._clock import NS, wall_ns
from radiosonde._settings import Settings
from radiosonde.cli._checkup_watch import watch_lines
from radiosonde.store import StoreWriter
from radiosonde.watch.state import WatchState, owner


@pytest.fixture
def store(tmp_path):
    """Return a store."""
    StoreWriter(tmp_path / "store.sqlite").close()
    return tmp_path / "store.sqlite"


def lines(store, **variables) -> list[tuple[str, str]]:
    """Return state and sentence of each line."""
    return [(line.state, line.said) for line in watch_lines(Settings(store=str(store)), variables)]


def test_it_says_whether_a_watch_runs(store):
    """By the lease; one that is over is none. Where nothing is declared and none ever ran, nothing is said."""
    assert lines(store) == []
    WatchState(store, owner("me")).take_lease(wall_ns(), 60 * NS)
    assert lines(store)[0][0] == "ok"
    WatchState(store, owner("me")).take_lease(1, 2)
    assert lines(store)[0][0] == "off"
    assert list(watch_lines(Settings(), {})) == []


def test_a_channel_is_reached_or_not(store, tmp_path):
    """A port that listens, one that does not, and an address from a variable, which is not shown."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        (tmp_path / "radiosonde.toml").write_text(
            f'[watch]\nwebhooks = ["http://127.0.0.1:{port}/secret", "http://127.0.0.1:1/"]\nslack = ["env:S"]\n'
        )
        said = lines(store, S=f"http://127.0.0.1:{port}/T/B/secret")[1:]
    assert [state for state, _ in said] == ["ok", "fix", "ok"]
    assert all("secret" not in text for _, text in said)


@pytest.mark.parametrize(
    "text", ['[watch]\nslack = ["env:NOT_SET"]\n', '[watch]\nlabels = ["x"]\n', '[watch]\nwebhook_template = "none.json"\n', '[watch]\ntraces = "{x}"\n']
)  # fmt: skip
def test_what_would_end_the_watch_is_said_before(store, tmp_path, text):
    """With the sentence that the watch itself would end with."""
    (tmp_path / "radiosonde.toml").write_text(text)
    assert [state for state, _ in lines(store)] == ["fix"]
