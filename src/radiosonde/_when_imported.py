"""Acts when the host imports a module, and imports nothing itself.

A finder in front of `sys.meta_path` lets the others find the module, and its loader acts when the module has been executed. It
then takes itself away; the module has the loader that was found.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from types import ModuleType


class WhenImported:
    """Calls *act* once, in the thread that imports the module, when it has been imported.

    No subclass of the abstract finder: `importlib.abc` would import eight modules for it.

    Args:
        name: of a module of the top that is not imported yet.
        act: must not raise, or the import fails.
    """

    def __init__(self, name: str, act: Callable[[], None]) -> None:
        self._name, self._act = name, act
        self._is_looking = False
        sys.meta_path.insert(0, self)

    def cancel(self) -> None:
        """Do nothing when it is imported."""
        with suppress(ValueError):
            sys.meta_path.remove(self)

    def find_spec(self, fullname: str, path: object = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """See `importlib.abc.MetaPathFinder`."""
        del path, target
        if fullname != self._name or self._is_looking:
            return None
        self._is_looking = True  # under the lock of this module's import
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._is_looking = False
        if spec is not None and spec.loader is not None:
            acting: Any = _Acting(spec.loader, self._imported)
            spec.loader = acting
        return spec

    def _imported(self) -> None:
        self.cancel()
        self._act()


class _Acting:
    """Loads as the loader that was found."""

    def __init__(self, found: Any, act: Callable[[], None]) -> None:
        self._found, self._act = found, act

    def __getattr__(self, name: str) -> Any:
        return getattr(self._found, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        made: ModuleType | None = self._found.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._found
        if module.__spec__ is not None:
            module.__spec__.loader = self._found
        self._found.exec_module(module)
        self._act()
