"""known_hosts files as ssh reads them."""

import base64
import subprocess
import time

import pytest

from dgrid.nodes.known_hosts import KnownHosts, TrustedKey, host_name_in_file

TYPE = "ssh-ed25519"


def blob(number):
    return base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + number.to_bytes(32, "big")).decode()


@pytest.fixture
def known(tmp_path):
    """The trusted keys of files with these contents."""

    def read(*contents):
        files = []
        for index, content in enumerate(contents):
            file = tmp_path / f"known_hosts{index}"
            file.write_text(content)
            files.append(str(file))
        return KnownHosts.read((*files, str(tmp_path / "missing")))

    return read


def found(known_hosts, name):
    return [key.key_base64 for key in known_hosts.keys(name)]


def test_plain_names_and_addresses(known):
    """Each name of a line, in any case, and nothing else."""
    hosts = known(f"Node1,node1.example.org,10.0.0.1 {TYPE} {blob(1)} a comment\n")
    assert found(hosts, "node1") == found(hosts, "node1.example.org") == found(hosts, "10.0.0.1") == [blob(1)]
    assert found(hosts, "node") == found(hosts, "node11") == []


def test_all_lines_of_all_files_count(known):
    """A host may have several keys, in the user's and in the site's file."""
    hosts = known(f"node1 {TYPE} {blob(1)}\nnode1 {TYPE} {blob(2)}\n", f"node1 {TYPE} {blob(3)}\n")
    assert found(hosts, "node1") == [blob(1), blob(2), blob(3)]


def test_hashed_names_are_found(tmp_path):
    """What ssh-keygen -H makes of names, of ports and of upper case."""
    file = tmp_path / "known_hosts"
    file.write_text(f"node1,10.0.0.1 {TYPE} {blob(1)}\n[node2]:2222 {TYPE} {blob(2)}\nNODE3 {TYPE} {blob(3)}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", file], check=True)
    assert "node1" not in file.read_text()
    hosts = KnownHosts.read([str(file)])
    assert found(hosts, "node1") == found(hosts, "10.0.0.1") == [blob(1)]
    assert found(hosts, "[node2]:2222") == [blob(2)]
    assert found(hosts, "node2") == []
    assert found(hosts, host_name_in_file("NODE3", 22)) == [blob(3)]


@pytest.mark.parametrize(
    ("names", "name", "matches"),
    [
        ("*", "node1", True),
        ("*", "[node1]:2222", True),
        ("node?", "node1", True),
        ("node?", "node12", False),
        ("NODE*", "node12", True),
        ("*.example.org,!bad.example.org", "good.example.org", True),
        ("*.example.org,!bad.example.org", "bad.example.org", False),
        ("!bad.example.org,*.example.org", "bad.example.org", False),
        ("!node1", "node2", False),
        ("[node*]:2222", "[node1]:2222", True),
        ("[node*]:2222", "[node1]:22", False),
        ("[node*]:2222,![node3]:2222", "[node3]:2222", False),
        ("[node*]:2222,![node3]:2222", "[node4]:2222", True),
        ("[node*]:*", "n", False),
    ],
)
def test_patterns_match_as_in_ssh(known, tmp_path, names, name, matches):
    """Stars, question marks, negation, ports: as ssh-keygen -F finds it, too."""
    hosts = known(f"{names} {TYPE} {blob(1)}\n")
    assert bool(found(hosts, name)) is matches
    line = subprocess.run(["ssh-keygen", "-F", name, "-f", tmp_path / "known_hosts0"], capture_output=True)
    assert bool(line.stdout) is matches


def test_markers_are_kept(known):
    """A revoked key and an authority are told from a host's own key."""
    hosts = known(f"@revoked * {TYPE} {blob(1)}\n@cert-authority *.org {TYPE} {blob(2)}\nn.org {TYPE} {blob(3)}\n")
    assert set(hosts.keys("n.org")) == {
        TrustedKey(TYPE, blob(1), "@revoked"),
        TrustedKey(TYPE, blob(2), "@cert-authority"),
        TrustedKey(TYPE, blob(3)),
    }


@pytest.mark.parametrize(
    "line",
    [
        "",
        "   ",
        "# node1 ssh-ed25519 AAAA",
        "node1",
        "node1 ssh-ed25519",
        "@revoked node1",
        "|1|only-one-part ssh-ed25519 AAAA",
        "|1|***|*** ssh-ed25519 AAAA",
        "|1|a|b|c ssh-ed25519 AAAA",
        "@trusted node1 ssh-ed25519 AAAA",
        "\0\1\2 \ud7ff x y",
    ],
)
def test_garbage_lines_trust_nobody_and_hide_nobody(known, line):
    """ssh skips them; so do the good lines around them stand."""
    hosts = known(f"good {TYPE} {blob(1)}\n{line}\ngood2 {TYPE} {blob(2)}\n")
    assert found(hosts, "node1") == []
    assert found(hosts, "good") == [blob(1)]
    assert found(hosts, "good2") == [blob(2)]


def test_bytes_that_are_no_text_are_passed_over(tmp_path):
    """A comment in Latin-1 makes the file no less readable."""
    file = tmp_path / "known_hosts"
    file.write_bytes(b"node1 ssh-ed25519 AAAA caf\xe9\n")
    assert found(KnownHosts.read([str(file)]), "node1") == ["AAAA"]


@pytest.mark.parametrize("hashed", [False, True], ids=["plain", "hashed"])
def test_3000_lines_and_100_hosts_are_fast(tmp_path, hashed):
    """A large site's file costs a run of 100 nodes less than two seconds of CPU; plain lines cost next to nothing."""
    file = tmp_path / "known_hosts"
    file.write_text("".join(f"node{number} {TYPE} {blob(number)}\n" for number in range(3000)))
    if hashed:
        subprocess.run(["ssh-keygen", "-q", "-H", "-f", file], check=True)
    began = time.process_time()
    hosts = KnownHosts.read([str(file)])
    for number in range(100):
        assert found(hosts, f"node{number}") == [blob(number)]
    assert time.process_time() - began < (2.0 if hashed else 0.2)


@pytest.mark.parametrize(
    ("host", "port", "name"),
    [("node1", 22, "node1"), ("Node1", 2222, "[node1]:2222"), ("::1", 22, "::1"), ("::1", 2200, "[::1]:2200")],
)
def test_the_name_of_a_host_in_the_file(host, port, name):
    """Brackets and port only for another port than 22."""
    assert host_name_in_file(host, port) == name
