"""``dgrid validate`` and ``dgrid schema``, as a user calls them."""

import json
import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

MAIL_RELAYS = Path(__file__).parents[1] / "data" / "mail-relays.json"
GOOD = '{"containers": [{"name": "head", "image": "${IMAGE}", "interactive": true}]}'
BAD = '{"containers": [{"name": "head", "image": "A", "interactive": true, "environment_variables": ["hunter2"]}]}'


@pytest.fixture
def directory(tmp_path):
    """A directory with a good and a bad definition."""
    (tmp_path / "good.json").write_text(GOOD)
    (tmp_path / "bad.json").write_text(BAD)
    return tmp_path


def dgrid(*arguments, cwd, stdin=b"", **environment) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "dgrid", *arguments],
        cwd=cwd, input=stdin, capture_output=True, check=False, timeout=60,
        env={"PATH": os.environ["PATH"], "IMAGE": "a", "PYTHONUTF8": "1"} | environment,
    )  # fmt: skip
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def test_a_good_file(directory):
    """A good file is one line on stdout, and exit code 0; the first dgrid's own is good unchanged."""
    done = dgrid("validate", str(MAIL_RELAYS), "good.json", cwd=directory)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f'{MAIL_RELAYS}: ok (3 containers, head "head")',
        'good.json: ok (1 container, head "head")',
    ]


def test_a_job_without_a_users_variables(directory):
    """Where the batch system sets no USER, LOGNAME and HOME, they are the account's; what is set wins."""
    account = pwd.getpwuid(os.getuid())
    (directory / "own.json").write_text(GOOD.replace("${IMAGE}", "a/${USER}/${LOGNAME}${HOME}"))
    assert dgrid("validate", "own.json", cwd=directory).returncode == 0
    planned = dgrid("plan", "--local", "1", "--dockdef=own.json", "--json", cwd=directory, USER="somebody")
    image = json.loads(planned.stdout)["instances"][0]["body"]["Image"]
    assert image == f"a/somebody/{account.pw_name}{account.pw_dir}"


def test_all_files_are_checked(directory):
    """A bad file does not keep the others from being checked; its problems go to stderr, and the exit code is 2."""
    done = dgrid("validate", "bad.json", "good.json", "godo.json", cwd=directory)
    assert done.returncode == 2
    assert done.stdout == 'good.json: ok (1 container, head "head")\n'
    assert done.stderr.splitlines() == [
        'bad.json:1:43: containers[0].image: "A" has capital letters — names of images have small letters only',
        'bad.json:1:95: containers[0].environment_variables[0]: there is no "=" in it — write "NAME=value",'
        ' or "NAME=${NAME}" to hand on a variable of dgrid\'s own',
        'godo.json: there is no such file — did you mean "good.json"?',
    ]


def test_as_data(directory):
    """--json gives the same as data, on stdout, and the same exit code."""
    done = dgrid("validate", "--json", "good.json", "bad.json", cwd=directory)
    assert (done.returncode, done.stderr) == (2, "")
    good, bad = json.loads(done.stdout)
    assert good == {"file": "good.json", "ok": True, "head": "head", "containers": ["head"], "problems": []}
    assert (bad["file"], bad["ok"], bad["head"], bad["containers"]) == ("bad.json", False, None, None)
    assert bad["problems"][0] == {
        "file": "bad.json",
        "line": 1,
        "column": 43,
        "path": "containers[0].image",
        "what": '"A" has capital letters',
        "remedy": "names of images have small letters only",
    }
    assert "hunter" not in done.stdout


def test_stdin(directory):
    """The file "-" is stdin."""
    done = dgrid("validate", "-", cwd=directory, stdin=GOOD.encode())
    assert (done.returncode, done.stdout) == (0, 'stdin: ok (1 container, head "head")\n')
    done = dgrid("validate", "-", cwd=directory)
    assert done.stderr == 'stdin: the file is empty — a definition is an object: {"containers": [...]}\n'


def test_what_cannot_be_read(directory):
    """A file that cannot be read is told with its reason: missing, a directory, a circle of links, no end."""
    (directory / "circle").symlink_to("circle")
    (directory / "dangling").symlink_to("nowhere")
    files = ["sub/x.json", "dangling", ".", "good.json/x", "circle", "x" * 300, "/dev/zero", "", "a\x1b[1m\u202e"]
    done = dgrid("validate", *files, cwd=directory)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        'sub/x.json: there is no such file — there is no directory "sub" that you can read either',
        "dangling: there is no such file — it is a symbolic link to something that is not there",
        ".: this is a directory — name the JSON file in it",
        "good.json/x: a part of the path is no directory",
        "circle: the path is a circle of symbolic links",
        f"{'x' * 300}: the path is too long",
        "/dev/zero: the file is larger than 1024 KiB — is it the right file?",
        '"": the name of the file is empty — is a variable on the command line not set?',
        "a\\u001b[1m\\u202e: there is no such file",
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="setpriv is a Linux program")
def test_a_file_without_permission(directory):
    """A file that the user may not read is told so."""
    secret = directory / "secret.json"
    secret.write_text(GOOD)
    secret.chmod(0)
    if os.getuid() == 0:
        # root reads everything; without its capabilities it cannot open a file of mode 0
        command = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", sys.executable, "-m", "dgrid"]
    else:
        command = [sys.executable, "-m", "dgrid"]
    done = subprocess.run([*command, "validate", "secret.json"], cwd=directory, capture_output=True, check=False)
    assert done.returncode == 2
    assert done.stderr.decode() == (
        "secret.json: you may not read the file — see its permissions and its directories' with: namei -l FILE\n"
    )


def test_a_locale_without_utf8(directory):
    """In a locale that has no dash as ours, and for a file name it cannot show, nothing breaks."""
    (directory / "böse.json").write_text(GOOD)
    done = dgrid(
        "validate", "böse.json", "bad.json", cwd=directory, PYTHONUTF8="0", LC_ALL="C", PYTHONCOERCECLOCALE="0"
    )
    assert done.returncode == 2
    assert "ok (1 container" in done.stdout
    assert "Traceback" not in done.stderr


def test_no_file(directory):
    """Without a file the usage is shown."""
    done = dgrid("validate", cwd=directory)
    assert done.returncode == 2
    assert "Missing argument 'FILE...'" in done.stderr


def test_the_schema_is_printed(directory):
    """dgrid schema prints the schema, ready to be kept in a file."""
    done = dgrid("schema", cwd=directory)
    assert done.returncode == 0
    assert json.loads(done.stdout)["title"] == "dgrid docker definition"
