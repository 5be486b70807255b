"""The context of a prediction: cohort, event time and collector, in one context variable.

One variable, not two, because the hot path reads it on every call; its value is None almost always.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import ContextVar, Token
from datetime import datetime
from numbers import Integral, Real
from types import TracebackType
from typing import Any, NamedTuple

from radiosonde._clock import LATEST_S, NS
from radiosonde._guard import Guard
from radiosonde._settings import ANY
from radiosonde.errors import ConfigurationError
from radiosonde.model import checked_name, cohort_text, has_own_text, plain_text
from radiosonde.model.losses import COHORT_INVALID, NAME_CHANGED

OTHER = "other"


class Ambient(NamedTuple):
    """The scope in force.

    Attributes:
        dimensions: admitted cohort dimensions.
        cohort: their canonical text.
        event_ns: event time, 0 when it is the time of the call.
        collected: where the tokens of predictions that begin are put, None for nowhere.
    """

    dimensions: Mapping[str, str]
    cohort: str
    event_ns: int
    collected: list[Any] | None = None


AMBIENT: ContextVar[Ambient | None] = ContextVar("radiosonde_ambient", default=None)


def admit(dimensions: Mapping[str, object], allowed: Mapping[str, Sequence[str]], guard: Guard) -> dict[str, str]:
    """Return the cohort values that may leave the process.

    A value on its dimension's allow-list passes, another becomes ``other``; ``"*"`` on the list lets all pass. A
    dimension without a list is hashed (8 hex digits): cells stay distinguishable and nothing personal leaks. None is
    left out; a value without a stable text (a container, an array, an object printed with its address) is left out and counted.
    """
    admitted = {}
    for name, value in dimensions.items():
        if value is None:
            continue
        if type(value) is not str and not has_own_text(value):
            guard.lose(COHORT_INVALID)
            continue
        text, is_changed = checked_name(value)
        called, is_renamed = checked_name(name)
        if is_changed or is_renamed:
            guard.lose(NAME_CHANGED)
        listed = allowed.get(name)
        if listed is None:
            import hashlib  # 5 ms, and most processes never hash a cohort

            text = hashlib.blake2b(text.encode(), digest_size=4).hexdigest()
            guard.warn(
                f"cohort {name}",
                "Cohort dimension %r has no allow-list, so its values are hashed; "
                "start(cohorts={%r: [...]}) or RADIOSONDE_COHORTS=%s=a|b|* lets values through",
                name, name, name,
            )  # fmt: skip
        elif ANY not in listed and text not in listed:
            text = OTHER
        admitted[called] = text
    return admitted


class Scope:
    """A context manager that changes the ambient and puts the former one back."""

    __slots__ = ("_token",)
    _token: Token[Ambient | None]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A generator's frame may be left in another context than it was entered in (a framework's `yield` dependency
        # in a thread pool): there is nothing to put back there then, and nothing to raise.
        try:  # noqa: SIM105 - `suppress` costs more than all the rest of a request's scopes (bench_served)
            AMBIENT.reset(self._token)
        except ValueError:
            pass
        del self._token  # it holds the whole context, and a scope may be kept


class CohortScope(Scope):
    """Predictions inside belong to the given cohort; nested scopes add dimensions, inner values win."""

    __slots__ = ("_dimensions",)

    def __init__(self, dimensions: Mapping[str, str]) -> None:
        self._dimensions = dimensions

    def __enter__(self) -> None:
        outer = AMBIENT.get()
        dimensions = {**outer.dimensions, **self._dimensions} if outer else self._dimensions
        cohort = cohort_text(dimensions)
        self._token = AMBIENT.set(
            outer._replace(dimensions=dimensions, cohort=cohort) if outer else Ambient(dimensions, cohort, 0)
        )


class EventTimeScope(Scope):
    """Predictions inside happened at the given time."""

    __slots__ = ("_event_ns",)

    def __init__(self, event_ns: int) -> None:
        self._event_ns = event_ns

    def __enter__(self) -> None:
        outer = AMBIENT.get()
        if outer:
            self._token = AMBIENT.set(outer._replace(event_ns=self._event_ns))
        else:
            self._token = AMBIENT.set(Ambient({}, "", self._event_ns))


def to_ns(timestamp: object) -> int:
    """Return nanoseconds since the epoch of an aware datetime or of seconds since the epoch.

    Raises:
        ConfigurationError: a naive datetime, or a time outside 1970 to 2259.
    """
    moment: Any = timestamp
    if isinstance(timestamp, datetime):
        if timestamp.tzinfo is None:
            raise ConfigurationError(
                f"{timestamp!r} has no time zone, so it names no instant; use timestamp.replace(tzinfo=timezone.utc)"
            )
        moment = timestamp.timestamp()
    is_number = moment is not True and isinstance(moment, Real)  # False is 0, which is not a valid time either
    if not is_number or not 0 < moment < LATEST_S:
        said = repr(timestamp) if isinstance(timestamp, str) else plain_text(timestamp, 80)
        raise ConfigurationError(
            f"{said} is not a time; give an aware datetime or seconds since the epoch, from 1970 to 2259"
        )
    return int(moment) * NS if isinstance(moment, Integral) else round(float(moment) * NS)
