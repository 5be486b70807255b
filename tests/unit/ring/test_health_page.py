"""A page of health holds the last whole totals of its process, whatever instant somebody looks or kills at."""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from radiosonde._ring.health_page import RECORD, HealthPage, read_health
from radiosonde.errors import SpoolError
from radiosonde.model import LATENCY, DurationCounts, RuntimeCounts
from tests.factories import make_durations

TOTAL = RuntimeCounts(
    observed_s=12.5, cpu_s=3.25, periods=125, throttled_periods=7, throttled_s=0.5, rss_bytes=1 << 33, gpu_bytes=1 << 40,
    gc_pauses=make_durations([0.001] * 20), loop_lags=make_durations([0.25, 2.0]), pool_waits=make_durations([1e-7, 1e9]),
)  # fmt: skip


def plain(total: RuntimeCounts) -> dict[str, object]:
    """Return *total* as values that compare."""
    values = {each.name: getattr(total, each.name) for each in fields(total)}
    return {
        name: (value.counts.tolist(), value.sum_s) if isinstance(value, DurationCounts) else value
        for name, value in values.items()
    }


def all_of(number: int) -> RuntimeCounts:
    """Return totals in which every number is *number*."""
    table = DurationCounts(np.full(LATENCY.size, number, dtype=np.int64), float(number))
    return RuntimeCounts(
        float(number), float(number), number, number, float(number), number, number, table, table, table
    )


def test_what_was_written_last_is_read_bit_for_bit(tmp_path: Path) -> None:
    """Every field, the ends of the tables included; before the first write there is nothing."""
    page = HealthPage(tmp_path / "a.health")
    assert read_health(tmp_path / "a.health") is None
    for number in range(1, 300):  # the generation is one byte
        page.write(all_of(number), number)
    page.write(TOTAL, 1_362_096_000_000_000_001)
    reading = read_health(tmp_path / "a.health")
    assert reading is not None
    assert reading.time_ns == 1_362_096_000_000_000_001
    assert plain(reading.total) == plain(TOTAL)
    page.close()


def test_a_page_is_twelve_kilobytes(tmp_path: Path) -> None:
    """As documented; it does not grow."""
    page = HealthPage(tmp_path / "a.health")
    page.write(TOTAL, 1)
    page.close()
    assert (tmp_path / "a.health").stat().st_size == 64 + 2 * 5904


def test_a_write_that_a_kill_cut_short_leaves_the_record_before(tmp_path: Path) -> None:
    """The record that is not in force may hold anything."""
    path = tmp_path / "a.health"
    page = HealthPage(path)
    for number in (1, 2, 3):
        page.write(all_of(number), number)
        content = path.read_bytes()
        other = 64 + (number + 1) % 2 * RECORD.itemsize
        path.write_bytes(content[:other] + b"\xff" * RECORD.itemsize + content[other + RECORD.itemsize :])
        reading = read_health(path)
        assert reading is not None
        assert plain(reading.total) == plain(all_of(number))
    page.close()


@pytest.mark.parametrize("meetings", [1, 3])
def test_a_reader_that_a_writer_overtakes_reads_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, meetings: int
) -> None:
    """The record in force when it began may be half of a later one by the time it is copied."""
    path = tmp_path / "a.health"
    page, pread, left = HealthPage(path), os.pread, [meetings]
    page.write(all_of(1), 1)

    def overtaken(descriptor: int, size: int, offset: int) -> bytes:
        content = pread(descriptor, size, offset)
        if size > 1 and left[0]:
            left[0] -= 1
            page.write(all_of(2), 2)
            page.write(all_of(3), 3)
            torn = 64 + page._generation % 2 * RECORD.itemsize
            return content[:torn] + b"\x07" * 100 + content[torn + 100 :]
        return content

    monkeypatch.setattr(os, "pread", overtaken)
    reading = read_health(path)
    monkeypatch.undo()
    assert reading is not None
    assert plain(reading.total) == plain(all_of(3))
    page.close()


def test_a_reader_gives_up_on_a_writer_that_never_rests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than tell what may be half a record."""
    path = tmp_path / "a.health"
    page, pread = HealthPage(path), os.pread
    page.write(all_of(1), 1)

    def overtaken(descriptor: int, size: int, offset: int) -> bytes:
        page.write(all_of(2), 2)
        return pread(descriptor, size, offset)

    monkeypatch.setattr(os, "pread", overtaken)
    with pytest.raises(SpoolError, match="changes faster than it can be read"):
        read_health(path)
    monkeypatch.undo()
    page.close()


def test_what_is_no_page_is_refused_with_what_to_do(tmp_path: Path) -> None:
    """Torn, foreign, newer, gone: each is told apart where that helps."""
    path = tmp_path / "a.health"
    page = HealthPage(path)
    page.write(TOTAL, 1)
    page.close()
    content = path.read_bytes()
    for damaged, says in (
        (b"", "is torn or no page of health"),
        (content[:100], "is torn or no page of health"),
        (content + b"\0", "is torn or no page of health"),
        (b"FOREIGN!" + content[8:], "is torn or no page of health"),
        (content[:8] + b"\x09" + content[9:], "layout 9, this version reads 2"),
        (content[:8] + b"\x09" + content[9:64], "layout 9, this version reads 2"),
    ):
        path.write_bytes(damaged)
        with pytest.raises(SpoolError, match=says):
            read_health(path)
    path.unlink()
    with pytest.raises(SpoolError, match="cannot be read"):
        read_health(path)
