"""Mistakes in the environment are logged and counted, and never raise in a host; mistakes in code raise at once."""

from __future__ import annotations

import subprocess
import sys

import pytest

import radiosonde
from radiosonde._guard import Guard
from radiosonde.errors import ConfigurationError, ProfileError, RadiosondeError, StoreError
from radiosonde.model import losses
from radiosonde.testing import Flight, fly


@pytest.fixture
def flights():
    """Return a factory of Radiosondes with an environment; each is shut down afterwards."""
    made = []

    def make(**environment):
        made.append(Flight(Guard(reraise=True), environment=environment))
        return made[-1]

    yield make
    for flight in made:
        flight.shutdown()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("RADIOSONDE_WINDOW_S", "abc"),
        ("RADIOSONDE_AGENT", "1"),
        ("RADIOSONDE_AGENT", "perhaps"),
        ("RADIOSONDE_DISABLED", "perhaps"),
        ("RADIOSONDE_RECEIPT_KEYS", "hunter2"),
        ("RADIOSONDE_COHORTS", "plan"),
        ("RADIOSONDE_PROMETHEUS_PORT", "99999"),
        ("RADIOSONDE_RING_BYTES", "4M"),
        ("RADIOSONDE_CPU_BUDGET", "-1"),
    ],
)
@pytest.mark.parametrize("starts", [False, True], ids=["first use", "start"])
def test_a_wrong_variable_is_told_once(flights, caplog, name, text, starts):
    """Decorating, starting, predicting, staging and labelling all work; one line of the log names the variable."""
    rs = flights(**{name: text})
    if starts:
        rs.start(prometheus=False)

    @rs.observe("delays")
    def predict(features):
        with rs.stage("fetch"), rs.cohort(plan="pro"):
            return 1.0

    for _ in range(3):
        assert predict([1.0]) == 1.0
        rs.label(rs.current().id, 1.0)
    assert rs.losses()[losses.SETTINGS_IGNORED] == 1
    assert sum(window.calls for window in rs.windows()) == 3
    (line,) = [message for message in caplog.messages if name in message and "ignored" in message]
    assert "radiosonde doctor" in line
    assert "hunter2" not in line


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RADIOSONDE_STORE", "{folder}/absent/x.sqlite"),
        ("RADIOSONDE_SPOOL", "{folder}/file/spool"),
        ("RADIOSONDE_REFERENCE", "{folder}/absent.json"),
        ("RADIOSONDE_LABELS", "{folder}/absent/labels.sqlite"),
    ],
)
@pytest.mark.parametrize("starts", [False, True], ids=["first use", "start"])
def test_a_place_that_cannot_be_used_is_told(tmp_path, caplog, name, value, starts):
    """A store, spool, profile or join store that a variable names, and that cannot be opened, costs itself only."""
    (tmp_path / "file").touch()
    rs = Flight(Guard(), environment={name: value.format(folder=tmp_path)})
    try:
        if starts:
            rs.start(prometheus=False)
        predict = rs.observe("delays")(lambda features: 1.0)
        assert predict([1.0]) == 1.0
        rs.label(rs.current().id, 1.0)
        rs.flush(5)
        assert sum(window.calls for window in rs.windows()) == 1
        assert caplog.messages
        rs.losses()
    finally:
        rs.shutdown()


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"store": "{folder}/absent/x.sqlite"}, StoreError),
        ({"references": {"*": "{folder}/absent.json"}}, ProfileError),
        ({"spool": "{folder}/file/spool"}, RadiosondeError),
        ({"window_s": "abc"}, ConfigurationError),
        ({"stroe": "x"}, ConfigurationError),
    ],
)
def test_a_wrong_argument_raises(tmp_path, settings, error):
    """The caller of `start` gets the error."""
    (tmp_path / "file").touch()
    filled = {
        name: value.format(folder=tmp_path)
        if isinstance(value, str)
        else {key: each.format(folder=tmp_path) for key, each in value.items()}
        for name, value in settings.items()
    }
    with pytest.raises(error), fly(**filled):
        pass


def test_a_misspelt_setting_gets_a_suggestion():
    """The message names the setting that was meant."""
    with pytest.raises(ConfigurationError, match=r"unknown setting stroe; did you mean store\?"), fly(stroe="x"):
        pass


def test_receipts_of_a_wrong_variable_are_a_loss(flights):
    """A request must not fail for a receipt because the deployment's keys are damaged."""
    rs = flights(RADIOSONDE_RECEIPT_KEYS="hunter2")
    rs.observe("delays")(lambda features: 1.0)([1.0])
    assert radiosonde.current().receipt() == ""
    assert rs.losses()[losses.RECEIPT_UNISSUED] == 1


def test_an_application_survives_a_wrong_environment():
    """Import, decoration and requests work with every variable wrong at once; the process exits with 0."""
    script = (
        "import radiosonde as rs\n@rs.observe\ndef predict(x): return 1.0\nprint([predict([1.0]) for _ in range(3)])\n"
    )
    names = ("WINDOW_S", "AGENT", "DISABLED", "CPU_BUDGET", "RING_BYTES", "OTLP", "RUNTIME", "RECEIPT_KEYS", "COHORTS")
    done = subprocess.run(
        [sys.executable, "-c", script], env={f"RADIOSONDE_{name}": "=abc" for name in names}, capture_output=True,
        text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "[1.0, 1.0, 1.0]\n")
    assert all(f"RADIOSONDE_{name}" in done.stderr for name in names)
    assert "Traceback" not in done.stderr
