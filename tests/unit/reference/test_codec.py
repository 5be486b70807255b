from __future__ import annotations

import json
from dataclasses import replace

import pytest

from radiosonde.errors import ProfileError
from radiosonde.reference import Reference
from tests.unit.reference.frames import OUTCOME, flights


@pytest.fixture
def reference():
    """Return a classification reference with both kinds of features."""
    return Reference.fit(flights(), **OUTCOME, model="delays", pii=["rain"])


@pytest.fixture
def saved(reference, tmp_path):
    """Return the path of the saved reference."""
    path = tmp_path / "delays.reference.json"
    reference.save(path)
    return path


def test_a_saved_profile_loads_equal(reference, saved):
    """Load gives the same value, to the last bit of every number."""
    assert Reference.load(saved) == reference
    assert Reference.load(str(saved)).id == reference.id


def test_saving_twice_gives_the_same_bytes(reference, saved, tmp_path):
    """Key order and layout are stable, so a profile under version control changes only when it does."""
    reference.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == saved.read_bytes()


def test_reformatting_is_harmless(reference, saved):
    """The checksum covers the content, not the spaces."""
    saved.write_text(json.dumps(json.loads(saved.read_text()), indent=4, sort_keys=True))
    assert Reference.load(saved).id == reference.id


def test_an_edited_number_is_damage(saved):
    """One changed count makes the checksum fail."""
    saved.write_text(saved.read_text().replace("900, 100", "901, 99"))
    with pytest.raises(ProfileError, match="damaged: its checksum does not match; restore it or build it again"):
        Reference.load(saved)


@pytest.mark.parametrize("length", [0, 1, 100, -3])
def test_a_truncated_file_is_damage(saved, length):
    """A file cut anywhere raises ProfileError with its path."""
    saved.write_bytes(saved.read_bytes()[:length])
    with pytest.raises(ProfileError, match=r"delays.reference.json is damaged, or not a reference profile"):
        Reference.load(saved)


@pytest.mark.parametrize("content", [b'{"format": "something else"}', b"[1, 2]", b"3", b"null"])
def test_foreign_json_is_refused(saved, content):
    """JSON of something else says how to make a profile."""
    saved.write_bytes(content)
    with pytest.raises(ProfileError, match="not a reference profile; build one with: radiosonde reference build"):
        Reference.load(saved)


@pytest.mark.parametrize("content", [b"PAR1\x00\xff", b"[" * 100_000])
def test_what_is_no_json_is_refused(saved, content):
    """Binary files and nests too deep to parse raise ProfileError as well."""
    saved.write_bytes(content)
    with pytest.raises(ProfileError, match="damaged, or not a reference profile"):
        Reference.load(saved)


def test_a_newer_file_asks_for_an_upgrade(saved):
    """A higher schema version is named, with the command that helps."""
    document = json.loads(saved.read_text()) | {"schema_version": 2}
    saved.write_text(json.dumps(document))
    with pytest.raises(ProfileError, match=r"newer Radiosonde \(schema 2, this one reads up to 1\); upgrade with: pip"):
        Reference.load(saved)


@pytest.mark.parametrize("change", [{"schema_version": "x"}, {"schema_version": 0}, {"reference": None}])
def test_a_broken_head_is_damage(saved, change):
    """A version that is not a number or content that is not an object is damage."""
    saved.write_text(json.dumps(json.loads(saved.read_text()) | change))
    with pytest.raises(ProfileError, match="is damaged"):
        Reference.load(saved)


def test_content_with_a_valid_checksum_but_missing_fields_is_damage(saved):
    """A file made by hand with the right checksum and the wrong fields does not get through."""
    from radiosonde.reference import codec

    content = {"model": "delays", "features": [], "output": {}}
    head = {"format": codec.FORMAT, "schema_version": 1, "checksum": f"sha256:{codec._digest(content)}"}
    saved.write_text(json.dumps(head | {"reference": content}))
    with pytest.raises(ProfileError, match="is damaged: TypeError"):
        Reference.load(saved)


def test_a_missing_file_says_how_to_make_one(tmp_path):
    """The error holds the build command."""
    with pytest.raises(ProfileError, match="No such file or directory; make one with: radiosonde reference build"):
        Reference.load(tmp_path / "none.json")


def test_saving_into_nowhere_raises_and_leaves_nothing(reference, tmp_path):
    """An unwritable place is a ProfileError; the old file and the folder stay as they were."""
    with pytest.raises(ProfileError, match="cannot write the reference profile"):
        reference.save(tmp_path / "missing" / "file.json")
    target = tmp_path / "folder"
    target.mkdir()
    with pytest.raises(ProfileError, match="cannot write"):
        reference.save(target)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_identity_leaves_the_time_out_and_nothing_else(reference):
    """The same rows fitted later are the same reference; another model name is another."""
    assert replace(reference, created_at="2000-01-01T00:00:00+00:00").id == reference.id
    assert replace(reference, model="other").id != reference.id
    assert replace(reference, model="other").grid_id == reference.grid_id
