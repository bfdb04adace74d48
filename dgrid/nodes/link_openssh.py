"""The link to another node by the OpenSSH client: for sites whose log-in paramiko cannot follow.

One master connection a node (ControlMaster in ssh_config(5)); commands and sockets go over it.
"""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import cast

from dgrid.errors import HostKeyError, LinkDropped, LinkError, LoginError
from dgrid.nodes.link import CommandResult, Stream, resident_command
from dgrid.nodes.link_local import LocalResident, dial_unix, start_resident

_MASTER_OPTIONS = (
    "-oControlMaster=yes",
    "-oControlPersist=no",
    "-oBatchMode=yes",  # never a question
    "-oStreamLocalBindUnlink=yes",
    "-oStreamLocalBindMask=0177",
    # The user's own settings for interactive sessions: a port can be forwarded by one connection only.
    "-oClearAllForwardings=yes",
    "-oRemoteCommand=none",
    "-oServerAliveInterval=5",
    "-oServerAliveCountMax=4",
    "-oLogLevel=ERROR",
)
# Without a master behind the control path, ssh would make a connection of its own: ProxyCommand makes that fail.
_CLIENT_OPTIONS = ("-Fnone", "-oControlMaster=no", "-oProxyCommand=false", "-oBatchMode=yes", "-oLogLevel=ERROR")
_SESSIONS = 6  # at a time: sshd allows 10 (MaxSessions in sshd_config(5)), and the master and residents have theirs


class OpenSshLink:
    """One ssh master process to ``node``; made by ``connect``."""

    def __init__(
        self, node: str, directory: Path, master: subprocess.Popen[bytes], keeper: subprocess.Popen[bytes]
    ) -> None:
        self.node = node
        self.scratch: str | None = str(directory)
        self.in_job = False
        self.remark = ""
        self._directory = directory
        self._master = master
        self._keeper = keeper
        self._lock = threading.Lock()
        self._forwards: dict[str, Path] = {}
        self._numbers = itertools.count(1)
        self._residents: list[LocalResident] = []
        self._sessions = threading.BoundedSemaphore(_SESSIONS)

    def run(self, script: str, timeout_s: float) -> CommandResult:
        command = self._through_master("-T", self.node, "exec sh -s")
        try:
            with self._sessions:
                done = subprocess.run(
                    command,
                    input=script.encode(),
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    timeout=timeout_s,
                    check=False,
                    start_new_session=True,
                )
        except subprocess.TimeoutExpired as error:
            raise LinkError(self.node, f"a command did not end within {timeout_s:g} s") from error
        output = done.stdout.decode(errors="replace")
        if done.returncode == 255 and self.is_lost():
            raise LinkDropped(self.node, f"the ssh connection is lost ({output.strip() or 'no message'})")
        return CommandResult(done.returncode, output)

    def stay(self, script: str, outlives_link: bool = False, name: str = "dgrid") -> LocalResident:
        resident = start_resident(self._through_master("-T", self.node, resident_command(script, name)), script)
        if not outlives_link:
            self._residents.append(resident)
        return resident

    def dial(self, socket_path: str, timeout_s: float) -> Stream:
        return dial_unix(self.node, str(self._forward(socket_path, timeout_s)), timeout_s)

    def half_close(self, stream: Stream) -> None:
        cast(socket.socket, stream).shutdown(socket.SHUT_WR)

    def is_lost(self) -> bool:
        try:
            self._master.wait(timeout=1)  # it may be about to end: its clients learn first
        except subprocess.TimeoutExpired:
            return False
        return True

    def addresses(self) -> tuple[str | None, str | None]:
        return None, None  # a jump host may stand between

    def cut(self) -> None:
        self._master.kill()

    def close(self) -> None:
        while self._residents:
            self._residents.pop().close()
        self._master.terminate()
        try:
            self._master.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._master.kill()
            self._master.wait()
        shutil.rmtree(self._directory, ignore_errors=True)
        self._keeper.communicate()

    def _forward(self, socket_path: str, timeout_s: float) -> Path:
        with self._lock:
            if socket_path not in self._forwards:
                local = self._directory / f"{next(self._numbers)}"
                self._ask_master("forward", f"-L{local}:{socket_path}", timeout_s)
                self._forwards[socket_path] = local
            return self._forwards[socket_path]

    def _ask_master(self, what: str, argument: str, timeout_s: float) -> None:
        command = self._through_master("-O", what, argument, self.node)
        try:
            done = subprocess.run(command, capture_output=True, timeout=timeout_s, check=False)
        except subprocess.TimeoutExpired as error:
            raise LinkError(self.node, f"ssh did not {what} within {timeout_s:g} s") from error
        if done.returncode != 0:
            text = done.stderr.decode(errors="replace").strip()
            if self.is_lost():
                raise LinkDropped(self.node, f"the ssh connection is lost ({text})")
            raise LinkError(self.node, f"ssh cannot {what} {argument.partition(':')[2]} ({text})")

    def _through_master(self, *arguments: str) -> list[str]:
        return ["ssh", f"-oControlPath={self._directory}/m", *_CLIENT_OPTIONS, *arguments]


def connect(node: str, timeout_s: float) -> OpenSshLink:
    """Start the master and wait until it is logged in. Raises LinkError."""
    # Short, because a unix socket's path has at most 107 bytes and ssh appends 17 of its own while it binds.
    try:
        directory = Path(tempfile.gettempdir(), f"dgrid-{os.urandom(4).hex()}")
        keeper = _make_kept(directory)
    except OSError as error:
        raise LinkError(node, f"there is no room on this machine for ssh's sockets ({error.strerror})") from error
    try:
        master = _start_master(node, directory, timeout_s)
    except FileNotFoundError as error:
        shutil.rmtree(directory, ignore_errors=True)  # where there is no ssh, the keeper may not find its rm either
        keeper.communicate()
        raise LinkError(node, "the ssh client is not installed on this machine") from error
    link = OpenSshLink(node, directory, master, keeper)
    try:
        if not _is_up(LocalResident(master), timeout_s + 5):
            raise _why(node, (directory / "errors").read_text(errors="replace").strip())
    except TimeoutError as error:
        link.close()
        raise LinkError(node, f"ssh did not log in within {timeout_s:g} s") from error
    except LinkError:
        link.close()
        raise
    return link


def _start_master(node: str, directory: Path, timeout_s: float) -> subprocess.Popen[bytes]:
    timeout = f"-oConnectTimeout={max(1, int(timeout_s))}"
    command = ["ssh", f"-oControlPath={directory}/m", *_MASTER_OPTIONS, timeout, "-T", node, "echo up; exec cat"]
    with (directory / "errors").open("wb") as stderr:
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, start_new_session=True
        )


def _make_kept(directory: Path) -> subprocess.Popen[bytes]:
    """Make the directory; a process that removes it when this one has gone, however early: leashes are not there yet.

    It is there first, as this one may be killed between any two steps. Raises OSError.
    """
    # Again where the first try does not do: ssh may just be making a socket in it.
    script = """trap '' HUP INT QUIT TERM; read -r _
        for try in 1 2 3 4 5 6 7 8 9 10; do rm -rf "$0" && exit; sleep 0.5; done"""
    keeper = subprocess.Popen(
        ["/bin/sh", "-c", script, str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        directory.mkdir(mode=0o700)
    except OSError:
        keeper.kill()  # what has this name is not ours
        keeper.communicate()
        raise
    return keeper


def _is_up(master: LocalResident, timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    # Start-up files of the login shell may have something to say before.
    while line := master.read_line(deadline - time.monotonic()):
        if line == "up":
            return True
    return False


def _why(node: str, text: str) -> LinkError:
    """OpenSSH's own words, sorted into our kinds of errors."""
    last = text.splitlines()[-1] if text else "no message"
    if "REMOTE HOST IDENTIFICATION HAS CHANGED" in text or "marked as revoked" in text:
        return HostKeyError(
            node,
            "its ssh host key is not the one known, or is revoked (it may have been reinstalled, or somebody listens "
            f"in); ask your administrator, and see `ssh {node} true`",
        )
    if "Host key verification failed" in text:
        return HostKeyError(
            node,
            f"its ssh host key is not accepted ({last}); if you trust this network: "
            f"ssh-keyscan {node} >> ~/.ssh/known_hosts",
        )
    if "Permission denied" in text:
        return LoginError(
            node, f"ssh cannot log in without a question ({last}); see `ssh -o BatchMode=yes {node} true`"
        )
    if "Connection reset" in text or "Connection closed" in text or "kex_exchange" in text:
        return LinkDropped(node, f"ssh ended while connecting ({last})")
    return LinkError(node, f"ssh cannot connect ({last})")
