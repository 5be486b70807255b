"""``radiosonde doctor``: what a person sees, and the exit code, on real sockets and files."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from importlib.metadata import EntryPoint, version
from pathlib import Path
from types import ModuleType

import pytest

from radiosonde._api.plugins import INSTRUMENTORS
from radiosonde._version import __version__
from radiosonde.cli import _checkup_libraries as libraries
from radiosonde.cli import _checkup_server, main
from radiosonde.export.prometheus import PrometheusCollector, serve
from radiosonde.model import SeriesKey
from radiosonde.store import StoreWriter
from tests.factories import make_reference, make_snapshot
from tests.http_server import Handler, http_server
from tests.unit.cli.screens import SCREENS
from tests.unit.store.strategies import make_part

NUMPY = version("numpy")
OURS = "radiosonde_integrations"


@pytest.fixture
def plugins(monkeypatch):
    """Return a function that makes plug-ins, requirements by name, all there are; also a clean environment."""
    for name in [name for name in os.environ if name.startswith(("RADIOSONDE_", "OTEL_"))]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("WEB_CONCURRENCY", raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(_checkup_server, "_may_write", lambda _: True)  # as for root, or a user who owns the folder

    def make(**requirements):
        entries = [EntryPoint("strangers", "strangers.module:Kind", "opentelemetry_instrumentor")]
        for name, requires in requirements.items():
            module = ModuleType(f"{OURS}.stand_in_{name}")
            module.Kind = type("Kind", (), {"instrumentation_dependencies": lambda self, told=requires: told})
            monkeypatch.setitem(sys.modules, module.__name__, module)
            entries.append(EntryPoint(f"radiosonde_{name}", f"{module.__name__}:Kind", "opentelemetry_instrumentor"))
        # The list of what is installed is the environment's; a test cannot install and remove real libraries.
        monkeypatch.setattr(libraries, "entry_points", lambda **_: entries)

    make(numpy=("numpy >= 1.26",), absent=("no-such-library >= 1",))
    return make


@pytest.fixture
def doctor(plugins, monkeypatch, capsys):
    """Return a function that runs the command with variables, and returns its exit code and its lines by topic."""

    def examine(*server, **variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, str(value))
        code = main(["doctor", "--json", *server])
        found = json.loads(capsys.readouterr().out)
        assert found["healthy"] == (code == 0)
        for name in variables:
            monkeypatch.delenv(name)
        return code, found

    return examine


def to_fix(found):
    """Return the lines to fix, as (sentence, command)."""
    return [(line["said"], line["command"]) for line in found["lines"] if line["state"] == "fix"]


@contextmanager
def answering(status):
    """Run an HTTP server that answers every POST with *status*; yield its address and the requests it got."""
    got = []

    class Alike(Handler):
        def respond(self):
            got.append((self.path, self.headers.get("Authorization"), self.headers.get("Content-Length")))
            self.body()
            self.answer(status)

    with http_server(Alike) as server:
        yield server.url, got


@contextmanager
def listening(answer=b""):
    """Accept one connection and send *answer*, or nothing; yield the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        done = threading.Event()

        def accept():
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                if answer:
                    connection.recv(64)
                    connection.sendall(answer)
                else:
                    done.wait(10)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            done.set()
            server.shutdown(socket.SHUT_RDWR)
            thread.join(15)


def test_a_healthy_server_is_fine_and_the_next_command_starts_it(doctor, tmp_path):
    """A supported library, a collector that answers, a store that can be made: exit code 0."""
    with answering(200) as (address, got):
        code, found = doctor(
            *("uvicorn", "server:app"),
            OTEL_EXPORTER_OTLP_ENDPOINT=address, OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20abc",
            RADIOSONDE_STORE=tmp_path / "flights.sqlite",
        )  # fmt: skip
    assert (code, to_fix(found)) == (0, [])
    assert got == [("/v1/metrics", "Bearer abc", "0")]
    said = [line["said"] for line in found["lines"] if line["state"] == "ok"]
    assert f"numpy {NUMPY} (>=1.26)" in said
    assert f"OTLP: {address}/v1/metrics accepts metrics" in said
    assert f"store: {tmp_path}/flights.sqlite will be created" in said
    assert not (tmp_path / "flights.sqlite").exists()
    assert found["next"] == "opentelemetry-instrument uvicorn server:app"
    assert "Bearer" not in json.dumps(found)


def test_an_unreachable_collector_is_something_to_do(doctor, free_port):
    """Connection refused: the address, the reason and the command."""
    code, found = doctor(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://user:pass@127.0.0.1:{free_port}")
    ((said, command),) = to_fix(found)
    assert code == 1
    assert f"no response from http://***@127.0.0.1:{free_port}/v1/metrics" in said
    assert command == found["next"] == f"curl -v 'http://***@127.0.0.1:{free_port}/v1/metrics'"
    assert "pass@" not in json.dumps(found)


@pytest.mark.parametrize(
    ("status", "words"), [(403, "refused the request (403)"), (404, "answers 404"), (500, "answers 500")]
)
def test_a_collector_that_does_not_take_metrics(doctor, status, words):
    """Refused, another path, broken: each in its own words."""
    with answering(status) as (address, _):
        code, found = doctor(OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=f"{address}/anything")
    assert code == 1
    assert words in to_fix(found)[0][0]


def test_a_collector_that_accepts_and_says_nothing_costs_a_second(doctor):
    """The probe has a deadline; an address that is none costs nothing."""
    with listening() as port:
        code, found = doctor(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}")
    assert (code, "timed out" in to_fix(found)[0][0]) == (1, True)
    code, found = doctor(OTEL_EXPORTER_OTLP_ENDPOINT="collector:4317")
    assert "begins with http://" in to_fix(found)[0][0]


def test_an_unsupported_version_is_something_to_do(plugins, doctor):
    """The installed version, the supported ones, and the line that installs one."""
    plugins(numpy=("numpy >= 99",))
    code, found = doctor()
    assert code == 1
    assert to_fix(found) == [(f"numpy {NUMPY} is not supported (>=99) and not observed", "pip install 'numpy>=99'")]


@pytest.mark.parametrize(
    ("server", "variables", "place"),
    [
        ((), {"WEB_CONCURRENCY": "4"}, "WEB_CONCURRENCY"),
        ((), {"GUNICORN_CMD_ARGS": "--bind=0.0.0.0 --workers=4"}, "GUNICORN_CMD_ARGS"),
        (("gunicorn", "-w", "4", "server:app"), {"WEB_CONCURRENCY": "2"}, "the command"),
        (("uvicorn", "server:app", "--workers", "4"), {}, "the command"),
    ],
)
def test_prefork_without_an_agent_is_something_to_do(doctor, server, variables, place):
    """Wherever the number of workers is said."""
    code, found = doctor(*server, **variables)
    ((said, command),) = to_fix(found)
    assert code == 1
    assert said.startswith(f"4 worker processes ({place}) without an agent")
    assert command == "radiosonde agent --spool /var/lib/radiosonde"


def test_a_user_who_may_not_write_there_is_shown_a_folder_of_their_own(doctor, monkeypatch, tmp_path):
    """The proposed spool is in the current folder, where the agent can create it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_checkup_server, "_may_write", lambda _: False)
    _, found = doctor("gunicorn", "-w", "4", "server:app")
    ((_, command),) = to_fix(found)
    assert command == f"radiosonde agent --spool {tmp_path / 'radiosonde-spool'}"


def test_one_worker_is_no_prefork(doctor):
    """Threads, bindings and a single worker are not taken for many."""
    code, _ = doctor("gunicorn", "-w", "1", "--worker-class", "gthread", "-b", "0.0.0.0:8000", WEB_CONCURRENCY="x")
    assert code == 0


def test_nothing_installed_is_something_to_do(plugins, doctor):
    """No library that could be observed without code: said, with what to do instead."""
    plugins(absent=("no-such-library >= 1",))
    code, found = doctor()
    assert code == 1
    assert "no library that can be observed" in to_fix(found)[0][0]
    assert "not installed: no-such-library" in [line["said"] for line in found["lines"]]


def test_a_library_under_another_distributions_name_is_there(plugins, doctor):
    """Of several distributions of one library the installed one is named, and none of them is missing."""
    plugins(twins=("no-such-build >= 1", "numpy >= 1.26, < 99"), absent=("no-such-library >= 1",))
    kind = sys.modules[f"{OURS}.stand_in_twins"].Kind
    kind.instrumentation_dependencies = lambda self: ("numpy >= 1.26, < 99",)
    code, found = doctor()
    said = [line["said"] for line in found["lines"]]
    assert code == 0
    assert f"numpy {NUMPY} (>=1.26,<99)" in said
    assert "not installed: no-such-library" in said


@pytest.mark.parametrize("library", ["mlflow", "onnxruntime", "xgboost"])
def test_real_plugins_name_one_distribution(library):
    """Those that come under several names ask for the one that is installed, or for the first."""
    (entry,) = [each for each in libraries.entry_points(group=INSTRUMENTORS) if each.name == f"radiosonde_{library}"]
    (requirement,) = libraries._requirements(entry.load())
    assert requirement.split()[0].startswith(library)


def test_a_plugin_that_cannot_be_loaded_says_so_and_the_others_are_looked_at(plugins, doctor, monkeypatch):
    """One broken plug-in is one line."""
    plugins(numpy=("numpy >= 1",), broken=())
    del sys.modules[f"{OURS}.stand_in_broken"].Kind
    code, found = doctor()
    assert code == 1
    assert [said.partition(":")[0] for said, _ in to_fix(found)] == ["broken"]
    assert any(line["said"].startswith(f"numpy {NUMPY}") and line["state"] == "ok" for line in found["lines"])


@pytest.mark.parametrize("names", ["radiosonde_numpy", "*", "redis, radiosonde_numpy"])
def test_what_is_switched_off_is_not_observed(doctor, names):
    """By OpenTelemetry's own variable; that is a wish, not a fault."""
    code, found = doctor(OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=names)
    assert code == 0
    (line,) = [line for line in found["lines"] if line["said"].startswith("numpy")]
    assert line["state"] == "off"


def test_a_misspelt_variable_is_pointed_out_with_the_nearest(doctor):
    """Ours by likeness, OpenTelemetry's by the one letter swap everybody makes."""
    code, found = doctor(RADIOSONDE_SPOL="/x", RADIOSONDE_QQ="1", OTEL_EXPORTER_OLTP_ENDPOINT="http://x")
    assert code == 1
    assert sorted(said for said, _ in to_fix(found)) == [
        "OTEL_EXPORTER_OLTP_ENDPOINT has no effect; the correct spelling is OTLP",
        "RADIOSONDE_QQ is unknown and has no effect",
        "RADIOSONDE_SPOL is unknown and has no effect; did you mean RADIOSONDE_SPOOL?",
    ]


def test_secrets_are_not_shown(doctor):
    """Keys, headers and passwords in addresses."""
    _, found = doctor(
        RADIOSONDE_RECEIPT_KEYS="k1=" + "5e" * 32,
        OTEL_EXPORTER_OTLP_METRICS_HEADERS="api-key=hunter2",
        RADIOSONDE_LABELS="redis://user:hunter2@127.0.0.1:1/0",
    )
    assert found["variables"]["RADIOSONDE_RECEIPT_KEYS"] == "(set, not shown)"
    assert "hunter2" not in json.dumps(found)
    assert "5e5e" not in json.dumps(found)


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"RADIOSONDE_DISABLED": "true"}, "RADIOSONDE_DISABLED disables Radiosonde"),
        ({"OTEL_SDK_DISABLED": "true"}, "OTEL_SDK_DISABLED disables Radiosonde"),
        ({"RADIOSONDE_WINDOW_S": "soon"}, "RADIOSONDE_WINDOW_S is 'soon'; it must be a number"),
        ({"RADIOSONDE_REFERENCE": "/no/such.json"}, "cannot read the reference profile /no/such.json"),
        ({"RADIOSONDE_STORE": "/no/such/flights.sqlite"}, "store: folder /no/such does not exist"),
        ({"RADIOSONDE_LABELS": "/no/such/labels.sqlite"}, "labels: folder /no/such does not exist"),
        (
            {"RADIOSONDE_PROMETHEUS_PORT": "99999"},
            "RADIOSONDE_PROMETHEUS_PORT is '99999'; it must be between 0 and 65535",
        ),
    ],
)
def test_each_setting_that_cannot_work_is_said(doctor, variables, words):
    """With what is wrong about it, and a failing exit code."""
    code, found = doctor(**variables)
    assert code == 1
    assert any(words in said for said, _ in to_fix(found))


def test_a_reference_and_a_store_that_are_there_are_named(doctor, tmp_path):
    """What they hold, and then the store is what to look at next."""
    make_reference().save(tmp_path / "delays.json")
    StoreWriter(tmp_path / "flights.sqlite").write([make_part(key=SeriesKey("delays", "1"))])
    variables = {"RADIOSONDE_REFERENCE": tmp_path / "delays.json", "RADIOSONDE_STORE": tmp_path / "flights.sqlite"}
    code, found = doctor(**variables)
    assert code == 0
    said = [line["said"] for line in found["lines"]]
    assert f"{tmp_path}/delays.json for every model: 2 features, 100 rows" in said
    assert f"store: {tmp_path}/flights.sqlite holds delays" in said
    assert found["next"] == f"radiosonde diagnose {tmp_path}/flights.sqlite"
    (tmp_path / "flights.sqlite").write_text("this is not a store")
    assert doctor(**variables)[0] == 1


def test_a_port_is_free_ours_or_taken(doctor, free_port):
    """A running Radiosonde on it is no fault; anything else is."""
    assert doctor(RADIOSONDE_PROMETHEUS_PORT=free_port)[0] == 0
    server, thread = serve(PrometheusCollector(make_snapshot), 0)
    try:
        code, found = doctor(RADIOSONDE_PROMETHEUS_PORT=server.server_port)
        assert code == 0
        assert any("a running Radiosonde serves port" in line["said"] for line in found["lines"])
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
    with listening() as port:
        assert doctor(RADIOSONDE_PROMETHEUS_PORT=port)[0] == 1


@pytest.mark.parametrize(("answer", "code"), [(b"+PONG\r\n", 0), (b"-NOAUTH login first\r\n", 0), (b"HTTP/1.1 400", 1)])
def test_a_join_store_in_redis_is_asked(doctor, answer, code):
    """Anything that answers as Redis does will do; a web server will not."""
    with listening(answer) as port:
        assert doctor(RADIOSONDE_LABELS=f"redis://127.0.0.1:{port}/0")[0] == code


def test_a_spool_needs_its_folder_and_its_agent(doctor, tmp_path):
    """Readable by others; without an agent; with an agent."""
    folder = tmp_path / "spool"
    folder.mkdir(mode=0o755)
    code, found = doctor(RADIOSONDE_SPOOL=folder)
    assert (code, "chmod 700" in to_fix(found)[0][0]) == (1, True)
    folder.chmod(0o700)
    agent = {"RADIOSONDE_SPOOL": folder, "RADIOSONDE_AGENT": "true", "WEB_CONCURRENCY": 4}
    code, found = doctor(**agent)
    assert (code, found["next"]) == (1, f"radiosonde agent --spool {folder}")
    command = [Path(sys.executable).with_name("radiosonde"), "agent", "--spool", folder]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline().startswith("draining")
            code, found = doctor(**agent)
        finally:
            process.terminate()
            process.wait(20)
    assert (code, to_fix(found)) == (0, [])
    assert "4 worker processes (WEB_CONCURRENCY), drained by an agent" in [line["said"] for line in found["lines"]]


def test_a_spool_that_is_not_there_is_not_made(doctor, tmp_path):
    """Looking changes nothing."""
    assert doctor(RADIOSONDE_SPOOL=tmp_path / "new")[0] == 0
    assert not (tmp_path / "new").exists()


def test_it_fits_a_screen(plugins, monkeypatch, capsys):
    """At most 100 columns (commands excepted, which are there to be copied) and 40 lines."""
    monkeypatch.setenv("WEB_CONCURRENCY", "4")
    monkeypatch.setenv("RADIOSONDE_SPOL", "/x")
    assert main(["doctor"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith(": 2 problems to fix")
    assert lines[-1] == "next:     $ unset RADIOSONDE_SPOL"
    assert max(len(line) for line in lines if "$ " not in line) <= 100
    assert len(lines) <= 40


@pytest.mark.parametrize("setup", SCREENS)
def test_what_a_person_reads(plugins, monkeypatch, tmp_path, capsys, free_port, setup):
    """Every line of the five set-ups, on a screen of 100 columns, and what the exit code says of each."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RADIOSONDE_STORE", "flights.sqlite")
    server = ["gunicorn", "-w", "4", "server:app"] if setup == "prefork" else ["uvicorn", "server:app"]
    if setup == "unsupported":
        plugins(numpy=("numpy >= 99, < 100",))
    if setup == "nothing":
        plugins(absent=("no-such-library >= 1",))
    with answering(200) as (answers, _):
        address = f"http://127.0.0.1:{free_port}" if setup == "unreachable" else answers
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        code = main(["doctor", *server])
    shown = capsys.readouterr().out.replace(address, "http://127.0.0.1:43210").replace(f"numpy {NUMPY}", "numpy 2.0.0")
    first, *lines = shown.splitlines()
    assert first.startswith(f"radiosonde {__version__}, Python ")
    lines = [line for line in lines if "CPU: " not in line]  # the machine's
    assert [first.rpartition(": ")[2], *lines] == SCREENS[setup].strip().splitlines()
    assert code == (0 if setup == "healthy" else 1)


def test_the_program_runs_as_installed():
    """``radiosonde doctor`` in a process of its own: a sentence, an exit code that is not 2, nothing on stderr."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("RADIOSONDE_", "OTEL_"))}
    command = [Path(sys.executable).with_name("radiosonde"), "doctor", "uvicorn", "server:app", "--port", "1"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode in (0, 1)
    assert done.stdout.startswith("radiosonde ")
    assert done.stderr == ""
