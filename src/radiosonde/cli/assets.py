"""``radiosonde assets BACKEND``: write rules, alerts, routing, dashboards and views for a backend."""

from __future__ import annotations

import argparse
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from radiosonde._settings import Settings
from radiosonde.assets import BACKENDS, AssetOptions
from radiosonde.assets.asset import RUNBOOKS, USUAL
from radiosonde.assets.writing import stale, write
from radiosonde.config import FILE_NAME, Objectives, locate, read
from radiosonde.config.keys import declared_keys
from radiosonde.errors import ConfigurationError
from radiosonde.model import printable
from radiosonde.model.bins import LATENCY_EDGES_S

if TYPE_CHECKING:
    from radiosonde.cli import Subparsers

WRITTEN, STALE = 0, 1
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_OBJECTIVES = {key.path[0]: key.declared.kind for key in declared_keys(Objectives)}


def add_parser(subparsers: Subparsers) -> None:
    """Add the command ``assets``."""
    summary = "write rules, alerts, routing, dashboards and views for a backend"
    parser = subparsers.add_parser(
        "assets",
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}, with your own labels and objectives.",
        epilog="Exit code: 0 written (with --check: up to date), 1 out of date, 2 could not run.",
    )
    parser.add_argument("backend", choices=[backend.name for backend in BACKENDS], metavar="BACKEND", help=_backends())
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder to write into (default: one of the backend's name)"
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; list the files of the folder that are out of date"
    )
    parser.add_argument(
        "--by",
        type=_labels,
        default=("job",),
        metavar="A,B",
        help="scrape labels to keep in every series, such as job,namespace (default: job)",
    )
    parser.add_argument(
        "--slo",
        type=_objective,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help=f"objective of all models without one of their own in {FILE_NAME}: failures=0.01, p99=250ms; may be repeated",
    )
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help=f"objectives of single models (default: RADIOSONDE_CONFIG, else {FILE_NAME} here)",
    )
    parser.add_argument(
        "--runbooks",
        default=RUNBOOKS,
        metavar="URL",
        help="where the pages of `radiosonde assets runbooks` are served, {alert} for the name (default: runbooks/{alert}.md)",
    )
    parser.add_argument("--dashboards", default="", metavar="URL", help="Grafana, for links in alerts")
    parser.add_argument(
        "--datasource",
        default="",
        metavar="NAME",
        help="data source that dashboards are preset to (default: Grafana's)",
    )


def _backends() -> str:
    return "; ".join(f"{backend.name}: {backend.summary}" for backend in BACKENDS)


def _labels(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    wrong = [name for name in names if not _LABEL.fullmatch(name)]
    if wrong or not names:
        raise argparse.ArgumentTypeError(f"{printable(text)!r} is not a list of label names; write --by job,namespace")
    return names


def _objective(text: str) -> tuple[str, float]:
    key, _, value = text.partition("=")
    kind = _OBJECTIVES.get(key.strip())
    if kind is None:
        raise argparse.ArgumentTypeError(
            f"{printable(key)!r} is not an objective; write one of {', '.join(_OBJECTIVES)}, as in failures=0.01"
        )
    try:
        return key.strip(), kind.check(value.strip() if kind.unit else float(value))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{key.strip()}: {error}") from None


def run(args: argparse.Namespace) -> int:
    """Write the files, or compare with them, and return the exit code.

    Raises:
        ConfigurationError: the configuration cannot be read or is invalid.
    """
    (backend,) = (backend for backend in BACKENDS if backend.name == args.backend)
    folder = args.out or Path(args.backend)
    assets = backend.make(_options(args))
    if args.check:
        found = stale(assets, folder)
        for path in found:
            print(f"out of date: {printable(str(path))}")
        return STALE if found else WRITTEN
    for path in write(assets, folder):
        print(printable(str(path)))
    return WRITTEN


def _options(args: argparse.Namespace) -> AssetOptions:
    usual, models = USUAL, {}
    path = args.config or locate([Path()])
    if path is not None:
        configuration, problems = read(path)
        if problems:
            raise ConfigurationError(
                f"{problems[0].words(configuration.path)}; radiosonde config check lists all of them"
            )
        declared = configuration.defaults.slo
        usual = replace(usual, **{key: value for key in _OBJECTIVES if (value := getattr(declared, key)) is not None})
        models = {name: model.slo for name, model in configuration.models.items() if model.slo != declared}
    given = dict(args.slo)
    declared_p99 = {objectives.p99 for objectives in (usual, *models.values())}
    if "p99" in given and given["p99"] not in declared_p99:
        _check_bound(given["p99"])
    usual = replace(usual, **given)
    return AssetOptions(args.by, usual, models, args.runbooks, args.dashboards.rstrip("/"), args.datasource)


def _check_bound(p99: float) -> None:
    """Check that a bucket of the duration histogram ends at *p99* seconds.

    The server adds a bound for each objective in `radiosonde.toml`.

    Raises:
        ConfigurationError: none does, so that a rule would find no series and an alert never fire.
    """
    bounds = Settings.resolve().latency_edges or LATENCY_EDGES_S
    if p99 in bounds:
        return
    near = [*[bound for bound in bounds if bound < p99][-1:], *[bound for bound in bounds if bound > p99][:1]]
    raise ConfigurationError(
        f"--slo p99: no bucket of radiosonde.prediction.duration ends at {p99:g} s, so the alert would never fire; declare slo.p99 in the "
        f"{FILE_NAME} that the servers read, add it to RADIOSONDE_LATENCY_EDGES, or give {' or '.join(f'{bound:g}s' for bound in near)}"
    )
