"""Losses in a ring: a consumer that stops while taking records, and a thread that is ended."""

from __future__ import annotations

import contextvars
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

import radiosonde
from radiosonde._record.record_writer import RecordWriter
from radiosonde._ring import reclaim
from radiosonde._ring.slot_lock import SlotLock
from radiosonde.model import losses
from radiosonde.testing import Flight, fly
from tests.laws.provocations import BATCH, ROW, predict, provokes


@contextmanager
def taken_by_another(lock: SlotLock) -> Iterator[None]:
    """Have another thread hold the lock of a ring, as an agent does that was stopped."""
    begin, end = threading.Event(), threading.Event()

    def hold() -> None:
        assert lock.acquire(10.0)
        begin.set()
        end.wait()
        lock.release()

    holder = threading.Thread(target=hold)
    holder.start()
    begin.wait()
    try:
        yield
    finally:
        end.set()
        holder.join()


@contextmanager
def small_ring(patch) -> Iterator[tuple[Flight, RecordWriter]]:
    """Return a pipeline without waits, and the writer of its one small ring."""
    patch.setattr(reclaim, "PATIENCE_NS", 1)
    with fly(ring_bytes=65_536) as rs:
        predict(rs, ROW)
        yield rs, rs.pipeline()._ring_consumers[0].writer


@provokes(losses.RING_OVERWRITTEN)
def _(folder, patch):
    """The consumer stops while taking records, and more arrive than the ring has slots."""
    with small_ring(patch) as (rs, writer):
        with rs.pipeline()._turn, taken_by_another(writer.ring.lock):
            for _ in range(1000):
                writer.finish(writer.begin((ROW,), {}), "yes")
        return rs.losses()


@provokes(losses.FEATURES_LATE)
def _(folder, patch):
    """Features are given to one prediction after as many others as there are slots have come and gone."""
    with fly(ring_bytes=65_536) as rs:

        @rs.observe("delays", input=False, features=["a"])
        def outlast(nested):
            for _ in range(nested):  # in contexts of their own: inside itself it would be a part of this one
                contextvars.Context().run(outlast, 0)
            radiosonde.current().features([1.0])
            return "yes"

        outlast(1000)
        return rs.losses()


@provokes(losses.RING_ABANDONED)
def _(folder, patch):
    """A slot is taken and never written: its thread was ended between the two."""
    with small_ring(patch) as (rs, writer):
        next(writer.ring.indices)
        for _ in range(1000):
            writer.finish(writer.begin((ROW,), {}), "yes")
        return rs.losses()


@provokes(losses.BATCH_OVERWRITTEN)
def _(folder, patch):
    """The consumer stops while taking records, and batches wrap around the arena."""
    with small_ring(patch) as (rs, writer):
        with rs.pipeline()._turn, taken_by_another(writer.ring.lock):
            for _ in range(9):
                writer.finish(writer.begin((BATCH,), {}), np.zeros(600))
        return rs.losses()


@provokes(losses.FORK_UNHELD)
def _(folder, patch):
    """A process forks while one of our threads takes a turn that does not end."""
    patch.setattr("radiosonde._pipeline.pipeline.FORK_NS", 10_000_000)
    with fly() as rs:
        predict(rs, ROW)
        begin, end = threading.Event(), threading.Event()

        def turn() -> None:
            with rs.pipeline()._turn:
                begin.set()
                end.wait()

        other = threading.Thread(target=turn)
        other.start()
        begin.wait()
        rs.pipeline().before_fork()
        rs.pipeline().after_fork_in_parent()
        end.set()
        other.join()
        return rs.losses()


def look(rs):
    """Have the consumer's thread look around, as it does once a second."""
    rs.pipeline()._looked_ns = 0
    assert rs.pipeline()._consumer.ask(20)


@provokes(losses.SPOOL_REMOVED)
def _(folder, patch):
    """The spool of a living process is cleaned up."""
    with fly(spool=folder / "spool") as rs:
        predict(rs, ROW)
        (path,) = (folder / "spool").glob("*.ring")
        path.unlink()
        look(rs)
        assert list((folder / "spool").glob("*.ring"))
        return rs.losses()


@provokes(losses.SPOOL_UNDRAINED)
def _(folder, patch):
    """The folder of the spool is gone at the exit, and a file is in its place."""
    spool = folder / "spool"
    with fly(reraise=False, spool=spool, agent=True) as rs:
        predict(rs, ROW)
        shutil.rmtree(spool)
        spool.write_text("a file where the folder was")
        rs.shutdown()
        return rs.losses()
