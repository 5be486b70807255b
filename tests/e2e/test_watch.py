"""``radiosonde watch`` as a process: detects in time, notifies once, survives kills, and reports its own failure."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
import yaml

from radiosonde.assets import AssetOptions, alertmanager
from radiosonde.assets.prometheus import make as make_prometheus
from tests.e2e._receivers import attributes, free_port, otlp_sink, prometheus, query, running, wait_for
from tests.e2e._watched import Service, Watch, hook, until, watching


@pytest.fixture
def service(tmp_path) -> Service:
    """Return a service with five healthy hours; the next minutes fail in one region."""
    return Service(tmp_path / "delays.sqlite")


def test_a_fault_is_told_within_three_windows_once_and_its_end_too(service, tmp_path):
    """Opened with the whole finding, then recovered; metrics show the incident, the floors and the gaps."""
    with hook() as receiver, watching(service.path, tmp_path, "--webhook", receiver.url) as watch:
        watch.has_looked_at(service.write(1) - 60)
        assert watch.value("radiosonde_incident_active") is None
        windows = 0
        while not watch.value("radiosonde_incident_active") and windows < 3:
            watch.has_looked_at(service.write(1))
            windows += 1
        until(lambda: receiver.taken, "the notification", watch)
        (event,) = receiver.taken
        assert (event["event"], event["severity"], event["cohort"], event["is_over"]) == (
            "opened",
            "page",
            "region=r1",
            False,
        )
        assert event["finding"]["where"]["cohort"] == "region=r1"
        assert receiver.headers[0]["Idempotency-Key"] == event["event_id"] == f"{event['incident_id']}-1"
        place = (f'radiosonde_incident_id="{event["incident_id"]}"', 'radiosonde_incident_severity="page"')
        assert watch.value("radiosonde_incident_active", *place) == 1
        assert watch.value("radiosonde_incident_evidence", *place) > 20
        assert 0 < watch.value("radiosonde_check_floor", 'check_name="failures"', 'bound="smallest"') < 0.2
        assert watch.value("radiosonde_check_results", 'check_name="memory"', 'result="not_checked"') == 1
        assert watch.value("radiosonde_watch_status", 'watch_state="findings"') == 1
        assert watch.value("radiosonde_watch_status", 'watch_state="healthy"') == 0
        service.write(500)
        until(lambda: len(receiver.taken) >= 2, "its end", watch)
        assert [each["event"] for each in receiver.taken][:2] == ["opened", "recovered"]
        assert receiver.taken[1]["until"]
        until(lambda: watch.value("radiosonde_incident_active", *place) == 0, "the metric to be 0", watch)


@pytest.mark.parametrize("failures", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_kill_between_attempts_loses_and_repeats_nothing(service, tmp_path, failures):
    """The receiver is down, the watch is killed, both come back: one notification, and none again after further restarts."""
    with hook() as receiver:
        receiver.answers = [503] * failures
        service.write(10)
        for attempt in range(failures):
            with watching(service.path, tmp_path, "--webhook", receiver.url) as watch:
                until(lambda wanted=attempt: receiver.asked > wanted, "an attempt", watch)
                watch.process.kill()
        for _ in range(2):
            with watching(service.path, tmp_path, "--webhook", receiver.url) as watch:
                until(lambda: receiver.taken, "the notification", watch)
                watch.has_looked_at(service.write(1))
                watch.process.kill()
        assert [(each["event"], each["event_id"][-2:]) for each in receiver.taken] == [("opened", "-1")]


@pytest.mark.slow
def test_of_two_watches_one_tells_and_the_other_takes_over(service, tmp_path):
    """The standby shows no incident and sends nothing; when the first is killed, it takes over without repeating notifications."""
    with hook() as receiver, watching(service.path, tmp_path, "--webhook", receiver.url, name="first") as first:
        until(lambda: first.value("radiosonde_watch_leading") == 1, "the lease", first)
        with watching(service.path, tmp_path, "--webhook", receiver.url, name="second") as second:
            service.write(10)
            until(lambda: receiver.taken, "the notification", first)
            assert second.value("radiosonde_watch_leading") == 0
            assert "radiosonde_incident_active" not in second.page()
            first.process.kill()
            first.process.wait(10)
            until(lambda: second.value("radiosonde_watch_leading") == 1, "the other to take over", second)
            until(lambda: second.value("radiosonde_incident_active") == 1, "the incident to be known there", second)
            second.has_looked_at(service.write(1))
            assert len(receiver.taken) == 1


@pytest.mark.slow
def test_a_source_that_is_gone_is_said_and_caught_up(service, tmp_path):
    """Failed diagnoses are visible, an incident of the watch itself opens and ends, and data of the meantime are diagnosed."""
    away = tmp_path / "away.sqlite"
    state = tmp_path / "state.sqlite"
    with (
        hook() as receiver,
        watching(service.path, tmp_path, "--webhook", receiver.url, "--state", str(state)) as watch,
    ):
        until(lambda: watch.value("radiosonde_watch_looks_total", "done"), "a look", watch)
        service.path.rename(away)
        until(lambda: receiver.taken, "the watch to say so", watch)
        assert receiver.taken[0]["name"] == "telemetry.watch.source"
        assert watch.value("radiosonde_watch_looks_total", "failed") >= 1
        assert watch.value("radiosonde_incident_active", "telemetry.watch.source") == 1
        service.path = away
        service.write(10)
        away.rename(tmp_path / "delays.sqlite")
        until(lambda: len(receiver.taken) >= 3, "what came meanwhile", watch)
        told = {(each["event"], each["name"].partition(".")[0]) for each in receiver.taken}
        assert told == {("opened", "telemetry"), ("recovered", "telemetry"), ("opened", "cohort")}
        assert "The watch could not look" in watch.log.read_text()


def test_events_and_metrics_go_out_over_otlp(service, tmp_path, monkeypatch):
    """A log record with the whole finding, and the same metrics as on the page."""
    with otlp_sink() as sink:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", sink.endpoint)
        monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "500")
        with watching(service.path, tmp_path) as watch:
            service.write(10)
            (record, *_) = until(sink.logs, "the event", watch)
            until(lambda: "radiosonde.incident.active" in sink.metrics(), "the metric", watch)
    said = attributes(record.attributes)
    assert record.event_name == said["event.name"] == "radiosonde.incident.opened"
    assert (record.severity_text, said["radiosonde.incident.severity"]) == ("ERROR", "page")
    assert said["radiosonde.cohort"] == "region=r1"
    assert json.loads(said["radiosonde.incident.finding"])["id"] == said["radiosonde.incident.id"]
    (point, *_) = sink.metrics()["radiosonde.incident.active"].gauge.data_points
    assert attributes(point.attributes)["radiosonde.incident.id"] == said["radiosonde.incident.id"]
    resource = sink.requests["/v1/logs"][0].resource_logs[0].resource
    assert attributes(resource.attributes)["service.name"] == "radiosonde-watch"


def routed(receiver: str, folder: Path) -> Path:
    """Return the shipped routing with its receivers pointed at *receiver*, and waits of a second."""
    document = yaml.safe_load(alertmanager.make(AssetOptions())[0].content)
    document["receivers"] = [
        {"name": each["name"], "webhook_configs": [{"url": receiver, "send_resolved": True}]}
        for each in document["receivers"]
    ]
    for route in (document["route"], *document["route"]["routes"]):
        route |= {"group_wait": "1s", "group_interval": "1s"}
    path = folder / "alertmanager.yml"
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.mark.slow
def test_a_real_alertmanager_notifies_once_and_resolves(service, tmp_path, require_program):
    """The shipped routing sends one page for the incident, by model and id, and one for its end."""
    program, port = require_program("prometheus-alertmanager"), free_port()
    base = f"http://127.0.0.1:{port}"
    with hook() as receiver:
        command = [
            program, f"--config.file={routed(receiver.url, tmp_path)}", f"--storage.path={tmp_path / 'am'}",
            f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=",
        ]  # fmt: skip
        with running(command, tmp_path / "am.log"):
            wait_for(lambda: answers(f"{base}/-/ready"), "Alertmanager to be ready")
            service.write(10)
            with watching(service.path, tmp_path, "--alertmanager", base) as watch:
                until(lambda: receiver.taken, "the page", watch)
                watch.process.kill()
            with watching(service.path, tmp_path, "--alertmanager", base) as watch:
                watch.has_looked_at(service.write(1))
                (alert,) = json.loads(answers(f"{base}/api/v2/alerts"))
                assert alert["labels"]["alertname"] == "RadiosondeIncidentPage"
                assert alert["receivers"] == [{"name": "radiosonde-page"}]
                assert "region=r1" in alert["annotations"]["summary"]
                assert [each["status"] for each in receiver.taken] == ["firing"]
                service.write(500)
                until(lambda: len(receiver.taken) > 1, "the end", watch)
    assert [each["status"] for each in receiver.taken] == ["firing", "resolved"]


def answers(url: str) -> str:
    """Return the response of *url*; empty while there is none."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            text: str = answer.read().decode()
            return text
    except OSError:
        return ""


def test_the_shipped_alerts_fire_on_a_scraped_watch(service, tmp_path, require_program):
    """A real Prometheus scrapes the page, and the incident alert fires with the incident's labels."""
    program = require_program("prometheus")
    alerts = next(asset.content for asset in make_prometheus(AssetOptions()) if asset.path == "alerts.yml")
    (tmp_path / "alerts.yml").write_text(alerts.replace("interval: 30s", "interval: 1s"))
    service.write(10)
    with (
        watching(service.path, tmp_path) as watch,
        prometheus(Path(program), watch.port, tmp_path, [tmp_path / "alerts.yml"]) as base,
    ):
        firing = 'ALERTS{alertname="RadiosondeIncidentPage", alertstate="firing"}'
        (alert,) = wait_for(lambda: query(base, firing), "the alert")
        assert alert["metric"]["radiosonde_incident_place"] == "region=r1"
        assert alert["metric"]["radiosonde_model_name"] == "m"


@pytest.mark.parametrize(("minutes", "code"), [(0, 0), (10, 1)])
def test_a_single_look_exits_as_diagnose_does(service, tmp_path, minutes, code):
    """``--once`` is for cron: it diagnoses, sends, and its exit code is that of a diagnosis; a second one repeats nothing."""
    if minutes:
        service.write(minutes)
    with hook() as receiver:
        command = [sys.executable, "-m", "radiosonde.cli", "watch", service.path, "--once", "--webhook", receiver.url]
        for _ in range(2):
            ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
            assert ran.returncode == code, ran.stderr
        assert len(receiver.taken) == (1 if minutes else 0)


def test_a_dry_run_prints_everything_and_changes_nothing(service, tmp_path):
    """It prints the notifications of each channel; the store is unchanged byte for byte, and no request was sent."""
    service.write(10)
    before = service.path.read_bytes()
    with hook() as receiver:
        command = [
            sys.executable, "-m", "radiosonde.cli", "watch", service.path, "--dry-run",
            "--webhook", receiver.url, "--alertmanager", receiver.url,
        ]  # fmt: skip
        ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert receiver.asked == 0
    assert ran.returncode == 1, ran.stderr
    assert "--- webhook" in ran.stdout
    assert "RadiosondeIncidentPage" in ran.stdout
    assert service.path.read_bytes() == before


@pytest.mark.slow
def test_an_agent_runs_a_watch_and_starts_it_again(service, tmp_path, monkeypatch):
    """The incident is notified; a killed watch is restarted and sends nothing new, at most the same event again; when the agent is killed its watch ends too."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "radiosonde.cli",
        "agent",
        "--spool",
        tmp_path / "spool",
        "--store",
        service.path,
        "--watch",
    ]
    with hook() as receiver:
        (tmp_path / "radiosonde.toml").write_text(
            f'[watch]\nwebhooks = ["{receiver.url}"]\nport = {port}\nevery = "1s"\n'
        )
        service.write(10)
        log = tmp_path / "agent.log"
        with running(command, log) as agent:
            watch = Watch(agent, port, log)
            until(lambda: receiver.taken, "the notification", watch)
            (child,) = children(agent.pid)
            os.kill(child, signal.SIGKILL)
            until(lambda: children(agent.pid) not in ([], [child]), "the watch to be started again", watch)
            watch.has_looked_at(service.write(1))
            (child,) = children(agent.pid)
            agent.kill()
            wait_for(lambda: not Path(f"/proc/{child}").exists(), "the watch to end with its agent")
        # A watch that was killed before it knew that the event was taken sends it again, under the same id.
        assert {(each["event"], each["event_id"][-2:]) for each in receiver.taken} == {("opened", "-1")}
        assert len({each["event_id"] for each in receiver.taken}) == 1


def children(pid: int) -> list[int]:
    """Return the process ids of the children of a process."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
