from __future__ import annotations

import subprocess
import sys

import pytest

from radiosonde import cli
from radiosonde.reference import Reference
from tests.unit.reference.frames import flights


@pytest.fixture(autouse=True)
def _wide_terminal(monkeypatch):
    """Give every command a terminal of 100 columns."""
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture
def rows(tmp_path):
    """Return the path of a Parquet file of 1 000 flights."""
    path = tmp_path / "flights.parquet"
    flights().to_parquet(path)
    return path


@pytest.fixture
def profile(rows, tmp_path):
    """Return the path of a profile built by the command."""
    out = tmp_path / "delays.json"
    arguments = [
        "--target",
        "late",
        "--prediction",
        "guess",
        "--score",
        "confidence",
        "--pii",
        "rain",
        "--model",
        "delays",
    ]
    assert cli.main(["reference", "build", str(rows), *arguments, "--out", str(out)]) == 0
    return out


def test_build_writes_the_profile_that_fit_makes(profile, rows):
    """The file holds what Reference.fit makes of the same rows and columns."""
    expected = Reference.fit(rows, target="late", prediction="guess", score="confidence", pii=["rain"], model="delays")
    assert Reference.load(profile).id == expected.id


def test_build_says_what_it_wrote_and_what_to_do_next(rows, tmp_path, capsys):
    """One line with sizes and identities, one with the next command; nothing on stderr when it is no terminal."""
    profile = tmp_path / "delays.json"
    options = ["--target", "late", "--features", "wind,rain,carrier,night"]
    assert cli.main(["reference", "build", str(rows), *options, "--out", str(profile)]) == 0
    printed = capsys.readouterr()
    reference = Reference.load(profile)
    assert printed.err == ""
    assert printed.out == (
        f"{profile}: 4 features in 31 cells from 1,000 rows, classification "
        f"(reference {reference.id}, grid {reference.grid_id})\n"
        f"show it with: radiosonde reference show {profile}\n"
    )


def test_build_writes_beside_the_rows_by_default_and_takes_a_list_of_features(rows):
    """Without --out the profile is ROWS.reference.json; --features sets columns and order."""
    assert cli.main(["reference", "build", str(rows), "--features", "rain, wind"]) == 0
    reference = Reference.load(rows.with_suffix(".reference.json"))
    assert [feature.name for feature in reference.features] == ["rain", "wind"]
    assert reference.task == "unknown"


def test_show_prints_every_feature_within_100_columns(profile, capsys):
    """Names, kinds, missing and unseen shares, quantiles and top categories fit the terminal."""
    capsys.readouterr()
    assert cli.main(["reference", "show", str(profile)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines) <= 100
    table = [" ".join(line.split()) for line in lines]
    assert "wind num ██████████ 5 % 0.3 % 101 · 527 · 953" in table
    assert "rain num pii 0 % 0 %" in table
    assert "carrier cat █▅▄ 1 % 0 % UA 50 %, AA 30 %, B6 19 %" in table
    assert "True 20 % 10 % █" in table


def test_show_prints_the_cells_of_one_feature(profile, capsys):
    """Each cell with its range, rows, share and bar."""
    capsys.readouterr()
    assert cli.main(["reference", "show", str(profile), "--feature", "rain"]) == 0
    table = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "rain: numeric, 1,000 rows, pii" in table
    assert "above any finite value 1,000 100 % ████████████████████" in table
    assert "null missing 0 0 %" in table


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["show", "nowhere.json"], "make one with: radiosonde reference build"),
        (["build", "nowhere.parquet"], "give an existing Parquet file"),
        (["show", "PROFILE", "--feature", "gust"], "no feature 'gust'; it has: wind, rain, carrier, night"),
        (["build", "ROWS", "--target", "delay"], "there is no column delay; the columns are: wind,"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_exit_code_2(arguments, sentence, profile, rows, capsys):
    """Known errors are one line on stderr, never a traceback."""
    capsys.readouterr()
    places = {"PROFILE": str(profile), "ROWS": str(rows)}
    assert cli.main(["reference", *(places.get(argument, argument) for argument in arguments)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("radiosonde: ")
    assert sentence in printed.err
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["fly"], ["reference"], ["reference", "build"]])
def test_wrong_usage_is_exit_code_2(arguments, capsys):
    """Argparse's message goes to stderr."""
    assert cli.main(arguments) == 2
    assert "usage: radiosonde" in capsys.readouterr().err


def test_help_lists_every_command_on_one_line(capsys):
    """Each command has its row, name first, in groups, on one screen."""
    assert cli.main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 100
    assert len(shown.splitlines()) <= 40
    rows = [line.split() for line in shown.splitlines() if line.startswith("  ") or line.endswith(":")]
    listed = [row[0] for row in rows if row and row[0] in {c.name for c in cli.COMMANDS}]
    assert listed == [command.name for command in cli.COMMANDS]
    groups = [
        line
        for line in shown.splitlines()
        if line.endswith(":") and not line.startswith((" ", "options", "positional"))
    ]
    assert groups == ["diagnosis:", "data:", "serving:", "trying out:"]


def test_version_is_printed(capsys):
    """The version of the package, on stdout."""
    from radiosonde._version import __version__

    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"radiosonde {__version__}\n"


def test_help_loads_no_command_and_nothing_heavy():
    """Listing commands imports none of their modules, and neither rich, pyarrow nor duckdb."""
    program = (
        "import sys; from radiosonde.cli import main; code = main(['--help']); "
        "print(code, [name for name in sys.modules if name in {'rich', 'pyarrow', 'duckdb', 'pandas', 'datasketches'}"
        " or name.startswith('radiosonde.cli.')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.splitlines()[-1] == "0 ['radiosonde.cli._streams']"


def test_an_interrupt_is_exit_code_130(monkeypatch, profile, capsys):
    """Ctrl-C ends a command with one line."""

    def interrupt(path):
        raise KeyboardInterrupt

    monkeypatch.setattr(Reference, "load", interrupt)
    capsys.readouterr()
    assert cli.main(["reference", "show", str(profile)]) == 130
    assert capsys.readouterr().err == "radiosonde: interrupted\n"


def test_a_reader_that_goes_away_is_no_finding(profile):
    """With the reading end of the pipe closed, show ends with 141 and says nothing."""
    program = "import sys; from radiosonde.cli import main; sys.exit(main(sys.argv[1:]))"
    with subprocess.Popen(
        [sys.executable, "-c", program, "reference", "show", str(profile)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        child.stdout.close()
        try:
            assert child.wait(timeout=120) == 141
            assert child.stderr.read() == ""
        finally:
            child.kill()
