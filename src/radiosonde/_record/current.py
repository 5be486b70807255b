"""User access to the current prediction: stages, features, id."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, Self, overload

from radiosonde._clock import NS, monotonic_ns
from radiosonde._record.ambient import AMBIENT, Ambient, Scope
from radiosonde._record.pools import hand_on_scopes
from radiosonde._record.token import AT, CURRENT, INDEX, SPAN, WALL_NS, Token, is_in_progress
from radiosonde._record.tracing import prediction_id
from radiosonde._ring import layout
from radiosonde._ring.layout import DONE, DURATION_WORD, ERROR_OFFSET, MARK_WORD, PHASE_OFFSET
from radiosonde.model import losses

if TYPE_CHECKING:
    from radiosonde._record.record_writer import RecordWriter
    from radiosonde._record.recorder import Host

_PHASE = struct.Struct("<f")
_CODE = struct.Struct("<H")
_NO_DIMENSIONS: Mapping[str, str] = MappingProxyType({})


class Prediction:
    """The prediction in progress, or the last one of this context. Get it with `radiosonde.current`."""

    __slots__ = ("_token",)

    def __init__(self, token: Token) -> None:
        self._token = token

    @property
    def id(self) -> str:
        """Prediction id: 32 hex digits, time-ordered, as accepted by `radiosonde.label`."""
        return prediction_id(self._token)

    @property
    def model(self) -> str:
        """Model name."""
        return str(self._token[0].recorder.name)

    @property
    def version(self) -> str:
        """Model version."""
        return str(self._token[0].recorder.version)

    @property
    def variant(self) -> str:
        """Role in the rollout."""
        return str(self._token[0].recorder.variant)

    @property
    def start_ns(self) -> int:
        """When it began: nanoseconds since the epoch."""
        return int(self._token[WALL_NS])

    @property
    def duration_s(self) -> float:
        """How long it took, in seconds; NaN while it is in progress, and when its slot was given away."""
        took_ns = _duration_ns(self._token)
        return math.nan if took_ns is None else took_ns / NS

    @property
    def is_in_progress(self) -> bool:
        """Whether the observed function is still running."""
        return is_in_progress(self._token)

    def receipt(self) -> str:
        """Return a signed receipt of this prediction, which `radiosonde.label` accepts in place of the id and needs no store.

        Call it after the observed function has returned, soon (its record is read from the ring), with keys in the
        settings. At most 200 characters; good for ``receipt_ttl_s``.

        Returns:
            The receipt; ``""``, counted as the loss ``receipt_unissued``, when none can be made: of a batch (its rows have
            no ids of their own), of a prediction that failed or whose output could not be read, of one whose record has
            been overwritten since, or where the names of model, version, cohort and class are too long together.

        Raises:
            ConfigurationError: there are no keys, they cannot be read, or the prediction is still in progress.
        """
        from radiosonde._record.receipts import issue  # loads hashing, which most processes do without

        return issue(self._token)

    def alias(self, own_id: object) -> None:
        """Let *own_id* mean this prediction too: `radiosonde.label` then takes either.

        Args:
            own_id: a request id, an order number or a UUID: text, a whole number, or any value with a stable text. Other values are counted
                as the loss ``own_id_unreadable``.
        """
        writer: RecordWriter = self._token[0]
        writer.recorder.host.alias(own_id, self.id)

    def features(self, value: object) -> None:
        """Record the features of this prediction: for functions that fetch them themselves (``input=False``).

        Args:
            value: one row or a batch, in any form the observed function could take. After the prediction has ended the
                call is counted as a loss and does nothing.
        """
        writer: RecordWriter = self._token[0]
        guard = writer.recorder.host.guard
        if not is_in_progress(self._token):
            guard.lose(losses.FEATURES_UNREADABLE)
            guard.warn("features", "features() was called after the prediction had ended; call it inside the function")
            return
        failure = guard.attempt(writer.record_features, self._token, value)
        if isinstance(failure, Exception):
            guard.lose(losses.FEATURES_UNREADABLE)
            guard.warn("features", "Features could not be read (%s)", type(failure).__name__)


def _duration_ns(token: Token) -> int | None:
    """Return the duration of a prediction; None while it is in progress, and after its slot was reused."""
    ring = token[0].ring
    first_word = (token[INDEX] & (ring.capacity - 1)) * 16
    # Reads two words of the slot instead of a row of the structured array: a web server calls this for every request.
    index, state = divmod(ring.words[first_word + MARK_WORD], 4)
    if index != token[INDEX] + 1 or state < DONE:
        return None
    return int(ring.words[first_word + DURATION_WORD])


class Collected(Scope, Sequence[Prediction]):
    """The predictions made inside, in this context, in threads that were started with a copy of it and in thread pools, as they began.

    Example: ``with plugin.collect() as made: serve(request)``; then ``[each.id for each in made]``. Before it is entered there are
    none, and none when Radiosonde is off; an inner one collects instead of an outer one.
    """

    # No `__init__`: a web server makes one for every request.
    tokens: Sequence[Token] = ()

    def __enter__(self) -> Self:
        hand_on_scopes()
        outer = AMBIENT.get()
        self.tokens = []
        # Without the named tuple's own constructor, which is Python's: a web server does this for every request.
        ambient = (_NO_DIMENSIONS, "", 0, self.tokens) if outer is None else (*outer[:3], self.tokens)
        self._token = AMBIENT.set(tuple.__new__(Ambient, ambient))
        return self

    def __len__(self) -> int:
        return len(self.tokens)

    def ids(self, most: int) -> list[str]:
        """Return the ids of the first *most* predictions; a web server calls this for every request."""
        ids = []
        for token in self.tokens[:most]:
            ids.append(layout.prediction_id(token[WALL_NS], token[0].ring.nonce, token[INDEX]))  # noqa: PERF401 - a function less
        return ids

    def summary(self) -> tuple[str, str, int, int, int]:
        """Return the model and time of the predictions; a web server calls this for every request.

        Returns:
            Version and variant of the first, empty when there is none. Then of those that have ended: start of the first and
            end of the last, in nanoseconds since the epoch, and their durations added up; zeros when none has.
        """
        if not self.tokens:
            return "", "", 0, 0, 0
        recorder = self.tokens[0][0].recorder
        first_ns = last_ns = taken_ns = 0
        for token in self.tokens:
            took_ns = _duration_ns(token)
            if took_ns is not None:
                start_ns: int = token[WALL_NS]
                if not first_ns or start_ns < first_ns:
                    first_ns = start_ns
                last_ns = max(last_ns, start_ns + took_ns)
                taken_ns += took_ns
        return recorder.version, recorder.variant, first_ns, last_ns, taken_ns

    @overload
    def __getitem__(self, place: int) -> Prediction: ...

    @overload
    def __getitem__(self, place: slice) -> list[Prediction]: ...

    def __getitem__(self, place: int | slice) -> Prediction | list[Prediction]:
        if isinstance(place, slice):
            return [Prediction(token) for token in self.tokens[place]]
        return Prediction(self.tokens[place])


class Stage:
    """A named phase inside a prediction: its time is added to the prediction's phase of that name."""

    __slots__ = ("_host", "_name", "_outer", "_scope", "_start_ns", "_token")

    def __init__(self, name: str, host: Host) -> None:
        self._name = name
        self._host = host
        self._scope: Any = None
        self._outer = 0

    def __enter__(self) -> None:
        token = CURRENT.get()
        if token is None or not is_in_progress(token):
            self._token = None
            self._host.guard.lose(losses.STAGE_OUTSIDE)
            return
        self._token = token
        if token[SPAN] is not None:
            with self._host.guard("span_stage_start"):
                self._scope = token[0].spans.open_stage(token, self._name)
        if token[0].ring.file is not None:
            with self._host.guard("stage_enter"):
                self._enter_phase(token)
        self._start_ns = monotonic_ns()

    def _enter_phase(self, token: Token) -> None:
        """Write the phase of the prediction into its slot, so that it can be read after a crash."""
        writer: RecordWriter = token[0]
        ring, at, code = writer.ring, token[AT] + ERROR_OFFSET, writer.recorder.phase_code(self._name) + 1
        (self._outer,) = _CODE.unpack_from(ring.memory, at)
        if token[INDEX] >= ring.given[0]:
            _CODE.pack_into(ring.memory, at, code)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        token = self._token
        if token is None:
            return
        elapsed_ns = monotonic_ns() - self._start_ns
        if self._scope is not None:
            with self._host.guard("span_stage_end"):
                self._scope.__exit__(kind, error, trace)
        with self._host.guard("stage_exit"):
            _add_phase(token, self._name, elapsed_ns)
        ring = token[0].ring
        if ring.file is not None and is_in_progress(token) and token[INDEX] >= ring.given[0]:
            _CODE.pack_into(ring.memory, token[AT] + ERROR_OFFSET, self._outer)


def _add_phase(token: Token, name: str, elapsed_ns: int) -> None:
    writer: RecordWriter = token[0]
    code = writer.recorder.phase_code(name)
    if code < 0:
        return
    ring, at = writer.ring, token[AT] + PHASE_OFFSET + 4 * code
    (before_s,) = _PHASE.unpack_from(ring.memory, at)
    seconds = before_s + elapsed_ns / NS
    # No call between the check and the pack: the slot cannot be reclaimed in between (`radiosonde._ring.ring`).
    if token[INDEX] >= ring.given[0]:
        _PHASE.pack_into(ring.memory, at, seconds)
    else:
        writer.reclaimer.add_phase(token[INDEX], code, elapsed_ns / NS)


class NoPrediction:
    """Represents the prediction in progress when there is none, or when Radiosonde is off."""

    __slots__ = ()
    id = ""
    model = ""
    version = ""
    variant = ""
    start_ns = 0
    duration_s = math.nan
    is_in_progress = False

    def receipt(self) -> str:
        """Return no receipt."""
        return ""

    def alias(self, own_id: object) -> None:
        """Do nothing."""

    def features(self, value: object) -> None:
        """Do nothing."""


def current() -> Prediction | NoPrediction:
    """Return the prediction in progress in this context, or the last one that ended in it."""
    token = CURRENT.get()
    return NoPrediction() if token is None else Prediction(token)
