"""`radiosonde.toml`: its values, and reports of mistakes: by line, with the correction."""

from __future__ import annotations

import json
import tomllib

import jsonschema
import pytest

from radiosonde.config import Configuration, locate, read, read_text
from radiosonde.config.keys import ModelConfig, declared_keys
from radiosonde.config.parse import MAX_BYTES
from radiosonde.config.schema import make_schema, shipped_schema
from radiosonde.config.values import duration_words, parse_duration
from radiosonde.errors import ConfigurationError

WHOLE = '''\
store = "flights.sqlite"   # a comment

[defaults]
owner = "ML platform"
slo = { failures = 0.02 }

[model.delays]
contacts = [
    "#delays",
    """oncall@example.com""",
]
rollback = 'kubectl rollout undo "delays"'
slo.p99 = "250ms"

[model."fraud.eu".slo]
failures = 0.001
labels = "36h"
'''


def test_keys_of_a_model_win_over_defaults_and_units_are_converted():
    """Every form of TOML says the same: dotted keys, inline tables, tables, quoted names, lists over lines."""
    configuration, problems = read_text(WHOLE)
    assert problems == []
    assert configuration.store == "flights.sqlite"
    delays, fraud, other = (configuration.of(name) for name in ("delays", "fraud.eu", "unheard of"))
    assert (delays.owner, delays.contacts) == ("ML platform", ("#delays", "oncall@example.com"))
    assert delays.rollback == 'kubectl rollout undo "delays"'
    assert (delays.slo.failures, delays.slo.p99, delays.slo.labels) == (0.02, 0.25, None)
    assert (fraud.slo.failures, fraud.slo.p99, fraud.slo.labels) == (0.001, None, 129_600.0)
    assert (other.slo.failures, other.owner, other.rollback) == (0.02, "ML platform", "")
    assert configuration.lines["model.delays.contacts"] == 8
    assert configuration.lines["model.fraud.eu.slo.labels"] == 17


MISTAKES = [
    ("[model.a]\n\nslo.failure = 0.01\n", 3, "model.a.slo.failure", "did you mean failures?"),
    ('[model.a]\nowners = "x"\n', 2, "model.a.owners", "did you mean owner?"),
    ('stor = "a"\n', 1, "stor", "did you mean store?"),
    ("# nothing\n[modle.a]\n", 2, "modle", "did you mean model?"),
    ("[model.a.slo]\nfailures = 5\n", 2, "model.a.slo.failures", "write 0.05 for 5 %"),
    ("[model.a.slo]\nfailures = 0\n", 2, "model.a.slo.failures", "write 0.01 for 1 %"),
    ("[model.a.slo]\nfailures = nan\n", 2, "model.a.slo.failures", "write 0.01 for 1 %"),
    ('[model.a.slo]\nfailures = "1%"\n', 2, "model.a.slo.failures", "without quotes"),
    ("[model.a.slo]\nfailures = true\n", 2, "model.a.slo.failures", "without quotes"),
    ("[defaults]\nslo.p99 = 250\n", 2, "defaults.slo.p99", 'such as "250ms"'),
    ('[defaults]\nslo.p99 = "0.25"\n', 2, "defaults.slo.p99", "write a number and a unit"),
    ('[defaults]\nslo.p99 = "2d"\n', 2, "defaults.slo.p99", "from 1ms to 1h"),
    ('[defaults]\ncontacts = "#a"\n', 2, "defaults.contacts", 'such as ["#a"]'),
    ("[defaults]\ncontacts = [\n  1,\n]\n", 2, "defaults.contacts", "put it in quotes"),
    ('[defaults]\nowner = """two\nlines"""\n', 2, "defaults.owner", "on one line"),
    ('[defaults]\nescalation = ["team lead"]\n', 2, "defaults.escalation", 'such as "15m team lead"'),
    ('[defaults]\nescalation = ["15m"]\n', 2, "defaults.escalation", 'such as "15m team lead"'),
    ('[defaults]\ndrilled = "last autumn"\n', 2, "defaults.drilled", "such as 2026-11-02"),
    ("[defaults]\ndrilled = 2026\n", 2, "defaults.drilled", "such as 2026-11-02"),
    ('[model.a.mitigate]\nscale = ""\n', 2, "model.a.mitigate.scale", "on one line"),
    ('[model.a.mitigate]\nscales = "x"\n', 2, "model.a.mitigate.scales", "did you mean scale?"),
    ('[defaults]\nrollback = ""\n', 2, "defaults.rollback", "on one line"),
    ("[model]\na = 3\n", 2, "model.a", "write [model.a]"),
    ("model = 3\n", 1, "model", "write [model.NAME]"),
    ("[[model.a]]\n", 1, "model.a", "write [model.a]"),
    ("[model.a]\nslo = 3\n", 2, "model.a.slo", "write [model.a.slo]"),
]


@pytest.mark.parametrize(("text", "line", "key", "hint"), MISTAKES, ids=[f"{m[2]} {m[3]}" for m in MISTAKES])
def test_a_mistake_has_its_line_its_key_and_what_to_write_instead(text, line, key, hint):
    """The line is that of the statement, wherever comments, blank lines and values over several lines stand before it."""
    before = '# a comment\n[model.right]\nowner = """\\\n   me"""\ncontacts = [\n\n]\n\n'
    for prefix in ("", before) if text.startswith("[") else ("",):
        configuration, problems = read_text(prefix + text)
        (problem,) = problems
        assert (problem.line, problem.key) == (line + prefix.count("\n"), key)
        assert hint in problem.message
        assert configuration.of("right").owner == ("me" if prefix else "")


@pytest.mark.parametrize(
    ("text", "line"), [("a = 1\nb = \n", 2), ("[x\n", 1), ("a = 1\n\na = 2\n", 3), ('a = """\nx\n', 3), ("\n\n= 1", 3)]
)
def test_what_is_not_toml_is_said_with_its_line(text, line):
    """Nothing of such a file is in force, and the message says so."""
    configuration, (problem,) = read_text(text)
    assert configuration == Configuration()
    assert (problem.line, problem.key) == (line, "")
    assert "not TOML" in problem.message
    assert "nothing of the file is in force" in problem.message


def test_every_mistake_is_listed_and_the_rest_is_in_force():
    """One reading finds all of them, in the order of their lines."""
    configuration, problems = read_text(
        '[model.a]\nslo.p99 = 3\nowner = "me"\nflags = "x"\n[defaults]\nslo.failures = 2\n'
    )
    assert [problem.line for problem in problems] == [2, 4, 6]
    assert configuration.of("a").owner == "me"


def test_a_file_that_cannot_be_read_says_why(tmp_path):
    """A missing file, a folder, a huge file and another encoding each have a message."""
    path = tmp_path / "radiosonde.toml"
    with pytest.raises(ConfigurationError, match="No such file"):
        read(path)
    with pytest.raises(ConfigurationError, match="directory"):
        read(tmp_path)
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(ConfigurationError, match="larger than 256 KiB"):
        read(path)
    path.write_bytes('store = "a"\n[defaults]\nowner = "Müller"\n'.encode("latin-1"))
    (problem,) = read(path)[1]
    assert (problem.line, "UTF-8" in problem.message) == (3, True)
    path.write_bytes(b"\xef\xbb\xbf" + b'[defaults]\r\nowner = "a"\r\nslo.p99 = 1\r\n')
    configuration, (problem,) = read(path)
    assert (configuration.of("m").owner, problem.line) == ("a", 3)


@pytest.mark.parametrize("value", ["a", "ms", "1", "-1s", "1 fortnight", "1e3s", "1ss", "", "٣s."])
def test_what_is_no_duration_is_refused(value):
    """A number and one of six units, and nothing else."""
    with pytest.raises(ValueError, match="such as 250ms"):
        parse_duration(value)


@pytest.mark.parametrize(
    ("text", "seconds", "words"),
    [
        ("250ms", 0.25, "250 ms"),
        ("1.5s", 1.5, "1.5 s"),
        ("15m", 900, "15 min"),
        ("36h", 129_600, "1.5 d"),
        ("2 w", 1_209_600, "2 w"),
    ],
)
def test_a_duration_is_read_and_said(text, seconds, words):
    """Units up to weeks, fractions, one blank."""
    assert parse_duration(text) == seconds
    assert duration_words(seconds) == words


def test_it_is_found_by_the_variable_or_beside_the_store(tmp_path):
    """The variable wins; of a folder of stores, the file in it; beside a store otherwise."""
    folder = tmp_path / "stores"
    folder.mkdir()
    store = folder / "a.sqlite"
    store.touch()
    assert locate([store], {}) is None
    beside = tmp_path / "radiosonde.toml"
    beside.touch()
    assert locate([folder], {}) == beside
    inside = folder / "radiosonde.toml"
    inside.touch()
    assert locate([folder], {}) == locate([store], {}) == inside
    other = tmp_path / "other.toml"
    other.touch()
    assert locate([store], {"RADIOSONDE_CONFIG": str(other)}) == other
    with pytest.raises(ConfigurationError, match="which is not a file; correct it or unset it"):
        locate([store], {"RADIOSONDE_CONFIG": str(tmp_path / "gone.toml")})


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ('drilled = "2026-02-30"', "is not a day"),
        ("drilled = 2026-01-01T00:00:00Z", "is not a day"),
        ('drilled = "20260101  "', "is not a day"),
        ('escalation = ["1h head", "15m lead"]', "in the order of their times"),
        ('escalation = ["15m lead", "15m head"]', "in the order of their times"),
        ('escalation = ["soon lead"]', "write a time, a space and a name"),
    ],
)
def test_days_and_escalations_are_checked_beyond_the_schema(text, hint):
    """Impossible days and paths that are out of order are refused, with the correction."""
    _, (problem,) = read_text(f"[defaults]\n{text}\n")
    assert hint in problem.message


def test_a_day_is_a_date_of_toml_or_text_and_mitigations_of_a_model_win_over_defaults():
    """Both notations are kept as ISO 8601."""
    text = '[defaults]\ndrilled = 2026-11-02\nmitigate.scale = "a"\nmitigate.restart = "b"\n[model.m]\ndrilled = "2026-11-03"\nmitigate.scale = "c"\nescalation = ["15m lead", "1h head"]\n'
    configuration, problems = read_text(text)
    assert problems == []
    assert (configuration.defaults.drilled, configuration.of("m").drilled) == ("2026-11-02", "2026-11-03")
    assert (configuration.of("m").mitigate.scale, configuration.of("m").mitigate.restart) == ("c", "b")
    assert configuration.of("m").escalation == ("15m lead", "1h head")


def test_the_schema_accepts_what_is_right_and_refuses_what_is_wrong():
    """The shipped copy is the declarations' schema, and agrees with the reader."""
    schema = json.loads(shipped_schema())
    assert schema == make_schema()
    validator = jsonschema.Draft7Validator(schema)
    assert validator.is_valid(tomllib.loads(WHOLE))
    wrong = [text for text, _, _, hint in MISTAKES if "nan" not in text and "2d" not in text and "two" not in text]
    assert [text for text in wrong if validator.is_valid(tomllib.loads(text))] == []


def test_every_key_has_its_words_and_an_example_that_is_right():
    """A declaration without them would show as a gap in the page."""
    for key in declared_keys(ModelConfig):
        assert key.declared.doc.endswith(".")
        _, problems = read_text(f"[defaults]\n{'.'.join(key.path)} = {key.declared.example}\n")
        assert problems == []
