"""The network: which kind, and how instances find each other in it."""

import pytest
from made import define, nodes, planned, worker

from dgrid.errors import PlanError
from dgrid.plan.allocation import this_machine
from dgrid.plan.definition import NetworkMode
from dgrid.plan.facts import EngineKind, NodeFacts
from dgrid.plan.request import NetworkRequest

PAIR = define(worker("w", scale=2))
SWARM = frozenset({"m1"})


def refusal(definition, allocation, facts=None):
    with pytest.raises(PlanError) as caught:
        planned(definition, allocation, facts)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_one_node_has_a_private_bridge_of_the_run():
    """With names as aliases; the run's network carries all labels, too."""
    made = planned(PAIR, nodes(4))
    assert made.network_mode is NetworkMode.BRIDGE
    assert made.networks == (
        NetworkRequest(
            "node1",
            "dgrid-s1",
            "bridge",
            (
                ("io.dgrid.session", "s1"),
                ("io.dgrid.job", "12.server"),
                ("io.dgrid.user", "alice"),
                ("io.dgrid.container", ""),
                ("io.dgrid.index", ""),
                ("io.dgrid.node", "node1"),
                ("io.dgrid.nodes", ""),
                ("io.dgrid.role", ""),
            ),
        ),
    )
    second = made.instances[2]
    assert (second.host, second.request.hostname, second.request.network) == ("w-2", "w-2", "dgrid-s1")
    assert (second.request.aliases, second.request.extra_hosts) == (("w-2", "w"), ())
    assert made.head.request.aliases == ("head",)


def test_it_is_the_nodes_in_use_that_count():
    """A run that needs one node of four has a bridge; posing nodes are one machine."""
    assert planned(define(), nodes(1, 1, 1, 1)).network_mode is NetworkMode.BRIDGE
    assert planned(PAIR, this_machine("me", 3)).network_mode is NetworkMode.BRIDGE


def test_several_nodes_use_their_own_network():
    """Hosts are the nodes; the names of nodes, instances and containers are given in the hosts file."""
    known = {f"node{n}": NodeFacts(address=f"10.0.0.{n}") for n in (1, 2, 3)}
    made = planned(PAIR, nodes(1, 1, 1), known)
    assert (made.network_mode, made.networks) == (NetworkMode.HOST, ())
    assert [one.host for one in made.instances] == ["node1", "node2", "node3"]
    request = made.instances[1].request
    assert (request.network, request.hostname, request.aliases) == ("host", None, ())
    assert request.extra_hosts == (
        ("node1", "10.0.0.1"),
        ("node2", "10.0.0.2"),
        ("node3", "10.0.0.3"),
        ("head", "10.0.0.1"),
        ("w-1", "10.0.0.2"),
        ("w", "10.0.0.2"),
        ("w-2", "10.0.0.3"),
        ("w", "10.0.0.3"),
    )


def test_in_a_dry_run_addresses_are_left_open():
    """A node nobody asked is shown by its name in braces."""
    assert ("w-1", "{node2}") in planned(PAIR, nodes(1, 1, 1)).head.request.extra_hosts


def test_a_node_without_an_address_is_an_error():
    """No container may be sent a name without an address."""
    text = refusal(PAIR, nodes(1, 1, 1), {f"node{n}": NodeFacts() for n in (1, 2, 3)})
    assert text.startswith("node[1-3]: the address by which other nodes reach it is not known — ask")


def test_nodes_of_one_swarm_have_an_overlay_made_by_a_manager():
    """The first manager among the nodes of the run makes it."""
    known = {f"node{n}": NodeFacts(swarm_managers=SWARM, is_manager=n > 1) for n in (1, 2, 3)}
    made = planned(PAIR, nodes(1, 1, 1), known)
    assert made.network_mode is NetworkMode.OVERLAY
    assert [(network.node, network.driver) for network in made.networks] == [("node2", "overlay")]
    assert made.instances[1].host == "w-1"


@pytest.mark.parametrize(
    "odd",
    [
        NodeFacts(address="10.0.0.3"),
        NodeFacts(swarm_managers=frozenset({"m2"}), address="10.0.0.3"),
    ],
)
def test_nodes_that_share_no_swarm_use_their_own_network(odd):
    """One node outside, or in another swarm, is enough."""
    inside = NodeFacts(swarm_managers=SWARM, is_manager=True, address="10.0.0.1")
    made = planned(PAIR, nodes(1, 1, 1), {"node1": inside, "node2": inside, "node3": odd})
    assert made.network_mode is NetworkMode.HOST


def test_a_bridge_over_several_nodes_is_refused():
    """It names the nodes and the modes that would do."""
    assert refusal(define(worker(), network=NetworkMode.BRIDGE), nodes(1, 1)) == (
        '"network": "bridge" reaches over one node only, but the containers go to node[1-2] — '
        'use "auto", "host" or "overlay"'
    )


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (NodeFacts(), 'node[1-2] is in no Docker swarm — let an administrator join all nodes ("docker swarm init"'),
        (
            NodeFacts(EngineKind.PODMAN),
            'Podman, which node[1-2] has, knows no overlay networks — use "network": "host"',
        ),
        (NodeFacts(swarm_managers=SWARM), "no manager of a swarm shared by all of node[1-2] is among them — let"),
    ],
)
def test_an_overlay_without_a_swarm_is_refused_with_its_remedy(facts, words):
    """What is missing, and who can give it."""
    made = define(worker(), network=NetworkMode.OVERLAY)
    assert words in refusal(made, nodes(1, 1), {"node1": facts, "node2": facts})


def test_an_overlay_asked_for_is_planned_before_the_nodes_are_asked():
    """A run plans once without facts; what it does not know yet is no reason to refuse."""
    made = planned(define(worker(), network=NetworkMode.OVERLAY), nodes(1, 1))
    assert [(network.node, network.driver) for network in made.networks] == [("node1", "overlay")]


def test_two_instances_cannot_take_one_port_of_a_node():
    """Only in the nodes' own network; each pair that meets is named."""
    made = define(worker("a", ports=(80, 8080)), worker("b", ports=(80,)), network=NetworkMode.HOST)
    assert refusal(made, nodes(3)).startswith("node1: a and b would both listen on port 80 of the node — give")
    assert planned(made, nodes(1, 1, 1)).network_mode is NetworkMode.HOST
    assert planned(define(*made.workers), nodes(3)).network_mode is NetworkMode.BRIDGE


def test_ports_clash_across_posing_nodes_too():
    """local1 and local2 are one machine."""
    made = define(worker("w", scale=2, ports=(80,)), network=NetworkMode.HOST)
    assert "w-1 and w-2 would both listen on port 80" in refusal(made, this_machine("me", 3))


def test_a_container_named_like_a_node_is_refused_in_the_nodes_own_network():
    """The node's name in the hostfile would mean the container's node."""
    made = define(worker("node1"), network=NetworkMode.HOST)
    assert refusal(made, nodes(1, 1)) == 'container "node1" has the name of a node — choose another name for it'


def test_host_mode_on_one_machine_needs_no_address():
    """The machine reaches itself."""
    made = planned(define(worker("w"), network=NetworkMode.HOST), nodes(2), {"node1": NodeFacts()})
    assert made.head.request.extra_hosts == (("node1", "127.0.0.1"), ("head", "127.0.0.1"), ("w", "127.0.0.1"))
