"""Who may reach what."""

from collections.abc import Iterator
from typing import Final

from policies.rule import Resource, Rule, StackRule, at, differs, of_kind, several

_INGRESS: Final = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
_EGRESS: Final = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
_GROUP: Final = "aws:ec2/securityGroup:SecurityGroup"
_SERVICE: Final = "docker:index/service:Service"
_ANYWHERE: Final = ("0.0.0.0/0", "::/0")
_SSH: Final = 22
_PUBLIC_PORTS: Final = (80, 443)
_PUBLIC_GROUP: Final = "load-balancer"
_PUBLISHING: Final = {"proxy"}
_MODERN_TLS: Final = "ELBSecurityPolicy-TLS13-"


def _check_world(rule: Resource) -> Iterator[str]:
    anywhere = at(rule.props, "cidrIpv4") in _ANYWHERE or at(rule.props, "cidrIpv6") in _ANYWHERE
    if anywhere and differs(at(rule.props, "fromPort"), *_PUBLIC_PORTS):
        yield f"port {at(rule.props, 'fromPort')} is open to the world"


def _check_world_group(resources: list[Resource]) -> Iterator[tuple[str, Resource | None]]:
    for rule in of_kind(resources, _INGRESS):
        groups = rule.uses.get("securityGroupId", frozenset())
        if at(rule.props, "cidrIpv4") in _ANYWHERE and groups - {_PUBLIC_GROUP}:
            yield f"{', '.join(sorted(groups))} is open to the world; only {_PUBLIC_GROUP} may be", rule


def _check_ssh(rule: Resource) -> Iterator[str]:
    first, last = at(rule.props, "fromPort"), at(rule.props, "toPort")
    if isinstance(first, int | float) and isinstance(last, int | float) and first <= _SSH <= last:
        yield f"ports {first:.0f} to {last:.0f} let SSH in"


def _check_description(rule: Resource) -> Iterator[str]:
    if not at(rule.props, "description"):
        yield "has no description"


def _check_default_group(group: Resource) -> Iterator[str]:
    if several(at(group.props, "ingress")) or several(at(group.props, "egress")):
        yield "lets traffic through"


def _check_subnet(subnet: Resource) -> Iterator[str]:
    if at(subnet.props, "mapPublicIpOnLaunch") is True:
        yield "gives public addresses to whatever starts in it"


def _check_listener(listener: Resource) -> Iterator[str]:
    protocol, actions = at(listener.props, "protocol"), several(at(listener.props, "defaultActions"))
    if protocol == "HTTPS":
        policy = at(listener.props, "sslPolicy")
        if policy is None or (isinstance(policy, str) and not policy.startswith(_MODERN_TLS)):
            yield f"its TLS policy is {policy}"
    elif any(differs(at(action, "type"), "redirect") for action in actions):
        yield f"serves over {protocol}, where it may only redirect to HTTPS"


def _check_balancer(balancer: Resource) -> Iterator[str]:
    if differs(at(balancer.props, "dropInvalidHeaderFields"), True):
        yield "passes invalid headers on"
    if differs(at(balancer.props, "accessLogs.enabled"), True):
        yield "keeps no access logs"


def _check_flow_logs(resources: list[Resource]) -> Iterator[tuple[str, Resource | None]]:
    logged = {name for one in of_kind(resources, "aws:ec2/flowLog:FlowLog") for name in one.uses.get("vpcId", ())}
    for vpc in of_kind(resources, "aws:ec2/vpc:Vpc"):
        if vpc.name not in logged:
            yield "its flows are not logged", vpc


def _check_orphans(resources: list[Resource]) -> Iterator[tuple[str, Resource | None]]:
    used = {
        name
        for one in resources
        if one.kind not in {_INGRESS, _EGRESS}
        for names in one.uses.values()
        for name in names
    }
    for group in of_kind(resources, _GROUP):
        if group.name not in used:
            yield "nothing is in this security group", group


def _check_overlay(network: Resource) -> Iterator[str]:
    overlay = at(network.props, "driver") == "overlay" and network.environment != "dev"
    if overlay and differs(at(network.props, "options.encrypted"), "true", ""):
        yield "what goes from node to node on it is not encrypted"


def _check_database_network(resources: list[Resource]) -> Iterator[tuple[str, Resource | None]]:
    for service in of_kind(resources, _SERVICE):
        if service.name == "database" and "edge" in service.uses.get("taskSpec", ()):
            yield "the database is on the network that faces the outside", service


def _check_ports(service: Resource) -> Iterator[str]:
    ports = [at(port, "publishedPort") for port in several(at(service.props, "endpointSpec.ports"))]
    if ports and service.name not in _PUBLISHING:
        yield f"publishes {', '.join(map(str, ports))}; only the proxy may publish a port"


RULES: Final[tuple[Rule | StackRule, ...]] = (
    Rule(
        "world-reaches-web-ports-alone",
        "Nothing but ports 443 and 80 is open to the world",
        "What is open to the world is attacked by the world within minutes",
        "let another security group be the source, or reach the node through Session Manager",
        "critical",
        (_INGRESS,),
        _check_world,
    ),
    StackRule(
        "world-reaches-load-balancer-alone",
        "Only the load balancer's security group is open to the world",
        "Nodes and database stand behind it, with no way round it",
        f"put the rule on the group {_PUBLIC_GROUP}",
        "critical",
        _check_world_group,
    ),
    Rule(
        "no-ssh",
        "Port 22 is open to nobody",
        "Nodes are reached through Session Manager, which knows who came and what was done",
        "remove the rule",
        "critical",
        (_INGRESS,),
        _check_ssh,
    ),
    Rule(
        "rules-have-descriptions",
        "Every security group rule says what it is for",
        "A rule that nobody can explain is never removed",
        "give it a description",
        "low",
        (_INGRESS, _EGRESS),
        _check_description,
    ),
    Rule(
        "default-group-closed",
        "The VPC's default security group lets nothing through",
        "Whatever is started without a group is in this one",
        "leave ingress and egress empty",
        "high",
        ("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",),
        _check_default_group,
    ),
    Rule(
        "no-public-addresses",
        "Subnets give out no public addresses",
        "A node with a public address is one mistake away from being reachable",
        "leave mapPublicIpOnLaunch out",
        "high",
        ("aws:ec2/subnet:Subnet",),
        _check_subnet,
    ),
    Rule(
        "modern-tls-alone",
        "Listeners speak TLS 1.2 or newer, or redirect to it",
        "What goes over older TLS, or none, can be read on the way",
        f"use HTTPS with a policy {_MODERN_TLS}*, or a redirect",
        "critical",
        ("aws:lb/listener:Listener",),
        _check_listener,
    ),
    Rule(
        "load-balancer-hardened",
        "The load balancer drops invalid headers and keeps access logs",
        "Invalid headers are how requests are smuggled; logs are how it is found out",
        "set dropInvalidHeaderFields and accessLogs.enabled",
        "medium",
        ("aws:lb/loadBalancer:LoadBalancer",),
        _check_balancer,
    ),
    StackRule(
        "flows-logged",
        "The flows of every VPC are logged",
        "Without them nobody can say afterwards who talked to whom",
        "add a flow log of the VPC",
        "medium",
        _check_flow_logs,
    ),
    StackRule(
        "no-orphan-security-group",
        "Every security group has a member",
        "A group that nothing is in is forgotten with its rules open",
        "remove it, or give it to what it was made for",
        "low",
        _check_orphans,
    ),
    Rule(
        "overlays-encrypted",
        "Overlay networks are encrypted outside dev",
        "Between zones, what goes from node to node leaves the building",
        "leave beamops:network.encrypted_overlays at true",
        "high",
        ("docker:index/network:Network",),
        _check_overlay,
    ),
    StackRule(
        "database-not-on-edge",
        "The database is not on the network that faces the outside",
        "Only coordinators may reach it",
        "take the network edge off the service",
        "critical",
        _check_database_network,
    ),
    Rule(
        "planned-ports-alone",
        "Only the proxy publishes a port",
        "What publishes a port is reached past the proxy's limits and logs",
        "remove the port, and reach the service over an overlay network",
        "high",
        (_SERVICE,),
        _check_ports,
        advisory_in_dev=True,
    ),
)
