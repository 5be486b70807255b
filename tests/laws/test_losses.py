"""Every loss has a name, and for every name there is something that makes it happen. A new name without one fails here.

Each provocation is the smallest that works through the public functions; exact counts under many circumstances are
tested beside the parts that lose. Further provocations lie in `tests.laws.provocations`, a file for each room.
"""

from __future__ import annotations

import contextvars
import itertools
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

import radiosonde
from radiosonde._agent.agent import Agent
from radiosonde._guard import Guard
from radiosonde._join import memory, opening
from radiosonde._labels import label_queue
from radiosonde._record import recorder, schema
from radiosonde._ring.names import NameWriter
from radiosonde._ring.spool import Spool, prune_dead
from radiosonde.export import waiting
from radiosonde.model import losses
from radiosonde.store import writer
from radiosonde.testing import Flight, fly
from tests.e2e._receivers import free_port, otlp_sink
from tests.factories import make_feature, make_reference
from tests.laws.provocations import BATCH, PROVOCATIONS, ROW, START_S, enter_all, predict, provokes

enter_all()


@provokes(losses.BATCH_REFUSED)
def _(folder, patch):
    """A signal handler predicts a batch while its own thread reserves room for one."""
    with fly() as rs:
        predict(rs, ROW)
        arena = rs.pipeline()._ring_consumers[0].ring.arena
        patch.setattr(arena, "_owner", threading.get_ident())
        rs.pipeline()._ring_consumers[0].writer.recorder.writer.begin((BATCH,), {})
        patch.undo()
        return rs.losses()


@provokes(losses.FEATURES_UNREADABLE)
def _(folder, patch):
    """An object without any structure."""
    with fly() as rs:
        predict(rs, ROW, object())
        return rs.losses()


@provokes(losses.FEATURES_WIDTH)
def _(folder, patch):
    """A row with one value more."""
    with fly() as rs:
        predict(rs, ROW, np.zeros((1, 3)))
        return rs.losses()


@provokes(losses.FEATURES_LEARNING)
def _(folder, patch):
    """The first features that a function records by itself teach the schema."""
    with fly() as rs:
        observed = rs.observe("delays", input=False)(lambda: radiosonde.current().features({"a": 1.0}))
        observed()
        return rs.losses()


@provokes(losses.FEATURE_VALUES_UNKNOWN)
def _(folder, patch):
    """A row with a name that the schema lacks."""
    with fly() as rs:
        predict(rs, {"a": 1.0}, {"a": 1.0, "b": 2.0})
        return rs.losses()


@provokes(losses.OUTPUT_UNREADABLE)
def _(folder, patch):
    """An answer that is no label, number or probability."""
    with fly() as rs:
        predict(rs, ROW, answer=object())
        return rs.losses()


@provokes(losses.CLASS_OVERFLOW)
def _(folder, patch):
    """More classes than have a code."""
    with fly() as rs:
        names = itertools.count()
        observed = rs.observe("delays")(lambda _: f"class {next(names)}")
        for _ in range(102):
            observed(ROW)
        return rs.losses()


@provokes(losses.COHORT_OVERFLOW)
def _(folder, patch):
    """More cohort cells than the settings allow."""
    with fly(max_series=2, cohorts={"plan": ["*"]}) as rs:
        observed = rs.observe("delays")(lambda _: "yes")
        for plan in "abc":
            with rs.cohort(plan=plan):
                observed(ROW)
        return rs.losses()


@provokes(losses.COHORT_INVALID)
def _(folder, patch):
    """A cohort value that is neither text nor a number."""
    with fly() as rs, rs.cohort(plan=object()):
        return rs.losses()


@provokes(losses.CATEGORY_OVERFLOW)
def _(folder, patch):
    """More values of a categorical feature than have a code."""
    patch.setattr(schema, "MAX_CATEGORIES", 2)
    with fly() as rs:
        predict(rs, *({"carrier": name} for name in ("UA", "AA", "DL")))
        return rs.losses()


@provokes(losses.PHASE_INVALID)
def _(folder, patch):
    """A time that is none."""
    with fly() as rs:
        rs.record("delays", 0.1, phases={"queue": None})
        return rs.losses()


@provokes(losses.PHASE_OVERFLOW)
def _(folder, patch):
    """Seven phases."""
    with fly() as rs:

        @rs.observe("delays")
        def staged(_):
            for phase in range(7):
                with rs.stage(f"phase {phase}"):
                    pass

        staged(ROW)
        return rs.losses()


@provokes(losses.STAGE_OUTSIDE)
def _(folder, patch):
    """A stage where nothing is predicted."""
    with fly() as rs, rs.stage("fetch"):
        return rs.losses()


@provokes(losses.ERROR_OVERFLOW)
def _(folder, patch):
    """More types of errors than have a code."""
    patch.setattr(recorder, "MAX_ERROR_TYPES", 2)
    with fly() as rs:

        @rs.observe("delays")
        def fail(kind):
            raise kind[0]

        for kind in (ValueError, KeyError, ZeroDivisionError):
            with pytest.raises(kind):
                fail([kind])
        return {reason: count for reason, count in rs.losses().items() if reason != losses.FEATURES_UNREADABLE}


@provokes(losses.LABEL_QUEUE_FULL)
def _(folder, patch):
    """More labels than may wait."""
    patch.setattr(label_queue, "QUEUE", 1)
    with fly() as rs:
        with rs.pipeline()._turn:
            for _ in range(2):
                rs.label("0" * 32, "yes")
        return rs.losses()


@provokes(losses.OWN_ID_UNREADABLE)
def _(folder, patch):
    """An id that is a list."""
    with fly() as rs:
        predict(rs, ROW, id=lambda row: [row])
        return rs.losses()


@provokes(losses.PREDICTIONS_UNJOINABLE)
def _(folder, patch):
    """More predictions than may wait for a join store that is away."""
    patch.setattr(label_queue, "WAITING_ROWS", 1)
    with fly(labels="memory") as rs:
        for _ in range(2):
            predict(rs, ROW)
            with patch.context() as away:
                away.setattr(label_queue.LabelQueue, "deliver", lambda _: None)
                rs.pipeline().take_turn()
        rs.label("an id", "yes")
        rs.flush()
        return rs.losses()


@provokes(losses.JOIN_PRUNED)
def _(folder, patch):
    """More predictions than a join store in memory has room for."""
    patch.setattr(opening, "MemoryJoinStore", lambda **_: memory.MemoryJoinStore(capacity=1))
    with fly() as rs:
        observed = rs.observe("delays")(lambda _: "yes")
        for _ in range(3):
            observed(ROW)
            rs.pipeline().take_turn()
        rs.label("an id", "yes")
        rs.flush()
        return rs.losses()


@provokes(losses.RECORD_FAILED)
def _(folder, patch):
    """An internal error in the consumer."""
    with fly(reraise=False) as rs:
        observed = rs.observe("delays")(lambda _: "yes")
        observed(ROW)
        rs.pipeline().take_turn()
        consumer = rs.pipeline()._ring_consumers[0]
        with rs.pipeline()._turn:
            consumer.writer.recorder.writer.finish(consumer.writer.recorder.writer.begin((ROW,), {}), "yes")
            consumer.stream.cohorts = []
        return rs.losses()


@provokes(losses.SPOOL_FAILED)
def _(folder, patch):
    """The spool is gone when a model wants its ring there."""
    spool = folder / "spool"
    with fly(reraise=False, spool=spool) as rs:
        if spool.exists():
            for path in sorted(spool.rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
            spool.rmdir()
        spool.write_text("a file where the folder was")
        predict(rs, ROW)
        return rs.losses()


@provokes(losses.HEALTH_UNSHARED)
def _(folder, patch):
    """The page of the process's health cannot be made: what has its name is in the way."""
    spool = folder / "spool"
    with fly(spool=spool, agent=True) as rs:
        predict(rs, ROW)
        pipeline = rs.pipeline()
        (spool / f"{pipeline.process}.health.new").touch()
        for _ in range(3):  # the first begins to count, the others find something to leave
            pipeline._looked_ns = 0
            pipeline.health._sampled_ns = 0
            assert pipeline._consumer.ask(20)
        return rs.losses()


@provokes(losses.NAME_CHANGED)
def _(folder, patch):
    """A class that came from bytes which are no UTF-8."""
    with fly() as rs:
        predict(rs, ROW, answer="caf\udce9")
        return rs.losses()


@provokes(losses.NAMES_LOST)
def _(folder, patch):
    """The name of a new class cannot be written beside the ring."""
    with fly(spool=folder / "spool") as rs:
        answers = iter(["yes", "no"])
        observed = rs.observe("delays")(lambda _: next(answers))
        observed(ROW)

        def full(*_):
            raise OSError(28, "No space left on device")

        patch.setattr(NameWriter, "append", full)
        observed(ROW)
        patch.undo()
        return rs.losses()


@provokes(losses.DIED_IN_FLIGHT)
def _(folder, patch):
    """A process is killed in the middle of a prediction, and the agent finds its ring."""
    script = (
        "import os, signal, radiosonde as rs\n"
        "@rs.observe('delays')\n"
        "def predict(features): os.kill(os.getpid(), signal.SIGKILL)\n"
        f"rs.start(spool={str(folder / 'spool')!r}, agent=True, prometheus=False)\n"
        "predict([1.0])\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], timeout=240, check=False, capture_output=True, env=os.environ
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    agent = Agent(Spool(folder / "spool"), Guard(reraise=True))
    try:
        agent.turn()
        return dict(nonzero(agent.statistics().losses))
    finally:
        agent.close()


@provokes(losses.SPOOL_PRUNED)
def _(folder, patch):
    """One dead process more than are kept has left its ring in the spool."""
    spool, script = folder / "spool", (
        "import os, sys, radiosonde as rs\n"
        "rs.start(spool=sys.argv[1], prometheus=False)\n"
        "rs.observe('delays')(lambda row: 'yes')([1.0])\n"
        "os.kill(os.getpid(), 9)\n"
    )  # fmt: skip
    ended = subprocess.run([sys.executable, "-c", script, spool], timeout=240, check=False, env=os.environ)
    assert ended.returncode == -signal.SIGKILL
    patch.setattr(prune_dead, "__defaults__", (0,))
    with fly(spool=spool) as rs:
        predict(rs, ROW)
        return rs.losses()


@provokes(losses.AGENT_FAILED)
def _(folder, patch):
    """The interpreter that should run the agent is none."""
    patch.setattr(sys, "executable", "/bin/false")
    with fly(spool=folder / "spool", agent="auto") as rs:
        predict(rs, ROW)
        rs.shutdown()
        return dict(nonzero(rs.statistics().losses))


@provokes(losses.EXPORT_FAILED)
def _(folder, patch):
    """The endpoint of metrics is unreachable."""
    patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    patch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    with fly(otlp=True) as rs:
        predict(rs, "text", input=False)
        rs.flush(30)
        return rs.losses()


@provokes(losses.EXPORT_REJECTED)
def _(folder, patch):
    """A backend takes a request and keeps three points less."""
    answer = ExportMetricsServiceResponse(partial_success={"rejected_data_points": 3}).SerializeToString()
    with otlp_sink() as sink:
        patch.setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", f"{sink.endpoint}/v1/metrics")
        sink.body = answer
        with fly(otlp=True) as rs:
            predict(rs, "text", input=False)
            rs.flush(30)
            return rs.losses()


@provokes(losses.RECEIPT_UNISSUED)
def _(folder, patch):
    """A batch has no id to give a receipt for."""
    with fly(receipt_keys="k1=" + "5e" * 32) as rs:
        predict(rs, BATCH, answer=None)
        radiosonde.current().receipt()
        return rs.losses()


@provokes(losses.SKETCH_EVENTS_DROPPED)
def _(folder, patch):
    """More windows with sketches wait than may."""
    patch.setattr(waiting, "WAITING_BYTES", 1)
    patch.setattr(waiting, "held_bytes", lambda _: 1)
    with otlp_sink() as sink:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", sink.endpoint)
        with fly(otlp=True) as rs:
            observed = rs.observe(
                "delays",
                reference=make_reference(
                    [make_feature("a", (1, 1, 0, 0, 0, 0)), make_feature("b", (1, 1, 0, 0, 0, 0))]
                ),
            )(lambda _: "yes")
            with rs.pipeline()._turn:
                for minute in range(2):
                    with rs.at(START_S + 60 * minute):
                        observed(ROW)
            rs.pipeline().take_turn(everything=True)
            return rs.losses()


@provokes(losses.WINDOW_EVENTS_DROPPED)
def _(folder, patch):
    """More windows wait to be sent as events than may."""
    patch.setattr(waiting, "WAITING_BYTES", 1)
    with otlp_sink() as sink:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", sink.endpoint)
        with fly(otlp=True, window_events=True) as rs:
            predict(rs, "text", input=False)
            rs.pipeline().take_turn(everything=True)
            return rs.losses()


@provokes(losses.SPANS_DROPPED)
def _(folder, patch):
    """More spans wait for the sender than may."""
    patch.setattr(waiting, "WAITING_SPANS", 1)
    with otlp_sink() as sink:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", sink.endpoint)
        with fly(otlp=True) as rs:
            predict(rs, "text", "text", answer={"label": "yes", "confidence": 0.5}, input=False)
            return rs.losses()


@provokes(losses.STORE_FAILED)
def _(folder, patch):
    """The store cannot be opened until the end."""
    flight = Flight(
        Guard(reraise=True),
        environment={"RADIOSONDE_STORE": str(folder / "never" / "a.db"), "RADIOSONDE_LABELS": "memory"},
    )
    predict(flight, "text", input=False)
    flight.shutdown()
    return dict(nonzero(flight.statistics().losses))


@provokes(losses.STORE_PRUNED)
def _(folder, patch):
    """The store is at its largest size."""
    with fly(store=folder / "a.db") as rs:
        patch.setattr(writer, "drop_beyond", lambda *_: 3)
        predict(rs, "text", input=False)
        rs.flush()
        patch.undo()
        return rs.losses()


def nonzero(counts):
    """Return the reasons that happened."""
    return {reason: count for reason, count in counts.items() if count}


@pytest.mark.parametrize("reason", losses.ALL_LOSSES)
def test_every_loss_can_be_made_to_happen(reason, tmp_path, monkeypatch):
    """The reason, and no other, is counted."""
    assert reason in PROVOCATIONS, f"write a provocation of {reason!r} in a module of tests/laws/provocations"
    # In a context of its own: some leave a prediction that never ends.
    found = contextvars.Context().run(PROVOCATIONS[reason], tmp_path, monkeypatch)
    assert found.keys() == {reason}
    assert found[reason] >= 1


def test_the_table_names_no_loss_that_is_gone():
    """A reason that was removed takes its provocation with it."""
    assert set(losses.ALL_LOSSES) == PROVOCATIONS.keys()


def test_what_a_setting_leaves_out_is_no_loss(monkeypatch):
    """Spans beyond the user's bound and time series beyond the cardinality bound are said, and not among the losses."""
    with otlp_sink() as sink:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", sink.endpoint)
        with fly(otlp=True, spans_per_minute=1) as rs:
            rs.pipeline()._delivery._exporters[0].client()._builder._max_series = 100
            predict(rs, *["text"] * 9, answer={"label": "yes", "confidence": 0.5}, input=False)
            rs.flush(30)
            said = rs.statistics()
            assert nonzero(said.losses) == {}
            assert said.spans_bounded >= 8
            assert said.series_cut > 0
