"""``radiosonde incident mitigate``: lists, prints and runs the commands of the team, and records what was run."""

from __future__ import annotations

import io
import json
import os
import shlex
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from radiosonde.cli import main
from radiosonde.cli._incidents import diagnosed
from radiosonde.cli._mitigate import print_command
from radiosonde.cli._mitigation_run import LONGEST_VALUE, run_command, variables_of
from radiosonde.store.mitigations import MAX_OUTPUT, read_mitigations
from tests.unit.cli.test_incident import listed, make_store

HOSTILE = [
    pytest.param("$(touch owned)", id="substitution"),
    pytest.param("`touch owned`", id="backquotes"),
    pytest.param("x; touch owned", id="semicolon"),
    pytest.param("x\ntouch owned\n", id="line feed"),
    pytest.param("'; touch owned; '", id="single quote"),
    pytest.param('"; touch owned; "', id="double quote"),
    pytest.param("--yes -rf / * ~ ${IFS} %s \\", id="words"),
    pytest.param("\u202ecohort=\u00e9\U0001f600", id="other scripts"),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a store with an incident that goes on."""
    return make_store(tmp_path_factory.mktemp("made") / "ill.sqlite")


@pytest.fixture(scope="module")
def finding(made):
    """Return its incident."""
    (only,) = diagnosed([Path(made)]).diagnosis.incidents
    return only


@pytest.fixture
def ill(made, tmp_path, monkeypatch):
    """Return a copy of the store in the working folder; no store is declared elsewhere."""
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("RADIOSONDE_STORE", raising=False)
    monkeypatch.chdir(tmp_path)
    return shutil.copy(made, tmp_path / "ill.sqlite").as_posix()


def declare(folder, **commands):
    """Write a configuration with the *commands* as mitigations of the model."""
    lines = [f"mitigate.{name} = {json.dumps(command)}" for name, command in commands.items()]
    (folder / "radiosonde.toml").write_text("\n".join(["[model.m]", *lines, ""]))


def mitigate(store, capsys, *arguments):
    """Run the command against the one incident of *store*; return exit code, output and errors."""
    code = main(["incident", "mitigate", store, "2026", *arguments])
    return code, *capsys.readouterr()


def test_without_an_action_it_lists_the_choices_with_the_line_that_is_missing(ill, capsys, tmp_path):
    """Declared commands are shown as they are, the others as gaps; JSON holds the same."""
    declare(tmp_path, fallback="gatewayctl route m --to rules | tee 'log'")
    code, shown, _ = mitigate(ill, capsys)
    assert code == 0
    assert "  $ gatewayctl route m --to rules | tee 'log'\n" in shown
    assert '  not declared; add to [model.m]: rollback = "..."\n' in shown
    assert all(f"{name}  " in shown for name in ("rollback", "fallback"))
    document = json.loads(mitigate(ill, capsys, "--json")[1])
    gaps = {each["key"]: each["gap"] for each in document["mitigations"]}
    assert gaps["mitigate.fallback"] is None
    assert gaps["rollback"]["line"] == 'rollback = "..."'


def test_an_action_is_printed_and_not_run(ill, capsys, tmp_path):
    """The printed text is a script for the shell: run by hand, it does the same as --run."""
    declare(tmp_path, flag_off='printf %s "$RADIOSONDE_MODEL $RADIOSONDE_COHORT" > proof')
    code, script, _ = mitigate(ill, capsys, "--action", "flag_off")
    assert code == 0
    assert not (tmp_path / "proof").exists()
    assert read_mitigations(tmp_path / "ill.sqlite") == []
    subprocess.run(["/bin/sh", "-c", script], check=True, timeout=60)
    assert (tmp_path / "proof").read_text() == "m region=r1"


@pytest.mark.parametrize("value", [None, "...", "flagctl set <flag> off", "TODO"])
def test_a_command_that_is_not_declared_is_a_gap(ill, capsys, tmp_path, value):
    """Exit code 2 with the line to add; nothing is run, not even a placeholder."""
    if value is not None:
        declare(tmp_path, flag_off=value)
    code, _, error = mitigate(ill, capsys, "--action", "flag_off", "--run", "--yes")
    assert code == 2
    assert 'mitigate.flag_off = "..."' in error
    assert "[model.m]" in error
    assert read_mitigations(tmp_path / "ill.sqlite") == []


def test_a_run_is_recorded_with_its_output(ill, capsys, tmp_path):
    """The store holds who ran what, when, how it ended and what it wrote to both outputs; the exit code is 0."""
    declare(tmp_path, flag_off='echo off; echo "$RADIOSONDE_INCIDENT" >&2')
    (incident,) = listed(ill, capsys)
    code, shown, _ = mitigate(ill, capsys, "--action", "flag_off", "--run", "--yes")
    assert code == 0
    assert shown.startswith(f"off\n{incident['id']}\nmitigate.flag_off succeeded")
    (run,) = read_mitigations(tmp_path / "ill.sqlite")
    assert (run.model, run.incident, run.action) == ("m", incident["id"], "mitigate.flag_off")
    assert (run.outcome, run.exit_code, run.output) == ("done", 0, f"off\n{incident['id']}\n")
    assert run.started_ns <= run.ended_ns
    command = shlex.split(shown.splitlines()[-1].partition("with: ")[2])
    assert main(command[1:]) == 3


@pytest.mark.parametrize(
    ("command", "code"), [("exit 7", 7), ("no-such-command-here", 127), ("kill -9 $$", -9), ("false | false", 1)]
)
def test_a_command_that_fails_is_recorded_as_failed(ill, capsys, tmp_path, command, code):
    """Exit code 1, and it counts as no moment of a fix."""
    declare(tmp_path, restart=command)
    found, shown, _ = mitigate(ill, capsys, "--action", "restart", "--run", "--yes")
    assert found == 1
    assert f"failed with exit code {code}" in shown
    (run,) = read_mitigations(tmp_path / "ill.sqlite")
    assert (run.outcome, run.exit_code) == ("failed", code)
    assert main(["incident", "verify", ill, run.incident]) == 1


def test_a_verification_counts_from_the_end_of_the_last_successful_run(ill, capsys, tmp_path):
    """Without a run the rate since the onset decides; after one, calls since then are needed. --since still decides."""
    declare(tmp_path, restart="true")
    (incident,) = listed(ill, capsys)
    assert main(["incident", "verify", ill, incident["id"]]) == 1
    assert mitigate(ill, capsys, "--action", "restart", "--run", "--yes")[0] == 0
    (run,) = read_mitigations(tmp_path / "ill.sqlite")
    assert main(["incident", "verify", ill, incident["id"], "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["since_ns"] == run.ended_ns
    assert main(["incident", "verify", ill, incident["id"], "--since", "2026-01-01T06:00Z"]) == 1


@pytest.mark.parametrize("answer", ["", "\n", "y\n", "flag\n"], ids=["end", "empty", "y", "part"])
def test_a_run_needs_a_confirmation(ill, capsys, tmp_path, monkeypatch, answer):
    """Only the name of the action confirms it; where there is no terminal, --yes is needed."""
    declare(tmp_path, flag_off="touch proof")

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    for stream, hint in ((Terminal(answer), "not confirmed"), (io.StringIO("flag_off\n"), "--yes")):
        monkeypatch.setattr("sys.stdin", stream)
        code, _, error = mitigate(ill, capsys, "--action", "flag_off", "--run")
        assert code == 2
        assert hint in error
        assert "$ touch proof" in error
    assert not (tmp_path / "proof").exists()
    assert read_mitigations(tmp_path / "ill.sqlite") == []
    monkeypatch.setattr("sys.stdin", Terminal("flag_off\n"))
    assert mitigate(ill, capsys, "--action", "flag_off", "--run")[0] == 0
    assert (tmp_path / "proof").exists()


def test_nothing_is_run_where_it_cannot_be_recorded(ill, capsys, tmp_path, monkeypatch):
    """A store that is full of mitigations is an error before the command starts."""
    declare(tmp_path, flag_off="touch proof")
    monkeypatch.setattr("radiosonde.store.mitigations.MAX_MITIGATIONS", 0)
    code, _, error = mitigate(ill, capsys, "--action", "flag_off", "--run", "--yes")
    assert code == 2
    assert "delete old rows" in error
    assert not (tmp_path / "proof").exists()


def test_an_incident_that_is_over_is_not_mitigated(capsys, tmp_path, monkeypatch):
    """The command is still printed."""
    monkeypatch.chdir(tmp_path)
    store = make_store(tmp_path / "mended.sqlite", end=360)
    declare(tmp_path, flag_off="touch proof")
    assert mitigate(store, capsys, "--action", "flag_off")[0] == 0
    code, _, error = mitigate(store, capsys, "--action", "flag_off", "--run", "--yes")
    assert code == 2
    assert "nothing to mitigate" in error
    assert not (tmp_path / "proof").exists()


def test_a_name_that_cannot_be_shown_exactly_is_not_printed(ill, capsys, tmp_path):
    """A script with another name would act on another place; the run itself gets the exact one."""
    declare(tmp_path, flag_off="true")
    looked = diagnosed([Path(ill)])
    (finding,) = looked.diagnosis.incidents
    named = replace(finding, where=replace(finding.where, cohort="a\x1b[2Jb"))
    print_command(looked, named, "flag_off", as_json=False)
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "\n# RADIOSONDE_COHORT holds characters that cannot be printed; use --run\n" in shown
    assert variables_of(named, "flag_off")["RADIOSONDE_COHORT"] == "a\x1b[2Jb"


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_from_telemetry_is_never_run(finding, tmp_path, monkeypatch, name):
    """Each name reaches the command unchanged as a variable, and no part of it is a command."""
    monkeypatch.chdir(tmp_path)
    finding = replace(finding, where=replace(finding.where, model=name, version=name, cohort=name))
    variables = variables_of(finding, "flag_off")
    command = 'printf %s "$RADIOSONDE_MODEL$RADIOSONDE_VERSION$RADIOSONDE_COHORT"'
    assert run_command(command, variables, 60.0) == ("done", 0, 3 * name)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("name", ["a\0b", "x" * (LONGEST_VALUE + 1), "\ud800"], ids=["nul", "long", "surrogate"])
def test_a_name_that_cannot_be_passed_exactly_is_left_out(finding, monkeypatch, name):
    """A part of it would be another name; one that an outer command has set is taken away, too."""
    monkeypatch.setenv("RADIOSONDE_COHORT", "of another incident")
    variables = variables_of(replace(finding, where=replace(finding.where, cohort=name)), "flag_off")
    assert "RADIOSONDE_COHORT" not in variables
    assert run_command('echo "${RADIOSONDE_COHORT-unset}"', variables, 60.0).output == "unset\n"


def test_only_the_end_of_a_long_output_is_kept():
    """The bound is in characters, and the last ones are kept."""
    ended = run_command("i=0; while [ $i -lt 20000 ]; do echo $i; i=$((i+1)); done", {}, 60.0)
    assert ended.outcome == "done"
    assert len(ended.output) == MAX_OUTPUT
    assert ended.output.endswith("\n19999\n")


@pytest.mark.parametrize(
    "command",
    ["sleep 600", "trap '' TERM; sleep 600 & wait; sleep 600", "exec >/dev/null 2>&1; sleep 600"],
    ids=["plain", "deaf", "closed output"],
)
def test_a_command_is_ended_at_its_limit_with_all_its_processes(tmp_path, command, monkeypatch):
    """Nothing of it is left, also where it ignores the request to end."""
    monkeypatch.setattr("radiosonde.cli._mitigation_run._GRACE_S", 0.2)
    ended = run_command(f"echo $$ > {tmp_path}/group; {command}", {}, 1.0)
    assert (ended.outcome, ended.exit_code) == ("timed out", None)
    group = int((tmp_path / "group").read_text())
    deadline = time.monotonic() + 60
    with suppress(ProcessLookupError):
        while time.monotonic() < deadline:
            os.killpg(group, 0)
            time.sleep(0.05)
        pytest.fail("processes of the command are left")


def test_a_process_in_the_background_is_not_waited_for(tmp_path):
    """A command that starts a server and leaves is done, although the server holds the output open."""
    ended = run_command(f"sleep 600 & echo $! > {tmp_path}/child; echo started", {}, 300.0)
    os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)
    assert ended == ("done", 0, "started\n")


def test_an_interrupted_command_is_ended_and_recorded(ill, capsys, tmp_path, monkeypatch):
    """Ctrl-C ends the command; the store holds that it was interrupted, and the exit code is 130."""
    declare(tmp_path, restart="echo begun; sleep 600")

    def interrupt(piece):
        raise KeyboardInterrupt

    monkeypatch.setattr("radiosonde.cli._mitigate._show", interrupt)
    assert mitigate(ill, capsys, "--action", "restart", "--run", "--yes")[0] == 130
    (run,) = read_mitigations(tmp_path / "ill.sqlite")
    assert (run.outcome, run.exit_code, run.output) == ("interrupted", None, "begun\n")
