from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from radiosonde._clock import anchor_ns, monotonic_ns, wall_ns
from radiosonde._settings import Settings, declarations, is_disabled, variables
from radiosonde._settings.options import StartOptions
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
        ("RADIOSONDE_PROMETHEUS_HOST", "0.0.0.0", "prometheus_host", "0.0.0.0"),
        ("RADIOSONDE_PROMETHEUS_HOST", "[::1]", "prometheus_host", "::1"),
        ("RADIOSONDE_PROMETHEUS_HOST", " metrics.local ", "prometheus_host", "metrics.local"),
        ("RADIOSONDE_RING_BYTES", "65536", "ring_bytes", 65536),
        ("RADIOSONDE_MAX_SERIES", "7", "max_series", 7),
        ("RADIOSONDE_STORE_TIERS", "0.5, 7,365", "store_tiers", (0.5, 7.0, 365.0)),
        ("RADIOSONDE_CPU_BUDGET", "0.05", "cpu_budget", 0.05),
        ("RADIOSONDE_CPU_BUDGET", "inf", "cpu_budget", float("inf")),
        ("RADIOSONDE_OTLP", "yes", "otlp", True),
        ("RADIOSONDE_RECEIPT_KEYS", f"k1={'ab' * 32}", "receipt_keys", f"k1={'ab' * 32}"),
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
    ("arguments", "message"),
    [
        ({"window_s": float("nan")}, "window_s is nan; it must be at least 1"),
        ({"window_s": "300"}, "window_s is '300'; it must be a number of seconds"),
        ({"window_s": True}, "window_s is True"),
        ({"cpu_budget": float("nan")}, "cpu_budget is nan; it must be above 0"),
        ({"cpu_budget": 0}, "cpu_budget is 0; it must be above 0"),
        ({"receipt_ttl_s": 0}, "receipt_ttl_s is 0; it must be at least 1 and at most 315360000 seconds"),
        ({"export_interval_s": 0}, "export_interval_s is 0"),
        ({"ring_bytes": 1}, "ring_bytes is 1; it must be between 65536"),
        ({"ring_bytes": 65536.0}, "ring_bytes is 65536.0; it must be a whole number"),
        ({"prometheus_port": 65536}, "prometheus_port is 65536; it must be between 0 and 65535"),
        ({"spans_per_minute": -1}, "spans_per_minute is -1; it must be between 0 and 6000"),
        ({"otlp": "yes"}, "otlp is 'yes'; use true or false"),
        ({"agent": "maybe", "spool": "/s"}, "agent is 'maybe'; use true, false or \"auto\""),
        ({"agent": True}, "agent needs a spool"),
        ({"agent": True, "spool": "/s", "labels": "memory"}, "labels in memory cannot reach the agent"),
        ({"store": ""}, "store is ''; it must be a path"),
        ({"store": b"x"}, "store is b'x'; it must be a path"),
        ({"store": "a\0b"}, "it must be a path"),
        ({"service_name": 3}, "service_name is 3; it must be a text"),
        ({"references": "r.json"}, "references is 'r.json'; it must be a mapping"),
        ({"references": {"m": 3}}, "maps 'm' to 3"),
        ({"cohorts": {"carrier": "UA"}}, "maps 'carrier' to 'UA'"),
        ({"cohorts": ["carrier"]}, "it must be a mapping"),
        ({"receipt_keys": "secret"}, "receipt key number 1 is not of the form id=secret"),
        ({"stroe": "x"}, r"unknown setting stroe; did you mean store\? Known are .*window_s"),
        ({"colour": "red", "size": 1}, "unknown setting colour, size.* Known are .*window_s"),
    ],
)
def test_a_wrong_argument_raises(arguments, message):
    """A bad value or an unknown name raises a sentence that names it."""
    with pytest.raises(ConfigurationError, match=message):
        Settings.resolve({}, **arguments)


WRONG = {
    "RADIOSONDE_AGENT": ["perhaps", "1"],  # the second one lacks a spool
    "RADIOSONDE_COHORTS": ["plan", "=free", "plan=free,carrier"],
    "RADIOSONDE_CPU_BUDGET": ["0", "-1", "nan", "1 %"],
    "RADIOSONDE_DISABLED": ["perhaps", "2"],
    "RADIOSONDE_LABELS": ["\0"],
    "RADIOSONDE_MAX_SERIES": ["0", "many", "1e3", "99999999999"],
    "RADIOSONDE_MAX_FEATURES": ["0", "10001", "2.5", "many"],
    "RADIOSONDE_PROVISIONAL_S": ["-1", "nan", "an hour"],
    "RADIOSONDE_ID_KEY": [],  # any text is a key: a refused one would leave values unhashed
    "RADIOSONDE_OTLP": ["http", "otlp"],
    "RADIOSONDE_PROMETHEUS_HOST": ["0.0.0.0:9464", "http://0.0.0.0", "a b", "localhost:1", "/x", ":1"],
    "RADIOSONDE_PII_KEY": [],
    "RADIOSONDE_PROMETHEUS_PORT": ["http", "-1", "70000", "9464.5"],
    "RADIOSONDE_RECEIPT_KEYS": ["hunter2", "k1=00", "k1=!", "toolongname=" + "00" * 32],
    "RADIOSONDE_RECEIPT_TTL_S": ["0", "90d", "inf"],
    "RADIOSONDE_REFERENCE": ["m=", "=r.json", ","],
    "RADIOSONDE_RING_BYTES": ["1", "4M", "1e400"],
    "RADIOSONDE_RUNTIME": ["maybe"],
    "RADIOSONDE_LATENCY_EDGES": ["fast", "0.1,,1", "1,0.5", "0,1", "1,inf", ",".join(map(str, range(1, 50)))],
    "RADIOSONDE_SKETCH_COHORTS": ["some"],
    "RADIOSONDE_WINDOW_EVENTS": ["some"],
    "RADIOSONDE_SPANS_PER_MINUTE": ["-1", "6001", "x"],
    "RADIOSONDE_SPOOL": ["\0"],
    "RADIOSONDE_STORE": ["\0"],
    "RADIOSONDE_STORE_TIERS": ["2", "2,60", "60,2,730", "0,1,2", "2,2,3", "1,2,3,4", "2d,60d,2y", "1,2,nan", "1,2,1e9"],
    "RADIOSONDE_WINDOW_S": ["abc", "nan", "inf", "0.5", "1e99", "6O"],
}


def test_every_variable_has_wrong_values_here():
    """A new variable needs values that cannot be used in this table."""
    assert WRONG.keys() == {declared.variable for _, declared in declarations() if declared.variable}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in WRONG.items() for text in texts])
def test_a_wrong_variable_never_raises(name, text):
    """It is a problem that names the variable, shows no secret, and leaves the default in force."""
    settings = Settings.resolve({name: text})
    assert settings == Settings()
    (problem,) = settings.problems
    assert problem.variable == name
    assert name in problem.message
    assert "ignored" in problem.message
    assert "hunter2" not in problem.message


@pytest.mark.parametrize(
    ("environment", "arguments", "ignored"),
    [
        ({"RADIOSONDE_AGENT": "1"}, {}, "RADIOSONDE_AGENT"),
        ({"RADIOSONDE_AGENT": "1"}, {"spool": "/s"}, None),
        ({"RADIOSONDE_AGENT": "1", "RADIOSONDE_SPOOL": "/s", "RADIOSONDE_LABELS": "memory"}, {}, "RADIOSONDE_LABELS"),
        ({"RADIOSONDE_AGENT": "1", "RADIOSONDE_SPOOL": "/s"}, {"labels": "memory"}, "RADIOSONDE_AGENT"),
        ({"RADIOSONDE_LABELS": "memory"}, {"agent": True, "spool": "/s"}, "RADIOSONDE_LABELS"),
    ],
)
def test_variables_give_way_in_a_conflict(environment, arguments, ignored):
    """Where two settings contradict each other, the one that a variable has set is ignored."""
    problems = Settings.resolve(environment, **arguments).problems
    assert [problem.variable for problem in problems] == ([] if ignored is None else [ignored])


def test_a_good_argument_stands_in_for_a_wrong_variable():
    """The problem is still reported: the variable has no effect."""
    settings = Settings.resolve({"RADIOSONDE_WINDOW_S": "abc"}, window_s=10)
    assert (settings.window_s, len(settings.problems)) == (10.0, 1)


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


def test_an_empty_variable_is_as_good_as_none():
    """As OpenTelemetry has it for its own."""
    assert Settings.resolve(dict.fromkeys(variables(), "")) == Settings()


def test_the_generated_files_are_up_to_date():
    """The page of settings and the keywords of `start` are those of the declarations."""
    result = subprocess.run(
        [sys.executable, "tools/generate_settings.py", "--check"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_start_takes_every_setting():
    """The signature for type checkers matches the declarations."""
    assert StartOptions.__annotations__.keys() == {item.name for item, _ in declarations()}
