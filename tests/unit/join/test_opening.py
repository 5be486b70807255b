"""The store of a target, and the error for one that cannot be opened."""

from __future__ import annotations

import subprocess
import sys

import pytest

from radiosonde._join.memory import MemoryJoinStore
from radiosonde._join.opening import open_join_store
from radiosonde._join.redis import RedisJoinStore
from radiosonde._join.sqlite import SqliteJoinStore
from radiosonde.errors import ConfigurationError, StoreError
from tests.redis_server import running_redis


@pytest.fixture(scope="module")
def redis_url(require_program, tmp_path_factory):
    """Run a server for the module."""
    with running_redis(require_program("redis-server"), tmp_path_factory.mktemp("redis")) as url:
        yield url


def test_nothing_is_memory_and_a_path_is_a_file(tmp_path):
    """And the file is there from the start."""
    assert isinstance(open_join_store(None), MemoryJoinStore)
    opened = open_join_store(str(tmp_path / "join.sqlite"))
    assert isinstance(opened, SqliteJoinStore)
    assert (tmp_path / "join.sqlite").exists()
    opened.close()


def test_an_address_is_a_redis(redis_url):
    """Whose keys all have our prefix."""
    opened = open_join_store(redis_url)
    assert isinstance(opened, RedisJoinStore)
    opened.alias([("order", f"{1:032x}")])
    assert all(key.startswith(b"radiosonde:join:") for key in opened._client.scan_iter())
    opened.close()


def test_a_server_that_does_not_answer_is_named_without_the_password(free_port):
    """With what to check."""
    with pytest.raises(StoreError, match=rf"Redis at 127.0.0.1:{free_port}: .*check that it runs") as caught:
        open_join_store(f"redis://me:secret@127.0.0.1:{free_port}/0")
    assert "secret" not in str(caught.value)


def test_what_is_no_address_is_told():
    """With the form of one."""
    with pytest.raises(ConfigurationError, match=r"give redis://host:port/database"):
        open_join_store("redis://localhost:port")


def test_a_missing_client_is_told_with_what_to_install():
    """In an interpreter that has none."""
    script = (
        "import sys; sys.modules['redis'] = None\n"
        "from radiosonde._join.opening import open_join_store\n"
        "try:\n    open_join_store('redis://localhost')\n"
        "except Exception as error:\n    print(type(error).__name__, error)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=240, check=True
    ).stdout
    assert said == "ConfigurationError a join store on Redis needs its client: pip install 'radiosonde[redis]'\n"
