"""The contract every sketch keeps; `tests/laws` runs every law on every class in `radiosonde.sketches.KINDS`.

Laws: merge is associative and commutative within the stated bound; a stream split anywhere and merged answers like the
whole within the bound; an empty sketch is the identity of merge; ``from_bytes(to_bytes())`` answers exactly alike;
bytes of anything else raise `MergeError`. A merge never changes its argument.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Self

from radiosonde.errors import MergeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

DAMAGED = (ValueError, IndexError, RuntimeError, MemoryError, TypeError, OverflowError)
"""Exceptions of the native library for unreadable bytes; there is no common base class."""


class Sketch(ABC):
    """A bounded-memory summary of a stream that merges with others of its kind.

    Attributes:
        kind: name of the kind in windows and carriers.
        parameter: the size parameter (``k`` or its base-2 logarithm), as carriers state it.
    """

    __slots__ = ()
    kind: ClassVar[str]
    parameter: ClassVar[int]

    @abstractmethod
    def update(self, values: NDArray[Any]) -> None:
        """Add *values* (one-dimensional); unsupported values (missing, not a number) are ignored."""

    @abstractmethod
    def merge(self, other: Self) -> None:
        """Add everything *other* has seen; *other* stays as it is.

        Raises:
            MergeError: *other* is a sketch of another kind.
        """

    @abstractmethod
    def to_bytes(self) -> bytes:
        """Return the plain DataSketches serialization."""

    @classmethod
    @abstractmethod
    def from_bytes(cls, serialized: bytes) -> Self:
        """Decode the result of `to_bytes`.

        Raises:
            MergeError: *serialized* is damaged or a sketch of another kind.
        """

    @property
    @abstractmethod
    def is_empty(self) -> bool:
        """Whether nothing has entered yet."""

    def _same_kind(self, other: Sketch) -> None:
        if type(other) is not type(self):
            theirs = getattr(other, "kind", type(other).__name__)
            raise MergeError(f"cannot merge a {theirs} sketch into a {self.kind} sketch; merge sketches of one kind")

    @classmethod
    def _damaged(cls, serialized: bytes, cause: BaseException) -> NoReturn:
        raise MergeError(
            f"these {len(serialized)} bytes are not a {cls.kind} sketch ({cause}); drop them and merge the rest"
        ) from cause
