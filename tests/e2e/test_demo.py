"""The demo as a newcomer runs it, only shorter: a real server process, real flights, and the diagnosis of its store."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from radiosonde.model import LAG
from radiosonde.store.reader import Interval, StoreReader
from radiosonde_demo.flights import NEW_YORK, departures

pytestmark = pytest.mark.slow

# The fewest days, and ordinary ones: the snowstorm of the 8th makes findings of its own in so short a flight.
DAYS = ("--start", "2013-03-10", "--days", "14")
DAY_S = 86_400

RADIOSONDE = (sys.executable, "-m", "radiosonde.cli")


def fly(folder, *options):
    """Run the demo to its end and return its output."""
    command = [*RADIOSONDE, "demo", *DAYS, "--out", str(folder), *options]
    flown = subprocess.run(command, capture_output=True, text=True, timeout=800, check=False)
    assert flown.returncode == 0, flown.stdout + flown.stderr
    return flown.stdout


def findings_in(folder):
    """Return the diagnosis of the store, without effects of this machine on the latency of the model.

    The server's latency is real time on a machine that may have other things to do; when those slow the model down for
    event days on end, the diagnosis says so, and is right. No incident of the demo touches that phase. Whatever the machine does,
    the check of latency is made, and says what it would have reported.
    """
    command = [*RADIOSONDE, "diagnose", str(folder / "store.db"), "--json"]
    asked = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    document = json.loads(asked.stdout)
    assert asked.returncode == (1 if document["findings"] else 0), asked.stdout + asked.stderr
    assert document["missing"] == []
    (latency,) = [entry for entry in document["checked"] if entry["subject"] == "latency"]
    assert latency["floors"]
    findings = document["findings"]
    return [found for found in findings if (found["kind"], found["where"]["phase"]) != ("latency", "predict")]


@pytest.mark.timeout(1500)
def test_three_incidents_become_exactly_three_findings(tmp_path):
    """The wind with its onset, the new version with the carrier, and the fetch phase are named, and nothing else is."""
    printed = fly(tmp_path)
    switched_on = json.loads((tmp_path / "incidents.json").read_text())
    findings = findings_in(tmp_path)
    found = {finding["kind"]: finding for finding in findings}

    assert sorted(finding["kind"] for finding in findings) == ["data", "latency", "version"]
    where = found["data"]["where"]
    assert (where["feature"], where["version"]) == ("wind_speed", "")  # upstream of both versions
    where = found["version"]["where"]
    assert (where["version"], where["variant"], where["cohort"]) == ("2.0.0", "canary", "carrier=WN")
    assert found["latency"]["where"]["phase"] == "feature_fetch"
    for kind, moment in (("data", "wind_s"), ("version", "carrier_s"), ("latency", "fetch_s")):
        assert abs(found[kind]["onset"]["at_ns"] / 1e9 - switched_on[moment]) < DAY_S, kind

    unwrapped = re.sub(r"\s+", " ", printed)
    for finding in found.values():
        assert finding["title"] in unwrapped
        assert finding["onset"]["at"][:10] in printed
    assert str(tmp_path / "report.html") in printed
    assert "wind_speed" in (tmp_path / "report.html").read_text()


@pytest.mark.timeout(1500)
def test_a_label_feed_that_stops_is_told_with_its_moment_and_no_quality_is_made_up(tmp_path):
    """The stall is the only finding, at its hour; unknown figures are not printed."""
    printed = fly(tmp_path, "--healthy", "--stop-labels")
    (finding,) = findings_in(tmp_path)
    assert finding["kind"] == "label"
    (told,) = re.findall(r"(\d{4}-\d\d-\d\d \d\d:\d\d) UTC  landings", printed)
    stopped = datetime.fromisoformat(f"{told}+00:00").timestamp()
    assert abs(finding["onset"]["at_ns"] / 1e9 - stopped) < 3 * 3600
    command = [*RADIOSONDE, "diagnose", str(tmp_path / "store.db"), "--json"]
    asked = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    figures = json.loads(asked.stdout)["quality"]
    assert figures
    known = [figure[kind]["value"] for figure in figures for kind in ("raw", "corrected", "mixed")]
    assert known == [None] * len(known)
    assert all("labels stopped" in figure["corrected"]["refused"] for figure in figures)
    assert_lags_are_those_of_the_table(tmp_path / "store.db", stopped)


def assert_lags_are_those_of_the_table(store, until_s):
    """Fail unless median and 90th percentile of the live label lags are those that pandas takes from the raw flights."""
    first = datetime(2013, 3, 10, tzinfo=NEW_YORK)
    flown = departures(first, first + timedelta(days=14))
    known = [flight for flight in flown if flight.landed_s is not None and flight.landed_s < until_s]
    raw = pd.DataFrame(
        [(flight.label, flight.landed_s - flight.scheduled_s) for flight in known], columns=["label", "lag_s"]
    )
    live = Counter()
    for _, window in StoreReader(store).parts(Interval()):
        for name, lags in zip(window.labels.classes, window.labels.lags, strict=True) if window.labels else ():
            live.update({(name, bucket): count for bucket, count in enumerate(lags.tolist()) if count})
    assert sum(live.values()) == len(raw)
    for name, lags_s in raw.groupby("label")["lag_s"]:
        counts = np.array([live[name, bucket] for bucket in range(LAG.size)])
        assert counts.sum() == len(lags_s)
        for share in (0.5, 0.9):
            bucket = int(np.searchsorted(counts.cumsum(), share * counts.sum()))
            assert bucket == LAG.index(np.array([lags_s.quantile(share)]))[0]


@pytest.mark.timeout(1500)
def test_a_healthy_flight_has_no_findings(tmp_path):
    """The same days without incidents, with their real weather and missing values, have no finding."""
    printed = fly(tmp_path, "--healthy")
    assert findings_in(tmp_path) == []
    assert "0 failed requests" in printed


@pytest.mark.parametrize("how", ["ctrl-c in the terminal", "SIGINT", "SIGTERM", "SIGKILL"])
def test_an_interrupted_flight_leaves_no_process_behind(tmp_path, how):
    """If the demo ends in the middle of the replay for any reason, its server ends too."""
    command = [*RADIOSONDE, "demo", "--days", "14", "--out", str(tmp_path)]
    demo = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        for line in demo.stdout:
            if "10 %" in line:
                break
        (server,) = Path(f"/proc/{demo.pid}/task/{demo.pid}/children").read_text().split()
        assert is_running(server)
        if how == "ctrl-c in the terminal":
            os.killpg(demo.pid, signal.SIGINT)
        else:
            demo.send_signal(signal.Signals[how])
        _, errors = demo.communicate(timeout=160)
        assert demo.returncode == (-signal.SIGKILL if how == "SIGKILL" else 130)
        assert errors == ("" if how == "SIGKILL" else "radiosonde: interrupted\n")
    finally:
        demo.kill()
        demo.wait()
    deadline = time.monotonic() + 90
    while is_running(server) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_running(server)


def is_running(pid):
    """Return whether a process runs; one that has ended and waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
