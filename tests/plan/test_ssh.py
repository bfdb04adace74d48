"""Keys and configurations for ssh between the containers of a run."""

from __future__ import annotations

import subprocess
from pathlib import Path

from made import define, nodes, planned, worker

from dgrid.nodes.run_keys import make_run_keys
from dgrid.plan.definition import NetworkMode
from dgrid.plan.ssh import ssh_files


def placed(plan) -> dict[str, bytes | None]:
    return {file.path: file.content for file in plan.head.request.files}


def test_hosts_of_the_run_are_configured_and_no_others(tmp_path: Path) -> None:
    """ssh itself reads the file: port, user and key for the run's hosts, nothing for the world."""
    files = {file.path: file.content for file in ssh_files(make_run_keys("s"), "alice", 2200, ["worker-*", "db"])}
    config = tmp_path / "config"
    config.write_bytes(files["/etc/ssh/ssh_config.d/dgrid.conf"] or b"")
    said = {}
    for host in ("worker-7", "db", "example.org"):
        done = subprocess.run(["ssh", "-G", "-F", config, host], capture_output=True, text=True, check=True)
        said[host] = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert [said[host]["port"] for host in said] == ["2200", "2200", "22"]
    assert said["db"]["user"] == "alice"
    assert said["db"]["hostkeyalias"] == "dgrid-run"
    assert "hostkeyalias" not in said["example.org"]


def test_server_reads_its_configuration(tmp_path: Path) -> None:
    """sshd -t accepts the file and its host key."""
    for file in ssh_files(make_run_keys("s"), "alice", 2222, ["w"]):
        path = tmp_path / file.path.rpartition("/")[2]
        path.write_bytes((file.content or b"").replace(b"/dgrid/ssh", str(tmp_path).encode()))
        path.chmod(file.mode)
    done = subprocess.run(["/usr/sbin/sshd", "-t", "-f", tmp_path / "sshd_config"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_keys_are_new_for_each_run_and_never_shown() -> None:
    """Two runs share no key; no private key is in a repr."""
    one, other = make_run_keys("s"), make_run_keys("s")
    assert one.user_private != other.user_private
    assert one.host_public != other.host_public
    assert "PRIVATE" not in repr(one)
    assert "PRIVATE" not in repr(ssh_files(one, "alice", 2222, ["w"]))


def test_names_of_the_plan() -> None:
    """Scaled containers by a pattern, the others by name; in the nodes' own network the nodes, too."""
    plan = planned(define(worker("w", scale=2), network=NetworkMode.HOST), nodes(1, 1, 1))
    assert b"Host head w w-* node1 node2 node3\n" in (placed(plan)["/dgrid/ssh/config"] or b"")


def test_ssh_false_places_nothing() -> None:
    """A definition can do without."""
    plan = planned(define(ssh_port=None), nodes(1))
    assert not any("ssh" in path for path in placed(plan))
