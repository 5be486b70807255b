"""Helpers for tests of the boosting libraries: rows, a flight with plug-ins on, and user code in a separate process."""

from __future__ import annotations

import copy
import hashlib
import os
import pickle
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from radiosonde.model import Window
from radiosonde.store.reader import Interval, StoreReader
from radiosonde.testing import fly
from radiosonde_integrations._instrumentor import ModelInstrumentor
from radiosonde_integrations._methods import Description, Method
from radiosonde_integrations._observing import OBSERVERS, observed_method
from tests.unit.integrations.standing_in import stand_in

ROWS = np.random.default_rng(7).normal(size=(1200, 3))
"""Enough rows for cells of their own."""
WARM = (ROWS[:, 0] > 0).astype(int)
BANDS = np.digitize(ROWS[:, 1], [-0.5, 0.5])
NAMES = ("wind", "haze", "rain")


def frame() -> Any:
    """Return the rows as a frame."""
    import pandas as pd

    return pd.DataFrame(ROWS, columns=list(NAMES))


class General(ModelInstrumentor):
    """A plug-in that knows models by a base class, as scikit-learn's knows the boosters'."""

    requires = ()

    def __init__(self, *owners: type) -> None:
        self.owners = owners

    def instrument(self) -> None:
        """Patch now."""
        from radiosonde_integrations._patching import Patches

        OBSERVERS.plugins += 1
        self.patches = Patches()
        for owner in self.owners:
            for name in ("predict", "predict_proba"):
                method = Method(name, lambda model: Description(f"general {type(model).__name__}", "general"))
                self.patches.replace(owner, name, observed_method(method))

    def uninstrument(self) -> None:
        """Undo."""
        OBSERVERS.plugins -= 1
        self.patches.restore()


General.__new__ = lambda cls, *args: object.__new__(cls)  # OpenTelemetry's base allows one instance and no arguments


@contextmanager
def flying(monkeypatch, *plugins):
    """Fly with plug-ins on, instrumented in their order."""
    with fly() as rs:
        stand_in(monkeypatch, rs)
        for plugin in plugins:
            plugin.instrument()
        try:
            yield rs
        finally:
            for plugin in reversed(plugins):  # a replacement on top of another comes off first
                plugin.uninstrument()


def told(window) -> dict[str, Any]:
    """Return the figures of a window for these tests."""
    output, features = window.output, window.features
    return {
        "model": window.key.model,
        "calls": window.calls,
        "rows": window.rows,
        "classes": dict(zip(output.classes, output.class_counts.tolist(), strict=True)),
        "sure": int(output.confidence.sum()),
        "values": int(output.value_counts.sum()),
        "features": None if features is None else features.names,
        "cells": None if features is None else features.cells.sum(axis=1).tolist(),
    }


def only(rs) -> dict[str, Any]:
    """Return the figures of the only window; checks that nothing was lost."""
    assert rs.losses() == {}
    (window,) = rs.windows()
    return told(window)


def attributes(*owners: type) -> list[dict[str, Any]]:
    """Return everything that classes hold, as it is now."""
    return [dict(vars(owner)) for owner in owners]


def same(before: list[dict[str, Any]], now: list[dict[str, Any]]) -> bool:
    """Return whether classes hold the very objects they held."""
    return all(
        one.keys() == other.keys() and all(one[name] is other[name] for name in one)
        for one, other in zip(before, now, strict=True)
    )


def undone_exactly(owners: list[type], plugin: ModelInstrumentor) -> bool:
    """Return whether a plug-in leaves nothing of its own, twice."""
    before = attributes(*owners)
    for _ in range(2):
        plugin.instrument()
        assert not any(same([one], attributes(owner)) for one, owner in zip(before, owners, strict=True))
        plugin.uninstrument()
        if not same(before, attributes(*owners)):
            return False
    return True


def survives_copying(model: Any, rows: Any) -> bool:
    """Return whether a model's copies, pickled and deep, predict what it predicts, and its methods pickle by name."""
    expected = np.asarray(model.predict(rows))
    copies = [pickle.loads(pickle.dumps(model)), copy.deepcopy(model)]
    kind = type(model)
    assert pickle.loads(pickle.dumps(kind.predict)) is kind.predict
    return all(np.array_equal(np.asarray(each.predict(rows)), expected) for each in copies)


def sha256_start(path: Path) -> str:
    """Return the start of a file's digest, as versions carry it."""
    return f"file-{hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"


def run_user_code(script: str, folder: Path, *, under: bool) -> tuple[str, list[dict[str, Any]]]:
    """Run *script* in a fresh interpreter, *under* ``opentelemetry-instrument`` or not; return its output and windows."""
    folder.mkdir(exist_ok=True)
    path, store = folder / "serve.py", folder / "store.db"
    path.write_text(script)
    program = [str(Path(sys.executable).with_name("opentelemetry-instrument"))] if under else []
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "RADIOSONDE_"))}
    environment |= {"RADIOSONDE_STORE": str(store), "OMP_NUM_THREADS": "2"} if under else {"OMP_NUM_THREADS": "2"}
    done = subprocess.run(
        [*program, sys.executable, str(path)],
        env=environment, cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "ERROR" not in done.stderr
    assert "Failed" not in done.stderr
    if not under:
        return done.stdout, []
    return done.stdout, _whole(window for _, window in StoreReader(store, sketches=False).parts(Interval()))


def _whole(parts: Iterable[Window]) -> list[dict[str, Any]]:
    """Return the merged figures of each model and version: a batch may arrive in the store in pieces."""
    whole: dict[tuple[str, str], dict[str, Any]] = {}
    for part in parts:
        now, before = told(part), whole.get(part.key[:2])
        if before is not None:
            now |= {name: before[name] + now[name] for name in ("calls", "rows", "sure", "values")}
            now["classes"] = dict(Counter(before["classes"]) + Counter(now["classes"]))
            if now["features"] is None or before["features"] is None:
                known = now if before["features"] is None else before
                now |= {"features": known["features"], "cells": known["cells"]}
            else:
                now["cells"] = [one + other for one, other in zip(before["cells"], now["cells"], strict=True)]
        whole[part.key[:2]] = now | {"version": part.key.version}
    return list(whole.values())
