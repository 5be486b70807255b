"""A window as one Counter of numbers, so that adding windows is adding Counters and comparing them is comparing those."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

from radiosonde.model import Window, cell_names

Flat = Counter[tuple[object, ...]]
WORD = 1 << 64


def flatten(window: Window, kinds: dict[str, str]) -> Flat:
    """Return every count and sum of *window* that is not zero; *kinds* says which features are categorical."""
    flat: Flat = Counter({("calls",): window.calls, ("rows",): window.rows})
    flat.update({("error", name): count for name, count in window.errors.items()})
    flat.update({("batch", size): count for size, count in enumerate(window.batch_sizes.tolist())})
    latency, output, features, labels = window.latency, window.output, window.features, window.labels
    for bucket, count in enumerate(latency.counts.tolist()):
        flat["latency", bucket] += count
        flat["latency_s", bucket] += latency.sums_s[bucket]
        for row, name in enumerate(latency.phases):
            flat["phase_s", name, bucket] += latency.phase_sums_s[row, bucket]
    flat.update({("edge", edge): count for edge, count in enumerate(latency.edge_counts.tolist())})
    for row, name in enumerate(output.classes):
        flat["class", name] += int(output.class_counts[row])
        for place in range(20):
            flat["confidence", name, place] += int(output.confidence[row, place])
            flat["confidence_s", name, place] += output.confidence_sums[row, place]
    flat.update({("value", place): count for place, count in enumerate(output.value_counts.tolist())})
    flat["value_s",] += output.value_sum
    flat["unreadable",] += output.unreadable
    if features is not None:
        for row, name in enumerate(features.names):
            cells = features.cells[row].tolist()
            body = features.cells.shape[1] - 4
            names = cell_names(body, categorical=kinds.get(name) == "categorical")
            special = names[body:]
            placed = [*zip(names[:body], cells[:body], strict=True)]
            placed += zip(special, cells[-len(special) :], strict=True)
            assert sum(count for _, count in placed) == sum(cells), "a count stands in a cell that has no name"
            flat.update({("cell", name, cell): count for cell, count in placed})
            flat["fingerprint", name] = int(features.fingerprints[row])
        flat["fingerprint", "rows"] = features.row_fingerprint
        flat["fingerprinted",] = features.fingerprinted_rows
    if labels is not None:
        flat.update({("outcome", *place): count for place, count in labels.outcomes.items()})
        for place, (count, correct, total) in enumerate(labels.calibration.tolist()):
            flat.update({("calibration", place): count, ("correct", place): correct, ("calibration_s", place): total})
        for row, name in enumerate(labels.classes):
            flat["label", name] += int(labels.class_counts[row])
            flat.update({("lag", name, edge): count for edge, count in enumerate(labels.lag_counts[row].tolist())})
        flat["residual_s",] += labels.residual_sum
        flat["residual_square_s",] += labels.residual_square_sum
    return Counter({place: count for place, count in flat.items() if count})


def total(flats: Iterable[Flat]) -> Flat:
    """Return the sum; fingerprints add modulo 2**64."""
    added: Flat = Counter()
    for flat in flats:
        added.update(flat)
    for place in [place for place in added if place[0] == "fingerprint"]:
        added[place] %= WORD
    return Counter({place: count for place, count in added.items() if count})


def differences(found: Flat, expected: Flat) -> dict[tuple[object, ...], tuple[float, float]]:
    """Return the places where two differ: counts exactly, sums (``..._s``) beyond rounding."""
    return {
        place: (found[place], expected[place])
        for place in found.keys() | expected.keys()
        if not (
            math.isclose(found[place], expected[place], rel_tol=1e-5, abs_tol=1e-9)
            if str(place[0]).endswith("_s")
            else found[place] == expected[place]
        )
    }
