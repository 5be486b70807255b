"""Every sketch, found by introspection, keeps every law of the contract."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from datasketches import kll_doubles_sketch

from radiosonde.errors import MergeError
from radiosonde.sketches import KINDS, FrequentSketch, HllSketch, KllSketch, Sketch, merge_bytes
from radiosonde.sketches.frequent import COUNT_ERROR_RATIO
from radiosonde.sketches.hll import RELATIVE_ERROR_RATIO
from radiosonde.sketches.kll import RANK_ERROR_RATIO, retained

if TYPE_CHECKING:
    from collections.abc import Callable

RNG = np.random.default_rng(7)
PROBES = np.linspace(-2.5, 2.5, 41).tolist()


@dataclass(frozen=True)
class Case:
    """How to test one kind: a stream, what a sketch answers about it, and how far two answers may be apart."""

    stream: np.ndarray
    answers: Callable[[Any], list[float]]
    tolerance: float


def _shares(sketch: FrequentSketch) -> list[float]:
    counts = {item.value: (item.low + item.high) / 2 for item in sketch.top(200)}
    return [counts.get(f"v{index}", 0.0) / max(sketch.n, 1) for index in range(5)]


CASES = {
    # Two sketches may err in opposite directions, hence twice the bound of one.
    KllSketch: Case(RNG.normal(size=20_000), lambda s: [s.rank(p) for p in PROBES], 2 * RANK_ERROR_RATIO),
    HllSketch: Case(RNG.normal(size=20_000), lambda s: [s.distinct_count() / 20_000], 2 * 3 * RELATIVE_ERROR_RATIO),
    FrequentSketch: Case(
        np.array([f"v{rank}" for rank in RNG.zipf(1.3, size=20_000)], dtype=object), _shares, COUNT_ERROR_RATIO
    ),
}


def found_sketches() -> list[type[Sketch]]:
    """Return every concrete subclass of Sketch inside Radiosonde."""
    seen, queue = [], [Sketch]
    while queue:
        for subclass in queue.pop().__subclasses__():
            queue.append(subclass)
            if subclass.__module__.startswith("radiosonde."):
                seen.append(subclass)
    return seen


every_sketch = pytest.mark.parametrize("kind", found_sketches(), ids=lambda kind: kind.kind)


def filled(kind: type[Sketch], *parts: np.ndarray) -> Sketch:
    """Return a sketch of *kind* fed with each part."""
    sketch = kind()
    for part in parts:
        sketch.update(part)
    return sketch


def merged(*sketches: Sketch) -> Sketch:
    """Return the first sketch after merging the others into a copy of it."""
    total = type(sketches[0]).from_bytes(sketches[0].to_bytes())
    for sketch in sketches[1:]:
        total.merge(sketch)
    return total


def assert_agree(kind: type[Sketch], one: Sketch, other: Sketch) -> None:
    """Check that two sketches answer alike within the stated bound."""
    case = CASES[kind]
    gaps = np.abs(np.array(case.answers(one)) - np.array(case.answers(other)))
    assert gaps.max() <= case.tolerance


def test_every_sketch_is_registered_and_has_a_case():
    """A new sketch enters KINDS and these laws, or this test says so."""
    assert {kind.kind: kind for kind in found_sketches()} == KINDS
    assert set(CASES) == set(KINDS.values())


@every_sketch
def test_a_split_stream_answers_like_the_whole(kind):
    """Parts of uneven size, merged, agree with one sketch of the whole stream."""
    stream = CASES[kind].stream
    parts = np.split(stream, [1, 300, 7000])
    assert_agree(kind, merged(*(filled(kind, part) for part in parts)), filled(kind, stream))


@every_sketch
def test_merge_is_commutative(kind):
    """A + b agrees with b + a."""
    a, b = (filled(kind, part) for part in np.array_split(CASES[kind].stream, 2))
    assert_agree(kind, merged(a, b), merged(b, a))


@every_sketch
def test_merge_is_associative(kind):
    """(a + b) + c agrees with a + (b + c)."""
    a, b, c = (filled(kind, part) for part in np.array_split(CASES[kind].stream, 3))
    assert_agree(kind, merged(merged(a, b), c), merged(a, merged(b, c)))


@every_sketch
def test_bytes_come_back_with_the_same_answers(kind):
    """Serialized and read again, a sketch gives exactly the same answers."""
    sketch = filled(kind, CASES[kind].stream)
    again = kind.from_bytes(sketch.to_bytes())
    assert CASES[kind].answers(again) == CASES[kind].answers(sketch)


@every_sketch
def test_the_empty_sketch_is_the_identity_of_merge(kind):
    """Merging with an empty sketch, on either side and through bytes, keeps every answer within the bound."""
    sketch = filled(kind, CASES[kind].stream)
    assert_agree(kind, merged(sketch, kind()), sketch)
    assert_agree(kind, merged(kind(), sketch), sketch)
    assert kind.from_bytes(kind().to_bytes()).is_empty
    assert merged(kind(), kind()).is_empty


@every_sketch
def test_merge_leaves_its_argument_alone(kind):
    """The sketch merged from holds the same bytes afterwards."""
    a, b = (filled(kind, part) for part in np.array_split(CASES[kind].stream, 2))
    before = b.to_bytes()
    a.merge(b)
    assert b.to_bytes() == before


@every_sketch
def test_missing_values_never_enter(kind):
    """NaN, infinities and None leave a sketch empty, and an empty array is not an error."""
    sketch = filled(kind, np.array([np.nan, np.inf, -np.inf]), np.empty(0))
    if kind is not KllSketch:
        sketch.update(np.array([None, float("nan")], dtype=object))
    assert sketch.is_empty


@every_sketch
def test_read_only_and_strided_arrays_are_taken(kind):
    """A read-only column view of a block is fed like a copy of it."""
    block = np.arange(20, dtype=np.float64).reshape(10, 2)
    block.flags.writeable = False
    assert filled(kind, block[:, 1]).to_bytes()[:8] == filled(kind, block[:, 1].copy()).to_bytes()[:8]


@every_sketch
@pytest.mark.parametrize("damage", ["empty", "noise", "cut", "other kind"])
def test_foreign_bytes_are_refused_with_the_kind_named(kind, damage):
    """Bytes that are no sketch of this kind raise MergeError, which names the kind and what to do."""
    other = next(candidate for candidate in KINDS.values() if candidate is not kind)
    whole = filled(kind, CASES[kind].stream).to_bytes()
    serialized = {
        "empty": b"",
        "noise": b"these are no bytes of a sketch",
        "cut": whole[: len(whole) // 2],
        "other kind": filled(other, CASES[other].stream).to_bytes(),
    }[damage]
    with pytest.raises(MergeError, match=rf"not a {kind.kind} sketch .* drop them and merge the rest"):
        kind.from_bytes(serialized)


@every_sketch
def test_another_kind_is_not_merged(kind):
    """Merging sketches of two kinds raises MergeError that names both."""
    other = next(candidate for candidate in KINDS.values() if candidate is not kind)
    with pytest.raises(MergeError, match=rf"cannot merge a {other.kind} sketch into a {kind.kind} sketch"):
        kind().merge(other())


@every_sketch
def test_merge_bytes_merges_any_number_of_parts(kind):
    """None gives an empty sketch, one comes back as it is, several agree with the whole."""
    parts = [filled(kind, part).to_bytes() for part in np.array_split(CASES[kind].stream, 4)]
    assert kind.from_bytes(merge_bytes(kind.kind, [])).is_empty
    assert merge_bytes(kind.kind, parts[:1]) is parts[0]
    assert_agree(kind, kind.from_bytes(merge_bytes(kind.kind, parts)), filled(kind, CASES[kind].stream))


def test_merge_bytes_names_the_kinds_it_knows():
    """An unknown kind is refused with the known ones listed."""
    with pytest.raises(MergeError, match="unknown sketch kind 'theta'; this version knows kll_double, hll, frequent"):
        merge_bytes("theta", [b""])


@every_sketch
def test_damaged_bytes_are_refused_or_read_but_never_crash(kind):
    """1 500 random damages of the header and body each give a sketch that merges, or MergeError; nothing else is raised."""
    whole = filled(kind, CASES[kind].stream[:5000]).to_bytes()
    rng, refused = np.random.default_rng(11), 0
    for trial in range(1500):
        damaged = bytearray(whole)
        damaged[rng.integers(min(len(whole), 56) if trial % 3 else len(whole))] = rng.integers(256)
        try:
            kind().merge(kind.from_bytes(bytes(damaged)))
        except MergeError:
            refused += 1
    assert 0 < refused < 1500


def test_levels_that_do_not_add_up_are_refused():
    """A KLL sketch whose level table points outside its values is refused before the library follows it."""
    damaged = bytearray(filled(KllSketch, np.arange(5000.0)).to_bytes())
    damaged[24:28] = b"\xff\xff\xff\x7f"
    with pytest.raises(MergeError, match="its levels do not add up"):
        KllSketch.from_bytes(bytes(damaged))


@pytest.mark.parametrize("count", [0, 1, 2, 200, 201, 5000, 100_000])
@pytest.mark.parametrize("parts", [1, 3])
def test_what_a_sketch_retains_is_what_the_library_says(count, parts):
    """Read from the bytes, values are those of DataSketches, and the weights give the ranks that it gives."""
    stream = np.random.default_rng(count).normal(size=count)
    whole = merged(*(filled(KllSketch, part) for part in np.array_split(stream, parts)))
    values, weights = retained(whole.to_bytes())
    library = kll_doubles_sketch.deserialize(whole.to_bytes())
    # Its iterator gives the weight 1 to all values of a sketch whose lowest level is empty, so weights are held to its ranks.
    assert sorted(values.tolist()) == sorted(value for value, _ in library)
    assert weights.sum() == count
    order = np.argsort(values)
    for value, below in zip(values[order].tolist(), np.cumsum(weights[order]).tolist(), strict=True):
        assert library.get_rank(value, inclusive=True) * count == pytest.approx(below)


def test_retained_values_of_damaged_bytes_are_refused_or_finite():
    """Random damages give values that can be counted, or MergeError; nothing else is raised."""
    whole = filled(KllSketch, np.arange(1000.0)).to_bytes()
    rng = np.random.default_rng(5)
    for trial in range(1500):
        damaged = bytearray(whole[: rng.integers(len(whole))] if trial % 5 == 0 else whole)
        if damaged:
            damaged[rng.integers(min(len(damaged), 56) if trial % 3 else len(damaged))] = rng.integers(256)
        with suppress(MergeError):
            values, weights = retained(bytes(damaged))
            assert len(values) == len(weights)
            assert np.isfinite(values).all()
