"""The tutorial for Prometheus and Grafana, walked through: its files, its commands and its configuration, as far as there are engines.

There is no Grafana to be had as a program; what it would send to Prometheus is sent from here.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.e2e._receivers import ask, free_port, query, running, wait_for
from tests.unit.assets.dashboards import filled

PAGE = Path(__file__).parents[2] / "docs/tutorials/grafana.md"
FILLED = {
    *("Calls", "Failures", "p99", "Rows by cohort", "Failures by version", "Failures by cohort", "Latency"),
    "p99 by version",
}
"""Panels that a minute of traffic fills; others wait for incidents, labels, a reference, a canary or an hour."""


def blocks(language: str, text: str) -> list[tuple[str, str]]:
    """Return (title, content) of the blocks of a language."""
    return re.findall(rf'^```{language}(?: title="([^"]+)")?\n(.*?)^```', text, re.DOTALL | re.MULTILINE)


def answers(base: str) -> bool:
    """Return whether Prometheus answers queries."""
    try:
        return bool(query(base, "vector(1)"))
    except OSError:
        return False


@pytest.mark.slow
def test_the_commands_of_the_page_bring_a_model_onto_both_dashboards(tmp_path, require_program):
    """Only ports differ from what the page says; every rule is healthy, every query runs, and what traffic fills has data."""
    model, port = free_port(), free_port()
    text = PAGE.read_text("utf-8").replace("9464", str(model)).replace("9090", str(port))
    for title, content in [*blocks("python", text), *blocks("yaml", text)]:
        (tmp_path / title).write_text(content)
    commands = [line for _, block in blocks("console", text) for line in re.findall(r"^\$ (.*)$", block, re.MULTILINE)]
    assert [line for line in commands if line.startswith("nohup ")] == ["nohup python serve.py &"]
    assert sum(line.startswith("radiosonde ") for line in commands) == 3
    configuration, whole = tmp_path / "prometheus.yml", (tmp_path / "prometheus.yml").read_text()
    configuration.write_text("")  # as it ran before
    prometheus = [
        require_program("prometheus"), f"--config.file={configuration}", f"--storage.tsdb.path={tmp_path / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}", "--web.enable-lifecycle",
    ]  # fmt: skip
    with (
        running([sys.executable, tmp_path / "serve.py"], tmp_path / "serve.log"),
        running(prometheus, tmp_path / "prometheus.log") as process,
    ):
        base = f"http://127.0.0.1:{port}"
        wait_for(lambda: process.poll() is not None or answers(base), "Prometheus to be ready")
        # Scraped every second instead of every minute, so that less is waited for.
        configuration.write_text(f"global: {{scrape_interval: 1s}}\n{whole}")
        for line in commands:
            if not line.startswith("nohup "):
                run(line, tmp_path)
        check_rules(base)
        check_panels(base, tmp_path / "dashboards")


def run(line: str, folder: Path) -> None:
    """Run a command of the page; fail where it does. What asks Prometheus to reload is sent from here: curl may be absent."""
    if line.startswith("curl -X POST "):
        with urllib.request.urlopen(
            urllib.request.Request(line.removeprefix("curl -X POST "), method="POST"), timeout=60
        ) as answer:
            assert answer.status == 200
        return
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-c", line], cwd=folder, env={**os.environ, "PATH": path},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"


def check_rules(base: str) -> None:
    """Wait until the rules of traffic have data; fail where a rule cannot be evaluated."""
    wait_for(lambda: query(base, 'radiosonde:calls:increase5m{radiosonde_model_name="delays"} > 0'), "the first rule")
    wait_for(lambda: query(base, "radiosonde:duration:p99_5m > 0"), "the last rule of its group")
    groups = ask(base, "rules")["groups"]
    assert {rule["health"] for group in groups for rule in group["rules"]} <= {"ok", "unknown"}
    assert {group["name"] for group in groups} >= {"radiosonde.traffic", "radiosonde.alerts"}


def check_panels(base: str, folder: Path) -> None:
    """Send every query of the dashboards; fail where one is refused, or a panel of `FILLED` is empty."""
    filled_panels = []
    for path in sorted(folder.iterdir()):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel.get("targets", []):
                found = query(base, filled(target["expr"]))
                if panel["title"] in FILLED:
                    filled_panels.append(panel["title"])
                    assert found, f"{panel['title']}: {target['expr']}"
    assert set(filled_panels) == FILLED
