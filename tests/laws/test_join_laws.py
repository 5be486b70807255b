"""Every join store keeps the laws of `radiosonde._join.store`, against a model of plain dicts."""

from __future__ import annotations

import itertools
import math
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from radiosonde._join.memory import MemoryJoinStore
from radiosonde._join.redis import RedisJoinStore
from radiosonde._join.sqlite import SqliteJoinStore
from radiosonde._join.store import Label
from tests.redis_server import running_redis
from tests.unit.join.predictions import BASE_NS, CLASSES, RECEIPT, VALUES, S, id_of, predictions, start_ns

DAY_S = 86_400
UNANSWERED = 4
# Two pages, both ends of the first, and an index beyond 32 bits.
INDICES = [0, 1, 2, 3, UNANSWERED, 5, 1021, 1022, 1023, 1024, 1025, (1 << 32) + 6]
WITH_RECEIPT = [1, 3, 5, 1023]
NOTHING = object()
MEANINGS = {
    CLASSES.nonce: [
        ("no", "no"),
        ("yes", "yes"),
        (0, "no"),
        (1, "yes"),
        (True, "yes"),
        ("maybe", "maybe"),
        (2.5, "2.5"),
    ],
    VALUES.nonce: [(1, 1.0), (True, 1.0), (2.5, 2.5), (-0.0, 0.0), ("2.50", 2.5), ("ten", NOTHING), ("2,5", NOTHING)],
}
LANES = {lane.nonce: lane for lane in (CLASSES, VALUES)}
OWNERS = ("first", "second")

indices = st.sampled_from(INDICES)
lanes = st.sampled_from(sorted(LANES))
times_s = st.integers(0, 6)
actors = st.sampled_from((0, 1))
statements = st.tuples(lanes, indices, st.integers(0, 6), times_s, st.booleans())


class JoinLaws(RuleBasedStateMachine):
    """Two labellers, two joiners, one store; `open_store` opens it once more."""

    def __init__(self, open_store: Callable[[], object]) -> None:
        super().__init__()
        self.open_store = open_store
        self.stores = [open_store(), open_store()]
        self.now_ns = BASE_NS + 3600 * S
        self.epoch_ns = BASE_NS
        self.present: set[tuple[int, int]] = set()
        self.stated: dict[tuple[int, int], list[tuple[object, int]]] = {}
        self.early: list[tuple[tuple[int, int] | str, object, int]] = []
        self.names: dict[str, tuple[int, int]] = {}
        self.expected: Counter[tuple[object, ...]] = Counter()
        self.wanted: Counter[str] = Counter()
        self.received = 0
        self.held: dict[str, tuple[str, object]] = {}  # batch id -> (its text, the batch)
        self.done: set[str] = set()
        self.net: Counter[tuple[object, ...]] = Counter()
        self.results: Counter[str] = Counter()

    def teardown(self) -> None:
        """Let everything come to its end, then compare."""
        try:
            self.labels_wait_in_vain()
            self.everything_gets_old(limit=5)
            self.labels_wait_in_vain()
            lost = self.results.pop("unknown", 0) + self.results.pop("expired", 0)
            assert lost == self.wanted.pop("lost", 0)
            again = self.results.pop("corrected", 0) + self.results.pop("duplicate", 0)
            assert again == self.wanted.pop("again", 0)
            assert +self.results == +self.wanted
        finally:
            for store in self.stores:
                store.close()

    # What happens ----------------------------------------------------------------------------------------------------

    @rule(actor=actors, nonce=lanes, some=st.lists(indices, min_size=1, unique=True))
    def remember(self, actor, nonce, some):
        """Predictions come, some of them again, stragglers among them."""
        chunk = predictions(LANES[nonce], sorted(some), self.epoch_ns)
        is_unanswered = chunk.rows["index"] == UNANSWERED
        chunk.rows["class_code"][is_unanswered] = -1
        chunk.rows["score"][is_unanswered] = math.nan
        self.stores[actor].remember([chunk])
        self.present.update((nonce, index) for index in some)
        self.settle_early()

    @rule(actor=actors, index=st.sampled_from(WITH_RECEIPT))
    def remember_from_a_receipt(self, actor, index):
        """The same prediction, said with other codes and no cells."""
        self.stores[actor].remember([predictions(RECEIPT, [index], self.epoch_ns)])
        self.present.add((CLASSES.nonce, index))
        self.settle_early()

    @rule(actor=actors, said=st.lists(statements, min_size=1, max_size=4))
    def receive(self, actor, said):
        """Labels come: early, twice, corrected, by either id."""
        labels = []
        for nonce, index, choice, time_s, by_name in said:
            raw, meaning = MEANINGS[nonce][choice % len(MEANINGS[nonce])]
            if nonce == CLASSES.nonce and index in WITH_RECEIPT:
                raw = meaning  # a receipt knows one class, so a position or a truth value means nothing to it
            name = f"order-{self.epoch_ns}-{nonce}-{index}"
            time_ns = start_ns(index, self.epoch_ns) + time_s * S
            labels.append(Label(name if by_name else id_of(LANES[nonce], index, self.epoch_ns), raw, time_ns))
            self.early.append((name if by_name else (nonce, index), meaning, time_ns))
        self.stores[actor].receive(labels)
        self.received += len(labels)
        self.settle_early()

    @rule(actor=actors, nonce=lanes, index=indices)
    def alias(self, actor, nonce, index):
        """A caller's own id is registered; registered again it means the same."""
        name = f"order-{self.epoch_ns}-{nonce}-{index}"
        self.stores[actor].alias([(name, id_of(LANES[nonce], index, self.epoch_ns))])
        self.names[name] = (nonce, index)
        self.settle_early()

    @rule(actor=actors)
    def receive_what_cannot_be_read(self, actor):
        """Ids and values that are none."""
        right = id_of(CLASSES, 1, self.epoch_ns)
        labels = [
            Label("", "yes", 1),
            Label("\ud800", "yes", 1),
            Label(right, math.nan, 1),
            Label(right, "yes", 1 << 80),
        ]
        self.stores[actor].receive(labels)
        self.received += 4
        self.wanted["invalid"] += 4

    @rule(actor=actors)
    def receive_for_nobody(self, actor):
        """An id in our form that no ring ever gave out."""
        self.stores[actor].receive([Label(f"{start_ns(0, self.epoch_ns):016x}{99:08x}{0:08x}", "yes", 1)])
        self.received += 1
        self.wanted["lost"] += 1

    @rule(actor=actors, owner=st.sampled_from(OWNERS), limit=st.integers(1, 5), acknowledge=st.booleans())
    def join(self, actor, owner, limit, acknowledge):
        """One of two joiners takes a batch, and may die before it says so."""
        batch = self.stores[actor].join(owner, now_ns=self.now_ns, limit=limit)
        if batch is None:
            return
        text = repr((sorted(map(repr, batch.outcomes)), sorted(batch.results.items())))
        assert batch.id not in self.done
        if batch.id not in self.held:
            assert sum(batch.results.values()) <= limit
            assert sum(each.label is None for each in batch.outcomes) <= limit
        assert self.held.setdefault(batch.id, (text, batch))[0] == text
        if acknowledge:
            self.acknowledge(actor, batch.id)

    @precondition(lambda self: self.held)
    @rule(actor=actors, which=st.integers(0, 10))
    def acknowledge_late(self, actor, which):
        """The owner of a batch may acknowledge it at any time."""
        self.acknowledge(actor, sorted(self.held)[which % len(self.held)])

    @rule(actor=actors)
    def restart(self, actor):
        """A process ends and comes again; a store in memory ends with it, so there it only closes."""
        self.stores[actor].close()
        self.stores[actor] = self.open_store()

    @rule()
    def a_minute_passes(self):
        """Leases end."""
        self.now_ns += 61 * S

    @rule()
    def labels_wait_in_vain(self):
        """Labels that have waited for an hour expire."""
        self.join_everything(limit=3)
        self.now_ns += 3601 * S
        self.join_everything(limit=3)
        self.wanted["lost"] += len(self.early)
        self.early.clear()

    @rule(limit=st.integers(1, 5))
    def everything_gets_old(self, limit):
        """A month later each prediction without a label expires, once; earlier labels still count."""
        self.now_ns += 31 * DAY_S * S
        self.join_everything(limit)
        for target in self.present - self.stated.keys():
            if target[1] != UNANSWERED:
                self.expected[self.key(target, None, math.nan)] += 1
        for target, said in self.stated.items():
            self.expected[self.label_in_force(target, said)] += 1
        assert self.without_cells() == self.expected
        assert set(self.net.values()) <= {1}  # cells: outcomes counted with them were subtracted with them
        self.wanted["lost"] += len(self.early)
        for each in (self.present, self.stated, self.early, self.names):
            each.clear()
        self.epoch_ns = self.now_ns

    @invariant()
    def each_label_is_somewhere(self):
        """Each label received has one result or waits."""
        held = sum(sum(batch.results.values()) for _, batch in self.held.values())
        waiting = {store.waiting for store in self.stores}
        assert waiting == {self.received - held - sum(self.results.values())}

    # ------------------------------------------------------------------------------------------------------------------

    def settle_early(self):
        """Join the model's early labels with the current predictions."""
        still = []
        for target, meaning, time_ns in self.early:
            found = self.names.get(target) if isinstance(target, str) else target
            if found not in self.present:
                still.append((target, meaning, time_ns))
            elif found[1] == UNANSWERED:
                self.wanted["unanswered"] += 1
            elif meaning is NOTHING:
                self.wanted["invalid"] += 1
            else:
                self.wanted["again" if found in self.stated else "joined"] += 1
                self.stated.setdefault(found, []).append((meaning, time_ns))
        self.early = still

    def key(self, target, label, lag_s):
        """Return the identity of an outcome of this prediction."""
        nonce, index = target
        event_ns = start_ns(index, self.epoch_ns) - 60 * S
        if nonce == VALUES.nonce:
            return (("eta", "", "canary", ""), event_ns, "", "nan", str(10 + index % 2 / 2), label, str(lag_s))
        cohort, name = ("plan=pro", "yes") if index % 2 else ("", "no")
        return (("delays", "2", "stable", cohort), event_ns, name, "0.75", "nan", label, str(lag_s))

    def label_in_force(self, target, said):
        """Return the outcome of the label with the largest (time, text), known since it was first stated."""
        value, _ = max(said, key=lambda each: (each[1], str(each[0])))
        first_ns = min(time_ns for other, time_ns in said if other == value)
        return self.key(target, value, (first_ns - start_ns(target[1], self.epoch_ns)) / S + 60)

    def join_everything(self, limit):
        """Join and acknowledge until there is nothing left for either joiner."""
        quiet = 0
        for actor in itertools.cycle((0, 1)):
            batch = self.stores[actor].join(OWNERS[actor], now_ns=self.now_ns, limit=limit)
            quiet = quiet + 1 if batch is None else 0
            if quiet == 2:
                return
            if batch is not None:
                assert batch.id not in self.done
                self.held.setdefault(batch.id, ("", batch))
                self.acknowledge(actor, batch.id)

    def acknowledge(self, actor, batch_id):
        """Count a batch once, as its caller must."""
        self.stores[actor].acknowledge(batch_id)
        _, batch = self.held.pop(batch_id)
        self.done.add(batch_id)
        self.results.update(batch.results)
        for each in batch.outcomes:
            same = (tuple(each.key), each.event_ns, each.predicted, str(each.confidence), str(each.value))
            where = (each.cells, each.grid, each.features)
            self.net[(*same, each.label, str(each.lag_s), where)] += 1
            if each.former is not None:
                self.net[(*same, each.former, str(each.former_lag_s), where)] -= 1
        self.net = Counter({key: count for key, count in self.net.items() if count})

    def without_cells(self):
        """Return the net totals, ignoring cells."""
        totals: Counter[tuple[object, ...]] = Counter()
        for key, count in self.net.items():
            totals[key[:-1]] += count
        return Counter({key: count for key, count in totals.items() if count})


def joined(open_store: Callable[[], object]) -> Counter[str]:
    """Run the machine; return the results of all labels, to detect a machine that does nothing.

    *open_store* is called once for each example and gives what opens its store. A law that is broken fails the machine.
    """
    machines: list[JoinLaws] = []

    def machine() -> JoinLaws:
        machines.append(JoinLaws(open_store()))
        return machines[-1]

    run_state_machine_as_test(machine, settings=settings(max_examples=120, stateful_step_count=40, deadline=None))
    return sum((each.results for each in machines), Counter())


def test_the_store_in_memory_keeps_the_laws():
    """But for what its process takes with it."""

    def fresh():
        store = MemoryJoinStore()
        return lambda: store

    assert joined(fresh)["joined"] > 0


def test_the_store_in_sqlite_keeps_the_laws(tmp_path):
    """One file, two connections."""

    def fresh():
        path = Path(tempfile.mkdtemp(dir=tmp_path), "join.sqlite")
        return lambda: SqliteJoinStore(path)

    assert joined(fresh)["joined"] > 0


@pytest.fixture(scope="module")
def redis_url(require_program, tmp_path_factory) -> Iterator[str]:
    """Run a server for the module."""
    with running_redis(require_program("redis-server"), tmp_path_factory.mktemp("redis")) as url:
        yield url


def test_the_store_on_redis_keeps_the_laws(redis_url):
    """One server, two clients."""
    numbers = itertools.count()

    def fresh():
        prefix = f"laws:{next(numbers)}:"
        return lambda: RedisJoinStore(redis_url, prefix=prefix)

    assert joined(fresh)["joined"] > 0
