"""A callback runs when a module is imported, and the import is unchanged."""

from __future__ import annotations

import importlib
import sys

import pytest

from radiosonde._when_imported import WhenImported


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Return the name of a module that can be imported."""
    name = "imported_by_a_test"
    (tmp_path / f"{name}.py").write_text("VALUE = 7\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield name
    sys.modules.pop(name, None)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Return the name of a package that imports a part of its own."""
    name = "package_of_a_test"
    (tmp_path / name).mkdir()
    (tmp_path / name / "part.py").write_text("VALUE = 7\n")
    (tmp_path / name / "__init__.py").write_text("from package_of_a_test.part import VALUE\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield name
    for each in (name, f"{name}.part"):
        sys.modules.pop(each, None)


@pytest.mark.parametrize("kind", ["module", "package"])
def test_it_acts_once_when_the_import_is_over(kind, request):
    """The module is whole by then, has the loader that was found, and the finder is gone."""
    name, seen = request.getfixturevalue(kind), []
    finder = WhenImported(name, lambda: seen.append(sys.modules[name].VALUE))
    assert not seen
    found = importlib.import_module(name)
    importlib.reload(found)
    assert seen == [7]
    assert finder not in sys.meta_path
    assert found.__spec__.loader is found.__loader__
    assert "_Acting" not in repr(found.__loader__)


def test_others_are_found_as_before(module):
    """Imports of other modules, and of one that is not there, go past it."""
    seen = []
    finder = WhenImported("there_is_no_such_module", lambda: seen.append(1))
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("there_is_no_such_module")
    assert importlib.import_module(module).VALUE == 7
    assert not seen
    finder.cancel()
    finder.cancel()
    assert finder not in sys.meta_path


def test_a_module_that_fails_to_load_is_not_acted_on(tmp_path, monkeypatch):
    """The host sees its own exception, and a later import may succeed."""
    path = tmp_path / "fails_in_a_test.py"
    path.write_text("raise ValueError('mine')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    seen = []
    finder = WhenImported("fails_in_a_test", lambda: seen.append(1))
    with pytest.raises(ValueError, match="mine"):
        importlib.import_module("fails_in_a_test")
    assert not seen
    assert finder in sys.meta_path
    finder.cancel()
