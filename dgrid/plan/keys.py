"""Keys that a definition does not have: what was meant, or why dgrid never grants it."""

from __future__ import annotations

from collections.abc import Iterable

from dgrid.plan.mistake import quote

_USER = "containers run as the user who submitted the job, never as anyone else"
_RIGHTS = "containers run with no capabilities and no new privileges"
_NAMESPACES = "each container has namespaces of its own, so that it cannot touch the node or another user's processes"
_LIMITS = "limits of the node and of the batch system hold; see resources for what a container may ask for"

NEVER_GRANTED = {
    "privileged": _RIGHTS,
    "cap_add": _RIGHTS,
    "cap_drop": "all capabilities are dropped anyway",
    "security_opt": _RIGHTS,
    "user": _USER,
    "group_add": "the container has the groups of the user who submitted the job",
    "userns_mode": _USER,
    "devices": "devices of the node are not handed out; for GPUs there is resources.gpus",
    "device_cgroup_rules": "devices of the node are not handed out; for GPUs there is resources.gpus",
    "device_requests": "devices of the node are not handed out; for GPUs there is resources.gpus",
    "restart": 'a container must end with its job; for workers there is "failure_policy": "restart"',
    "restart_policy": 'a container must end with its job; for workers there is "failure_policy": "restart"',
    "pid": _NAMESPACES,
    "ipc": _NAMESPACES,
    "uts": _NAMESPACES,
    "cgroup": _NAMESPACES,
    "cgroup_parent": "the batch system's own limits must hold for the container",
    "sysctls": _NAMESPACES,
    "ulimits": _LIMITS,
    "oom_kill_disable": _LIMITS,
    "oom_score_adj": _LIMITS,
    "network_mode": 'all containers of a run share one network; see "network" at the top level',
    "runtime": "the site decides on the runtime",
    "volumes_from": "a container sees only what its own volumes name",
    "labels": "labels are how dgrid finds what belongs to a run, so it sets them itself",
    "init": "an init process is always there",
    "detach": "a container must end with its job",
    "auto_remove": "containers are always removed at the end",
}
"""Keys of other tools whose effect dgrid does not grant, and why."""

_OTHER_NAMES = {
    "command": "run_cmd",
    "cmd": "run_cmd",
    "args": "run_cmd",
    "environment": "environment_variables",
    "env": "environment_variables",
    "env_file": "environment_variables",
    "hostname": "name",
    "container_name": "name",
    "working_dir": "work_dir",
    "workdir": "work_dir",
    "cwd": "work_dir",
    "mounts": "volumes",
    "binds": "volumes",
    "replicas": "scale",
    "deploy": "scale and placement",
    "instances": "scale",
    "healthcheck": "ready",
    "stop_grace_period": "stop_grace_s",
    "stop_timeout": "stop_grace_s",
    "mem_limit": "resources.memory",
    "memory": "resources.memory",
    "cpus": "resources.cpus",
    "cpu_count": "resources.cpus",
    "gpus": "resources.gpus",
    "shm_size": "resources.shm_size",
    "expose": "ports",
    "stdin_open": "interactive",
    "attach": "interactive",
    "head": "interactive",
    "networks": '"network" at the top level',
    "on_failure": "failure_policy",
    "hostfile_location": "host_list_location",
    "tag": "host_to_list",
    "tags": "host_to_list",
}

_UNKNOWN = "this key is not known"

_AT_THE_TOP = {
    "services": "this looks like a compose file; dgrid's list of containers is called containers",
    "version": "definitions have no version; leave it out",
    "volumes": "each container has its own volumes",
    "networks": 'there is one network a run: "network"',
    "network_mode": 'it is called "network"',
}


def unknown_key(key: str, known: Iterable[str], inside: str, elsewhere: Iterable[str] = ()) -> tuple[str, str]:
    """``unknown_key("iamge", ["image"], "container")`` is ``("this key is not known", 'did you mean "image"?')``.

    ``inside`` is "" for the top level and "container" for a container, whose keys other tools have too; what the
    second part says is a remedy or a reason. ``elsewhere`` are keys that would be known one level up or down.
    """
    names = list(known)
    if inside == "" and key in _AT_THE_TOP:
        return _UNKNOWN, _AT_THE_TOP[key]
    if inside == "container" and key.lower() in NEVER_GRANTED:
        return "this is never granted", f"leave it out: {NEVER_GRANTED[key.lower()]}"
    if inside == "container" and key.lower() in _OTHER_NAMES and key.lower() not in names:
        return _UNKNOWN, f"dgrid calls it {_OTHER_NAMES[key.lower()]}"
    if key in elsewhere:
        return _UNKNOWN, "it belongs to a container" if inside == "" else "it belongs to the top level of the file"
    near = nearest(key, names)
    if near is not None:
        return _UNKNOWN, f"did you mean {quote(near)}?"
    if len(names) > 6:
        return _UNKNOWN, "leave it out; dgrid schema shows all keys"
    return _UNKNOWN, f"leave it out; the keys here are {', '.join(names)}"


def meant(key: str, known: Iterable[str]) -> str | None:
    """Which key was meant by an unknown one, None if that is not clear."""
    return _OTHER_NAMES.get(key.lower()) or nearest(key, known)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """``nearest("databse", ["database", "head"]) == "database"``; None if nothing is near."""
    plain = {_plain(name): name for name in known}
    from difflib import get_close_matches

    matches = get_close_matches(_plain(word), plain, 1, 0.6)
    return plain[matches[0]] if matches else None


def _plain(word: str) -> str:
    return word[:100].lower().replace("-", "_").strip("_")
