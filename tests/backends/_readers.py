"""The lab's service, run once, and the engines that read it afterwards: Prometheus, ClickHouse and DuckDB, and the store itself.

Prometheus is fed by blocks that `promtool tsdb create-blocks-from openmetrics` makes of the pages that were scraped, with the times of the
lab: hours of scrapes are there at once, and the engine that answers, and evaluates the rules, is the one that people run. Rules are
evaluated live, every second, right after the lab's last minute.
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
    """A server with the lab's scrapes.

    Attributes:
        base: its address.
        end_s: when the last scrape was.
    """

    base: str
    end_s: int

    def at_the_end(self, name: str) -> list[dict[str, Any]]:
        """Return what the expression of a rule gives at the last scrape; for a window that the lab's end may have left by now."""
        groups = yaml.safe_load(make_rules(AssetOptions())[0].content)["groups"]
        (expr,) = (rule["expr"] for group in groups for rule in group["rules"] if rule["record"] == name)
        found = ask(self.base, "query", query=expr, time=str(self.end_s))["result"]
        return [_row(item["metric"], item["value"][1], self.end_s) for item in found]

    def records(self, name: str) -> list[dict[str, Any]]:
        """Return the last evaluation of a rule: labels by the names of the views, ``value``, and ``at_s``, when it was made."""
        # A later evaluation must not come between the two questions.
        last = max(item["value"][1] for item in query(self.base, f"max(timestamp({name}))"))
        values, times = (
            ask(self.base, "query", query=expression, time=last)["result"]
            for expression in (name, f"timestamp({name})")
        )
        made_s = {_frozen(item["metric"]): float(item["value"][1]) for item in times}
        return [_row(item["metric"], item["value"][1], made_s[_frozen(item["metric"])]) for item in values]


def _row(labels: dict[str, str], value: str, at_s: float) -> dict[str, Any]:
    return {**{_COLUMNS.get(label, label): text for label, text in labels.items()}, "value": float(value), "at_s": at_s}


_COLUMNS = {
    "radiosonde_model_name": "model", "radiosonde_model_version": "version", "radiosonde_variant": "variant",
    "radiosonde_feature_name": "feature", "radiosonde_phase": "phase", "radiosonde_prediction_class": "class",
    "radiosonde_label_lag": "lag", "radiosonde_feature_cell": "cell",
}  # fmt: skip


def _frozen(labels: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((label, text) for label, text in labels.items() if label != "__name__"))


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
    (rules,) = (asset.content for asset in make_rules(AssetOptions()) if asset.path == "rules.yml")
    (lab.folder / "rules.yml").write_text(re.sub(r"interval: \w+", "interval: 1s", rules))
    configuration = lab.folder / "prometheus.yml"
    configuration.write_text(f"rule_files: {json.dumps([str(lab.folder / 'rules.yml')])}\n")
    command = [
        program,
        f"--config.file={configuration}",
        f"--storage.tsdb.path={lab.folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--query.lookback-delta=1h",  # a slow machine must not make the last scrape of a gauge stale
    ]
    with running(command, lab.folder / "prometheus.log") as process:
        wait_for(lambda: process.poll() is not None or _accepts(port), "Prometheus to listen")
        log = lab.folder / "prometheus.log"
        assert process.poll() is None, f"Prometheus ended: {log.read_text()}"
        base = f"http://127.0.0.1:{port}"
        wait_for(lambda: query(base, "radiosonde:canary:wrong_ln_evidence"), "the last rule of the longest chain")
        wait_for(lambda: query(base, "radiosonde:feature:psi1h"), "the rules of features")
        wait_for(lambda: query(base, "radiosonde:class:reference_psi1h"), "the rules of answers")
        yield Prometheus(base, lab.end_ns // 10**9)
