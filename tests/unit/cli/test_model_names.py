"""``--model`` takes a model's name as it was given to ``observe``, also where stores hold it in another form."""

from __future__ import annotations

import pytest

from radiosonde.cli import main
from radiosonde.testing import fly

NAMES = ["delays", "__runtime__", "two\nlines", "x" * 5000, "zero\x00byte", "模型 ", "right\u202eto left", "a\ud800b"]


@pytest.mark.parametrize("command", ["diagnose", "triage"])
@pytest.mark.parametrize("name", NAMES, ids=[ascii(name)[:20] for name in NAMES])
def test_a_model_is_found_by_the_name_that_was_given(name, command, tmp_path, capsys):
    """The calls of this model are in the report, and those of another are not."""
    store = str(tmp_path / "s.sqlite")
    with fly(store=store) as rs:
        for each, calls in ((name, 3), ("another", 5)):
            predict = rs.observe(each)(lambda _: "a")
            for _ in range(calls):
                predict([1.0])
        rs.flush()
    main([command, store, "--model", name])
    shown = capsys.readouterr().out
    assert "another" not in shown
    if command == "diagnose":
        assert ", 3 calls" in shown
