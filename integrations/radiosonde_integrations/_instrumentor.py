"""Base class of the plug-ins for model libraries: when to patch, how to wrap, how to undo.

Instrumenting imports nothing: classes are patched when their user imports their module (or at once, if it is imported). An error of
Radiosonde in an import hook would make the user's import fail, so hooks never raise.
"""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable, Collection, Sequence
from types import ModuleType
from typing import Any, ClassVar

import wrapt
from opentelemetry.instrumentation.dependencies import DependencyConflictError
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined] # has no __all__

from radiosonde.plugin import deliver_at_any_end
from radiosonde_integrations._artifacts import ARTIFACTS
from radiosonde_integrations._observing import OBSERVERS
from radiosonde_integrations._patching import Patches

_LOG = logging.getLogger("radiosonde")


class ModelInstrumentor(BaseInstrumentor):  # type: ignore[misc] # its base is untyped
    """Base of the plug-ins for model libraries.

    A subclass gives *requires* and *modules*, and `patch`, which is called with each of the modules once it is imported.

    Attributes:
        requires: requirements as in pyproject: the range of versions that is tested.
        modules: modules of the library to patch.
    """

    requires: ClassVar[Sequence[str]] = ()
    modules: ClassVar[Sequence[str]] = ()

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return the versions of the library that are supported."""
        return self.requires

    def instrument(self, **kwargs: Any) -> Any:
        """Instrument the library; again is nothing, and so is a library that is absent or of another version.

        By hand (without OpenTelemetry's options) an absent library is not an error: `instrument` without arguments covers all libraries.
        """
        if self.is_instrumented_by_opentelemetry:
            return None
        conflict = None if kwargs else self._check_dependency_conflicts()
        if conflict is None:
            return self._guarded_instrument(kwargs)
        is_absent = not (conflict.found or getattr(conflict, "found_any", None))
        _LOG.log(logging.DEBUG if is_absent else logging.WARNING, "%s does nothing: %s", type(self).__name__, conflict)
        return None

    def _guarded_instrument(self, options: dict[str, Any]) -> Any:
        """Instrument; with OpenTelemetry's options (by hand there are none) raise only exceptions that OpenTelemetry expects.

        It ends at any other exception and leaves all the instrumentors after ours undone, the user's own among them.
        """
        try:
            return super().instrument(**options)
        except (DependencyConflictError, ImportError):
            raise
        except Exception as error:
            if not options:
                raise
            _LOG.warning(
                "%s failed: %r; its library works unobserved, and the others are instrumented",
                type(self).__name__,
                error,
            )
            return None

    def uninstrument(self, **kwargs: Any) -> Any:
        """Put the library's own functions back; again is nothing."""
        return super().uninstrument(**kwargs) if self.is_instrumented_by_opentelemetry else None

    def _instrument(self, **kwargs: Any) -> None:
        # `opentelemetry-instrument` skips the check of `instrument`, whose unit is the distribution and not the plug-in.
        conflict = self._check_dependency_conflicts()
        if conflict:
            raise DependencyConflictError(conflict)
        self._patches = Patches()
        self._is_on = True
        OBSERVERS.plugins += 1
        ARTIFACTS.watch()
        for name in self.modules:
            if name in sys.modules:
                self._guarded_patch(sys.modules[name])
            else:
                # wrapt keeps hooks forever, so each checks whether it is still active.
                wrapt.register_post_import_hook(self._guarded_patch, name)

    def _uninstrument(self, **kwargs: Any) -> None:
        self._is_on = False
        self._patches.restore()
        OBSERVERS.plugins -= 1
        OBSERVERS.clear()
        ARTIFACTS.unwatch()

    def _guarded_patch(self, module: ModuleType) -> None:
        if not self._is_on:
            return
        try:
            self.patch(module, self._patches)
            deliver_at_any_end()
            OBSERVERS.look_again()
        except Exception as error:  # noqa: BLE001 - raised in an import hook it would be the user's import that fails
            _LOG.warning(
                "%s %s cannot be observed (%r); its predictions work as before",
                module.__name__,
                type(self).__name__,
                error,
            )

    def patch(self, module: ModuleType, patches: Patches) -> None:
        """Patch the predicting methods in *module*, through *patches*."""
        raise NotImplementedError


def quiet(original: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function of a library one whose inner predictions do not count; for `Patches.replace`."""

    @functools.wraps(original)
    def quietly(*args: Any, **kwargs: Any) -> Any:
        return OBSERVERS.quietly(original, args, kwargs)

    return quietly


def quiet_fit(original: Callable[..., Any]) -> Callable[..., Any]:
    """Make a method that fits its model one whose inner predictions do not count; the model is another afterwards."""

    @functools.wraps(original)
    def quietly(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        refitting(self)
        try:
            return OBSERVERS.quietly(original, (self, *args), kwargs)
        finally:
            refitted(self)

    return quietly


def refitting(model: Any) -> None:
    """Flush the pending state of a model that is about to be fitted, perhaps again."""
    OBSERVERS.settle(model)


def refitted(model: Any) -> None:
    """Drop the description of a model from before it was fitted."""
    OBSERVERS.forget(model)
    ARTIFACTS.forget(model)
