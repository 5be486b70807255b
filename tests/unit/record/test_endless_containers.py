"""Containers of the caller's own classes whose iterators never end: reading one takes a bounded number of items."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from radiosonde.model import iteration
from radiosonde.testing import fly

BOUND = 1000
"""`MOST_ITEMS` in these tests; a container is read a few times."""


class ReadOnAndOnError(BaseException):
    """More items were taken than any number of bounded loops would take."""


def endless(item: Any = 1.0) -> Iterator[Any]:
    """Return an iterator that never ends by itself."""
    for _ in range(100 * BOUND):
        yield item
    raise ReadOnAndOnError


class EndlessMapping(Mapping[str, float]):
    """Says that it has three items, and iterates without end."""

    def __getitem__(self, key: str) -> float:
        return 1.0

    def __iter__(self) -> Iterator[str]:
        return endless("a")

    def __len__(self) -> int:
        return 3


class EndlessSequence(Sequence[float]):
    """The same for a sequence, and for its slices."""

    def __getitem__(self, place: Any) -> Any:
        return endless() if isinstance(place, slice) else 1.0

    def __iter__(self) -> Iterator[float]:
        return endless()

    def __len__(self) -> int:
        return 3


class EndlessList(list[float]):
    """A list with an iterator of its own."""

    def __iter__(self) -> Iterator[float]:
        return endless()


class EndlessTuple(tuple[float, ...]):
    """The same for a tuple."""

    __slots__ = ()

    def __iter__(self) -> Iterator[float]:
        return endless()


class EndlessDict(dict[str, float]):
    """A dict with views of its own."""

    def __iter__(self) -> Iterator[str]:
        return endless("a")

    def keys(self) -> Any:
        """Never end."""
        return endless("a")

    def values(self) -> Any:
        """Never end."""
        return endless()


class EndlessAttributes:
    """Answers an iterator where an object has its attributes."""

    __dict__ = property(lambda self: endless("columns"))  # type: ignore[assignment]


class EndlessKeys:
    """A row of a database, by its names."""

    def keys(self) -> Iterator[str]:
        """Never end."""
        return endless("a")

    def __getitem__(self, key: str) -> float:
        return 1.0


class EndlessConversion:
    """A row with a conversion to a dict."""

    def asDict(self) -> Any:  # noqa: N802 - Spark's name
        """Never end."""
        return endless("a")


class EndlessFields:
    """A class whose fields are an iterator."""


EndlessFields._fields = EndlessFields.model_fields = EndlessFields.__slots__ = endless("a")  # type: ignore[attr-defined]


class EndlessArray:
    """A tensor whose numbers do not end."""

    shape = (2,)

    def __len__(self) -> int:
        return 2

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError

    def tolist(self) -> Any:
        """Never end."""
        return endless()


CONTAINERS: dict[str, Callable[[], Any]] = {
    "mapping": EndlessMapping,
    "sequence": EndlessSequence,
    "list": lambda: EndlessList([0.5, 0.5]),
    "tuple": lambda: EndlessTuple((0.5, 0.5)),
    "dict": lambda: EndlessDict(a=1.0),
    "attributes": EndlessAttributes,
    "keys": EndlessKeys,
    "conversion": EndlessConversion,
    "fields": EndlessFields,
    "array": EndlessArray,
    "range": lambda: range(10**12),
}
PLACES: dict[str, Callable[[Any], Any]] = {
    "itself": lambda value: value,
    "row of rows": lambda value: [value, value],
    "row of rows of rows": lambda value: [[value, value]],
    "value": lambda value: {"a": value, "b": value},
    "probabilities": lambda value: {"probabilities": value},
    "label": lambda value: {"label": "yes", "confidence": value},
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("container", CONTAINERS)
def test_a_container_without_end_is_read_to_a_bound(container, place, monkeypatch):
    """As an input and as an answer, alone and within others, first and later: the calls return what they return and count."""
    monkeypatch.setattr(iteration, "MOST_ITEMS", BOUND)
    value = PLACES[place](CONTAINERS[container]())
    with fly(reraise=False) as rs:
        fresh, known = (rs.observe(name)(lambda row: "yes") for name in ("fresh", "known"))
        answers = rs.observe("answers")(lambda row: value)
        known([1.0, 2.0])
        for _ in range(2):
            assert (fresh(value), known(value)) == ("yes", "yes")
            assert answers([1.0, 2.0]) is value
        assert sum(window.calls for window in rs.windows()) == 7
        assert rs.statistics().guarded == {}
