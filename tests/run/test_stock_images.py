"""Images made of Debian's packages, which know nothing of their user, run as the submitter on both engines."""

from __future__ import annotations

import json

import pytest
from jobs import Jobs, head, shell, worker
from stock import Stock

pytestmark = pytest.mark.lab


def owner(jobs: Jobs, path: str) -> str:
    return jobs.lab.text(["stat", "-c", "%U:%G", path])


def test_redis_serves_and_saves(jobs: Jobs, stock: Stock) -> None:
    """A redis-server answers the head, and what it saves to the mounted home belongs to the submitter."""
    image = stock.image(jobs, "redis", nodes=2)
    jobs.lab.run(["mkdir", "-p", "/home/alice/redis"], check=True)
    ended = jobs.run(
        head(*shell("redis-cli -h db set k v; redis-cli -h db get k; redis-cli -h db save"), image=image),
        worker(
            "db", "redis-server", "--protected-mode", "no", image=image, ports=[6379], ready={"tcp": 6379},
            volumes=["/home/alice/redis:/data"], work_dir="/data",
        ),
    )  # fmt: skip
    assert ended.text.split() == ["OK", "v", "OK"], ended.err
    assert owner(jobs, "/home/alice/redis/dump.rdb") == "alice:alice"
    jobs.lab.run(["rm", "-r", "/home/alice/redis"], check=True)


def test_postgres_keeps_its_data_in_the_mounted_home(jobs: Jobs, stock: Stock) -> None:
    """initdb and the server, which look their user up, find the submitter; the data directory is theirs."""
    script = (
        "set -e; PATH=$(echo /usr/lib/postgresql/*/bin):$PATH; initdb -D ~/pg >/dev/null; "
        "pg_ctl -D ~/pg -o '-k /tmp -p 7543' -l ~/pg/log -w start >/dev/null; "
        "psql -h /tmp -p 7543 -Atc 'select current_user, 6 * 7' postgres; pg_ctl -D ~/pg -m fast stop >/dev/null"
    )
    ended = jobs.run(head(*shell(script), image=stock.image(jobs, "postgres"), volumes=["/home/alice:/home/alice"]))
    assert ended.text == "alice|42\n", ended.err
    assert owner(jobs, "/home/alice/pg/PG_VERSION") == "alice:alice"
    jobs.lab.run(["rm", "-r", "/home/alice/pg"], check=True)


def test_python_knows_its_user(jobs: Jobs, stock: Stock) -> None:
    """getpass, pwd and pathlib agree on who and where the user is, without help of the environment."""
    program = (
        "import getpass, json, os, pathlib, pwd\n"
        "for name in ('LOGNAME', 'USER', 'LNAME', 'USERNAME', 'HOME'): os.environ.pop(name, None)\n"
        "(pathlib.Path.home() / 'x').write_text('y')\n"
        "print(json.dumps([getpass.getuser(), pwd.getpwuid(os.getuid()).pw_dir, str(pathlib.Path.home())]))"
    )
    ended = jobs.run(head("python3", "-c", program, image=stock.image(jobs, "python")))
    assert json.loads(ended.text) == ["alice", "/home/alice", "/home/alice"], ended.err


def test_openmpi_starts_ranks(jobs: Jobs, stock: Stock) -> None:
    """mpirun of an image without any settings starts ranks that talk to each other, in one container."""
    program = "from mpi4py import MPI; import getpass; print(MPI.COMM_WORLD.allreduce(1), getpass.getuser())"
    image = stock.image(jobs, "openmpi")
    ended = jobs.run(head("mpirun", "-n", "2", "--oversubscribe", "python3", "-c", program, image=image))
    assert ended.text.split() == ["2", "alice", "2", "alice"], ended.err


def test_worker_that_changes_owners_is_told_why_it_fails(jobs: Jobs) -> None:
    """An image whose start script chowns is told that only root can, and which commands of dgrid go on from there."""
    ended = jobs.run(head("sleep", "3"), worker("w", "chown", "daemon", "/var/lib"))
    assert (
        f"{jobs.lab.nodes[1]}: w ended with exit code 1; it changes the owner of files, which only root can"
        in ended.err
    )
    assert "`dgrid image check debian:trixie-slim`" in ended.err
    assert "`dgrid image build`" in ended.err
    assert ended.code == 0


def test_worker_that_fails_before_it_is_ready_is_told_why(jobs: Jobs) -> None:
    """The message that ends the run has the worker's last line, and what it means."""
    ended = jobs.run(head("true"), worker("w", *shell("mkdir /var/lib/mine"), ready={"tcp": 5000}))
    assert ended.code == 125
    assert (
        "w ended with exit code 1 before it was ready; its last line: "
        "mkdir: cannot create directory '/var/lib/mine': Permission denied; "
        "it wants to use a file or directory that is root's in the image"
    ) in ended.err.replace("‘", "'").replace("’", "'")
