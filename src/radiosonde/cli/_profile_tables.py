"""Prints a reference profile as tables of at most 100 columns. Requires rich."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from radiosonde.cli._terminal import bar, spark
from radiosonde.errors import ConfigurationError
from radiosonde.model import cell_names
from radiosonde.model.percent import percent

if TYPE_CHECKING:
    from rich.console import Console

    from radiosonde.reference import FeatureProfile, OutputProfile, Reference

SHOWN_CLASSES = 20
_CELL_CHARACTERS = 20


def print_profile(reference: Reference, terminal: Console) -> None:
    """Print identity, features and output of a profile."""
    terminal.print(_identity(reference))
    terminal.print(_features(reference))
    output = reference.output
    if output.classes:
        terminal.print(_classes(output))
    if output.value_edges:
        edges = "  ".join(f"{edge:.4g}" for edge in output.value_edges)
        terminal.print(Text(f"output deciles  {edges}"))


def print_feature(reference: Reference, name: str, terminal: Console) -> None:
    """Print every cell of one feature.

    Raises:
        ConfigurationError: the profile has no such feature.
    """
    feature = next((feature for feature in reference.features if feature.name == name), None)
    if feature is None:
        names = ", ".join(feature.name for feature in reference.features)
        raise ConfigurationError(f"the profile has no feature {name!r}; it has: {names}")
    terminal.print(Text(f"{feature.name}: {feature.kind}, {reference.rows:,} rows{', pii' if feature.pii else ''}"))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("cell")
    table.add_column("holds", overflow="ellipsis", no_wrap=True, max_width=40)
    table.add_column("rows", justify="right")
    table.add_column("share", justify="right")
    table.add_column("")
    cells = cell_names(feature.body, categorical=feature.kind == "categorical")
    top = max(feature.p0, default=1.0)
    for cell, holds, count, share in zip(cells, _meanings(feature), feature.counts, feature.p0, strict=True):
        shown = percent(count / reference.rows)
        table.add_row(cell, Text(holds), f"{count:,}", shown, bar(share / top) if count else "")
    terminal.print(table)


def _identity(reference: Reference) -> Table:
    table = Table.grid(padding=(0, 2))
    origin = "provisional: the first rows of production" if reference.provisional else "training data"
    rows = (
        ("model", reference.model or "any", "rows", f"{reference.rows:,}"),
        ("task", reference.task, "features", str(len(reference.features))),
        ("made from", origin, "made at", reference.created_at),
        ("reference", reference.id, "radiosonde", reference.code_version),
        ("grid", reference.grid_id, "schema, rows hash", f"{reference.schema_hash}, {reference.data_hash}"),
    )
    for left, value, right, other in rows:
        table.add_row(Text(left, style="dim"), Text(value), Text(right, style="dim"), Text(other))
    return table


def _features(reference: Reference) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("feature", overflow="ellipsis", no_wrap=True, max_width=24)
    table.add_column("kind", no_wrap=True)
    table.add_column("cells", no_wrap=True)
    table.add_column("missing", justify="right", no_wrap=True)
    table.add_column("unseen", justify="right", no_wrap=True)
    table.add_column("5 % · median · 95 %, or top categories", overflow="ellipsis", no_wrap=True)
    for feature in reference.features:
        counts = feature.counts
        kind = {"numeric": "num", "categorical": "cat"}[feature.kind] + (" pii" if feature.pii else "")
        missing, unseen = percent(counts[-2] / reference.rows), percent(counts[-1] / reference.rows)
        cells = spark([float(count) for count in counts[: feature.body]][:_CELL_CHARACTERS])
        table.add_row(Text(feature.name), kind, cells, missing, unseen, Text(_typical(feature, reference.rows)))
    return table


def _typical(feature: FeatureProfile, rows: int) -> str:
    if feature.kind == "categorical":
        shares = (
            f"{name} {percent(count / rows)}" for name, count in zip(feature.categories, feature.counts, strict=False)
        )
        return ", ".join(shares)
    if feature.quantiles:
        _, _, five, _, median, _, ninety_five, _, _ = feature.quantiles
        return f"{five:.4g} · {median:.4g} · {ninety_five:.4g}"
    return "" if feature.pii else "no finite value"


def _classes(output: OutputProfile) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("class", overflow="ellipsis", no_wrap=True, max_width=24)
    table.add_column("labelled", justify="right")
    table.add_column("predicted", justify="right")
    table.add_column("score of the label's rows, 0 to 1")
    predicted = sum(output.predicted_counts) or 1
    for index, name in enumerate(output.classes[:SHOWN_CLASSES]):
        table.add_row(
            Text(name),
            percent(output.priors[index]) if output.priors else "",
            percent(output.predicted_counts[index] / predicted) if output.predicted_counts else "",
            spark([float(count) for count in output.score_label_counts[index]]) if output.score_label_counts else "",
        )
    if len(output.classes) > SHOWN_CLASSES:
        table.caption = f"and {len(output.classes) - SHOWN_CLASSES} more classes"
    return table


def _meanings(feature: FeatureProfile) -> list[str]:
    if feature.kind == "categorical":
        return [*feature.categories, "missing", "any other value"]
    bounds = feature.bounds
    if not bounds:
        return ["", "any finite value", "missing", "not a number"]
    body = [f"{feature.low:.6g} to {bounds[0]:.6g}", *(f"above {a:.6g} to {b:.6g}" for a, b in pairwise(bounds))]
    return [*body, f"below {feature.low:.6g}", f"above {bounds[-1]:.6g}", "missing", "not a number"]
