"""A recorder: one observed function. It opens a writer at the first call, when there is something to learn the schema from.

Thread-safe: opening a writer takes a lock; using one does not.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from radiosonde._guard import Breaker
from radiosonde._native import RLock
from radiosonde._record.first_writer import FirstRecordWriter
from radiosonde._record.intern import Codes
from radiosonde._record.learning import Learned, learn
from radiosonde._record.outputs import OutputReader, Task
from radiosonde._record.record_writer import RecordWriter
from radiosonde._record.released_rings import Keeper, continued
from radiosonde._record.ring_factory import open_spooled_ring
from radiosonde._record.schema import Schema
from radiosonde._ring.layout import PHASES
from radiosonde.model import OVERFLOW_COHORT, checked_model, checked_name, losses, name_of
from radiosonde.model.concealed import key_id

if TYPE_CHECKING:
    from radiosonde._guard import Guard
    from radiosonde._record.tracing import LiveSpans
    from radiosonde._ring.spool import Spool
    from radiosonde._settings import Settings
    from radiosonde.reference.profile import Reference

END_WAIT_S = 1.0  # for a thread that opens a writer at a shutdown; arbitrary
MAX_ERROR_TYPES = 200
"""Error types per model with a code of their own; arbitrary, bounds a metric's label values."""

LONGEST_COHORT = 1024
"""Characters of a cohort cell, all dimensions together; arbitrary, bounds a metric's label."""


_NO_FEATURES = Schema(())


KNOWN: weakref.WeakValueDictionary[str, Recorder] = weakref.WeakValueDictionary()
"""Recorders that were pickled or unpickled here, by key."""


class Host(Keeper, Protocol):
    """Interface that a recorder needs from the pipeline."""

    settings: Settings
    guard: Guard
    anchor: list[int]
    is_shut: bool
    process: str
    drained_by: str

    @property
    def spool(self) -> Spool | None:
        """The folder of the rings, or None."""

    def attach(self, writer: RecordWriter) -> None:
        """Drain *writer* from now on."""

    def lose_late_call(self) -> None:
        """Count a call that came when nothing was recorded any more."""

    def wake(self) -> None:
        """Drain soon: a large batch is in the arena, and a few of them overwrite each other."""

    def make_room(self, nonce: int) -> int:
        """Drain the ring of *nonce* now if it is half full, and return the monotonic clock after it; else return 0.

        For replays, not for servers: may take as long as a drain takes.
        """

    def reference_for(self, recorder: Recorder) -> Reference | None:
        """Return the reference profile of a recorder's model, if there is one."""

    def alias(self, own_id: object, prediction_id: str) -> None:
        """Let the caller's own id mean a prediction too."""

    def spans_for(self, recorder: Recorder) -> LiveSpans | None:
        """Return the maker of live spans, None when no tracer provider is set."""


@dataclass(frozen=True, slots=True)
class Observed:
    """The arguments of ``observe`` for one function.

    Attributes:
        name: model name; any value, like the others: `radiosonde.model.names` converts it to a name.
        version: model version, or a callable that returns it, called once in the consumer's thread; None: unknown.
        variant: ``stable``, ``canary``, ``shadow``, ...; None: ``stable``.
        select: takes the features out of ``(args, kwargs)``; None when the function records them itself.
        position: index of the features among the positional arguments, -1 when only *select* knows.
        output: converts the result to a form that `OutputReader` reads; None: no conversion.
        task: classification or regression; None when unknown.
        classes: class names in column order.
        features: feature names in column order.
        own_id: takes the caller's own id of the prediction out of ``(args, kwargs)``; None: there is none.
        is_generator: the function is a generator, which cannot hold a context open over its yields.
        reference: reference profile, if one was given.
    """

    name: object
    version: object = ""
    variant: object = "stable"
    select: Callable[[tuple[Any, ...], Mapping[str, Any]], object] | None = None
    position: int = -1
    output: Callable[[Any], object] | None = None
    task: Task | None = None
    classes: tuple[str, ...] = ()
    features: tuple[object, ...] = ()
    own_id: Callable[[tuple[Any, ...], Mapping[str, Any]], object] | None = None
    is_generator: bool = False
    reference: Reference | None = None


class Recorder:
    """Records the calls of one function.

    Args:
        host: the pipeline.
        observed: the arguments of ``observe``.
        revive: returns the recorder for a key in the process that unpickles it; an importable function.

    Attributes:
        writer: where calls are recorded now.
    """

    def __init__(self, host: Host, observed: Observed, revive: Callable[[str, Observed], object]) -> None:
        self.host = host
        self.observed = observed
        self._revive = revive
        self.name = self._counted(checked_model(observed.name))
        self.variant = self._named("stable" if observed.variant is None else observed.variant)
        # By the type: an object may raise when its class is read, and a subclass of str when it is hashed.
        self._features: tuple[Any, ...] = tuple(
            name if type(name) is str else name_of(name) for name in observed.features
        )
        version = observed.version
        self._version = None if callable(version) else self._named_version(version)
        self._key = ""
        self._holders: set[weakref.ref[Callable[..., Any]]] = set()
        self._was_held = False
        self.reset()

    def __reduce__(self) -> Any:
        """Pickle the arguments of ``observe`` only: the other process records into its own pipeline, or not at all if that is off.

        The key makes it one recorder there, however often it is unpickled: a worker of Ray or Spark does that for each task.
        """
        if not self._key:
            import uuid  # rarely pickled

            self.known_as(uuid.uuid4().hex)
        return self._revive, (self._key, self.observed)

    def known_as(self, key: str) -> None:
        """Be the recorder of *key* in this process and in children that are forked from it."""
        self._key = key
        KNOWN[key] = self

    def held_by(self, wrapper: Callable[..., Any]) -> None:
        """Register *wrapper*. After the last one is gone, no further call begins.

        Writers and their recorder hold each other, and so wait for a full collection of garbage, which comes seldom in a process
        that has loaded much. A wrapper is in no such cycle: it goes when its user lets it go.
        """
        self._holders.add(weakref.ref(wrapper, self._holders.discard))
        self._was_held = True

    @property
    def is_released(self) -> bool:
        """Whether all wrappers of this recorder are gone. A wrapper on the stack of a running call is not."""
        return self._was_held and not self._holders

    @property
    def version(self) -> str:
        """Model version; empty until `settle_version` has resolved it."""
        return self._version or ""

    @property
    def has_version(self) -> bool:
        """Whether the model version is known."""
        return self._version is not None

    @property
    def has_codes(self) -> bool:
        """Whether a cohort, an error type or a phase has a code."""
        return len(self.cohorts.names) > 1 or len(self.errors.names) > 1 or bool(self.phases.names)

    def settle_version(self) -> str:
        """Return the model version, worked out at the first call: reading an artifact may take long."""
        if self._version is None and callable(self.observed.version):
            found: object = None
            with self.host.guard("version"):
                found = self.observed.version()
            self._version = self._named_version(found)
        return self.version

    def _named(self, value: object) -> str:
        return self._counted(checked_name(value))

    def _counted(self, checked: tuple[str, bool]) -> str:
        name, is_changed = checked
        if is_changed:
            self.host.guard.lose(losses.NAME_CHANGED)
        return name

    def _count_changed(self, values: Iterable[object]) -> None:
        changed = sum(checked_name(value)[1] for value in values)
        if changed:
            self.host.guard.lose(losses.NAME_CHANGED, changed)

    def _named_version(self, value: object) -> str:
        return "" if value is None else self._named(value)

    def reset(self) -> None:
        """Go back to the state before the first call (in a forked child: the rings are the parent's)."""
        self._lock = RLock()
        self.cohorts = Codes(
            self.host.settings.max_series, first=[""], overflow_name=OVERFLOW_COHORT, longest=LONGEST_COHORT
        )
        self.errors = Codes(MAX_ERROR_TYPES, first=[""], overflow_name="_OTHER")
        self.phases = Codes(PHASES)
        self.writer: RecordWriter | FirstRecordWriter = FirstRecordWriter(self)
        self._learned: Learned | None = None
        self._resting: _Resting | None = None
        self._misses = 0
        self._opening = Breaker(self.host.guard, "open_writer", f"model {self.name!r}")

    def end(self) -> None:
        """Begin no call any more, after a shutdown: a writer that a thread opens just now is published before this, or never."""
        lock = self._lock
        is_held = lock.acquire(timeout=END_WAIT_S)  # not longer: a version that is worked out may take minutes
        try:
            self.reset()
        finally:
            if is_held:
                lock.release()

    def let_go(self, writer: RecordWriter) -> None:
        """Release a writer whose ring is over."""
        with self._lock:
            if self.writer is writer:
                self.writer = FirstRecordWriter(self)
        writer.let_go(self.writer.begin)

    def open_writer(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> RecordWriter | None:
        """Open the writer for the schema given by the reference, the names or this call's features.

        Without a usable schema, later features teach one. Returns None, counted, if no writer can be opened. Does not raise.
        """
        with self._lock:
            if isinstance(self.writer, RecordWriter):
                return self.writer
            if self._resting is not None:
                return self._wake_up(self._resting)
            reference, schema = None, _NO_FEATURES
            with self.host.guard("schema"):
                reference = self.host.reference_for(self)
                schema = self._schema_of(reference, args, kwargs)
            writer = self._try_to_open(schema, reference)
            if writer is None and schema.width:
                writer = self._try_to_open(_NO_FEATURES, None)
            if writer is None:
                self.host.guard.lose(losses.RECORD_FAILED)
            return writer

    def _try_to_open(self, schema: Schema, reference: Reference | None) -> RecordWriter | None:
        with self._opening(_kind_of(schema)) as is_admitted:
            if is_admitted:
                return self._open(schema, reference)
        return None

    def _open(self, schema: Schema, reference: Reference | None) -> RecordWriter:
        classes = self.observed.classes or (reference.output.classes if reference else ())
        self._count_changed([*schema.names, *self.observed.classes])
        outputs = OutputReader(classes, self.host.guard, task=self._task(reference), name=self.name)
        writer = continued(self, schema, outputs) or RecordWriter(self, schema, outputs, self.host.spans_for(self))
        writer.unended[:0] = self.writer.unended
        other = None if self._learned is None or not schema.is_open else self._learned.alternative
        writer.inputs.is_tentative = other is not None and other.within is None
        writer.inputs.may_be_envelope = other is not None and other.within is not None
        self.host.attach(writer)
        self._publish(writer)
        self._misses = 0
        return writer

    def _publish(self, writer: RecordWriter) -> None:
        """Make *writer* the one of the calls to come; not after a shutdown, when no ring is drained any more. Under the lock."""
        if not self.host.is_shut:
            self.writer = writer

    def _task(self, reference: Reference | None) -> Task | None:
        """Return the declared value, else that of the reference, else the one learned from the answers so far."""
        if self.observed.task is not None:
            return self.observed.task
        if reference is not None and reference.task != "unknown":
            return "classification" if reference.task == "classification" else "regression"
        return self.writer.outputs.task if isinstance(self.writer, RecordWriter) else None

    def _schema_of(self, reference: Reference | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Schema:
        if reference is not None and reference.features:
            self._check_key(reference)
            return Schema.of_reference(reference, self.host.settings.pii_key)
        if self._features:
            return Schema(self._features)
        select = self.observed.select
        if select is not None and self._learned is None:
            learned = self.host.guard.attempt(lambda: learn(select(args, kwargs)))
            self._learned = learned if isinstance(learned, Learned) else None
        return _NO_FEATURES if self._learned is None else self._schema_learned(self._learned)

    def _check_key(self, reference: Reference) -> None:
        """Warn if categories were hashed under another key than this process has: all of them would be unknown."""
        own = key_id(self.host.settings.pii_key)
        foreign = [feature.name for feature in reference.features if feature.key_id not in ("", own)]
        if foreign:
            self.host.guard.warn(
                f"pii key {self.name}",
                "The profile of %s hashes the categories of %s under another key: all their values count as unseen; set "
                "RADIOSONDE_PII_KEY to the key that it was fitted with",
                self.name, ", ".join(foreign),
            )  # fmt: skip

    def _schema_learned(self, learned: Learned) -> Schema:
        most = self.host.settings.max_features
        schema = learned.schema(most)
        if schema.reading == "wide":
            self.host.guard.warn(
                "wide", "The features of %s are %d, more than %d, and are recorded as a summary of each row; name those that"
                " matter with observe(..., features=[...]), or raise max_features", self.name, len(learned.names), most,
            )  # fmt: skip
        return schema

    @property
    def values_learned(self) -> int:
        """Values of the row that the schema was learned from; 0 when it was not."""
        return 0 if self._learned is None else len(self._learned.names)

    def relearn(self, value: object, rows: int) -> bool:
        """Open a writer for the schema of *value*, the first features that teach one; return whether its *rows* were counted."""
        if self._features:
            return False
        learned = self.host.guard.attempt(learn, value)
        if not isinstance(learned, Learned):
            return False
        with self._lock:
            if isinstance(self.writer, RecordWriter) and self.writer.schema.width == 0 and not self._take_up(learned):
                self.host.guard.lose(losses.FEATURES_UNREADABLE, rows)
                return True
        self.host.guard.lose(losses.FEATURES_LEARNING, rows)
        return True

    def _take_up(self, learned: Learned) -> bool:
        """Open a writer for the learned schema; return whether one could be opened. Under the lock."""
        before, self._learned = self._learned, learned
        if self._try_to_open(self._schema_learned(learned), self.host.reference_for(self)) is None:
            self._learned = before
            return False
        return True

    def missed(self, writer: RecordWriter, value: object, calls: int) -> None:
        """Count a call whose features do not fit the schema; learn a new schema when most of *calls* did not fit.

        The first call may have been a warm-up with unusual input. Checked at the 8th, 64th, 512th ... miss only, so a model of many shapes
        opens few writers.
        """
        self._misses = misses = self._misses + 1
        is_asked = misses >= 8 and not misses & (misses - 1) and misses.bit_length() % 3 == 1
        if (
            not is_asked
            or writer is not self.writer
            or not writer.schema.is_open
            or self._features
            or 2 * misses <= calls
        ):
            return
        learned = self.host.guard.attempt(learn, value)
        if isinstance(learned, Learned):
            with self._lock:
                self._take_up(learned)

    def read_otherwise(self, writer: RecordWriter) -> None:
        """Open a writer for the other reading of the features, because an answer has shown it to be the right one."""
        with self._lock:
            learned = self._learned
            if writer is self.writer and learned is not None and learned.alternative is not None:
                self._learned = learned.alternative.within or learned._replace(alternative=None)
                self._try_to_open(learned.alternative.schema(self.host.settings.max_features), None)

    def retrace(self, spans: LiveSpans | None) -> None:
        """Open a writer with or without live spans after the tracer provider was set or removed."""
        with self._lock:
            if isinstance(self.writer, RecordWriter) and self.writer.spans is not spans:
                writer = RecordWriter(self, self.writer.schema, self.writer.outputs, spans)
                _take_doubts(writer, _doubts_of(self.writer))
                self.host.attach(writer)
                self._publish(writer)

    def rest(self, writer: RecordWriter) -> None:
        """Release an idle writer; the next call opens another one of the same schema and classes."""
        with self._lock:
            if self.writer is writer:
                self._resting = _Resting(writer.schema, writer.outputs, _doubts_of(writer))
                self.writer = FirstRecordWriter(self)

    def _wake_up(self, resting: _Resting) -> RecordWriter | None:
        with self._opening(_kind_of(resting.schema)) as is_admitted:
            if is_admitted:
                writer = RecordWriter(self, resting.schema, resting.outputs, self.host.spans_for(self))
                _take_doubts(writer, resting.doubts)
                self.host.attach(writer)
                self._publish(writer)
                self._resting = None
                return writer
        self.host.guard.lose(losses.RECORD_FAILED)
        return None

    def reopen(self, writer: RecordWriter) -> None:
        """Open a writer whose ring lies in the spool, in place of *writer*, whose ring does not (any more).

        Raises:
            SpoolError: the spool cannot be used, or has no room; *writer* goes on.
            ProfileError: likewise, for the reference profile.
            OSError: likewise, for the names.
        """
        with self._lock:
            if self.writer is writer:
                ring = open_spooled_ring(self, writer.schema, writer.outputs)
                fresh = RecordWriter(self, writer.schema, writer.outputs, writer.spans, ring)
                _take_doubts(fresh, _doubts_of(writer))
                self.host.attach(fresh)
                self._publish(fresh)

    def series_of(self, cohort: str) -> int:
        """Return the code of a cohort cell; beyond the bound all share the overflow cell, counted."""
        code: int | None = self.cohorts.codes.get(cohort)
        if code is not None:
            return code
        if len(cohort) > LONGEST_COHORT:
            cohort = OVERFLOW_COHORT
            self.host.guard.lose(losses.COHORT_OVERFLOW)
        code, overflowed = self.cohorts.add(cohort, self.host.guard.lose)
        if overflowed:
            self.host.guard.lose(losses.COHORT_OVERFLOW)
        return int(code)

    def error_code(self, error: BaseException | type[BaseException] | str) -> int:
        """Return the code of an exception's type, or of an error name."""
        # By the type: an object may raise when its class is read, as `isinstance` does.
        kind = type(error) if issubclass(type(error), BaseException) else error
        code = self.errors.find(kind)
        if code is None:
            code, overflowed = self.errors.add(kind, self.host.guard.lose, name=_error_name(kind))
            if overflowed:
                self.host.guard.lose(losses.ERROR_OVERFLOW)
        return int(code)

    def phase_code(self, name: str) -> int:
        """Return the code of a phase, -1 beyond the slot's room, counted."""
        code = self.phases.find(name)
        if code is None:
            code, overflowed = self.phases.add(name, self.host.guard.lose)
            if overflowed:
                self.host.guard.lose(losses.PHASE_OVERFLOW)
        return code if code < PHASES else -1


def _doubts_of(writer: RecordWriter) -> tuple[bool, bool]:
    """Return whether answers to come may show other rows than were read, and whether rows by name may be envelopes."""
    return writer.inputs.is_tentative, writer.inputs.may_be_envelope


def _take_doubts(writer: RecordWriter, doubts: tuple[bool, bool]) -> None:
    writer.inputs.is_tentative, writer.inputs.may_be_envelope = doubts


def _kind_of(schema: Schema) -> str:
    """Return the key that a breaker uses for a schema."""
    return f"{schema.width} features, schema {hash(schema.names) & 0xFFFF_FFFF:08x}" if schema.width else "no features"


def _error_name(kind: object) -> object:
    is_type = issubclass(type(kind), type)
    return kind.__qualname__ if is_type and kind.__module__ == "builtins" else kind  # type: ignore[attr-defined]


class _Resting(NamedTuple):
    """The state kept from a released writer."""

    schema: Schema
    outputs: OutputReader
    doubts: tuple[bool, bool]
