"""How often the alerts that ship page about models that are healthy, counted by promtool, which is Prometheus's own engine.

Rules are evaluated every minute for a week a round in the worlds of failures, latency and processes; the flight year, whose paging rules ask about hours, twice an hour.
A page is an alert of tier ``page`` that begins to fire for a model; of those that go on at once, each counts. Only the rules that a paging alert reads are evaluated,
as they ship. Incidents of a watch page through rules of their own; ``make bench B=incidents`` counts these.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from benchmarks._measure import Figure
from benchmarks.quality import alert_worlds
from benchmarks.quality.incidents.service import DAY
from radiosonde.assets import AssetOptions
from radiosonde.assets.asset import USUAL
from radiosonde.assets.names import label, series
from radiosonde.assets.prometheus import make
from radiosonde.config import Objectives
from radiosonde.semconv import attributes as names

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.quality.alert_worlds import Counted, World

WEEK, DAYS_A_MONTH = 7 * DAY, 30
MOST_ROUNDS = 2
STEPS_AN_HOUR = 2
OF_A_WATCH = re.compile("Incident|Watch")
RECORDED = re.compile(r"radiosonde:[a-z0-9_:]+")
MODEL = label(names.MODEL_NAME)


def measure(rounds: int) -> Iterator[Figure]:
    """Yield false pages per model-month of each kind of world, and of all together."""
    if not shutil.which("promtool"):
        raise SystemExit("promtool is not installed (Debian: apt-get install prometheus)")
    rounds = min(rounds, MOST_ROUNDS)
    days = WEEK / DAY
    kinds = {
        "traffic": (_paged([w for seed in range(rounds) for w in alert_worlds.failing_worlds(WEEK, seed)], "1m"), days),
        "latency": (_paged([w for seed in range(rounds) for w in alert_worlds.slow_worlds(WEEK, seed)], "1m"), days),
        "process": (_paged([w for seed in range(rounds) for w in alert_worlds.lives(WEEK, seed)], "1m"), days),
        "features": (
            _paged(list(alert_worlds.flown(STEPS_AN_HOUR)), f"{60 // STEPS_AN_HOUR}m"),
            alert_worlds.LAST_DAY - alert_worlds.FIRST_DAY,
        ),
    }
    all_rules, pages_seen, months = 0.0, 0, 0.0
    for kind, ((pages, models), days_each) in kinds.items():
        lived = models * days_each / DAYS_A_MONTH
        yield _figure(f"alerts-{kind}", f"false pages per model-month, {kind}", pages, lived)
        pages_seen += sum(pages.values())
        months += lived
        # Each kind tries other rules than the others, and a model has them all: rates add up.
        all_rules += sum(pages.values()) / lived
    yield Figure(
        "alerts-together", "false pages per model-month, all rules together", [all_rules], unit="per month",
        absolute=f"the sum of the lines above; {pages_seen} pages in {months:.1f} model-months",
    )  # fmt: skip


def _figure(key: str, what: str, pages: Counter[str], months: float) -> Figure:
    count = sum(pages.values())
    seen = ", ".join(f"{name} {number}" for name, number in sorted(pages.items())) or "none"
    low, high = _interval(count)
    return Figure(
        key, what, [count / months], unit="per month",
        absolute=f"{count} in {months:.1f} model-months ({seen}); {low / months:.2f} to {high / months:.2f} with 95 %",
    )  # fmt: skip


def _interval(count: int) -> tuple[float, float]:
    """Return Byar's approximation of the exact interval of a Poisson count (Breslow and Day 1987, volume II, p. 69)."""
    upper = (count + 1) * (1 - 1 / (9 * (count + 1)) + 1.96 / (3 * math.sqrt(count + 1))) ** 3
    lower = count * (1 - 1 / (9 * count) - 1.96 / (3 * math.sqrt(count))) ** 3 if count else 0.0
    return lower, upper


def _paged(worlds: Sequence[World], step: str) -> tuple[Counter[str], int]:
    """Return the pages by alert and world, and the number of models."""
    world_of = {world.model: world.name for world in worlds}
    options = AssetOptions(
        objectives=Objectives(failures=USUAL.failures, p99=alert_worlds.SLOW_S),
        models={world.model: Objectives(failures=world.failures) for world in worlds},
    )
    span = f"{(max(each.values.size for world in worlds for each in world.series) - 1) * int(step[:-1])}m"
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "rules.yml").write_text(yaml.safe_dump(paging_rules(options), sort_keys=False))
        firing, before = (
            f'group by (alertname, {MODEL}) (ALERTS{{severity="page", alertstate="firing"}}{shift})'
            for shift in ("", f" offset {step}")
        )
        begun = f"count_over_time(({firing} unless {before})[{span}:{step}])"
        test = {
            "interval": step,
            "input_series": [_spelled(each) for world in worlds for each in world.series],
            "promql_expr_test": [{"expr": begun, "eval_time": span, "exp_samples": []}],
        }
        document = {"rule_files": ["rules.yml"], "evaluation_interval": step, "tests": [test]}
        Path(folder, "test.yml").write_text(json.dumps(document))  # which is YAML, and is written fast
        ran = subprocess.run(["promtool", "test", "rules", "test.yml"], cwd=folder, capture_output=True, text=True, check=False)  # fmt: skip
    text = ran.stdout + ran.stderr
    found: Counter[str] = Counter()
    for labels, value in re.findall(r"\{([^{}]*)\} ([0-9.E+-]+)", text.partition("got:")[2]):
        said = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        found[f"{said['alertname']} ({world_of[said[MODEL]]})"] += round(float(value))
    if ran.returncode and not found:
        raise RuntimeError(f"promtool: {text[:2000]}")
    return found, len(worlds)


def paging_rules(options: AssetOptions) -> dict[str, Any]:
    """Return the paging alerts of facts, and the rules that they read."""
    files = {asset.path: asset.content for asset in make(options)}
    groups = [group for name in ("rules.yml", "alerts.yml") for group in yaml.safe_load(files[name])["groups"]]
    rules = [rule for group in groups for rule in group["rules"]]
    known = {rule["record"]: rule for rule in rules if "record" in rule}
    alerts = [rule for rule in rules if "alert" in rule and rule["labels"]["severity"] == "page"]
    alerts = [rule for rule in alerts if not OF_A_WATCH.search(rule["alert"])]
    read, todo = set[str](), [rule["expr"] for rule in alerts]
    while todo:
        for name in set(RECORDED.findall(todo.pop())) - read:
            read.add(name)
            todo.append(known[name]["expr"])
    kept = [rule for rule in known.values() if rule["record"] in read]
    return {"groups": [{"name": "paging", "rules": [*kept, *alerts]}]}


def _spelled(counted: Counted) -> dict[str, str]:
    """Return a series as promtool wants it; where samples end, the series is marked as gone."""
    values, was_there = [], False
    for value in counted.values.tolist():
        is_there = not math.isnan(value)
        values.append(f"{value:.12g}" if is_there else "stale" if was_there else "_")
        was_there = is_there
    selector = series(counted.metric, counted.labels, part=counted.part)
    return {"series": selector.replace("{", '{job="j", ', 1), "values": " ".join(values)}
