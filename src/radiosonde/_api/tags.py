"""Names and versions that users assign to model objects, read by plug-ins."""

from __future__ import annotations

import weakref
from typing import Literal, NamedTuple

from radiosonde._native import RLock
from radiosonde.errors import ConfigurationError


class Tag(NamedTuple):
    """Attributes of a model object; None for those that are not set.

    Attributes:
        name: model name.
        version: model version.
        variant: role in the rollout.
        task: meaning of a numeric result.
        classes: class names in the order of the columns of a probability matrix.
        features: feature names in column order.
    """

    name: str | None = None
    version: str | None = None
    variant: str | None = None
    task: Literal["classification", "regression"] | None = None
    classes: tuple[str, ...] | None = None
    features: tuple[str, ...] | None = None


class Tags:
    """Tags by object identity. A tag is removed together with its object."""

    def __init__(self) -> None:
        self._lock = RLock()  # a finaliser may interrupt the holder
        self._tags: dict[int, Tag] = {}

    def of(self, model: object) -> Tag:
        """Return the tag of an object."""
        return self._tags.get(id(model), Tag())

    def add(self, model: object, tag: Tag) -> Tag:
        """Add attributes of an object; return all of them.

        Raises:
            ConfigurationError: objects of this type cannot be tagged.
        """
        with self._lock:
            known = self._tags.get(id(model))
            if known is None:
                try:
                    weakref.finalize(model, self._tags.pop, id(model), None).atexit = False
                except TypeError as error:
                    raise ConfigurationError(
                        f"a {type(model).__qualname__} cannot be tagged (it takes no weak reference); tag the object "
                        "whose predict method is called, or set RADIOSONDE_MODEL_NAME and RADIOSONDE_MODEL_VERSION"
                    ) from error
                known = Tag()
            said = {name: value for name, value in tag._asdict().items() if value is not None}
            self._tags[id(model)] = known._replace(**said)
            return self._tags[id(model)]
