"""The hostfile: who stands in it, and how."""

from made import define, nodes, planned, worker

from dgrid.plan.definition import HostfileFormat, Mount
from dgrid.plan.hostfile import hostfile_path, hostfile_text

PAIRS = [
    (worker("w", scale=2, tags=("workers", "all"), listed=True), "n1"),
    (worker("w", scale=2, tags=("workers", "all"), listed=True), "n2"),
    (worker("quiet"), "n2"),
    (worker("db", tags=("all",), listed=True), "n1"),
]


def test_json_has_each_tag_with_its_hosts_in_instance_order():
    """A container may have several tags; one without host_to_list is not in it."""
    assert hostfile_text(HostfileFormat.JSON, PAIRS) == b'{"workers": ["n1", "n2"], "all": ["n1", "n2", "n1"]}\n'


def test_list_has_one_host_a_line():
    """As often as instances are there."""
    assert hostfile_text(HostfileFormat.LIST, PAIRS) == b"n1\nn2\nn1\n"


def test_mpi_counts_the_instances_of_a_host():
    """As Open MPI reads it."""
    assert hostfile_text(HostfileFormat.MPI, PAIRS) == b"n1 slots=2\nn2 slots=1\n"


def test_nobody_listed():
    """An empty object, an empty file."""
    assert hostfile_text(HostfileFormat.JSON, [(worker("w"), "n1")]) == b"{}\n"
    assert hostfile_text(HostfileFormat.LIST, []) == b""


def test_where_it_is():
    """Old files say host_list_location "/"."""
    assert hostfile_path(worker(), HostfileFormat.JSON) == "/dgrid/hostfile.json"
    assert hostfile_path(worker(hostfile_dir="/"), HostfileFormat.JSON) == "/hostfile.json"
    assert hostfile_path(worker(hostfile_dir="/etc/x/"), HostfileFormat.MPI) == "/etc/x/hostfile"


def files(container, **keys):
    made = planned(define(container, ssh_port=None, **keys), nodes(2, 2)).instances[1].request
    return [(file.path, file.content, file.mode) for file in made.files]


def test_home_and_hostfile_are_put_into_every_container():
    """The home directory is the user's alone, the hostfile for everybody to read."""
    listed = worker("w", listed=True, tags=("t",))
    assert files(listed) == [("/home/alice", None, 0o700), ("/dgrid/hostfile.json", b'{"t": ["node2"]}\n', 0o644)]


def test_a_mounted_home_is_left_alone():
    """Whether it is mounted itself or lies in what is mounted; a mount inside of it, or beside it, does not count."""
    assert [path for path, _, _ in files(worker(mounts=(Mount("/home", "/home/"),)))] == ["/dgrid/hostfile.json"]
    assert len(files(worker(mounts=(Mount("/data", "/home/alice/data"), Mount("/b", "/home/ali"))))) == 2
