"""The public names are exactly these. To add one, add it here, in `__all__`, in the README and in the CHANGELOG."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest

import radiosonde
from radiosonde import plugin

PUBLIC = [
    "Reference",
    "__version__",
    "at",
    "cohort",
    "current",
    "errors",
    "fingerprint",
    "flush",
    "instrument",
    "instrument_app",
    "label",
    "label_app",
    "observe",
    "read",
    "record",
    "shutdown",
    "stage",
    "start",
    "statistics",
    "tag",
    "uninstrument",
]
MOVED = ["collect", "defer", "queued", "recorder", "watch_loop"]
PLUGIN = sorted([*MOVED, "deliver_at_any_end", "find_provider"])
EXTRAS = ["duckdb", "fastapi", "pandas", "polars", "pyarrow", "pydantic", "rich", "sklearn", "uvicorn"]


def surface_faults(module: ModuleType, public: list[str]) -> list[str]:
    """Return how a module's surface differs from the agreed names."""
    exported = list(module.__all__)
    faults = [f"{name} is agreed but not in __all__" for name in public if name not in exported]
    faults += [f"{name} is in __all__ but not agreed" for name in exported if name not in public]
    faults += [f"{name} is in __all__ twice" for name in sorted({n for n in exported if exported.count(n) > 1})]
    faults += [f"{name} is in __all__ but does not exist" for name in exported if not hasattr(module, name)]
    for name in exported:
        value = getattr(module, name, None)
        if not isinstance(value, str) and value is not None and not (getattr(value, "__doc__", None) or "").strip():
            faults.append(f"{name} has no docstring")
    return faults


def test_the_surface_is_the_agreed_one() -> None:
    """`radiosonde.__all__` holds the agreed names, each exists and is documented."""
    assert surface_faults(radiosonde, PUBLIC) == []


def test_the_surface_of_plugins_is_the_agreed_one() -> None:
    """`radiosonde.plugin` holds what plug-ins need beside the front door."""
    assert surface_faults(plugin, PLUGIN) == []


@pytest.mark.parametrize("name", MOVED)
def test_a_name_that_moved_is_still_found(name: str) -> None:
    """For one release the front door hands it out with a warning that says where it is."""
    with pytest.warns(DeprecationWarning, match=f"radiosonde.{name} is radiosonde.plugin.{name} now"):
        assert getattr(radiosonde, name) is getattr(plugin, name)


@pytest.mark.parametrize("name", ["pipeline", "_pipelines", "Observe", "stroe"])
def test_a_name_that_never_was(name: str) -> None:
    """It is missing as it is in any module."""
    with pytest.raises(AttributeError, match=f"has no attribute '{name}'"):
        getattr(radiosonde, name)


@pytest.mark.parametrize(
    ("names", "fault"),
    [
        (["at"], "cohort is agreed but not in __all__"),
        (["at", "cohort", "sneak"], "sneak is in __all__ but not agreed"),
        (["at", "cohort", "cohort"], "cohort is in __all__ twice"),
        (["at", "cohort", "gone"], "gone is in __all__ but does not exist"),
        (["at", "cohort", "mute"], "mute has no docstring"),
    ],
)
def test_a_different_surface_is_found(names: list[str], fault: str) -> None:
    """A missing, foreign, doubled, absent or undocumented name is reported."""
    module = ModuleType("pretend")
    module.at = module.cohort = module.sneak = test_the_surface_is_the_agreed_one
    module.mute = lambda: None
    module.__all__ = names
    assert fault in surface_faults(module, ["at", "cohort"])


def test_star_import_works_without_any_extra() -> None:
    """With every optional library absent, a star-import binds all public names."""
    program = f"""
import sys
for name in {EXTRAS!r}:
    sys.modules[name] = None  # importing it raises ImportError, as if it were not installed
from radiosonde import *
missing = [name for name in {PUBLIC!r} if name not in globals()]
assert not missing, missing
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=240, check=False)
    assert result.returncode == 0, result.stderr


def test_errors_share_one_base() -> None:
    """Every exception of `radiosonde.errors` can be caught as RadiosondeError."""
    found = {name for name, value in vars(radiosonde.errors).items() if isinstance(value, type)}
    assert found == {
        "ConfigurationError",
        "MergeError",
        "ProfileError",
        "RadiosondeError",
        "ReceiptError",
        "SpoolError",
        "StoreError",
    }
    assert all(issubclass(getattr(radiosonde.errors, name), radiosonde.errors.RadiosondeError) for name in found)
