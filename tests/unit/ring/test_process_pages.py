"""A page of a process holds its last whole totals, for any instant of a read or a kill."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from radiosonde._ring.process_pages import COUNTS, HEALTH, HealthReading, PageKind, ProcessPage, read_page
from radiosonde.errors import SpoolError
from radiosonde.model import LATENCY, DurationCounts, RuntimeCounts
from tests.factories import make_durations

TOTAL = RuntimeCounts(
    observed_s=12.5, cpu_s=3.25, periods=125, throttled_periods=7, throttled_s=0.5, rss_bytes=1 << 33, gpu_bytes=1 << 40,
    gc_pauses=make_durations([0.001] * 20), loop_lags=make_durations([0.25, 2.0]), pool_waits=make_durations([1e-7, 1e9]),
    run_delay_s=0.125, cpu_stalled_s=1.5, memory_stalled_s=2.5, io_stalled_s=3.5, cores=1.75, memory_bytes=1 << 31,
    memory_limit_bytes=1 << 32,
)  # fmt: skip


def plain(value: Any) -> Any:
    """Return a value of either kind such that it compares."""
    if isinstance(value, HealthReading):
        return value.time_ns, plain(value.total)
    if isinstance(value, RuntimeCounts):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    return (value.counts.tolist(), value.sum_s) if isinstance(value, DurationCounts) else value


def health_of(number: int) -> HealthReading:
    """Return a reading in which every number is *number*."""
    table = DurationCounts(np.full(LATENCY.size, number, dtype=np.int64), float(number))
    values: dict[str, Any] = {
        each.name: table if each.type == "DurationCounts" else type(each.default)(number)
        for each in fields(RuntimeCounts)
    }  # fmt: skip
    return HealthReading(number, RuntimeCounts(**values))


class Case(NamedTuple):
    """A kind of page, and what makes values for it."""

    kind: PageKind[Any]
    make: Callable[[int], Any]


CASES = {
    "counts": Case(COUNTS, lambda number: {"loss.ring_overwritten": number, "guarded.join": number << 32}),
    "health": Case(HEALTH, health_of),
}


@pytest.fixture(params=CASES.values(), ids=list(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    """Return each kind of page."""
    return request.param


def test_what_was_written_last_is_read(case: Case, tmp_path: Path) -> None:
    """Each of 600 writes, more than twice as many as the generation counts; before the first write there is nothing."""
    path = tmp_path / "a.page"
    page = ProcessPage(path, case.kind)
    assert read_page(path, case.kind) is None
    for number in range(1, 600):
        page.write(case.make(number))
        assert plain(read_page(path, case.kind)) == plain(case.make(number))
    page.close()
    assert plain(read_page(path, case.kind)) == plain(case.make(599))


def test_a_page_has_one_size(case: Case, tmp_path: Path) -> None:
    """The size is claimed at the start, and a write does not change it."""
    path = tmp_path / "a.page"
    page = ProcessPage(path, case.kind)
    sizes = [path.stat().st_size]
    page.write(case.make(1))
    page.close()
    assert [*sizes, path.stat().st_size] == [case.kind.size_bytes] * 2
    assert case.kind.size_bytes <= 17_000


def test_a_write_that_a_kill_cut_short_leaves_the_record_before(case: Case, tmp_path: Path) -> None:
    """The record that is not in force may hold anything, after each of 300 writes."""
    path = tmp_path / "a.page"
    page = ProcessPage(path, case.kind)
    for number in range(1, 300):
        page.write(case.make(number))
        content = bytearray(path.read_bytes())
        other = case.kind.place(content[24] + 1)
        content[other] = b"\xff" * (other.stop - other.start)
        path.write_bytes(content)
        assert plain(read_page(path, case.kind)) == plain(case.make(number))
    page.close()


@pytest.mark.parametrize("meetings", [1, 3])
def test_a_reader_that_a_writer_overtakes_reads_again(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, meetings: int
) -> None:
    """The record in force when it began may be half of a later one by the time it is copied."""
    path = tmp_path / "a.page"
    page, pread, left = ProcessPage(path, case.kind), os.pread, [meetings]
    page.write(case.make(1))

    def overtaken(descriptor: int, size: int, offset: int) -> bytes:
        content = bytearray(pread(descriptor, size, offset))
        if size > 1 and left[0]:
            left[0] -= 1
            page.write(case.make(2))
            page.write(case.make(3))
            start = case.kind.place(content[24]).start
            content[start : start + 100] = b"\x07" * 100
        return bytes(content)

    monkeypatch.setattr(os, "pread", overtaken)
    value = read_page(path, case.kind)
    monkeypatch.undo()
    assert plain(value) == plain(case.make(3))
    page.close()


def test_a_reader_gives_up_on_a_writer_that_never_rests(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It raises rather than return what may be half a record."""
    path = tmp_path / "a.page"
    page, pread = ProcessPage(path, case.kind), os.pread
    page.write(case.make(1))

    def overtaken(descriptor: int, size: int, offset: int) -> bytes:
        page.write(case.make(2))
        return pread(descriptor, size, offset)

    monkeypatch.setattr(os, "pread", overtaken)
    with pytest.raises(SpoolError, match="changes faster than it can be read"):
        read_page(path, case.kind)
    monkeypatch.undo()
    page.close()


def test_what_is_no_page_is_refused_with_what_to_do(case: Case, tmp_path: Path) -> None:
    """Torn, foreign, of another version, of the other kind, gone: the message says which."""
    path = tmp_path / "a.page"
    page = ProcessPage(path, case.kind)
    page.write(case.make(1))
    page.close()
    content = path.read_bytes()
    torn, newer = (
        f"is damaged, or not a {case.kind.name} page",
        "by another version of Radiosonde; drain it with that version",
    )
    for damaged, says in (
        (b"", torn),
        (content[:63], torn),
        (content[:100], torn),
        (content + b"\0", torn),
        (b"FOREIGN!" + content[8:], torn),
        (content[:8] + b"\x09" + content[9:], newer),
        (content[:8] + b"\x09" + content[9:64], newer),
        (content[:12] + b"\x09" + content[13:], newer),
    ):
        path.write_bytes(damaged)
        with pytest.raises(SpoolError, match=says):
            read_page(path, case.kind)
    path.unlink()
    with pytest.raises(SpoolError, match="cannot be read"):
        read_page(path, case.kind)


def test_every_declared_field_of_health_is_in_the_page(tmp_path: Path) -> None:
    """Distinct values in all fields of the declaration come back bit for bit, the ends of the tables included."""
    page = ProcessPage(tmp_path / "a.health", HEALTH)
    page.write(HealthReading(1_362_096_000_000_000_001, TOTAL))
    page.close()
    reading = read_page(tmp_path / "a.health", HEALTH)
    assert plain(reading) == (1_362_096_000_000_000_001, plain(TOTAL))
    assert {type(value) for value in plain(TOTAL).values()} == {type(value) for value in plain(reading)[1].values()}


def test_names_that_do_not_fit_are_cut_or_left_out(tmp_path: Path) -> None:
    """A page holds 127 counts with names of 56 bytes."""
    path = tmp_path / "a.counts"
    page = ProcessPage(path, COUNTS)
    page.write({"guarded." + "x" * 80: 1 << 40, "loss.é": 7})
    assert read_page(path, COUNTS) == {"guarded." + "x" * 48: 1 << 40, "loss.é": 7}
    page.write({f"n{number}": number for number in range(200)})
    assert read_page(path, COUNTS) == {f"n{number}": number for number in range(127)}
    page.close()
