from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from radiosonde import _settings
from radiosonde._clock import anchor_ns, monotonic_ns, wall_ns
from radiosonde._settings import Settings, is_disabled
from radiosonde.errors import ConfigurationError


def test_the_defaults():
    """An empty environment gives the documented defaults."""
    settings = Settings.resolve({})
    assert settings == Settings(
        store=None, window_s=60.0, references={}, cohorts={}, service_name=None, otlp=False, export_interval_s=60.0,
        prometheus=True, prometheus_port=None, ring_bytes=4_194_304, max_series=200, cpu_budget=0.01, disabled=False,
        labels=None, receipt_keys="", receipt_ttl_s=7_776_000.0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("RADIOSONDE_STORE", "/tmp/s.db", "store", "/tmp/s.db"),
        ("RADIOSONDE_WINDOW_S", "300", "window_s", 300.0),
        ("RADIOSONDE_REFERENCE", "r.json", "references", {"*": "r.json"}),
        ("RADIOSONDE_REFERENCE", "a=a.json, b=b.json", "references", {"a": "a.json", "b": "b.json"}),
        ("RADIOSONDE_COHORTS", "plan=free|pro,carrier=*", "cohorts", {"plan": ("free", "pro"), "carrier": ("*",)}),
        ("RADIOSONDE_PROMETHEUS_PORT", "9100", "prometheus_port", 9100),
        ("RADIOSONDE_RING_BYTES", "65536", "ring_bytes", 65536),
        ("RADIOSONDE_MAX_SERIES", "7", "max_series", 7),
        ("RADIOSONDE_CPU_BUDGET", "0.05", "cpu_budget", 0.05),
        ("RADIOSONDE_CPU_BUDGET", "inf", "cpu_budget", float("inf")),
        ("RADIOSONDE_OTLP", "yes", "otlp", True),
        ("RADIOSONDE_RECEIPT_KEYS", "k1=00", "receipt_keys", "k1=00"),
        ("RADIOSONDE_LABELS", "redis://127.0.0.1/0", "labels", "redis://127.0.0.1/0"),
        ("RADIOSONDE_RECEIPT_TTL_S", "3600", "receipt_ttl_s", 3600.0),
        ("RADIOSONDE_SPANS_PER_MINUTE", "0", "spans_per_minute", 0),
        ("OTEL_TRACES_EXPORTER", "none", "spans_per_minute", 0),
        ("OTEL_TRACES_EXPORTER", "otlp", "spans_per_minute", 60),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318", "spans_per_minute", 60),
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://127.0.0.1:4318", "spans_per_minute", 0),
        ("RADIOSONDE_DISABLED", "1", "disabled", True),
        ("OTEL_SDK_DISABLED", "TRUE", "disabled", True),
        ("OTEL_SDK_DISABLED", "yes", "disabled", False),
        ("OTEL_SDK_DISABLED", "", "disabled", False),
        ("OTEL_SERVICE_NAME", "delays", "service_name", "delays"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "5000", "export_interval_s", 5.0),
        ("OTEL_METRIC_EXPORT_INTERVAL", "often", "export_interval_s", 60.0),
        ("OTEL_METRIC_EXPORT_INTERVAL", "0", "export_interval_s", 60.0),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318", "otlp", True),
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://127.0.0.1:4318", "otlp", True),
        ("OTEL_METRICS_EXPORTER", "otlp", "otlp", True),
        ("OTEL_METRICS_EXPORTER", "console, otlp", "otlp", True),
        ("OTEL_METRICS_EXPORTER", "console", "otlp", False),
    ],
)
def test_a_variable(name, text, field, value):
    """Each variable sets its field; OpenTelemetry's own are read by its rules and never an error."""
    assert getattr(Settings.resolve({name: text}), field) == value


@pytest.mark.parametrize(
    ("labels", "store", "target"),
    [
        (None, None, None),
        ("mine.sqlite", "a.sqlite", "mine.sqlite"),
        (None, "/var/a.b/flights.sqlite", "/var/a.b/flights.labels.sqlite"),
        (None, "./flights", "./flights.labels"),
    ],
)
def test_labels_wait_beside_the_store(labels, store, target):
    """Unless a place is named for them."""
    assert Settings(labels=labels, store=store).join_target == target


@pytest.mark.parametrize(
    "environment",
    [
        {"OTEL_METRICS_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"},
        {"RADIOSONDE_OTLP": "false", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"},
    ],
)
def test_otlp_can_be_refused(environment):
    """No exporter by OpenTelemetry's name for none, or by ours, wins over an endpoint."""
    assert Settings.resolve(environment).otlp is False


def test_arguments_win_over_the_environment_unless_they_are_none():
    """An argument wins; None means not given; a path becomes text."""
    environment = {"RADIOSONDE_WINDOW_S": "300", "RADIOSONDE_STORE": "env.db"}
    settings = Settings.resolve(environment, window_s=10, store=Path("mine.db"))
    assert (settings.window_s, settings.store) == (10, "mine.db")
    assert Settings.resolve(environment, window_s=None).window_s == 300.0


@pytest.mark.parametrize(
    ("environment", "arguments", "message"),
    [
        ({"RADIOSONDE_WINDOW_S": "soon"}, {}, "RADIOSONDE_WINDOW_S is 'soon'; it must be a number"),
        ({"RADIOSONDE_WINDOW_S": "nan"}, {}, "window_s is nan"),
        ({"RADIOSONDE_WINDOW_S": "inf"}, {}, "window_s is inf"),
        ({"RADIOSONDE_WINDOW_S": "0.5"}, {}, "at least 1 second"),
        ({"RADIOSONDE_RING_BYTES": "1"}, {}, "ring_bytes is 1"),
        ({"RADIOSONDE_SPANS_PER_MINUTE": "-1"}, {}, "spans_per_minute is -1; it must be between 0 and 6000"),
        ({"RADIOSONDE_MAX_SERIES": "0"}, {}, "max_series is 0"),
        ({"RADIOSONDE_CPU_BUDGET": "0"}, {}, "cpu_budget is 0.0; it must be above 0"),
        ({}, {"cpu_budget": float("nan")}, "cpu_budget is nan"),
        ({"RADIOSONDE_DISABLED": "perhaps"}, {}, "RADIOSONDE_DISABLED is 'perhaps'; use true or false"),
        ({}, {"receipt_ttl_s": 0}, "receipt_ttl_s is 0; it must be between 1 and 315360000 seconds"),
        ({}, {"receipt_ttl_s": float("nan")}, "receipt_ttl_s is nan"),
        ({}, {"export_interval_s": 0}, "export_interval_s is 0"),
        ({}, {"colour": "red", "size": 1}, "unknown setting colour, size; known are .*window_s"),
    ],
)
def test_what_cannot_be_used_is_told(environment, arguments, message):
    """A bad value or an unknown name raises a sentence that names it."""
    with pytest.raises(ConfigurationError, match=message):
        Settings.resolve(environment, **arguments)


def test_the_environment_of_the_process_is_read_when_asked(monkeypatch):
    """Without an environment given, the process's is read, at that moment."""
    assert is_disabled() is False
    monkeypatch.setenv("RADIOSONDE_DISABLED", "on")
    assert is_disabled() is True
    assert Settings.resolve().disabled is True


def test_the_anchor_turns_monotonic_into_wall_time():
    """Monotonic now plus the anchor lies between two readings of the wall clock."""
    before = wall_ns()
    now = anchor_ns() + monotonic_ns()
    assert before - 10**9 < now < wall_ns() + 10**9


def test_every_variable_that_is_read_is_known():
    """A variable that the settings read and that `VARIABLES` misses would be called a misspelling by the doctor."""
    source = inspect.getsource(_settings).replace("RADIOSONDE_MODEL_{part}", "")
    assert set(re.findall(r"RADIOSONDE_[A-Z_]*[A-Z]", source)) == set(_settings.VARIABLES)
    assert list(_settings.VARIABLES) == sorted(_settings.VARIABLES)
