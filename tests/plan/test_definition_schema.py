"""The schema of the definition is good for editors, and says the same as dgrid."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from dgrid.errors import DefinitionError
from dgrid.plan.parse import parse_definition
from dgrid.plan.schema import schema_text

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads(schema_text())
HEAD = {"name": "head", "image": "a", "interactive": True}
OBJECTS = {"": SCHEMA, **{name: SCHEMA["$defs"][name] for name in ("container", "ready", "resources", "placement")}}
PROPERTIES = [(name, key) for name, node in OBJECTS.items() for key in node["properties"]]


def test_the_schema_is_one():
    """The schema keeps to the draft it names."""
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(("name", "key"), PROPERTIES)
def test_each_key_explains_itself(name, key):
    """An editor shows for each key what it means, with examples that are right, and its default."""
    entry = OBJECTS[name]["properties"][key]
    assert entry["description"].endswith(".")
    validator = Draft202012Validator(entry | {"$defs": SCHEMA["$defs"]})
    for value in [*entry["examples"], *([entry["default"]] if "default" in entry else [])]:
        validator.validate(value)


@pytest.mark.parametrize("name", OBJECTS)
def test_examples_of_objects(name):
    """The examples of whole objects keep to the schema, too."""
    for example in OBJECTS[name]["examples"]:
        Draft202012Validator(OBJECTS[name] | {"$defs": SCHEMA["$defs"]}).validate(example)


def test_the_first_dgrids_file_keeps_to_the_schema():
    """An editor with the schema finds nothing wrong with the file that everybody starts from."""
    Draft202012Validator(SCHEMA).validate(json.loads((ROOT / "tests" / "data" / "mail-relays.json").read_text()))


@pytest.mark.parametrize(
    "keys",
    [
        {"name": "a_b"}, {"name": "-a"}, {"image": "a b"}, {"volumes": ["a:/b"]}, {"work_dir": "x"}, {"links": ["x"]},
        {"environment_variables": ["A"]}, {"environment_variables": {"A B": "x"}}, {"scale": "2"}, {"scale": "per"},
        {"ports": ["80"]}, {"ports": [80, 80]}, {"host_to_list": ["x"]}, {"resources": {"memory": "4 gigs"}},
        {"resources": {"gpus": "all"}}, {"stop_signal": "9"}, {"ready": {"tcp": 1, "log": "x"}}, {"ready": {}},
        {"depends_on": ["head", "head"]}, {"stop_grace_s": "9"}, {"max_restarts": "9"}, {"host_list_location": "x"},
    ],
)  # fmt: skip
def test_patterns_for_editors_agree_with_dgrid(keys):
    """What dgrid itself does not check by the schema, since it has better words, the schema does forbid as well."""
    definition = {"containers": [HEAD, {"name": "worker", "image": "b"} | keys]}
    assert not Draft202012Validator(SCHEMA).is_valid(definition)
    with pytest.raises(DefinitionError):
        parse_definition(json.dumps(definition).encode(), "job.json", {})


@pytest.mark.parametrize(
    "keys",
    [
        {"name": "a-${X}"}, {"image": "${X}"}, {"volumes": ["${X}/a:/b"]}, {"work_dir": "${X}"}, {"scale": "${X}"},
        {"ports": ["${X}"]}, {"resources": {"cpus": "${X}", "gpus": "${X}", "memory": "${X}", "shm_size": "${X}g"}},
        {"ready": {"tcp": "${X}", "timeout_s": "${X}"}}, {"max_restarts": "${X}"},
        {"placement": {"max_per_node": "${X}"}},
        {"stop_grace_s": "${X}"}, {"stop_signal": "${X}"}, {"links": ["${X}"]}, {"host_to_list": ["${X}"]},
        {"host_list_location": "${X}"},
    ],
)  # fmt: skip
def test_names_to_be_replaced_are_no_mistake_for_editors(keys):
    """A string with a ${NAME} in it keeps to the schema wherever dgrid would replace it."""
    Draft202012Validator(SCHEMA).validate({"containers": [HEAD | keys]})


def test_the_reference_is_up_to_date():
    """docs/definition.md is what scripts/definition_reference.py makes of the schema."""
    command = [sys.executable, ROOT / "scripts" / "definition_reference.py"]
    made = subprocess.run(command, capture_output=True, check=True, encoding="utf-8", env={"PYTHONUTF8": "1"})
    assert (ROOT / "docs" / "definition.md").read_text("utf-8") == made.stdout
