"""Keeps feature rows that wait for a provisional reference in a file of the spool, so that an agent can be killed meanwhile.

Rows wait for up to an hour of traffic (`radiosonde._aggregate.provisional`), and their rings are reused long before. Each commit therefore
appends the rows that began to wait since the last one, and the commit's transaction records the file and its valid length: bytes that a
killed agent wrote beyond it are not read. When rows were thinned or counted, the remaining rows are written to a new file, and the old one
is removed after the commit that names the new one.

A file is a sequence of records: one line of JSON, then the bytes of its rows as float64. A stream is described once, and
again when its categories have grown. No `fsync`: the file has to survive its process; a power cut may cost its last
seconds, and rows that cannot be read are counted as lost.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from radiosonde._aggregate.provisional import Part, gathered
from radiosonde._aggregate.stream import Stream
from radiosonde._ring.arena import BatchArena
from radiosonde.model.losses import FEATURES_UNFINISHED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from radiosonde._aggregate.provisional import Backlog
    from radiosonde._guard import Guard

SUFFIX = ".waiting"


class WaitingRows:
    """The file of one agent.

    Args:
        folder: the spool.
        guard: counts rows that cannot be read back.
    """

    def __init__(self, folder: Path, guard: Guard) -> None:
        self._folder, self._guard = folder, guard
        self._number = self._bytes = 0
        self._is_spoilt = True  # to begin with: the file there is belongs to the commits of a former agent
        self._parts: dict[int, tuple[Sequence[Part], int]] = {}
        self._streams: dict[int, tuple[Stream, int]] = {}

    def load(self, stored: Mapping[str, Any]) -> list[Part]:
        """Return the rows that waited at the last commit, given the result *stored* of `save`; count missing rows."""
        self._number = int(stored.get("number", 0))
        size, rows = int(stored.get("bytes", 0)), int(stored.get("rows", 0))
        parts: list[Part] = []
        if rows:
            failure = self._guard.attempt(lambda: parts.extend(_read(self._path.read_bytes()[:size])))
            lost = rows - sum(len(part.rows) * part.weight for part in parts)
            if lost:
                self._guard.lose(FEATURES_UNFINISHED, lost)
                self._guard.warn(
                    "waiting rows", "%d rows waiting for a provisional reference cannot be read from %s (%s)",
                    lost, self._path, failure or "it is shorter than what was committed",
                )  # fmt: skip
        return parts

    def save(self, backlogs: Iterable[Backlog]) -> dict[str, int]:
        """Write the waiting rows; return the state to commit.

        The rows are in the answer in any case: those that could not be written are lost if the agent ends before the next
        commit, and its successor says so.
        """
        waiting = [backlog.parts() for backlog in backlogs]
        rows = sum(len(part.rows) * part.weight for parts in waiting for part in parts)
        if not rows and not self._parts:
            return {}
        # Thinning makes another list, and so does a backlog of another model; only a list that was saved has grown.
        if self._is_spoilt or not self._parts.keys() <= {id(parts) for parts in waiting} or not self._is_whole():
            self._number += 1
            self._parts, self._streams, self._bytes = {}, {}, 0
        failure = self._guard.attempt(lambda: self._write(waiting))
        self._is_spoilt = isinstance(failure, Exception)
        if self._is_spoilt:
            self._guard.warn("waiting rows", "Rows waiting for a provisional reference cannot be saved: %s", failure)
        return {"number": self._number, "bytes": self._bytes, "rows": rows}

    def committed(self) -> None:
        """Remove the files that no commit names any more."""
        for path in self._folder.glob(f"*{SUFFIX}"):
            if path != self._path or not self._parts:
                path.unlink(missing_ok=True)

    @property
    def _path(self) -> Path:
        return self._folder / f"{self._number}{SUFFIX}"

    def _is_whole(self) -> bool:
        """Whether the file still holds the written rows: it may have been removed."""
        return not self._parts or (self._path.exists() and self._path.stat().st_size == self._bytes)

    def _write(self, waiting: Sequence[Sequence[Part]]) -> None:
        path = self._path
        path.touch(mode=0o600)
        with path.open("r+b") as file:
            file.truncate(self._bytes)
            file.seek(self._bytes)
            for parts in waiting:
                _, known = self._parts.get(id(parts), (parts, 0))
                for part in gathered(parts[known:]):
                    self._write_part(file, part)
                self._parts[id(parts)] = parts, len(parts)
            self._bytes = file.tell()

    def _write_part(self, file: BinaryIO, part: Part) -> None:
        stream, place = part.stream, id(part.stream)
        names = sum(len(known) for known in stream.categories if known is not None)
        if self._streams.get(place, (None, -1))[1] != names:
            self._streams[place] = stream, names
            _write_line(file, {
                "stream": place, "model": stream.model, "version": stream.version, "variant": stream.variant,
                "features": stream.features, "is_open": stream.is_open, "nonce": stream.nonce,
                "categories": [None if known is None else list(known) for known in stream.categories],
            })  # fmt: skip
        shape, start_ns = part.rows.shape, part.start_ns
        _write_line(
            file, {"of": place, "start_ns": start_ns, "cohort": part.cohort, "weight": part.weight, "shape": shape}
        )
        file.write(np.ascontiguousarray(part.rows).tobytes())


def _write_line(file: BinaryIO, document: Mapping[str, Any]) -> None:
    file.write(json.dumps(document).encode() + b"\n")


def _read(content: bytes) -> Iterable[Part]:
    streams: dict[int, Stream] = {}
    position = 0
    while position < len(content):
        end = content.index(b"\n", position)
        line = json.loads(content[position:end])
        position = end + 1
        if "stream" in line:
            _describe(streams, line)
            continue
        count, width = line["shape"]
        rows = np.frombuffer(content, dtype=np.float64, count=count * width, offset=position).reshape(count, width)
        position += rows.nbytes
        yield Part(streams[line["of"]], line["start_ns"], line["cohort"], rows, line["weight"])


def _describe(streams: dict[int, Stream], line: Mapping[str, Any]) -> None:
    categories = tuple(None if known is None else list(known) for known in line["categories"])
    known = streams.get(line["stream"])
    if known is not None:  # only its categories have grown
        known.categories = categories
        return
    streams[line["stream"]] = Stream(
        model=line["model"], version=line["version"], variant=line["variant"],
        cohorts=(), classes=(), errors=(), phases=(),
        features=tuple(line["features"]), categories=categories, arena=BatchArena(0),
        nonce=line["nonce"], is_open=line["is_open"],
    )  # fmt: skip
