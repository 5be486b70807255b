"""The spool folder: permissions, files, and liveness."""

from __future__ import annotations

import os
import resource
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from radiosonde._ring.layout import MAGIC, PAGE, PAGE_BYTES
from radiosonde._ring.reader import RingReader
from radiosonde._ring.ring import Ring
from radiosonde._ring.spool import Spool, create_file, is_held, prune_dead
from radiosonde.errors import SpoolError

HOLDER = """
import sys
from radiosonde._ring.ring import Ring
from radiosonde._ring.spool import Spool
ring = Ring(2, spool=Spool(sys.argv[1]), process="holder", total_bytes=65536)
print("held", flush=True)
sys.stdin.read()
"""


def make_ring(folder: Path, **page: object) -> Ring:
    """Return a small ring in the spool *folder*."""
    return Ring(3, spool=Spool(folder), process="p1", total_bytes=65_536, schema=page)


def test_a_missing_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    """A spool is made with mode 0700, its parents too."""
    Spool(tmp_path / "deep" / "spool")
    assert stat.S_IMODE((tmp_path / "deep" / "spool").stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o770, 0o701, 0o755])
def test_a_folder_that_others_may_enter_is_refused(tmp_path: Path, mode: int) -> None:
    """Features lie in the spool as they are, so a folder open to others is an error that says what to do."""
    tmp_path.chmod(mode)
    with pytest.raises(SpoolError, match="chmod 700"):
        Spool(tmp_path)
    tmp_path.chmod(0o700)


def test_a_file_is_no_spool(tmp_path: Path) -> None:
    """A path that is a file cannot be a spool."""
    (tmp_path / "file").write_text("")
    with pytest.raises(SpoolError, match="choose a writable folder"):
        Spool(tmp_path / "file")


def test_a_ring_file_can_be_read_by_another_reader(tmp_path: Path) -> None:
    """Data written through one mapping are read through another: names, rows and batches."""
    ring = make_ring(tmp_path / "s", model="delays", features=["a", "b", "c"])
    ring.rows[5] = (1.5, 2.5, 3.5)
    position = ring.arena.reserve(6)
    ring.arena.block(position, 2, 3)[:] = 7.0
    (file,) = Spool(tmp_path / "s").rings()
    other = Ring.attach(file)
    assert (file.process, file.nonce, other.nonce, other.capacity) == ("p1", ring.nonce, ring.nonce, ring.capacity)
    assert other.schema == {"model": "delays", "features": ["a", "b", "c"]}
    assert other.rows[5].tolist() == [1.5, 2.5, 3.5]
    assert other.arena.block(position, 2, 3).tolist() == [[7.0] * 3] * 2
    assert other.arena.is_whole(position)
    ring.arena.reserve(ring.arena.largest)
    ring.arena.reserve(ring.arena.largest)
    assert not other.arena.is_whole(position)


def test_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    """Every file in the spool has mode 0600."""
    ring = make_ring(tmp_path / "s")
    ring.arena.reserve(1)
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "s").iterdir()} == {0o600}


def test_a_reader_drains_an_attached_ring(tmp_path: Path) -> None:
    """The reader does not care whether the ring is its own process's."""
    ring = make_ring(tmp_path / "s")
    (file,) = Spool(tmp_path / "s").rings()
    assert len(RingReader(Ring.attach(file)).drain()) == 0
    assert ring.file == file


def test_the_lock_tells_the_living_from_the_dead(tmp_path: Path) -> None:
    """A ring is held while its process lives, and free once it is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "s")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        (file,) = Spool(tmp_path / "s").rings()
        assert is_held(file.path)
        process.kill()
        process.wait(10)
        assert not is_held(file.path)
    finally:
        process.kill()
        process.communicate(timeout=60)


def test_a_missing_file_is_held_by_nobody(tmp_path: Path) -> None:
    """Querying a ring that was just removed is not an error."""
    assert not is_held(tmp_path / "gone.ring")


def test_remove_takes_everything_of_a_ring_and_nothing_else(tmp_path: Path) -> None:
    """Removing a ring removes its three files; other files stay, and a second removal is not an error."""
    ring = make_ring(tmp_path / "s")
    ring.arena.reserve(1)
    (tmp_path / "s" / "notes.txt").write_text("")
    spool = Spool(tmp_path / "s")
    (file,) = spool.rings()
    spool.remove(file)
    spool.remove(file)
    assert [path.name for path in (tmp_path / "s").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("name", ["x.ring", "p1-12345.ring", "p1-zzzzzzzz.ring", "p1-0000000g.ring"])
def test_files_of_other_names_are_left_alone(tmp_path: Path, name: str) -> None:
    """Files with other names are not rings."""
    spool = Spool(tmp_path / "s")
    (tmp_path / "s" / name).write_bytes(b"")
    assert spool.rings() == []


def damage(content: bytearray, how: str) -> bytes:
    """Return the bytes of a ring file after an accident."""
    if how == "empty":
        return b""
    if how == "short page":
        return bytes(content[: PAGE_BYTES - 1])
    if how == "cut":
        return bytes(content[:-8])
    if how == "foreign":
        return b"NOTARING" + bytes(content[8:])
    if how == "newer":
        fields = list(PAGE.unpack_from(content))
        fields[1] = 99
        PAGE.pack_into(content, 0, *fields)
    if how == "names":
        content[PAGE_BYTES : PAGE_BYTES + 4] = b"\xff\xff\xff\xff"
    return bytes(content)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("empty", "cannot be read"),
        ("short page", "damaged, or not a ring"),
        ("cut", "damaged, or not a ring"),
        ("foreign", "damaged, or not a ring"),
        ("newer", "layout 99, this version reads 3"),
        ("names", "damaged, or not a ring"),
    ],
)
def test_a_damaged_ring_is_named_with_what_to_do(tmp_path: Path, how: str, message: str) -> None:
    """Torn, foreign and newer files each give a message that names the file."""
    ring = make_ring(tmp_path / "s", model="m")
    assert ring.file is not None
    content = bytearray(ring.file.path.read_bytes())
    assert content[:8] == MAGIC
    ring.file.path.write_bytes(damage(content, how))
    with pytest.raises(SpoolError, match=message) as caught:
        Ring.attach(ring.file)
    assert str(ring.file.path) in str(caught.value)


def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    """Space is claimed before the file is mapped: a file that does not fit is refused, not a bus error later."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limit[1]))
    try:
        with pytest.raises(SpoolError, match="cannot be created"):
            create_file(tmp_path / "big.ring", 1 << 20)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_folder_is_refused(tmp_path: Path) -> None:
    """A folder without write permission gives a message, not a traceback from deep inside."""
    (tmp_path / "s").mkdir(mode=0o500)
    with pytest.raises(SpoolError, match="choose a writable folder"):
        make_ring(tmp_path / "s")


def test_the_rings_of_the_newest_dead_are_kept(tmp_path: Path) -> None:
    """Processes that drained themselves and died leave their rings for the flight recorder, the newest few; others stay."""
    script = (
        "import sys\nfrom radiosonde._ring.ring import Ring\nfrom radiosonde._ring.spool import Spool\n"
        "for number in range(5):\n"
        "    for consumer in ('self', 'agent'):\n"
        "        for lane in range(2):\n"
        "            ring = Ring(2, spool=Spool(sys.argv[1]), process=f'{consumer}{number}', total_bytes=65536,\n"
        "                        schema={'consumer': consumer})\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "s")], check=True, timeout=240)
    (tmp_path / "s" / "torn-00000000.ring").write_bytes(b"torn")
    own = make_ring(tmp_path / "s", consumer="self")
    for number in range(5):
        for path in (tmp_path / "s").glob(f"self{number}-*.ring"):
            os.utime(path, (1000 - number, 1000 - number))
    assert prune_dead(Spool(tmp_path / "s"), keep=2) == 6
    left = sorted(path.name.partition("-")[0] for path in (tmp_path / "s").glob("*.ring"))
    agents = [f"agent{number}" for number in range(5) for _ in range(2)]
    assert left == [*agents, "p1", "self0", "self0", "self1", "self1", "torn"]
    assert own.file is not None
    held = "import sys\nfrom pathlib import Path\nfrom radiosonde._ring.spool import is_held\nprint(is_held(Path(sys.argv[1])))"
    done = subprocess.run(
        [sys.executable, "-c", held, own.file.path], capture_output=True, text=True, check=True, timeout=240
    )
    assert done.stdout == "True\n"  # queries did not release the own lock
