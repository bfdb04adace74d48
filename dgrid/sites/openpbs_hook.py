"""OpenPBS and PBS Pro: a hook for execjob_end, which root's pbs_mom runs on each node of a job when it has ended.

Its configuration (JSON, ``import hook dgrid application/x-config default FILE``) may have "dgrid", the program's path,
and "offline": true, to take a node offline where something is left. Instructions: docs/epilogues.md.

PBS runs it in a Python of its own, which may be as old as 3.6.
"""

import json
import subprocess
from typing import Any

import pbs  # type: ignore[import-not-found]  # there in PBS's own Python only

# The hook's own alarm is 30 s, if not set otherwise; dgrid gives up after 22 s by itself.
PATIENCE_S = 26
QUIET = "nothing to remove"


def read_settings() -> Any:
    """The configuration of the hook, if it has one."""
    settings = {"dgrid": "/usr/local/bin/dgrid", "offline": False}
    if pbs.hook_config_filename:
        with open(pbs.hook_config_filename) as file:  # noqa: PTH123  # for an old Python
            settings.update(json.load(file))
    return settings


def reap(program: str, job: str, user: str) -> Any:
    """Remove what is left of the job on this node; the exit code, and what was said."""
    command = [program, "reap", "--ended", "--job", job, "--user", user]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
        cwd="/",
    )
    try:
        said, _ = process.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return 125, f"dgrid reap did not end within {PATIENCE_S} s"
    return process.returncode, said.decode("utf-8", "replace").strip()


def take_offline(event: Any, why: str) -> None:
    """No further job comes to this node until an administrator has looked at it."""
    vnode = event.vnode_list[pbs.get_local_nodename()]
    vnode.state = pbs.ND_OFFLINE
    vnode.comment = "dgrid: " + why.splitlines()[-1]


def main() -> None:
    """Whatever happens, the event is accepted: the job has ended anyhow."""
    event = pbs.event()
    job = str(event.job.id)
    try:
        settings = read_settings()
        code, said = reap(settings["dgrid"], job, str(event.job.euser))
    except Exception as error:  # noqa: BLE001  # whatever it was, mom's log tells it
        settings, code, said = {}, 125, f"the hook failed: {error}"
    if said != QUIET:
        pbs.logmsg(pbs.LOG_ERROR if code else pbs.LOG_DEBUG, f"dgrid: job {job}: {said}")
    if code and settings.get("offline"):
        take_offline(event, said)
    event.accept()


main()
