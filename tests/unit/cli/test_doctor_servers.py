"""What ``radiosonde doctor`` reads in the command that starts a server, and that what it advises works."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from radiosonde.cli import _checkup_libraries as libraries
from radiosonde.cli import _checkup_server, main
from radiosonde.cli._checkup_server import read_server
from radiosonde.sources import open_source

ROOT = Path(__file__).parents[3]
CORES = os.cpu_count()


@pytest.fixture
def doctor(monkeypatch, tmp_path, capsys):
    """Return a function that runs the command in an empty folder and returns its exit code and document."""
    for name in [name for name in os.environ if name.startswith(("RADIOSONDE_", "OTEL_"))]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("WEB_CONCURRENCY", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("radiosonde.cli.doctor.library_lines", lambda _: [])
    monkeypatch.setattr(_checkup_server, "_may_write", lambda _: True)  # as for root, or a user who owns the folder

    def examine(command, **variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, str(value))
        code = main(["doctor", "--json", *shlex.split(command)])
        return code, json.loads(capsys.readouterr().out)

    return examine


def said(found, topic, word):
    """Return the state and sentence of the one line of a topic that begins with a word."""
    ((state, sentence),) = [
        (line["state"], line["said"])
        for line in found["lines"]
        if line["topic"] == topic and line["said"].startswith(word)
    ]
    return state, sentence


@pytest.mark.parametrize(
    ("command", "workers"),
    [
        ("uvicorn server:app", 1), ("uvicorn server:app --workers=3", 3), ("python3.11 -m uvicorn server:app --workers 3", 3),
        ("gunicorn -w4 server:app", 4), ("gunicorn -w 4 -b 0.0.0.0:8000 server:app", 4), ("gunicorn server:app", 1),
        ("opentelemetry-instrument gunicorn --workers 4 server:app", 4),
        ("opentelemetry-instrument --metrics_exporter none gunicorn --workers 4 server:app", 4),
        ("/opt/venv/bin/opentelemetry-instrument /opt/venv/bin/gunicorn -w 4 server:app", 4),
        ("sh -c 'exec gunicorn -w 4 server:app'", 4), ("bash -c 'WEB_CONCURRENCY=3 uvicorn server:app'", 3),
        ("env WEB_CONCURRENCY=5 gunicorn server:app", 5), ("WEB_CONCURRENCY=5 gunicorn -w 2 server:app", 2),
        ("uv run hypercorn -w 3 server:app", 3), ("poetry run granian --workers 2 server:app", 2), ("uwsgi --processes 6", 6),
        ("nice -n 5 uwsgi -p 2", 2), ("fastapi run --workers 4", 4), ("python serve.py", 1), ("python serve.py --workers 3", 3),
        ("celery -A tasks worker", CORES), ("celery -A tasks worker -c 7", 7), ("celery -A tasks worker --concurrency=7 -P prefork", 7),
        ("celery -A tasks worker -P solo", 1), ("celery -A tasks worker --pool threads -c 8", 1), ("celery -A tasks beat", 1),
        ("celery -A tasks worker --pool=gevent -c 500", 1), ("python -m celery -A tasks worker -c3", 3),
        ("dramatiq tasks -p 4", 4), ("rq worker-pool -n 3", 3), ("GUNICORN_CMD_ARGS='-w 6' gunicorn server:app", 6), ("", 1),
        ("python -u -W ignore -m gunicorn -w 4 server:app", 4), ("python3 -X dev -m celery -A t worker --autoscale 6,2", 6),
        ("WEB_CONCURRENCY=4 waitress-serve server:app", 1), ("WEB_CONCURRENCY=4 flask run", 1), ("WEB_CONCURRENCY=4 daphne server:app", 1),
        ("UVICORN_WORKERS=3 uvicorn server:app", 3), ("GRANIAN_WORKERS=3 granian server:app", 3),
        ("WEB_CONCURRENCY=3 hypercorn server:app", 1), ("celery -A t worker -P processes -c 5", 5), ("celery -A t worker -P eventlet", 1),
        ("rq worker", 0), ("python -m rq.cli worker", 0), ("python -m gunicorn.app.wsgiapp -w 3 server:app", 3), ("python -m rq.cli worker -w rq.SimpleWorker", 1), ("rq worker --worker-class=rq.SimpleWorker", 1),
        ("uv run --with gevent gunicorn -k gevent -w 3 server:app", 3), ("sudo -u www gunicorn -w 3 server:app", 3),
        ("sh -c 'exec gunicorn -w 4 \"'", 4), ("gunicorn -w many server:app", 1),
    ],
)  # fmt: skip
def test_worker_processes_of_a_command(command, workers):
    """Of every server and pool, behind whatever stands before the program."""
    assert read_server(shlex.split(command), {}).workers == workers


@pytest.mark.parametrize(
    ("file", "text", "options", "workers"),
    [
        ("gunicorn.conf.py", "workers = 5\n", "", 5), ("conf.py", "bind = 'x'\nworkers=3  # cores\n", "-c conf.py", 3),
        ("conf.py", "workers = multiprocessing.cpu_count() * 2\n", "--config=conf.py", 0), ("conf.py", "threads = 5", "-c conf.py", 1),
        ("gunicorn.conf.py", "workers = 5\n", "-w 2", 2),
    ],
)  # fmt: skip
def test_the_workers_of_gunicorns_file(doctor, tmp_path, file, text, options, workers):
    """A number is read; what the file computes is said to be unknown, and taken for many."""
    (tmp_path / file).write_text(text)
    code, found = doctor(f"gunicorn {options} server:app")
    assert code == (0 if workers == 1 else 1)
    if workers != 1:
        _, sentence = said(found, "server", f"{workers} worker" if workers else "a computed number of worker")
        assert "without an agent" in sentence


@pytest.mark.parametrize(
    ("command", "following"),
    [
        ("uvicorn server:app", "opentelemetry-instrument uvicorn server:app"),
        ("opentelemetry-instrument uvicorn server:app", "opentelemetry-instrument uvicorn server:app"),
        ("/v/bin/opentelemetry-instrument --traces_exporter none uvicorn server:app",
         "/v/bin/opentelemetry-instrument --traces_exporter none uvicorn server:app"),
        ("sh -c 'opentelemetry-instrument uvicorn server:app'", "sh -c 'opentelemetry-instrument uvicorn server:app'"),
        ("PORT=1 python serve.py", "PORT=1 opentelemetry-instrument python serve.py"),
        ("'NAME=a b' python 'my serve.py'", "NAME='a b' opentelemetry-instrument python 'my serve.py'"),
        ("env PORT=1 python serve.py", "env PORT=1 opentelemetry-instrument python serve.py"),
        ("celery -A tasks worker -P solo", "opentelemetry-instrument celery -A tasks worker -P solo"),
        ("sudo -u www python -m uvicorn server:app", "sudo -u www opentelemetry-instrument python -m uvicorn server:app"),
        ("exec waitress-serve server:app", "exec opentelemetry-instrument waitress-serve server:app"),
        ("uv run --python 3.12 flask run", "uv run --python 3.12 opentelemetry-instrument flask run"),
        ("nice -n 5 daphne server:app", "nice -n 5 opentelemetry-instrument daphne server:app"),
        ("sh -c 'exec daphne server:app'", "opentelemetry-instrument sh -c 'exec daphne server:app'"),
    ],
)  # fmt: skip
def test_the_command_is_given_back_with_the_starter_once(doctor, command, following):
    """Variables stay in front, quotes stay where they were."""
    code, found = doctor(command)
    assert (code, found["next"]) == (0, following)


@pytest.mark.parametrize(
    ("command", "variables", "state", "words"),
    [
        ("python -I serve.py", {}, "fix", "python -I: opentelemetry-instrument has no effect"),
        ("python3.11 -u -E -m uvicorn server:app", {}, "fix", "python -E: opentelemetry-instrument has no effect"),
        (
            "python -W ignore -uS -m gunicorn server:app",
            {},
            "fix",
            "python -uS: opentelemetry-instrument has no effect",
        ),
        ("sh -c 'uwsgi --wsgi-file s.py'", {}, "fix", "uWSGI runs no threads"),
        ("flask --app web run --debug", {}, "note", "Flask's reloader kills"),
        ("flask run", {"FLASK_DEBUG": "1"}, "note", "Flask's reloader kills"),
    ],
)
def test_what_a_program_needs_is_said(doctor, command, variables, state, words):
    """Options that keep the starter or the threads of Radiosonde from working are an error; a loss at the end is a note."""
    code, found = doctor(command, **variables)
    assert said(found, "server", words)[0] == state
    assert code == (state == "fix")


@pytest.mark.parametrize(
    "command",
    [
        "python -u serve.py", "python -m uvicorn server:app -I", "python -W error::I -X importtime serve.py", "uwsgi --threads 2",
        "uwsgi --enable-threads", "uwsgi app.ini", "flask run --debug --no-reload", "flask routes --debug", "gunicorn -k gevent server:app",
    ],
)  # fmt: skip
def test_a_program_that_needs_nothing_is_fine(doctor, command):
    """Options of the same letters elsewhere are not Python's."""
    code, found = doctor(command)
    assert code == 0
    assert {line["state"] for line in found["lines"] if line["topic"] == "server"} == {"ok"}


def documented():
    """Yield each command of the documentation that starts a server, with its variables in front."""
    starts = re.compile(
        r"^(?:\s*\$ +| {4})((?:\w+=\S+ )*(?:opentelemetry-instrument|gunicorn|uvicorn|celery|python serve\.py)\b[^#\n]*)",
        re.MULTILINE,
    )
    for page in sorted((ROOT / "docs").rglob("*.md")):
        for match in starts.finditer(page.read_text(encoding="utf-8")):
            yield pytest.param(match[1].strip(), id=f"{page.stem}: {match[1].strip()}")


@pytest.mark.parametrize("command", list(documented()))
def test_each_set_up_of_the_documentation(doctor, command):
    """Its command as it stands: fine, or with workers and no agent told to run one; the starter is never there twice."""
    code, found = doctor(command)
    assert found["next"].count("opentelemetry-instrument") <= 1
    if re.search(r"-w 4|--workers 4|celery", command):
        assert (code, found["next"]) == (1, "radiosonde agent --spool /var/lib/radiosonde")
    else:
        assert code == 0, found
        assert found["next"].endswith(re.sub(r"^((\w+=\S+|opentelemetry-instrument) )*", "", command))


def test_a_spool_that_the_server_makes_is_fine(doctor, tmp_path):
    """With its labels in it; one that cannot be made is not."""
    places = {"RADIOSONDE_SPOOL": tmp_path / "new" / "spool", "RADIOSONDE_AGENT": "auto"}
    code, found = doctor("gunicorn -w 4 server:app", **places)
    assert code == 0, found
    assert said(found, "export", "labels")[0] == said(found, "export", "spool")[0] == "ok"
    assert "will be created" in said(found, "export", "spool")[1]
    assert list(tmp_path.iterdir()) == []


def test_variables_in_the_command_count(doctor, tmp_path):
    """As they do for the server."""
    _, found = doctor(f"RADIOSONDE_STORE={tmp_path}/a.sqlite RADIOSONDE_SPOL=x uvicorn server:app")
    assert said(found, "export", "store")[1].endswith("a.sqlite will be created")
    assert said(found, "settings", "RADIOSONDE_SPOL")[0] == "fix"


@pytest.mark.parametrize(
    ("command", "variables", "state", "words"),
    [
        (
            "opentelemetry-instrument uvicorn server:app",
            {},
            "fix",
            "opentelemetry-distro is installed, which exports there",
        ),
        ("opentelemetry-instrument uvicorn server:app", {"RADIOSONDE_OTLP": "false"}, "off", "OTLP: off; set"),
        ("opentelemetry-instrument uvicorn server:app", {"OTEL_METRICS_EXPORTER": "none"}, "off", "OTLP: off; set"),
        ("opentelemetry-instrument --metrics_exporter none uvicorn server:app", {}, "off", "OTLP: off; set"),
        ("uvicorn server:app", {}, "note", "OTLP: off, unless opentelemetry-instrument starts the server"),
    ],
)
def test_opentelemetrys_distro_switches_otlp_on(doctor, monkeypatch, free_port, command, variables, state, words):
    """Where it is installed and the starter is used; what is said otherwise wins."""
    monkeypatch.setattr(_checkup_server, "distro", lambda: "0.50b0")
    monkeypatch.setattr("radiosonde.cli._checkup_export.distro", lambda: "0.50b0")
    monkeypatch.setattr("radiosonde.cli._checkup_export._LOCAL_COLLECTOR", f"http://127.0.0.1:{free_port}")
    code, found = doctor(command, **variables)
    # The distribution sets gRPC, which is a line of its own before the endpoint's.
    *_, (found_state, sentence) = [
        (line["state"], line["said"]) for line in found["lines"] if line["said"].startswith("OTLP: ")
    ]
    assert (found_state, code) == (state, int(state == "fix"))
    assert words in sentence


@pytest.mark.parametrize(("there", "fixes"), [(("json", "email"), 1), (("json",), 1), ((), 1)])
def test_a_missing_extra_is_one_thing_to_do(monkeypatch, capsys, there, fixes):
    """Not one per plug-in; and libraries that are not installed are not missed."""
    entries = [
        EntryPoint(f"radiosonde_{name}", "radiosonde_integrations.gone:Kind", "x")
        for name in (*there, "nowhere1", "nowhere2", "nowhere3")
    ]

    def fail(self):
        raise ModuleNotFoundError(
            "No module named 'opentelemetry.instrumentation'", name="opentelemetry.instrumentation"
        )

    monkeypatch.setattr(EntryPoint, "load", fail)
    monkeypatch.setattr(libraries, "entry_points", lambda **_: entries)
    lines = list(libraries.library_lines({}))
    to_fix = [line for line in lines if line.state == "fix"]
    assert len(to_fix) == fixes
    if there:
        assert to_fix[0].said.startswith(", ".join(sorted(there)))
        assert to_fix[0].command == "pip install 'radiosonde[instrument]'"
    assert next(line.said for line in lines if line.state == "off") == "not installed: nowhere1, nowhere2, nowhere3"


def test_prometheus_multiprocess_folder_is_looked_at(doctor, tmp_path):
    """prometheus-client makes none: the advised command does, and then all is fine."""
    folder = tmp_path / "metrics of all"
    code, found = doctor("gunicorn server:app", PROMETHEUS_MULTIPROC_DIR=folder)
    assert code == 1
    subprocess.run(found["next"], shell=True, check=True, timeout=60)
    code, found = doctor("gunicorn server:app", PROMETHEUS_MULTIPROC_DIR=folder)
    assert (code, said(found, "export", "Prometheus: each process")[0]) == (0, "ok")


def test_what_it_advises_works(doctor, tmp_path):
    """The next command is run by a shell as it is, and the predictions are in the store that it promised."""
    pytest.importorskip("opentelemetry.instrumentation")
    (tmp_path / "serve.py").write_text(
        "import radiosonde as rs\n@rs.observe('delays')\ndef predict(x): return 1\nfor _ in range(7): predict([1.0])\n"
    )
    command = f"RADIOSONDE_STORE={tmp_path}/w.sqlite RADIOSONDE_OTLP=false {shlex.quote(sys.executable)} serve.py"
    code, found = doctor(command)
    assert code == 0, found
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(found["next"], shell=True, check=True, timeout=120, cwd=tmp_path, env={**os.environ, "PATH": path})
    windows = open_source([str(tmp_path / "w.sqlite")]).windows()
    assert sum(window.calls for window in windows if window.key.model == "delays") == 7
