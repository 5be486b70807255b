"""Hostile names of requests and users reach every carrier, without affecting other data.

Each name is tried in each place where something is named. After it the page of the process's own Prometheus registry still
renders, the backend over OTLP and the store got the prediction under the same name, and so did an innocent neighbour.
"""

from __future__ import annotations

import enum
import json
import sqlite3
from pathlib import PurePosixPath
from uuid import UUID

import numpy as np
import prometheus_client
import pytest
from prometheus_client.parser import text_string_to_metric_families

from radiosonde.export.prometheus import PrometheusCollector
from radiosonde.model import losses, name_of
from radiosonde.testing import fly
from tests.e2e._receivers import otlp_sink
from tests.slow import mostly_slow


class Phase(enum.Enum):
    LOAD = "load"


class Raising:
    def __str__(self):
        raise RuntimeError("no text for you")


HOSTILE = {
    "surrogateescape": b"caf\xe9".decode("utf-8", "surrogateescape"),
    "half a character": "\ud800",
    "the other half": "x\udfff",
    "control": "a\x00b\x1b[2J\n",
    "direction": "\u202eabc",
    "long": "ä" * 100_000,
    "integer": 7,
    "huge integer": 1 << 5000,
    "truth": True,
    "nan": float("nan"),
    "bytes": b"caf\xe9",
    "enum": Phase.LOAD,
    "uuid": UUID(int=3),
    "path": PurePosixPath("/\udcff"),
    "numpy": np.int64(3),
    "numpy text": np.str_("\udc80"),
    "raises": Raising(),
    "object": object(),
    "list": ["\ud800"],
    "type": Phase,
}

QUICK = ("surrogateescape", "control", "long", "enum", "object")
"""Names that the quick part of the suite tries."""


def as_model(rs, bad, model):
    """Name the model."""
    # A class would be decorated.
    rs.observe(bad if bad is not Phase else name_of(bad))(lambda row: "yes")([1.0])
    return name_of(bad)


def as_version(rs, bad, model):
    """Name the version."""
    # A class would be a callable for the version.
    rs.observe(model, version=bad if bad is not Phase else name_of(bad))(lambda row: "yes")([1.0])
    return name_of(bad)


def as_late_version(rs, bad, model):
    """Name the version by a callable."""
    rs.observe(model, version=lambda: bad)(lambda row: "yes")([1.0])
    return name_of(bad)


def as_variant(rs, bad, model):
    """Name the variant."""
    rs.observe(model, variant=bad)(lambda row: "yes")([1.0])
    return name_of(bad)


def as_declared_class(rs, bad, model):
    """Name a class of the model."""
    rs.observe(model, classes=["no", bad])(lambda row: np.array([0.1, 0.9]))([1.0])
    return name_of(bad)


def as_answer(rs, bad, model):
    """Answer with it as a label; other values are counted as unreadable."""
    rs.observe(model)(lambda row: {"label": bad})([1.0])


def as_phase(rs, bad, model):
    """Name a phase."""

    def predict(row):
        with rs.stage(bad):
            return "yes"

    rs.observe(model)(predict)([1.0])
    return name_of(bad)


def as_error(rs, bad, model):
    """Name the error in a completed call."""
    rs.record(model, 0.1, error=bad)
    return name_of(bad)


def as_route(rs, bad, model):
    """Name a completed call."""
    rs.record(bad, 0.1)
    return name_of(bad)


def as_recorded_phase(rs, bad, model):
    """Name a phase of a completed call."""
    rs.record(model, 0.1, phases={bad if bad.__hash__ else repr(bad): 0.05})
    return name_of(bad if bad.__hash__ else repr(bad))


def as_feature(rs, bad, model):
    """Name a feature."""
    key = bad if bad.__hash__ else repr(bad)
    predict = rs.observe(model)(lambda row: "yes")
    for value in range(20):
        predict({key: float(value), "other": 1.0})
    return None if isinstance(bad, Raising) else name_of(key)  # such a row teaches no features


def as_feature_option(rs, bad, model):
    """Name a feature of an array."""
    predict = rs.observe(model, features=["other", bad])(lambda row: "yes")
    for value in range(20):
        predict(np.array([1.0, value]))
    return name_of(bad)


def as_category(rs, bad, model):
    """Be the value of a categorical feature."""
    predict = rs.observe(model)(lambda row: "yes")
    for _ in range(20):
        predict({"carrier": "UA"})
        predict({"carrier": bad})


def as_cohort(rs, bad, model):
    """Be the value of a cohort's dimension."""
    with rs.cohort(open=bad, hashed=bad):
        rs.observe(model)(lambda row: "yes")([1.0])


def as_dimension(rs, bad, model):
    """Name a cohort's dimension; Python takes only text there."""
    with rs.cohort(**{bad if isinstance(bad, str) else name_of(bad): "v"}):
        rs.observe(model)(lambda row: "yes")([1.0])


def as_id(rs, bad, model):
    """Be the caller's own id, and label by it; and be a label."""
    predict = rs.observe(model, id=lambda row: bad)(lambda row: "yes")
    predict([1.0])
    if bad is not Phase and not isinstance(bad, list):  # which are columns of ids
        rs.label(bad, "yes")
    predict([1.0])
    rs.label(rs.current().id, bad)


PLACES = [
    as_model, as_version, as_late_version, as_variant, as_declared_class, as_answer, as_phase, as_error, as_route,
    as_recorded_phase, as_feature, as_feature_option, as_category, as_cohort, as_dimension, as_id,
]  # fmt: skip


@pytest.mark.parametrize("bad", mostly_slow(HOSTILE, quick=QUICK))
def test_a_hostile_name_harms_no_carrier_and_no_neighbour(bad, tmp_path, monkeypatch):
    """In every place page, backend and store have the name that the door gives, and the neighbour's beside it."""
    store = tmp_path / "flights.sqlite"
    own = prometheus_client.CollectorRegistry()
    expected = {"innocent"}
    with otlp_sink() as sink:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", sink.endpoint)
        with fly(store=store, otlp=True, cohorts={"open": ["*"]}, service_name="caf\udce9") as rs:
            collector = PrometheusCollector(lambda: rs.pipeline().snapshot())
            own.register(collector)
            rs.observe("innocent")(lambda row: "yes")([1.0])
            for place in PLACES:
                expected.add(place(rs, bad, place.__name__) or place.__name__)
            assert rs.flush(60)
            page = prometheus_client.generate_latest(own).decode()
            assert collector.render().decode()
            guarded = dict(rs.statistics().guarded)
            lost = {reason for reason, count in rs.statistics().losses.items() if count}
    assert not guarded
    assert lost <= {
        losses.NAME_CHANGED,
        losses.OWN_ID_UNREADABLE,
        losses.COHORT_INVALID,
        losses.OUTPUT_UNREADABLE,
        losses.FEATURES_WIDTH,
    }
    shown = {
        value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        for value in sample.labels.values()
    }
    sent = {
        attribute.value.string_value
        for metric in sink.metrics().values()
        for point in getattr(metric, metric.WhichOneof("data")).data_points
        for attribute in point.attributes
    }
    services = {
        attribute.value.string_value
        for request in sink.requests["/v1/metrics"]
        for resource in request.resource_metrics
        for attribute in resource.resource.attributes
        if attribute.key == "service.name"
    }
    assert services == {name_of("caf\udce9")}
    with sqlite3.connect(store) as connection:
        stored = {model for (model,) in connection.execute("SELECT model FROM windows")}
        cells = [
            cell
            for table in ("windows", "features")
            for row in connection.execute(f"SELECT * FROM {table}")
            for cell in row
        ]
    texts = "\n".join(map(str, cells))
    assert not expected - shown
    assert not expected - sent
    assert not {name for name in expected if name not in texts and json.dumps(name)[1:-1] not in texts}
    assert stored >= {"innocent", "as_phase", "as_error", "as_category", "as_cohort", "as_id", name_of(bad)}
