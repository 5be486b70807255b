"""The side table of a ring: every text is found again, a torn tail is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radiosonde._ring.names import CATEGORIES, CLASSES, KEPT_OPEN, LONGEST_BYTES, Name, NameReader, NameWriter

names = st.builds(
    Name,
    st.integers(0, 4),
    st.integers(0, 65_535),
    st.integers(0, 2**32 - 1),
    st.text(max_size=40).filter(str.isprintable),
)


@given(st.lists(names, max_size=20), st.integers(0, 20))
def test_what_is_appended_is_read_once_in_order(
    tmp_path_factory: pytest.TempPathFactory, added: list[Name], cut: int
) -> None:
    """A reader reads only the names added since its last read."""
    path = tmp_path_factory.mktemp("names") / "x.names"
    writer, reader = NameWriter(path), NameReader(path)
    for name in added[:cut]:
        writer.append(name)
    first = list(reader.read())
    for name in added[cut:]:
        writer.append(name)
    writer.close()
    assert (first, list(reader.read())) == (added[:cut], added[cut:])


@pytest.mark.parametrize("lost", [1, 5, 17])
def test_a_torn_tail_ends_the_reading(tmp_path: Path, lost: int) -> None:
    """A record that a full disk cut short is not read; those before it are."""
    path = tmp_path / "x.names"
    writer = NameWriter(path)
    writer.append(Name(CLASSES, 0, 0, "late"))
    writer.append(Name(CATEGORIES, 3, 7, "JFK"))
    writer.close()
    path.write_bytes(path.read_bytes()[:-lost])
    assert list(NameReader(path).read()) == [Name(CLASSES, 0, 0, "late")]


def test_a_flipped_bit_ends_the_reading(tmp_path: Path) -> None:
    """The checksum detects a changed text."""
    path = tmp_path / "x.names"
    writer = NameWriter(path)
    writer.append(Name(CLASSES, 0, 0, "late"))
    writer.close()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert list(NameReader(path).read()) == []


def test_a_long_text_is_cut(tmp_path: Path) -> None:
    """Texts are bounded, so a table is."""
    writer = NameWriter(tmp_path / "x.names")
    writer.append(Name(CLASSES, 0, 0, "x" * 10_000))
    writer.close()
    assert [len(name.text) for name in NameReader(tmp_path / "x.names").read()] == [LONGEST_BYTES]


def test_a_missing_table_is_empty(tmp_path: Path) -> None:
    """A ring whose side table is gone shows codes, not an error."""
    assert list(NameReader(tmp_path / "gone.names").read()) == []


def test_few_files_of_names_are_open_at_a_time(tmp_path: Path) -> None:
    """Thirty writers that take turns keep eight files open, and every name is found."""
    held = len(list(Path("/proc/self/fd").iterdir()))
    writers = [NameWriter(tmp_path / f"{number}.names") for number in range(30)]
    for code in range(3):
        for number, writer in enumerate(writers):
            writer.append(Name(CLASSES, 0, code, f"{number} {code}"))
        assert len(list(Path("/proc/self/fd").iterdir())) <= held + KEPT_OPEN
    for number, writer in enumerate(writers):
        writer.close()
        writer.append(Name(CLASSES, 0, 9, "ignored"))
        found = [name.text for name in NameReader(tmp_path / f"{number}.names").read()]
        assert found == [f"{number} {code}" for code in range(3)]
    assert len(list(Path("/proc/self/fd").iterdir())) <= held


def test_a_file_of_names_that_was_removed_is_not_made_again(tmp_path: Path) -> None:
    """A name whose file is closed and gone is an error, which its caller counts."""
    writers = [NameWriter(tmp_path / f"{number}.names") for number in range(KEPT_OPEN + 1)]
    (tmp_path / "0.names").unlink()
    with pytest.raises(FileNotFoundError):
        writers[0].append(Name(CLASSES, 0, 0, "late"))
    for writer in writers:
        writer.close()
    assert not (tmp_path / "0.names").exists()
