"""What right definitions mean."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dgrid.plan.definition import (
    Container,
    Definition,
    FailurePolicy,
    HostfileFormat,
    Link,
    Mount,
    NetworkMode,
    Placement,
    PlaceOn,
    PullPolicy,
    Ready,
    Resources,
    ScalePer,
)
from dgrid.plan.parse import parse_definition
from dgrid.plan.schema import schema_text

HEAD = Container("head", "a", interactive=True)
WORKER = Container("worker", "b")
MAIL_RELAYS = Path(__file__).parents[1] / "data" / "mail-relays.json"


def parse(top=None, head=None, worker=None, environment=None) -> Definition:
    """A definition of a head and a worker, with these keys besides."""
    containers = [{"name": "head", "image": "a", "interactive": True} | (head or {})]
    containers.append({"name": "worker", "image": "b"} | (worker or {}))
    text = json.dumps({"containers": containers} | (top or {}))
    return parse_definition(text.encode(), "job.json", environment or {})


def test_the_first_dgrids_definition():
    """The file that everybody starts from means today what it meant to the first dgrid."""
    definition = parse_definition(MAIL_RELAYS.read_bytes(), "mail-relays.json", {})
    head, worker, database = definition.containers
    assert definition.hostfile_format is HostfileFormat.JSON
    assert definition.head == head
    assert head.image == "testcluster:5000/dgrid.pyssh"
    assert head.command == ("python", "-u", "/mongo_job.py")
    assert head.environment[3:] == (
        ("COLLECTION", "logins"),
        ("DB_PORT", "27017"),
        ("DUMPFILE", "/dump.bson"),
        ("HOSTFILE", "/hostfile.json"),
    )
    assert head.mounts[1] == Mount("/home/user/mongo-job/logins.bson", "/dump.bson")
    assert (head.hostfile_dir, head.listed) == ("/", False)
    assert (worker.interactive, worker.scale, worker.tags, worker.command) == (False, 2, ("workers",), None)
    assert (database.tags, database.listed, database.scale) == (("database",), True, 1)


def test_defaults_of_the_schema_are_those_of_the_values():
    """What the schema, and so an editor, calls the default is what a file without the key means."""
    schema = json.loads(schema_text())
    definition = parse()
    for key in ("hostfile_format", "network", "pull"):
        assert parse({key: schema["properties"][key]["default"]}) == definition
    for key, entry in schema["$defs"]["container"]["properties"].items():
        if "default" in entry:
            assert parse(worker={key: entry["default"]}) == definition, key
    for name in ("ready", "placement"):
        for key, entry in schema["$defs"][name]["properties"].items():
            base = {"tcp": 1} if name == "ready" else {}
            if "default" in entry:
                assert parse(worker={name: base | {key: entry["default"]}}) == parse(worker={name: base})


TOP = [
    ("name", "relays", {"name": "relays"}),
    ("hostfile_format", "mpi", {"hostfile_format": HostfileFormat.MPI}),
    ("network", "host", {"network": NetworkMode.HOST}),
    ("pull", "spread", {"pull": PullPolicy.SPREAD}),
    ("ssh", False, {"ssh_port": None}),
    ("ssh", "True", {"ssh_port": 2222}),
    ("ssh", {"port": 2200}, {"ssh_port": 2200}),
    ("$schema", "${nothing}", {}),
]
OF_WORKER = [
    ("name", "w", {"name": "w"}),
    ("image", "r:5/x@sha256:" + "a" * 64, {"image": "r:5/x@sha256:" + "a" * 64}),
    ("interactive", "False", {}),
    ("run_cmd", ["ls", "-l", ""], {"command": ("ls", "-l", "")}),
    ("run_cmd", [], {}),
    ("entrypoint", ["/e"], {"entrypoint": ("/e",)}),
    ("environment_variables", ["A=b=c", "B.x-y="], {"environment": (("A", "b=c"), ("B.x-y", ""))}),
    ("environment_variables", {"A": "b\n", "B": 7}, {"environment": (("A", "b\n"), ("B", "7"))}),
    ("volumes", ["/a//b/:/c/./d:ro", "/x:/y:rw"], {"mounts": (Mount("/a/b", "/c/d", True), Mount("/x", "/y"))}),
    (
        "volumes",
        ["/dev/shm/x:/dev/shm", "/run/munge:/m"],
        {"mounts": (Mount("/dev/shm/x", "/dev/shm"), Mount("/run/munge", "/m"))},
    ),
    ("work_dir", "/w//x", {"work_dir": "/w/x"}),
    ("scale", 3, {"scale": 3}),
    ("scale", 3.0, {"scale": 3}),
    ("scale", "per_node", {"scale": ScalePer.NODE}),
    ("scale", "per_slot", {"scale": ScalePer.SLOT}),
    ("host_list_location", "/h/", {"hostfile_dir": "/h"}),
    ("host_to_list", ["tag=a", "tag=b c"], {"tags": ("a", "b c"), "listed": True}),
    ("host_to_list", "False", {}),
    ("host_to_list", [], {}),
    ("links", ["head:H"], {"links": (Link("head", "H"),)}),
    ("ready", {"tcp": 22}, {"ready": Ready(tcp=22)}),
    ("ready", {"command": ["a", "b"], "timeout_s": 0.5}, {"ready": Ready(command=("a", "b"), timeout_s=0.5)}),
    ("ready", {"log": "up\n"}, {"ready": Ready(log="up\n")}),
    ("ports", [1, 65535], {"ports": (1, 65535)}),
    ("resources", {"cpus": 0.5}, {"resources": Resources(cpus=0.5)}),
    ("resources", {"memory": "4g"}, {"resources": Resources(memory_bytes=4 * 1024**3)}),
    ("resources", {"memory": 6291456}, {"resources": Resources(memory_bytes=6291456)}),
    ("resources", {"gpus": 2}, {"resources": Resources(gpus=2)}),
    ("resources", {"shm_size": "1.5m"}, {"resources": Resources(shm_bytes=1572864)}),
    ("placement", {"on": "others"}, {"placement": Placement(on=PlaceOn.OTHERS)}),
    ("placement", {"max_per_node": 2}, {"placement": Placement(max_per_node=2)}),
    ("placement", {"exclusive": "True"}, {"placement": Placement(exclusive=True)}),
    ("failure_policy", "fail_run", {"failure_policy": FailurePolicy.FAIL_RUN}),
    ("stop_signal", "int", {"stop_signal": "SIGINT"}),
    ("stop_signal", "SIGRTMIN+3", {"stop_signal": "SIGRTMIN+3"}),
    ("stop_grace_s", 0, {"stop_grace_s": 0.0}),
    ("checkpointing", "True", {"checkpointing": True}),
]


@pytest.mark.parametrize(("key", "value", "expected"), TOP)
def test_a_key_at_the_top_level(key, value, expected):
    """Each key of the top level does what the reference says, and nothing else."""
    assert parse({key: value}) == replace(Definition((HEAD, WORKER)), **expected)


@pytest.mark.parametrize(("key", "value", "expected"), OF_WORKER)
def test_a_key_of_a_worker(key, value, expected):
    """Each key of a container does what the reference says, and nothing else."""
    assert parse(worker={key: value}) == Definition((HEAD, replace(WORKER, **expected)))


def test_keys_that_need_another():
    """A terminal needs the head, dependencies another container, restarts the policy, "True" another format."""
    assert parse(head={"tty": True}).head == replace(HEAD, tty=True)
    assert parse(head={"depends_on": ["worker"]}).head == replace(HEAD, depends_on=("worker",))
    worker = parse(worker={"failure_policy": "restart", "max_restarts": 3}).workers[0]
    assert worker == replace(WORKER, failure_policy=FailurePolicy.RESTART, max_restarts=3)
    for listed in ("True", True):
        assert parse({"hostfile_format": "list"}, worker={"host_to_list": listed}).workers[0].listed
    tagged = parse({"hostfile_format": "list"}, worker={"host_to_list": ["tag=x"]}).workers[0]
    assert tagged.listed, "tags with the format list are no mistake: they just do not show"


def test_every_key_of_the_schema_is_consumed():
    """No key is accepted and then ignored: each one in the schema has a test above or here of what it changes."""
    schema = json.loads(schema_text())
    tested_here = {"containers", "tty", "depends_on", "max_restarts"}
    tested = {key for key, *_ in [*TOP, *OF_WORKER]} | tested_here
    keys = {*schema["properties"], *schema["$defs"]["container"]["properties"]}
    for name in ("ready", "resources", "placement"):
        tested |= {inner for key, value, _ in OF_WORKER if key == name for inner in value}
        keys |= {*schema["$defs"][name]["properties"]}
    assert keys == tested


def test_every_key_that_changes_nothing_is_known():
    """Setting a key to something other than its default changes the definition; the only exception is $schema."""
    unchanged = {key for key, value, expected in [*TOP, *OF_WORKER] if not expected}
    changing = {key for key, value, expected in [*TOP, *OF_WORKER] if expected}
    assert unchanged - changing == {"$schema", "interactive"}
    assert parse().containers[0].interactive is True, "interactive does change the head"


SUBSTITUTED = [
    ({"work_dir": "/home/${USER}/x"}, {"work_dir": "/home/alice/x"}),
    (
        {"run_cmd": ["sh", "-c", "$$HOME $HOME ${A:-b} $${USER} ${USER}"]},
        {"command": ("sh", "-c", "$HOME $HOME ${A:-b} ${USER} alice")},
    ),
    ({"environment_variables": {"A": "${USER}${N}"}}, {"environment": (("A", "alice7"),)}),
    ({"environment_variables": ["${USER}=${N}"]}, {"environment": (("alice", "7"),)}),
    ({"scale": "${N}"}, {"scale": 7}),
    ({"ports": ["${N}"]}, {"ports": (7,)}),
    ({"ready": {"log": "${N}"}}, {"ready": Ready(log="7")}),
    ({"ready": {"tcp": "${N}${N}", "timeout_s": "${F}"}}, {"ready": Ready(tcp=77, timeout_s=1.5)}),
    ({"resources": {"memory": "${N}g"}}, {"resources": Resources(memory_bytes=7 * 1024**3)}),
    ({"volumes": ["${EMPTY}/a:/b${MODE}"]}, {"mounts": (Mount("/a", "/b", True),)}),
]


@pytest.mark.parametrize(("keys", "expected"), SUBSTITUTED)
def test_names_are_replaced_from_the_environment(keys, expected):
    """${NAME} is replaced before values are read, so it may stand for a piece, for all, or for a number."""
    environment = {"USER": "alice", "N": "7", "F": "1.5", "EMPTY": "", "MODE": ":ro"}
    assert parse(worker=keys, environment=environment) == Definition((HEAD, replace(WORKER, **expected)))


def test_replaced_values_are_not_replaced_again():
    """A value that holds ${NAME} itself goes in as it is."""
    definition = parse(worker={"run_cmd": ["${A}"]}, environment={"A": "${B} $$"})
    assert definition.workers[0].command == ("${B} $$",)
