from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from radiosonde.semconv import attributes, events, metrics
from radiosonde.semconv.catalogue import METRICS

REPOSITORY = Path(__file__).resolve().parents[3]
REGISTRY = REPOSITORY / "src/radiosonde/semconv/registry"
GENERATOR = REPOSITORY / "tools/generate_semconv.py"
SCHEMA = json.loads(Path(__file__).with_name("definition.schema.json").read_text())
FILES = sorted(path for path in REGISTRY.glob("*.yaml") if path.name != "manifest.yaml")
SECTIONS = {"attributes": "key", "attribute_groups": "id", "metrics": "name", "events": "name", "spans": "type"}


def run_generator(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the generator as a developer does."""
    command = [sys.executable, GENERATOR, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


def definitions(section: str) -> list[dict]:
    """Return all definitions of a section, over all files."""
    return [item for path in FILES for item in yaml.safe_load(path.read_text()).get(section, ())]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_registry_file_keeps_to_the_definition_language(path: Path):
    """Every file of the registry is a valid definition/2 file."""
    validator = jsonschema.validators.validator_for(SCHEMA)(SCHEMA)
    assert [error.message for error in validator.iter_errors(yaml.safe_load(path.read_text()))] == []


def test_the_manifest_names_a_versioned_schema_and_its_dependency():
    """The registry has a schema URL that ends in a version, and builds on OpenTelemetry's."""
    manifest = yaml.safe_load((REGISTRY / "manifest.yaml").read_text())
    assert manifest["schema_url"].rsplit("/", 1)[1] == "0.1.0"
    assert [item["schema_url"] for item in manifest["dependencies"]] == ["https://opentelemetry.io/schemas/1.44.0"]


@pytest.mark.parametrize(("section", "identity"), SECTIONS.items())
def test_every_name_is_defined_once(section: str, identity: str):
    """No section of the registry defines a name twice, over all files."""
    names = [item[identity] for item in definitions(section)]
    assert sorted(names) == sorted(set(names))


def test_our_names_are_under_our_root_and_others_are_borrowed():
    """We define nothing in a namespace of others but the overflow mark, and what we reuse we only reference."""
    ours = {item["key"] for item in definitions("attributes")}
    assert {name for name in ours if not name.startswith("radiosonde.")} == {"otel.metric.overflow"}
    references = {
        reference["ref"]
        for section in SECTIONS
        for item in definitions(section)
        for reference in item.get("attributes", ())
        if "ref" in reference
    }
    assert references - ours == {
        "deployment.environment.name",
        "error.type",
        "event.name",
        "feature_flag.key",
        "feature_flag.provider.name",
        "feature_flag.result.variant",
        "service.instance.id",
        "service.name",
        "service.namespace",
        "service.version",
    }


def test_string_attributes_have_examples():
    """Weaver wants examples wherever the type alone does not say what a value looks like."""
    plain = [item["key"] for item in definitions("attributes") if item["type"] == "string" and not item.get("examples")]
    assert plain == []


def test_generated_files_are_up_to_date(tmp_path: Path):
    """Generating again changes nothing."""
    outcome = run_generator("--check")
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert run_generator("--output", tmp_path).returncode == 0
    made = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert [path.name for path in made] == ["semconv.md", "attributes.py", "catalogue.py", "events.py", "metrics.py"]
    for path in made:
        assert path.read_text() == (REPOSITORY / path.relative_to(tmp_path)).read_text()


def test_check_names_the_file_that_is_out_of_date(tmp_path: Path):
    """A generated file that was edited by hand is noticed, named and left as it is."""
    run_generator("--output", tmp_path)
    edited = tmp_path / "src/radiosonde/semconv/events.py"
    edited.write_text("")
    outcome = run_generator("--check", "--output", tmp_path)
    assert outcome.returncode == 1
    assert "src/radiosonde/semconv/events.py" in outcome.stderr
    assert edited.read_text() == ""


def test_constants_are_the_names_of_the_registry():
    """A few constants, as literals: the root is left out, dots become underscores."""
    assert metrics.PREDICTION_DURATION == "radiosonde.prediction.duration"
    assert attributes.MODEL_NAME == "radiosonde.model.name"
    assert attributes.ERROR_TYPE == "error.type"
    assert attributes.LABEL_LAG_VALUES == ("1h", "1d", "7d", "inf")
    assert events.SKETCH_WINDOW == "radiosonde.sketch.window"
    duration = METRICS["radiosonde.prediction.duration"]
    assert (duration.instrument, duration.unit) == ("histogram", "s")
    assert duration.attributes == (
        "radiosonde.model.name",
        "radiosonde.model.version",
        "radiosonde.variant",
        "radiosonde.cohort",
        "radiosonde.model.kind",
        "otel.metric.overflow",
    )


def test_lags_and_bins_agree_with_the_domain():
    """The well-known values of the registry are those the windows use."""
    from radiosonde.model import LAGS

    assert attributes.LABEL_LAG_VALUES == LAGS


BREACHES = {
    "a name twice": ("metrics", {"name": "radiosonde.prediction.calls"}, "defined twice"),
    "no unit": ("metrics", {"name": "radiosonde.new", "unit": None}, "unit is missing"),
    "no brief": ("metrics", {"name": "radiosonde.new", "brief": None}, "brief is missing"),
    "no such instrument": ("metrics", {"name": "radiosonde.new", "instrument": "meter"}, "instrument must be one of"),
    "foreign root": ("metrics", {"name": "ml.new"}, "must be in the namespace radiosonde.*"),
    "dangling reference": ("metrics", {"name": "radiosonde.new", "attributes": [{"ref": "radiosonde.nothing"}]}, "no attribute"),
    "dangling group": ("metrics", {"name": "radiosonde.new", "attributes": [{"ref_group": "radiosonde.no"}]}, "no attribute group"),
    "unexplained upstream name": ("metrics", {"name": "radiosonde.new", "attributes": [{"ref": "code.line"}]}, "is defined upstream"),
    "name is a namespace": ("metrics", {"name": "radiosonde.prediction"}, "is also the namespace of"),
}  # fmt: skip


@pytest.mark.parametrize(("section", "change", "complaint"), BREACHES.values(), ids=BREACHES)
def test_a_bad_registry_makes_nothing(tmp_path: Path, section: str, change: dict, complaint: str):
    """Each breach of a rule is named, and nothing is generated."""
    registry = tmp_path / "registry"
    shutil.copytree(REGISTRY, registry)
    base = {"instrument": "counter", "unit": "1", "brief": "New.", "stability": "development"}
    definition = {key: value for key, value in {**base, **change}.items() if value is not None}
    (registry / "new.yaml").write_text(yaml.safe_dump({"file_format": "definition/2", section: [definition]}))
    outcome = run_generator("--registry", registry, "--output", tmp_path / "output")
    assert outcome.returncode == 2
    assert complaint in outcome.stderr
    assert not (tmp_path / "output").exists()


@pytest.mark.parametrize(
    "bad",
    [
        {"name": "radiosonde.new", "instrument": "counter", "brief": "New.", "stability": "development"},
        {"name": "radiosonde.new", "instrument": "timer", "unit": "s", "brief": "New.", "stability": "development"},
        {"name": "Radiosonde.New", "instrument": "counter", "unit": "1", "brief": "New.", "stability": "development"},
        {"name": "radiosonde.new", "instrument": "counter", "unit": "1", "brief": "New.", "stability": "experimental"},
    ],
    ids=["no unit", "no such instrument", "capitals", "no such stability"],
)
def test_the_schema_refuses_what_weaver_would(bad: dict):
    """The schema of this test suite is live: it refuses definitions that break the language."""
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"file_format": "definition/2", "metrics": [bad]}, SCHEMA)
