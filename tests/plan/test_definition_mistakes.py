"""Definitions that are JSON but wrong: the text of each message."""

# ruff: noqa: E501  # each message stands whole in a line, so that it can be searched for

import json

import pytest

from dgrid.errors import DefinitionError
from dgrid.plan.keys import NEVER_GRANTED
from dgrid.plan.parse import parse_definition

HEAD = {"name": "head", "image": "a", "interactive": True}
WORKER = {"name": "worker", "image": "b"}


def problems(definition, environment=None) -> list[str]:
    """All messages, without the places in front, which depend on the layout alone."""
    text = definition if isinstance(definition, str) else json.dumps(definition)
    with pytest.raises(DefinitionError) as caught:
        parse_definition(text.encode(), "job.json", environment or {})
    messages = [str(problem) for problem in caught.value.problems]
    return [message.split(" ", 1)[1] for message in messages]


def of_worker(keys, environment=None) -> list[str]:
    return problems({"containers": [HEAD, WORKER | keys]}, environment)


VOLUME = 'write "/on/node:/in/container", with ":ro" at the end for read only'
SOCKET = (
    "is, or holds, the socket of a container engine and may not be mounted — leave it out: whoever reaches the"
    " engine's socket is root on the node; dgrid talks to it from outside"
)
KERNEL = "may not be mounted — leave it out: it shows and steers the node itself, not the job"
NAMES = "names consist of letters, digits, _, . and -, not a digit first"
BOOLEAN = 'where true or false is meant — write true or false, or "True" or "False"'
NUMBER = "is a string where a whole number is meant — remove the quotes"
IMAGE = "an image is [registry[:port]/]name[:tag], with small letters in the name"
SIZE = 'is no size — write a number and one of b, k, m, g, t, as in "4g"'
INTERACTIVE_ENDS = "the end of the interactive container is the end of the run — leave it out"

VALUES = [
    ("name", "", 'name: the name is empty — write for example "worker"'),
    ("name", "a_b", 'name: "a_b" has an underscore — use letters, digits, and hyphens between them'),
    ("name", "-a", 'name: "-a" has a hyphen at its beginning or end — use letters, digits, and hyphens between them'),
    (
        "name",
        "a.b",
        'name: "a.b" has a character that no host name may have — use letters, digits, and hyphens between them',
    ),
    ("name", "a" * 64, "name: the name is longer than the 63 characters of a host name — shorten it"),
    ("name", "12", 'name: "12" as a host name means an address of its own — choose another, such as "worker"'),
    (
        "name",
        "localhost",
        'name: "localhost" as a host name means an address of its own — choose another, such as "worker"',
    ),
    ("name", "wor\u202eker", "name: character 4 is U+202E (RIGHT-TO-LEFT OVERRIDE) — remove it"),
    ("name", "wor\x1b[31mker", "name: character 4 is U+001B (a control character) — remove it"),
    ("name", 7, "name: a whole number where a string is meant — put it in double quotes"),
    ("name", None, 'name: null where a string is meant — write for example "head"'),
    ("image", "", 'image: no image is named — write for example "python:3.12"'),
    ("image", "Reg/Name", 'image: "Reg/Name" has capital letters — names of images have small letters only'),
    ("image", "a b", f'image: "a b" has a blank in it — {IMAGE}'),
    ("image", "a:", 'image: the tag after the : in "a:" is empty — tags consist of letters, digits, _, . and -'),
    (
        "image",
        "a:b!",
        'image: the tag after the : in "a:b!" has a character it may not — tags consist of letters, digits, _, . and -',
    ),
    ("image", "a:" + "b" * 129, "image: the tag is longer than 128 characters"),
    (
        "image",
        "a@sha256:1",
        'image: the digest after the @ in "a@sha256:1" is none — it looks like sha256:9f86d08..., 64 digits long',
    ),
    ("image", "h:5000/", f'image: "h:5000/" has no name before the tag or after the registry — {IMAGE}'),
    ("image", "a//b", f'image: "a//b" has a / too many — {IMAGE}'),
    ("image", "a/-b", 'image: the part "-b" is no name — use letters, digits, and single . _ - between them'),
    ("image", "h_h:5/b", 'image: "h_h:5" is no name of a registry — a registry is host or host:port'),
    ("image", "docker://a", 'image: "docker://" does not belong in front of an image\'s name — leave it out'),
    (
        "image",
        "./a.tar",
        f'image: "./a.tar" is a file, not the name of an image — load it into the engine first; {IMAGE}',
    ),
    ("image", "a" * 256, "image: the name is longer than 255 characters"),
    ("image", "a\u200b", "image: character 2 is U+200B (ZERO WIDTH SPACE) — remove it"),
    ("interactive", "yes", f'interactive: "yes" {BOOLEAN}'),
    ("interactive", 1, f"interactive: a whole number {BOOLEAN}"),
    (
        "run_cmd",
        "python -u 'a b.py'",
        'run_cmd: a string where a list is meant — write a list of words: ["python", "-u", "a b.py"]',
    ),
    ("run_cmd", "a | b", 'run_cmd: a string where a list is meant — write a list of words: ["sh", "-c", "a | b"]'),
    ("run_cmd", "it's", 'run_cmd: a string where a list is meant — write a list of words: ["python", "-u", "/job.py"]'),
    ("run_cmd", ["sleep", 5], "run_cmd[1]: a whole number where a string is meant — put it in double quotes"),
    (
        "run_cmd",
        ["", "x"],
        'run_cmd: the first word, the program, is empty — write for example ["python", "-u", "/job.py"]',
    ),
    ("run_cmd", ["a\x00"], "run_cmd[0]: character 2 is U+0000 (a control character) — remove it"),
    ("run_cmd", ["\ud800"], "run_cmd[0]: it is U+D800 (one half of a pair, or a byte that is not UTF-8) — remove it"),
    ("entrypoint", [], 'entrypoint: it is empty — write for example ["/usr/bin/env", "LC_ALL=C"]'),
    (
        "environment_variables",
        ["A"],
        'environment_variables[0]: there is no "=" in it — write "NAME=value", or "NAME=${NAME}" to hand on a variable of dgrid\'s own',
    ),
    (
        "environment_variables",
        ["=x"],
        'environment_variables[0]: the name before the "=" is missing — write "NAME=value"',
    ),
    (
        "environment_variables",
        ["A =x"],
        'environment_variables[0]: the name has a blank at its beginning or before the "=" — remove it',
    ),
    ("environment_variables", ["A B=x"], f"environment_variables[0]: character 2 of the name is not allowed — {NAMES}"),
    (
        "environment_variables",
        ["1A=x"],
        f"environment_variables[0]: the digit at the beginning of the name is not allowed — {NAMES}",
    ),
    (
        "environment_variables",
        ["A=x", "A=x"],
        'environment_variables[1]: the variable "A" is there already — remove one of the two',
    ),
    (
        "environment_variables",
        ["DGRID_JOB=x"],
        'environment_variables[0]: "DGRID_JOB" is not for you to set — dgrid itself sets the variables that begin with DGRID_; rename it',
    ),
    (
        "environment_variables",
        {"A B": "x"},
        f'environment_variables["A B"]: character 2 of the name is not allowed — {NAMES}',
    ),
    (
        "environment_variables",
        {"A": 1.5},
        "environment_variables.A: a number where a string or a whole number is meant — put it in double quotes",
    ),
    (
        "environment_variables",
        {"A": True},
        "environment_variables.A: a boolean where a string or a whole number is meant — put it in double quotes",
    ),
    (
        "environment_variables",
        {"A": 1.0},
        "environment_variables.A: the number would not arrive as it is written — put it in double quotes",
    ),
    (
        "environment_variables",
        "A=b",
        'environment_variables: a string where a list or an object is meant — write for example ["DBUSER=user", "DB_PORT=27017"]',
    ),
    ("volumes", "/a:/b", 'volumes: a string where a list is meant — write a list: ["/a:/b"]'),
    (
        "volumes",
        ["/a"],
        f'volumes[0]: "/a" has no ":" between the path on the node and the one in the container — {VOLUME}',
    ),
    (
        "volumes",
        ["data:/b"],
        f'volumes[0]: "data" is the name of a volume, not a path — dgrid mounts the node\'s own files: {VOLUME}',
    ),
    (
        "volumes",
        ["./a:/b"],
        'volumes[0]: the path on the node "./a" is relative — write it out from / on',
    ),
    (
        "volumes",
        ["~/a:/b"],
        'volumes[0]: the path on the node "~/a" begins with ~, which only a shell knows — write ${HOME} in its place',
    ),
    (
        "volumes",
        [":/b"],
        'volumes[0]: the path on the node is empty — write an absolute path, as in "/home/alice/data"',
    ),
    (
        "volumes",
        ["/a:b"],
        'volumes[0]: the path in the container "b" is relative — write it out from / on',
    ),
    ("volumes", ["/a:/b:z"], 'volumes[0]: the option "z" is not known — the options are ro and rw'),
    (
        "volumes",
        ["/a:/b:c:d"],
        f'volumes[0]: "/a:/b:c:d" has more than two ":" — {VOLUME}; paths with a colon cannot be mounted',
    ),
    (
        "volumes",
        ["/a/../b:/b"],
        'volumes[0]: the path on the node "/a/../b" has a ".." in it — write the path that is meant',
    ),
    (
        "volumes",
        ["/:/b"],
        "volumes[0]: the node's whole file system may not be mounted — mount the directories that are needed",
    ),
    (
        "volumes",
        ["//.//:/b"],
        "volumes[0]: the node's whole file system may not be mounted — mount the directories that are needed",
    ),
    (
        "volumes",
        ["/a:/"],
        "volumes[0]: nothing can be mounted over the container's whole file system — choose a directory in it",
    ),
    (
        "volumes",
        ["/a:/proc/x"],
        'volumes[0]: nothing may be mounted over the container\'s "/proc/x" — choose another place in the container',
    ),
    ("volumes", ["/a:/c", "/b:/c/"], 'volumes[1]: another mount has the target "/c" already — choose another'),
    (
        "volumes",
        ["/a:/dgrid/hostfile.json"],
        'volumes[0]: "/dgrid/hostfile.json" is where the hostfile goes — choose another target or host_list_location',
    ),
    ("work_dir", "x", 'work_dir: the directory "x" is relative — write it out from / on'),
    (
        "host_list_location",
        "/proc/x",
        'host_list_location: no file can be written to "/proc/x" — choose another directory',
    ),
    ("scale", 0, "scale: the number is less than 1, the least that is allowed — write for example 2"),
    ("scale", 100001, "scale: the number is more than 100,000, the most that is allowed — write for example 2"),
    ("scale", "2", f'scale: "2" {NUMBER}'),
    ("scale", 1.5, 'scale: a number where a whole number, "per_node" or "per_slot" is meant — write for example 2'),
    ("scale", True, 'scale: a boolean where a whole number, "per_node" or "per_slot" is meant — write for example 2'),
    (
        "scale",
        "per-nodes",
        'scale: "per-nodes" is no number of instances — did you mean "per_node"? Else write a whole number, "per_node" or "per_slot"',
    ),
    (
        "host_to_list",
        "True",
        'host_to_list: the hostfile format "json" lists instances by tags — write for example ["tag=workers"]',
    ),
    ("host_to_list", "tag=a", 'host_to_list: "tag=a" is no list of tags — write a list: ["tag=a"]'),
    ("host_to_list", ["a"], 'host_to_list[0]: "a" is no tag — write "tag=a"'),
    ("host_to_list", ["tag="], 'host_to_list[0]: there is no name after "tag=" — write for example "tag=workers"'),
    ("host_to_list", ["tag=a", "tag=a"], 'host_to_list[1]: the tag "a" is there already — remove one of the two'),
    ("links", ["head"], 'links[0]: "head" is no link — write "CONTAINER:VARIABLE", as in "database:DB_HOST"'),
    ("links", ["haed:X"], 'links[0]: there is no container "haed" — did you mean "head"?'),
    ("links", ["worker:X"], "links[0]: the container names itself — remove it"),
    ("links", ["head:X", "head:X"], 'links[1]: the variable "X" is there already — remove one of the two'),
    ("links", ["head:1X"], f"links[0]: the digit at the beginning of the name is not allowed — {NAMES}"),
    ("depends_on", ["xyz"], 'depends_on[0]: there is no container "xyz" — there are "head", "worker"'),
    ("depends_on", ["worker"], "depends_on[0]: the container names itself — remove it"),
    (
        "depends_on",
        ["head"],
        "depends_on[0]: the interactive container starts last, when all others are ready — leave it out; nothing can wait for it",
    ),
    ("depends_on", "head", 'depends_on: a string where a list is meant — write a list: ["head"]'),
    ("ready", {}, "ready: it does not say when the container is ready — give one of tcp, command and log"),
    (
        "ready",
        {"timeout_s": 3},
        "ready: it does not say when the container is ready — give one of tcp, command and log",
    ),
    (
        "ready",
        {"tcp": 1, "command": ["a"], "log": "b"},
        "ready: there must be exactly one of tcp, command and log — remove the others",
    ),
    (
        "ready",
        {"command": ["a"], "log": "b"},
        "ready: there must be exactly one of tcp, command and log — remove the others",
    ),
    ("ready", {"tcp": "22"}, f'ready: "22" {NUMBER}'),
    (
        "ready",
        {"command": "pg_isready -q"},
        'ready.command: a string where a list is meant — write a list of words: ["pg_isready", "-q"]',
    ),
    ("ready", {"log": ""}, 'ready.log: it is empty — write for example "waiting for connections"'),
    ("ready", {"tcp": 1, "timeout_s": 0}, "ready.timeout_s: the number is not more than 0 — write for example 120"),
    ("ready", {"tcp": 1, "timeout": 9}, 'ready.timeout: this key is not known — did you mean "timeout_s"?'),
    ("ports", [0], "ports[0]: the number is less than 1, the least that is allowed"),
    ("ports", [65536], "ports[0]: the number is more than 65,535, the most that is allowed"),
    ("ports", ["80"], f'ports[0]: "80" {NUMBER}'),
    (
        "ports",
        ["8080:80"],
        'ports[0]: "8080:80" are two ports, and none is published — write the one in the container, as a number',
    ),
    ("volumes", [{"source": "/a"}], "volumes[0]: an object where a string is meant"),
    (
        "volumes",
        ["/a:/b "],
        'volumes[0]: the path in the container "/b " has a blank at its beginning or end — remove it',
    ),
    (
        "volumes",
        ["$HOME/a:/b"],
        'volumes[0]: the path on the node "$HOME/a" begins with a variable of a shell — write it with braces: ${NAME}',
    ),
    ("environment_variables", [{"A": "b"}], "environment_variables[0]: an object where a string is meant"),
    ("stop_signal", 15, 'stop_signal: a whole number where a string is meant — write for example "SIGINT"'),
    ("ports", [80, 80], 'ports[1]: the port "80" is there already — remove one of the two'),
    ("ports", 80, "ports: a whole number where a list is meant — write for example [2222]"),
    ("resources", {"cpus": 0}, "resources.cpus: the number is not more than 0 — write for example 2"),
    ("resources", {"memory": "4 gigs"}, f'resources.memory: "4 gigs" {SIZE}'),
    ("resources", {"memory": "9" * 5000}, f'resources.memory: "{"9" * 80}…" {SIZE}'),
    (
        "resources",
        {"memory": "4m"},
        'resources.memory: "4m" is too little memory to start anything — write at least "6m"',
    ),
    (
        "resources",
        {"memory": 512},
        'resources.memory: the number is less than 6,291,456, the least that is allowed — write for example "4g"',
    ),
    (
        "resources",
        {"shm_size": "9999999t"},
        'resources.shm_size: "9999999t" is not between 1 byte and 1024t — write for example "4g"',
    ),
    (
        "resources",
        {"gpus": 0},
        "resources.gpus: the number is less than 1, the least that is allowed — write for example 1",
    ),
    ("resources", {"gpus": "all"}, 'resources.gpus: "all" is a string where a whole number is meant'),
    ("resources", {"gpu": 1}, 'resources.gpu: this key is not known — did you mean "gpus"?'),
    (
        "placement",
        {"on": "other"},
        'placement.on: "other" is not known here — did you mean "others"? The values are "head", "others", "any"',
    ),
    (
        "placement",
        {"max_per_node": 0},
        "placement.max_per_node: the number is less than 1, the least that is allowed — write for example 1",
    ),
    (
        "placement",
        {"node": "n1"},
        "placement.node: this key is not known — leave it out; the keys here are on, max_per_node, exclusive",
    ),
    (
        "placement",
        [],
        'placement: a list where an object is meant — write for example {"on": "others", "max_per_node": 1, "exclusive": true}',
    ),
    (
        "failure_policy",
        "ignore",
        'failure_policy: "ignore" is not known here — write one of "report", "fail_run", "restart"',
    ),
    ("failure_policy", "restart", 'failure_policy: "restart" does not say how often — add "max_restarts": 3'),
    (
        "max_restarts",
        3,
        'max_restarts: it has an effect with the failure policy "restart" only — add "failure_policy": "restart", or leave it out',
    ),
    ("tty", True, "tty: only the interactive container can have a terminal — leave it out"),
    ("stop_signal", "SIGTREM", 'stop_signal: "SIGTREM" is no signal — did you mean "SIGTERM"?'),
    ("stop_signal", "9", 'stop_signal: "9" is no signal — write the name of a signal, as in "SIGINT"'),
    ("stop_grace_s", -1, "stop_grace_s: the number is less than 0, the least that is allowed — write for example 30"),
    ("checkpointing", "no", f'checkpointing: "no" {BOOLEAN}'),
    ("iamge", "x", 'iamge: this key is not known — did you mean "image"?'),
    ("Scale", 2, 'Scale: this key is not known — did you mean "scale"?'),
    ("a\u202eb\n", 2, '["a\\u202eb\\n"]: this key is not known'),
    (
        "privileged",
        True,
        "privileged: this is never granted — leave it out: containers run with no capabilities and no new privileges",
    ),
    (
        "user",
        "0",
        "user: this is never granted — leave it out: containers run as the user who submitted the job, never as anyone else",
    ),
    ("command", ["x"], "command: this key is not known — dgrid calls it run_cmd"),
    ("environment", {}, "environment: this key is not known — dgrid calls it environment_variables"),
    ("hostname", "x", "hostname: this key is not known — dgrid calls it name"),
]


@pytest.mark.parametrize(("key", "value", "expected"), VALUES)
def test_a_wrong_value(key, value, expected):
    """One wrong value is one message: where, what is wrong, and what to do."""
    found = of_worker({key: value})
    assert len(found) == 1
    assert found[0].removeprefix("containers[1]").removeprefix(".").startswith(expected)


@pytest.mark.parametrize(
    "source",
    [
        "/run/docker.sock", "/var/run/docker.sock", "/run", "/var/run", "/run/podman", "/run/podman/podman.sock",
        "/run/user", "/run/user/1000", "/run/user/1000/podman/podman.sock", "/run/containerd/containerd.sock",
        "//var//run//docker.sock/", "/opt/docker.sock", "/run/docker", "/run/user/7/docker.sock",
    ],
)  # fmt: skip
def test_the_engines_socket_is_not_mounted(source):
    """Neither the engines' sockets nor the directories that hold them are mounted, however they are written."""
    (found,) = of_worker({"volumes": [f"{source}:/s"]})
    shown = "/" + "/".join(part for part in source.split("/") if part)
    assert found == f'containers[1].volumes[0]: "{shown}" {SOCKET}'


@pytest.mark.parametrize("source", ["/proc", "/proc/1/root", "/sys", "/sys/fs/cgroup", "/dev", "/./dev/"])
def test_the_nodes_kernel_is_not_mounted(source):
    """What shows or steers the node's kernel is not mounted."""
    (found,) = of_worker({"volumes": [f"{source}:/s"]})
    shown = "/" + "/".join(part for part in source.split("/") if part not in ("", "."))
    assert found == f'containers[1].volumes[0]: the node\'s "{shown}" {KERNEL}'


@pytest.mark.parametrize("key", NEVER_GRANTED)
def test_what_is_never_granted_has_its_reason(key):
    """Keys of other tools that dgrid never grants get a reason of their own, not a guess at a typo."""
    (found,) = of_worker({key: True})
    assert found == f"containers[1].{key}: this is never granted — leave it out: {NEVER_GRANTED[key]}"


@pytest.mark.parametrize(
    ("definition", "expected"),
    [
        ([], 'a list where an object is meant — write for example {"containers": [{"name": "head", "image": "python:3.12", "interactive": true, "run_cmd": ["python", "-V"]}]}'),
        ({}, '"containers" is missing — add for example "containers": [{"name": "head", "image": "python:3.12", "interactive": true}]'),
        ({"containers": []}, 'containers: it is empty — write for example [{"name": "head", "image": "python:3.12", "interactive": true}]'),
        ({"containers": [{"image": "a", "interactive": True}]}, 'containers[0]: "name" is missing — add for example "name": "head"'),
        ({"containers": [WORKER]}, 'containers: no container is interactive — add "interactive": true to the one whose exit code is the run\'s'),
        ({"containers": [HEAD, WORKER | {"interactive": "True"}]}, "containers[1].interactive: a second interactive container, after containers[0] — exactly one is; remove it from all others"),
        ({"containers": [HEAD | {"scale": 2}]}, "containers[0].scale: the interactive container has exactly one instance — leave it out"),
        ({"containers": [HEAD | {"scale": "per_node"}]}, "containers[0].scale: the interactive container has exactly one instance — leave it out"),
        ({"containers": [HEAD | {"ready": {"tcp": 1}}]}, "containers[0].ready: nothing waits for the interactive container, which starts last — leave it out"),
        ({"containers": [HEAD | {"failure_policy": "fail_run"}]}, f"containers[0].failure_policy: {INTERACTIVE_ENDS}"),
        ({"containers": [HEAD | {"placement": {"on": "others"}}]}, 'containers[0].placement.on: the interactive container runs on the node of dgrid itself — leave it out, or write "head"'),
        ({"containers": [HEAD, WORKER, WORKER | {"name": "Worker"}]}, 'containers[2].name: "Worker" is the name of containers[1] already — choose another; capital letters make no difference'),
        ({"containers": [HEAD, WORKER | {"scale": 2}, WORKER | {"name": "worker-2"}]}, 'containers[2].name: "worker-2" is the name of an instance of containers[1] too — choose another'),
        ({"containers": [HEAD, WORKER | {"scale": "per_slot"}, WORKER | {"name": "worker-900"}]}, 'containers[2].name: "worker-900" is the name of an instance of containers[1] too — choose another'),
        ({"containers": [HEAD, WORKER | {"name": "a" * 61, "scale": 10}]}, "containers[1].name: with the numbers of its instances the name is longer than 63 characters — choose a shorter one"),
        ({"containers": [HEAD | {"links": ["worker:W"]}, WORKER | {"scale": 2}]}, "containers[0].links[0]: containers[1] is scaled, and a link is one host's name — use host_to_list and the hostfile for scaled containers"),
        ({"containers": [HEAD | {"links": ["worker:A"], "environment_variables": ["A=1"]}, WORKER]}, 'containers[0].links[0]: the variable "A" is there already — remove one of the two'),
        ({"containers": [HEAD], "hostfile_fromat": "json"}, 'hostfile_fromat: this key is not known — did you mean "hostfile_format"?'),
        ({"containers": [HEAD], "image": "a"}, "image: this key is not known — it belongs to a container"),
        ({"containers": [HEAD | {"network": "host"}]}, "containers[0].network: this key is not known — it belongs to the top level of the file"),
        ({"containers": [HEAD], "network": "overlya"}, 'network: "overlya" is not known here — did you mean "overlay"? The values are "auto", "host", "bridge", "overlay"'),
        ({"containers": [HEAD], "name": " "}, "name: the name is blank — leave it out, or choose one"),
        ({"containers": [HEAD], "name": "a\u2028b"}, "name: character 2 is U+2028 (LINE SEPARATOR) — remove it"),
        ({"containers": [HEAD] * 1001}, "containers: the list has 1,001 entries, 1,000 are the most"),
        ({"containers": [HEAD, "worker"]}, "containers[1]: a string where an object is meant"),
    ],
)  # fmt: skip
def test_a_wrong_definition(definition, expected):
    """What is wrong with a definition as a whole, or between containers, is one message as well."""
    (found,) = problems(definition)
    assert found.startswith(expected)


def test_cycles_are_printed():
    """Each cycle of dependencies and links is printed once, at the first container of it."""
    containers = [HEAD, WORKER]
    needs = {"a": {"depends_on": ["b"]}, "b": {"links": ["c:C"]}, "c": {"depends_on": ["worker", "a"]}}
    needs |= {"d": {"depends_on": ["e", "a"]}, "e": {"depends_on": ["d"]}}
    containers += [{"name": name, "image": "a"} | keys for name, keys in needs.items()]
    remedy = "remove one of these links or dependencies"
    assert problems({"containers": containers}) == [
        f'containers[2].depends_on[0]: these containers wait for each other: "a" -> "b" -> "c" -> "a" — {remedy}',
        f'containers[5].depends_on[0]: these containers wait for each other: "d" -> "e" -> "d" — {remedy}',
    ]


def test_a_compose_file_is_recognised():
    """Somebody who hands over a compose file in JSON hears what dgrid calls things."""
    assert problems({"version": "3", "services": {}})[1:] == [
        "version: this key is not known — definitions have no version; leave it out",
        "services: this key is not known — this looks like a compose file; dgrid's list of containers is called"
        " containers",
    ]


def test_all_problems_come_at_once_in_file_order():
    """A file with several mistakes is told all of them, each with line and column."""
    text = """{
  "containers": [
    {
      "name": "head", "interactive": "True", "image": "A",
      "run_cmd": "python x.py"
    },
    {
      "nmae": "worker",
      "image": "b",
      "volumes": ["/a:/b", "a:/b"]
    }
  ],
  "netwrok": "host"
}"""
    with pytest.raises(DefinitionError) as caught:
        parse_definition(text.encode(), "job.json", {})
    assert [str(problem).partition(" — ")[0] for problem in caught.value.problems] == [
        'job.json:4:55: containers[0].image: "A" has capital letters',
        "job.json:5:18: containers[0].run_cmd: a string where a list is meant",
        "job.json:8:7: containers[1].nmae: this key is not known",
        'job.json:10:28: containers[1].volumes[1]: "a" is the name of a volume, not a path',
        "job.json:13:3: netwrok: this key is not known",
    ]


def test_a_great_many_problems():
    """Of a great many problems the first 50 are told, and that there are more."""
    found = problems({"containers": [HEAD] + [{}] * 400})
    assert len(found) == 51
    assert found[-1] == "there are more problems than these 50"


NOT_SET = "is not set in dgrid's environment"


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"work_dir": "/${NOPE}"}, f"work_dir: ${{NOPE}} {NOT_SET} — set it before dgrid is called, or write $${{NOPE}} to leave it as it is"),
        ({"work_dir": "/${SECRT}"}, f"work_dir: ${{SECRT}} {NOT_SET} — did you mean ${{SECRET}}? Else set it before"),
        ({"work_dir": "/${A:-b}"}, "work_dir: only ${NAME} is replaced, and this is another form of it — write $${ for a plain ${"),
        ({"run_cmd": ["${NOPE}"]}, f"run_cmd[0]: ${{NOPE}} {NOT_SET}"),
        ({"run_cmd": ["${BIG}"] * 2}, "run_cmd[1]: the values put in for ${NAME} have more than 1 MiB by now — pass them in files"),
        ({"image": "${SECRET}"}, 'image: the part "${SECRET}" is no name'),
        ({"name": "${SECRET}"}, 'name: "${SECRET}" has a character'),
        ({"volumes": ["${SECRET}:/a"]}, 'volumes[0]: "${SECRET}:/a" is the name of a volume'),
        ({"scale": "${SECRET}"}, 'scale: "${SECRET}" is no number of instances'),
        ({"network": "${SECRET}", "links": ["${SECRET}:X"]}, ""),
        ({"environment_variables": ["${SECRET}"]}, 'environment_variables[0]: there is no "=" in it'),
        ({"environment_variables": ["A${B}=${SECRET}", "A${B}=${SECRET}"]}, 'environment_variables[1]: the variable "A${B}" is there already'),
        ({"environment_variables": ["${DG}X=1"]}, 'environment_variables[0]: "${DG}X" is not for you to set'),
        ({"stop_signal": "${SECRET}"}, 'stop_signal: "${SECRET}" is no signal'),
        ({"host_to_list": ["${SECRET}"]}, 'host_to_list[0]: "${SECRET}" is no tag'),
        ({"depends_on": ["${SECRET}"]}, 'depends_on[0]: there is no container "${SECRET}"'),
        ({"run_cmd": "${SECRET} x"}, 'run_cmd: a string where a list is meant — write a list of words: ["${SECRET}", "x"]'),
        ({"tty": "${SECRET}"}, 'tty: "${SECRET}" where true or false is meant'),
    ],
)  # fmt: skip
def test_replaced_names_are_shown_not_their_values(keys, expected):
    """Messages show what the file says; what a ${NAME} stands for is shown nowhere."""
    environment = {"SECRET": "Hunter2!", "BIG": "x" * 600_000, "B": "hunter", "DG": "DGRID_hunter"}
    found = of_worker(keys, environment)
    assert found[0].removeprefix("containers[1].").startswith(expected)
    assert "hunter" not in "".join(found).lower()


@pytest.mark.parametrize(
    "environment",
    [
        ["PASS=hunter2", "PASS=hunter2"], ["hunter2"], ["hunter2 x=1"], [7, "A=hunter2\x00"], "PASS=hunter2",
        {"A": ["hunter2"], "B": {"x": "hunter2"}}, {"A": "hunter2\ud800"}, [["hunter2"]], ["DGRID_X=hunter2"],
    ],
)  # fmt: skip
def test_values_of_environment_variables_are_never_shown(environment):
    """Environment variables hold passwords: no message repeats one, whatever is wrong with it."""
    found = of_worker({"environment_variables": environment})
    assert found
    assert "hunter" not in "".join(found)
