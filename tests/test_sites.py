"""The scripts for batch systems, as far as they can be tried without one; tests/run/test_reap.py has the rest."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import dgrid.sites
from dgrid.cli.reap import reap

SITES = Path(dgrid.sites.__file__).parent
DOCS = Path(__file__).parents[1] / "docs"
PATIENCE_OF_PBS_S = 30  # the alarm of a hook, and what an epilogue has, if the site does not set it otherwise


class FakePbs(ModuleType):
    """What the hook uses of the module that PBS gives to hooks, and what it did with it."""

    LOG_ERROR, LOG_DEBUG, ND_OFFLINE = "error", "debug", "offline"

    def __init__(self, config: Path | None, job: str, user: str) -> None:
        super().__init__("pbs")
        self.hook_config_filename = str(config) if config else None
        self.vnode = SimpleNamespace(state="free", comment=None)
        self.logged: list[tuple[str, str]] = []
        self.accepted = False
        self._event = SimpleNamespace(
            job=SimpleNamespace(id=job, euser=user), vnode_list={"node7": self.vnode}, accept=self._accept
        )

    def event(self) -> Any:
        return self._event

    def get_local_nodename(self) -> str:
        return "node7"

    def logmsg(self, kind: str, text: str) -> None:
        self.logged.append((kind, text))

    def _accept(self) -> None:
        self.accepted = True


def run_hook(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: str, offline: bool = True, job: str = "38[2].head"
) -> FakePbs:
    """Runs the hook as PBS does, with a program in dgrid's place that writes its arguments to ``arguments``."""
    fake_dgrid = tmp_path / "dgrid"
    fake_dgrid.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" >{tmp_path}/arguments\nenv >{tmp_path}/env\n{program}\n")
    fake_dgrid.chmod(0o755)
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"dgrid": str(fake_dgrid), "offline": offline}))
    pbs = FakePbs(config, job, "alice")
    monkeypatch.setitem(sys.modules, "pbs", pbs)
    runpy.run_path(str(SITES / "openpbs_hook.py"))
    return pbs


def test_the_hook_reaps_the_job_of_the_event(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Job and user are PBS's own; nothing of mom's environment goes along; what was quiet is not logged."""
    monkeypatch.setenv("PYTHONPATH", "/opt/pbs/python")
    pbs = run_hook(monkeypatch, tmp_path, "echo nothing to remove")
    assert pbs.accepted
    assert (tmp_path / "arguments").read_text().split("\n")[:-1] == [
        "reap", "--ended", "--job", "38[2].head", "--user", "alice",
    ]  # fmt: skip
    assert "PYTHONPATH" not in (tmp_path / "env").read_text()
    assert (pbs.logged, pbs.vnode.state) == ([], "free")


def test_the_hook_logs_what_was_removed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With the job, for who reads mom's log."""
    pbs = run_hook(monkeypatch, tmp_path, "echo removed container w")
    assert pbs.logged == [("debug", "dgrid: job 38[2].head: removed container w")]
    assert (pbs.accepted, pbs.vnode.state) == (True, "free")


@pytest.mark.parametrize(("offline", "state"), [(True, "offline"), (False, "free")])
def test_the_hook_takes_the_node_offline_if_it_is_told_to(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, offline: bool, state: str
) -> None:
    """Where something is left, the site decides what becomes of the node; the event is accepted all the same."""
    pbs = run_hook(monkeypatch, tmp_path, "echo w is left; exit 125", offline)
    assert pbs.accepted
    assert pbs.logged == [("error", "dgrid: job 38[2].head: w is left")]
    assert pbs.vnode.state == state
    assert pbs.vnode.comment == ("dgrid: w is left" if offline else None)


def test_the_hook_survives_a_site_without_dgrid(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A wrong path is told in mom's log, and costs no job."""
    config = tmp_path / "config.json"
    config.write_text('{"dgrid": "/nowhere/dgrid"}')
    pbs = FakePbs(config, "1.head", "alice")
    monkeypatch.setitem(sys.modules, "pbs", pbs)
    runpy.run_path(str(SITES / "openpbs_hook.py"))
    assert pbs.accepted
    assert "No such file" in pbs.logged[0][1]


def test_dgrid_gives_up_before_the_hook_and_the_hook_before_pbs() -> None:
    """Each leaves the one above it time to say why."""
    (within,) = (one.default for one in reap.params if one.name == "within")
    patience = re.search(r"^PATIENCE_S = (\d+)", (SITES / "openpbs_hook.py").read_text(), re.MULTILINE)
    assert patience is not None
    assert within + 3 <= 25 < int(patience[1]) < PATIENCE_OF_PBS_S


@pytest.mark.parametrize("script", ["slurm-epilog", "torque-epilogue", "oar-epilogue", "gridengine-epilog"])
def test_a_script_without_its_arguments_does_nothing(script: str) -> None:
    """Tried by hand, or by a system that does not say which job: no harm, and no failure that drains a node."""
    done = subprocess.run([SITES / script], env={}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("drain", ["no", "yes"])
def test_slurms_epilog_fails_only_where_the_site_wants_nodes_drained(tmp_path: Path, drain: str) -> None:
    """The choice stands in a file of the site's; the script's own text is not to be changed for it."""
    fake_dgrid, settings, script = tmp_path / "dgrid", tmp_path / "epilogue", tmp_path / "slurm-epilog"
    fake_dgrid.write_text("#!/bin/sh\nexit 125\n")
    fake_dgrid.chmod(0o755)
    settings.write_text(f"dgrid={fake_dgrid}\ndrain={drain}\n")
    script.write_text((SITES / "slurm-epilog").read_text().replace("/etc/dgrid/epilogue", str(settings)))
    done = subprocess.run(["sh", script], env={"SLURM_JOB_ID": "7", "SLURM_JOB_USER": "alice"}, check=False)
    assert done.returncode == (125 if drain == "yes" else 0)


def test_the_page_names_every_script() -> None:
    """docs/epilogues.md tells where each of them goes."""
    page = (DOCS / "epilogues.md").read_text()
    missing = [path.name for path in SITES.iterdir() if path.is_file() and path.name != "__init__.py"]
    assert [name for name in missing if f"`{name}`" not in page] == []


def test_reap_starts_fast() -> None:
    """No slow library is loaded for it: an epilogue is part of every job."""
    code = (
        "import sys; from dgrid.cli.main import dgrid as d\n"
        "try: d(['reap', '--job', 'nobody-has-this-job'], standalone_mode=False)\n"
        "except SystemExit: pass\n"
        "print(sorted({'docker', 'paramiko', 'requests', 'tenacity', 'jsonschema', 'ClusterShell'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stdout
