"""``radiosonde reference build|show``: build a reference profile from training data, or show one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from radiosonde._settings import Settings
from radiosonde.cli._terminal import console, progress_bar
from radiosonde.reference import Reference

if TYPE_CHECKING:
    import argparse

    from radiosonde.cli import Subparsers


def add_parser(subparsers: Subparsers) -> None:
    """Add the command ``reference`` with its two verbs."""
    summary = "build a reference profile from training data, or show one"
    parser = subparsers.add_parser("reference", help=summary, description=summary)
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", dest="verb", required=True)
    _add_build(verbs)
    show = verbs.add_parser("show", help="print a reference profile as tables")
    show.add_argument("file", type=Path, help="reference profile (JSON)")
    show.add_argument("--feature", metavar="NAME", help="show every cell of one feature")


def _add_build(verbs: Subparsers) -> None:
    summary = "fit a reference profile from a Parquet file of any size"
    build = verbs.add_parser("build", help=summary, description=f"{summary}; every row is read twice.")
    build.add_argument("rows", type=Path, metavar="ROWS.parquet", help="training or, better, held-out rows")
    build.add_argument("--target", metavar="COLUMN", help="column of true labels or values")
    build.add_argument("--prediction", metavar="COLUMN", help="column of predicted classes or values")
    build.add_argument("--score", metavar="COLUMN", help="column of the model's confidence in [0, 1]")
    build.add_argument("--task", choices=("classification", "regression"), help="inferred from the target by default")
    build.add_argument("--model", default="", metavar="NAME", help="model the profile is for (default: any)")
    build.add_argument("--features", type=_names, metavar="A,B", help="feature columns in order (default: all others)")
    build.add_argument(
        "--pii",
        type=_names,
        default=(),
        metavar="A,B",
        help="features with personal data: only rows with and without a value are counted; with RADIOSONDE_PII_KEY, categories are counted as hashes",
    )
    build.add_argument("--out", type=Path, metavar="FILE", help="profile to write (default: ROWS.reference.json)")


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def run(args: argparse.Namespace) -> int:
    """Run the chosen verb and return 0."""
    return _build(args) if args.verb == "build" else _show(args)


def _build(args: argparse.Namespace) -> int:
    terminal = console()
    with progress_bar(f"reading {args.rows.name} twice") as progress:
        reference = Reference.fit(
            args.rows,
            target=args.target,
            prediction=args.prediction,
            score=args.score,
            model=args.model,
            task=args.task,
            features=args.features,
            pii=args.pii,
            pii_key=Settings.resolve().pii_key,
            progress=progress,
        )
    out = args.out or args.rows.with_suffix(".reference.json")
    reference.save(out)
    cells = sum(len(feature.counts) for feature in reference.features)
    terminal.print(
        f"{out}: {len(reference.features)} features in {cells} cells from {reference.rows:,} rows, "
        f"{reference.task} (reference {reference.id}, grid {reference.grid_id})",
        soft_wrap=True,
    )
    terminal.print(f"show it with: radiosonde reference show {out}", soft_wrap=True)
    return 0


def _show(args: argparse.Namespace) -> int:
    from radiosonde.cli._profile_tables import print_feature, print_profile

    reference = Reference.load(args.file)
    if args.feature is None:
        print_profile(reference, console())
    else:
        print_feature(reference, args.feature, console())
    return 0
