"""The lab's service, run once, and the engines that read it afterwards: Prometheus, ClickHouse and DuckDB, and the store itself.

Prometheus is fed by blocks that `promtool tsdb create-blocks-from openmetrics` makes of the pages that were scraped, with the times of the
lab: hours of scrapes are there at once, and the engine that answers, and evaluates the rules, is the one that people run.

Rules are evaluated by the wall clock, and a figure must not depend on how long a machine took to get there. `increase` extrapolates a counter to
the bounds of its range by up to one interval of scrapes, but not to before it was zero: of a ratio that is evaluated 50 seconds after a
scrape, one part would be extrapolated and the other not. So every scraped series is read as of one instant of the lab (the modifier ``@``), a
millisecond before the last scrape. Then the first scrape in a range lies on its bound, whether or not ranges include it (they do before
Prometheus 3), and all that is extrapolated is the last minute, of every counter alike.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from radiosonde._clock import wall_ns
from radiosonde.assets import AssetOptions
from radiosonde.assets.prometheus import make as make_rules
from radiosonde.assets.views import clickhouse as clickhouse_views
from radiosonde.assets.views import duckdb as duckdb_views
from radiosonde.store.seal import seal
from tests.backends._lab import LIVES, MINUTE_NS, PORT
from tests.e2e._receivers import _accepts, ask, free_port, query, running, wait_for


class Lab(NamedTuple):
    """The service after its last minute.

    Attributes:
        folder: with ``store.sqlite`` and the pages that were scraped.
        end_ns: end of its last minute.
    """

    folder: Path
    end_ns: int

    @property
    def store(self) -> Path:
        """The store of both replicas."""
        return self.folder / "store.sqlite"

    @property
    def ends_ns(self) -> list[int]:
        """When each life of a replica ended, and made its last export; sorted."""
        return sorted(self.end_ns - last * MINUTE_NS for _, _, last in LIVES)

    @property
    def end(self) -> str:
        """The end as the command line takes it."""
        return datetime.fromtimestamp(self.end_ns // 10**9, UTC).isoformat()

    def command(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run ``radiosonde`` and return what it said."""
        return subprocess.run(
            [sys.executable, "-m", "radiosonde.cli", *arguments],
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip


def run_lab(folder: Path, endpoint: str) -> Lab:
    """Run the lives of both replicas, each replica's one after the other, with a collector at *endpoint*."""
    end_minute = wall_ns() // MINUTE_NS
    failed: list[str] = []

    def live(replica: int) -> None:
        for seed, first, last in LIVES:
            if seed != replica:
                continue
            environment = {
                **os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_SERVICE_NAME": "lab", PORT: str(free_port()),
            }  # fmt: skip
            command = [sys.executable, "-m", "tests.backends._lab", folder, seed, end_minute, first, last]
            done = subprocess.run(
                list(map(str, command)), env=environment, capture_output=True, text=True, timeout=540, check=False,
                cwd=Path(__file__).parents[2],
            )  # fmt: skip
            if done.returncode or done.stderr:
                failed.append(done.stderr)

    threads = [threading.Thread(target=live, args=(replica,)) for replica in sorted({seed for seed, _, _ in LIVES})]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    return Lab(folder, end_minute * MINUTE_NS)


def create_views(engine: Any) -> None:
    """Create the views that ship, in ClickHouse."""
    for view in clickhouse_views.make(AssetOptions())[0].content.split(";\n"):
        if view.strip():
            engine.run(view)


def open_sealed(lab: Lab) -> Any:
    """Seal the store, beside it, and return DuckDB with the views that ship."""
    import duckdb

    copy, sealed = lab.folder / "copy.sqlite", lab.folder / "sealed"
    shutil.copy(lab.store, copy)
    seal(copy, sealed, grace_hours=None)
    connection = duckdb.connect()
    connection.execute(f"SET VARIABLE radiosonde = '{sealed}'")
    connection.execute(duckdb_views.make(AssetOptions())[0].content)
    return connection


class Prometheus(NamedTuple):
    """A server with the lab's scrapes, and the rules that ship as of one instant.

    Attributes:
        base: its address.
        at_s: the instant.
    """

    base: str
    at_s: float

    def interval(self, minutes: int) -> tuple[int, int]:
        """Return the times of the first and the last scrape in a range that ends at the instant, in nanoseconds; 0: of all that there is."""
        last_s = int(self.at_s // 60) * 60
        return (last_s - (minutes - 1) * 60) * 10**9 if minutes else 0, last_s * 10**9

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """Return what an expression gives at the instant: labels by the names of the views, and ``value``."""
        return [_row(item["metric"], item["value"][1]) for item in query(self.base, pinned(expression, self.at_s))]


def _row(labels: dict[str, str], value: str) -> dict[str, Any]:
    return {**{_COLUMNS.get(label, label): text for label, text in labels.items()}, "value": float(value)}


_COLUMNS = {
    "radiosonde_model_name": "model", "radiosonde_model_version": "version", "radiosonde_variant": "variant",
    "radiosonde_feature_name": "feature", "radiosonde_phase": "phase", "radiosonde_prediction_class": "class",
    "radiosonde_label_lag": "lag", "radiosonde_feature_cell": "cell",
}  # fmt: skip


_SCRAPED = re.compile(
    r"\b(?:by|on|without|ignoring|group_left|group_right) *\([^)]*\)"  # names of labels
    r"|radiosonde:[\w:]+(?:\{[^}]*\})?"  # what a rule has recorded, as of that instant already
    r"|(?P<scraped>\bradiosonde_\w+(?:\{[^}]*\})?(?:\[\w+\])?)"
)


def pinned(expression: str, at_s: float) -> str:
    """Return an expression that reads scraped series as of *at_s*, whenever it is evaluated."""
    return _SCRAPED.sub(lambda part: f"{part[0]} @ {at_s:.3f}" if part["scraped"] else part[0], expression)


def pinned_rules(at_s: float) -> dict[str, Any]:
    """Return the rules that ship, evaluated often, and with scraped series as of *at_s*."""
    (shipped,) = (asset.content for asset in make_rules(AssetOptions()) if asset.path == "rules.yml")
    rules: dict[str, Any] = yaml.safe_load(shipped)
    for group in rules["groups"]:
        group["interval"] = "2s"
        for rule in group["rules"]:
            rule["expr"] = pinned(rule["expr"], at_s)
    return rules


@contextmanager
def prometheus_of(lab: Lab, program: Path, promtool: Path) -> Iterator[Prometheus]:
    """Run Prometheus over what was scraped, with the rules that ship."""
    pages, port = lab.folder / "pages.txt", free_port()
    with pages.open("w") as all_pages:
        for page in sorted(lab.folder.glob("pages-*.txt")):
            all_pages.write(page.read_text())
        all_pages.write("# EOF\n")
    subprocess.run(
        [promtool, "tsdb", "create-blocks-from", "openmetrics", "--quiet", pages, lab.folder / "tsdb"],
        check=True, timeout=300, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    at_s = lab.end_ns / 10**9 - 0.001
    (lab.folder / "rules.yml").write_text(json.dumps(pinned_rules(at_s)))
    configuration = lab.folder / "prometheus.yml"
    configuration.write_text(f"rule_files: {json.dumps([str(lab.folder / 'rules.yml')])}\n")
    command = [
        program,
        f"--config.file={configuration}",
        f"--storage.tsdb.path={lab.folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--query.lookback-delta=1h",  # what was recorded once stays, however slow the machine is
    ]
    with running(command, lab.folder / "prometheus.log") as process:
        wait_for(lambda: process.poll() is not None or _accepts(port), "Prometheus to listen")
        log = lab.folder / "prometheus.log"
        assert process.poll() is None, f"Prometheus ended: {log.read_text()}"
        base = f"http://127.0.0.1:{port}"
        wait_for(lambda: _evaluated(base, 0), "the rules to be evaluated")
        since_ns = wall_ns()  # and again, because a rule may read what a later one records
        wait_for(lambda: _evaluated(base, since_ns), "the rules to be evaluated with all that they read")
        yield Prometheus(base, at_s)


def _evaluated(base: str, since_ns: int) -> bool:
    """Return whether every group was evaluated since an instant, and no rule has failed."""
    groups = ask(base, "rules").get("groups", [])
    failed = [rule for group in groups for rule in group["rules"] if rule["health"] == "err"]
    assert not failed, failed
    return bool(groups) and all(
        rule["health"] == "ok" and datetime.fromisoformat(group["lastEvaluation"]).timestamp() * 1e9 > since_ns
        for group in groups
        for rule in group["rules"]
    )
