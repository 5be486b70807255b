"""All access to Apache DataSketches, the only dependency without a wheel for every interpreter.

Without it all exact counts still work: traffic, latency, answers, feature cells, labels. Windows then hold no sketches, and those of other
hosts are omitted from sums. It is loaded at the first sketch, because loading it takes about as long as numpy.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import Any

from radiosonde.errors import ConfigurationError

HOW_TO_INSTALL = "pip install 'radiosonde[sketches]', which needs a C++ compiler where there is no wheel (Python 3.14)"
"""Installation advice in messages and pages."""


@cache
def is_available() -> bool:
    """Return whether sketches can be made and read in this interpreter; does not load the library."""
    try:
        return find_spec("datasketches") is not None
    except (ImportError, ValueError):  # another module of that name shadows it
        return False


@cache
def library() -> Any:
    """Return the module `datasketches`.

    Raises:
        ConfigurationError: it is not installed, or cannot be loaded.
    """
    try:
        import datasketches
    except ImportError as error:
        raise ConfigurationError(f"sketches need the package datasketches: {HOW_TO_INSTALL}") from error
    return datasketches
