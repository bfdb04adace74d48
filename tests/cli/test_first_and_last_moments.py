"""The program itself: ctrl-C while it is still being loaded, HUP under nohup, and output that nobody can take."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dgrid.nodes.signals import StopSignals

INTERRUPTED = """
import os, signal, sys
class Interrupting:
    def find_spec(self, name, path, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
sys.argv = ["dgrid", *{arguments!r}]
from dgrid.cli.program import entry
entry()
"""


@pytest.mark.parametrize(
    ("module", "arguments"),
    [("dgrid.cli.main", ["--version"]), ("jsonschema", ["run", "--local", "2", "--dockdef", "job.json"])],
)
def test_interrupted_before_there_is_anything_it_ends_without_a_word(tmp_path, module, arguments):
    (tmp_path / "job.json").write_text(
        '{"containers": [{"name": "head", "interactive": true, "image": "none", "run_cmd": "true"}]}'
    )
    script = INTERRUPTED.format(module=module, arguments=arguments)
    env = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert (done.returncode, done.stderr, done.stdout) == (-signal.SIGINT, "", "")


@pytest.mark.parametrize("ignored", [True, False])
def test_hup_has_no_effect_under_nohup(ignored):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)
    try:
        stop = StopSignals()
        with stop.installed():
            os.kill(os.getpid(), signal.SIGHUP)
        assert stop.received == ([] if ignored else [signal.SIGHUP])
    finally:
        signal.signal(signal.SIGHUP, before)


def test_output_that_cannot_be_written_is_told():
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-m", "dgrid", "schema"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (
        125,
        "dgrid: cannot write the output (No space left on device)\n",
    )
