"""Commands of runbooks: each name is one argument of the shell, whatever characters it has."""

from __future__ import annotations

import subprocess
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radiosonde.assets.kinds import KINDS
from radiosonde.assets.subject import EXAMPLES
from radiosonde.assets.subjects import SUBJECTS
from radiosonde.runbook.commands import fill, quote

HOSTILE: Final = {
    "substitution": "$(touch owned)",
    "backquotes": "`touch owned`",
    "separator": "a; touch owned",
    "both quotes": "'\"; touch owned #",
    "pipe": "a | sh > owned",
    "glob": "*?[a]~{1,2}",
    "escape": "\x1b[2J\x1b]0;owned\x07",
    "lines": "a\ntouch owned\r",
    "direction": "\u202etxt.exe",
    "placeholder": "STORE ID MODEL FIXED",
    "history": "!! !$ ^a^b",
    "not ascii": "naïve ☃",
    "backslashes": "a\\'\\n\\",
    "no name": " ",
}


def words_of(command, folder):
    """Return the arguments that bash makes of *command*, without running it."""
    done = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {command}"], cwd=folder, capture_output=True, timeout=60, check=True
    )
    return done.stdout.decode("utf-8", "surrogateescape").split("\0")[:-1]


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_name_is_one_printable_argument(name, tmp_path):
    """Bash gets the name itself, runs nothing of it, and no placeholder within a name is filled in."""
    values = {"STORE": name, "MODEL": name, "ID": name}
    command = fill("radiosonde incident show STORE ID --model MODEL", values)
    assert command is not None
    assert command.isprintable()
    assert words_of(command, tmp_path) == ["radiosonde", "incident", "show", name, name, "--model", name]
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(st.characters(exclude_characters="\0"), min_size=1, max_size=20), min_size=1, max_size=20))
def test_any_text_is_quoted_so_that_bash_reads_it_back(texts):
    """The words that bash reads are the texts, for lone surrogates too."""
    decoded = [text.encode("utf-8", "replace").decode() for text in texts]
    assert words_of(" ".join(map(quote, decoded)), "/") == decoded


@pytest.mark.parametrize("name", ["-rf", "--help", "-"])
def test_a_name_that_begins_with_a_hyphen_is_no_option(name):
    """It is joined to its option; a store is named by its folder."""
    assert fill("radiosonde triage STORE --model MODEL", {"STORE": name, "MODEL": name}) == (
        f"radiosonde triage ./{name} --model={name}"
    )


@pytest.mark.parametrize("values", [{}, {"STORE": ""}, {"STORE": "a"}, {"STORE": "a", "ID": "x\0y"}])
def test_a_command_that_cannot_be_filled_in_is_none(values):
    """A placeholder without a value, or with one that no argument can hold, leaves no command."""
    assert fill("radiosonde incident show STORE ID", values) is None


def test_no_placeholder_of_any_text_is_unknown():
    """A word in capitals in a command is a placeholder that is filled in."""
    values = dict.fromkeys(("STORE", "MODEL", "ID", *EXAMPLES), "value")
    subjects = [SUBJECTS[text.subject] for text in KINDS.values()]
    commands = [step.command for each in subjects for step in (*each.find, *each.verify, *each.contain)]
    filled = [fill(command, values) for command in commands]
    assert not [command for command in filled if any(word.isupper() and len(word) > 1 for word in command.split())]
