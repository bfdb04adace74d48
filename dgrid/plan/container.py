"""One container of the definition: its keys, and those of them that do not go together."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import TypeVar

from dgrid.plan import values
from dgrid.plan.definition import (
    HOSTFILE_DIR,
    Container,
    FailurePolicy,
    HostfileFormat,
    Link,
    Mount,
    Placement,
    PlaceOn,
    Resources,
)
from dgrid.plan.environment import check_name, entry_value, parse_assignment
from dgrid.plan.imageref import check_image
from dgrid.plan.jsonplaces import Path
from dgrid.plan.mistake import Mistake
from dgrid.plan.mounts import parse_mount
from dgrid.plan.paths import absolute_path, is_inside
from dgrid.plan.reader import Reader

H = TypeVar("H", bound=Hashable)
_Assignments = list[tuple[Path, tuple[str, str]]]


def read_container(reader: Reader, hostfile_format: HostfileFormat) -> Container:
    """The container that ``reader`` stands at; notes what is wrong, and uses defaults in its place."""
    environment, links = _environment(reader), reader.each("links", values.link)
    _refuse_clashing_variables(reader, environment, links)
    mounts = reader.each("volumes", parse_mount)
    hostfile_dir = reader.value("host_list_location", _hostfile_dir, HOSTFILE_DIR)
    _refuse_clashing_targets(reader, mounts, hostfile_dir, hostfile_format)
    tags, listed = _hostfile_entry(reader, hostfile_format)
    policy = reader.value("failure_policy", FailurePolicy, None)
    _check_restarts(reader, policy)
    container = Container(
        name=reader.value("name", values.host_name, ""),
        image=reader.value("image", check_image, ""),
        interactive=reader.value("interactive", values.boolean, False),
        command=reader.value("run_cmd", values.words, None),
        entrypoint=reader.value("entrypoint", values.words, None),
        environment=tuple(assignment for _, assignment in environment),
        mounts=tuple(mount for _, mount in mounts),
        work_dir=reader.value("work_dir", lambda text: absolute_path(text, "the directory"), None),
        scale=reader.value("scale", values.scale, 1),
        hostfile_dir=hostfile_dir,
        tags=tags,
        listed=listed,
        links=tuple(link for _, link in links),
        depends_on=_unique(reader, reader.each("depends_on", str), "the container"),
        ready=reader.value("ready", values.ready, None),
        ports=_unique(reader, reader.each("ports", values.port), "the port"),
        resources=_resources(reader.inner("resources")),
        placement=_placement(reader.inner("placement")),
        failure_policy=policy,
        max_restarts=reader.value("max_restarts", values.whole, 0),
        tty=reader.value("tty", values.boolean, False),
        stop_signal=reader.value("stop_signal", values.stop_signal, None),
        stop_grace_s=reader.value("stop_grace_s", values.number, None),
        checkpointing=reader.value("checkpointing", values.boolean, False),
    )
    _check_role(reader, container)
    return container


def _environment(reader: Reader) -> _Assignments:
    inner = reader.inner("environment_variables")
    pairs = reader.each("environment_variables", parse_assignment)
    for name in inner:
        with reader.findings.gather(inner.at(name)):
            pairs.append((inner.at(name), (check_name(name), inner.value(name, entry_value, ""))))
    return pairs


def _refuse_clashing_variables(reader: Reader, environment: _Assignments, links: list[tuple[Path, Link]]) -> None:
    names = [(path, name) for path, (name, _) in environment]
    _unique(reader, [*names, *((path, link.variable) for path, link in links)], "the variable")


def _unique(reader: Reader, pairs: Iterable[tuple[Path, H]], noun: str) -> tuple[H, ...]:
    seen: dict[H, None] = {}
    for path, item in pairs:
        if item in seen:
            with reader.findings.gather(path):
                raise Mistake(f"{noun} {{}} is there already", "remove one of the two", str(item))
        seen[item] = None
    return tuple(seen)


def _hostfile_dir(text: str) -> str:
    path = absolute_path(text, "the directory")
    if any(is_inside(path, kernel) for kernel in ("/proc", "/sys", "/dev")):
        raise Mistake("no file can be written to {}", "choose another directory", text)
    return path


def _refuse_clashing_targets(
    reader: Reader, mounts: list[tuple[Path, Mount]], hostfile_dir: str, hostfile_format: HostfileFormat
) -> None:
    name = "hostfile.json" if hostfile_format is HostfileFormat.JSON else "hostfile"
    hostfile = f"{hostfile_dir.rstrip('/')}/{name}"
    seen: set[str] = set()
    for path, mount in mounts:
        with reader.findings.gather(path):
            if mount.target in seen:
                raise Mistake("another mount has the target {} already", "choose another", mount.target)
            if mount.target == hostfile:
                raise Mistake("{} is where the hostfile goes", "choose another target or host_list_location", hostfile)
        seen.add(mount.target)


def _hostfile_entry(reader: Reader, hostfile_format: HostfileFormat) -> tuple[tuple[str, ...], bool]:
    value = reader.raw("host_to_list") if "host_to_list" in reader else None
    if value in (["True"], ["False"]):  # old files for the format "list" have the word in a list, too
        return (), reader.value("host_to_list", lambda flags: _listed(flags[0], hostfile_format), False)
    if not isinstance(value, list):
        return (), reader.value("host_to_list", lambda flag: _listed(flag, hostfile_format), False)
    tags = _unique(reader, reader.each("host_to_list", values.tag), "the tag")
    return tags, bool(tags)


def _listed(value: object, hostfile_format: HostfileFormat) -> bool:
    if value in (False, "False"):
        return False
    if value not in (True, "True"):
        text = str(value)
        remedy = f'write a list: ["{text}"]' if text.startswith("tag=") and text.isprintable() else None
        raise Mistake("{} is no list of tags", remedy or 'write for example ["tag=workers"]', text)
    if hostfile_format is HostfileFormat.JSON:
        raise Mistake('the hostfile format "json" lists instances by tags', 'write for example ["tag=workers"]')
    return True


def _resources(reader: Reader) -> Resources:
    return Resources(
        cpus=reader.value("cpus", values.number, None),
        memory_bytes=reader.value("memory", values.memory, None),
        gpus=reader.value("gpus", values.whole, None),
        shm_bytes=reader.value("shm_size", values.size, None),
    )


def _placement(reader: Reader) -> Placement:
    return Placement(
        on=reader.value("on", PlaceOn, PlaceOn.ANY),
        max_per_node=reader.value("max_per_node", values.whole, None),
        exclusive=reader.value("exclusive", values.boolean, False),
    )


def _check_restarts(reader: Reader, policy: FailurePolicy | None) -> None:
    if not reader.findings.whole(reader.at("failure_policy")):
        return
    if policy is not FailurePolicy.RESTART:
        remedy = 'add "failure_policy": "restart", or leave it out'
        reader.refuse("max_restarts", 'it has an effect with the failure policy "restart" only', remedy)
    elif "max_restarts" not in reader:
        reader.findings.add(reader.at("failure_policy"), '"restart" does not say how often', 'add "max_restarts": 3')


def _check_role(reader: Reader, container: Container) -> None:
    """Refuse what makes no sense for the interactive container, or only makes sense for it."""
    if not reader.findings.whole(reader.at("interactive")):
        return
    if not container.interactive:
        if container.tty:
            reader.refuse("tty", "only the interactive container can have a terminal", "leave it out")
        return
    if container.scale != 1:
        reader.refuse("scale", "the interactive container has exactly one instance", "leave it out")
    if container.placement.on is PlaceOn.OTHERS:
        what = "the interactive container runs on the node of dgrid itself"
        reader.inner("placement").refuse("on", what, 'leave it out, or write "head"')
    reader.refuse("ready", "nothing waits for the interactive container, which starts last", "leave it out")
    for key in ("failure_policy", "max_restarts"):
        reader.refuse(key, "the end of the interactive container is the end of the run", "leave it out")
