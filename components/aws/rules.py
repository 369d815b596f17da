"""Who may talk to whom on AWS: a table, from which the security groups' rules are made."""

from dataclasses import dataclass
from typing import Final, Literal

ANYWHERE: Final = "0.0.0.0/0"
HTTPS: Final = 443
HTTP: Final = 80
POSTGRESQL: Final = 5432

Group = Literal["load-balancer", "nodes", "database", "endpoints"]
GROUPS: Final[dict[Group, str]] = {
    "load-balancer": "The load balancer: 443 and 80 from anywhere",
    "nodes": "Nodes of the swarm",
    "database": "PostgreSQL: from nodes alone",
    "endpoints": "Interfaces of AWS services: from nodes alone",
}


@dataclass(frozen=True)
class Rule:
    """Traffic from one group to another, or from or to anywhere; `port` is None for a protocol without ports."""

    name: str
    source: Group | None
    target: Group | None
    port: int | None
    description: str
    protocol: str = "tcp"


def make_rules(proxy_port: int) -> tuple[Rule, ...]:
    """Everything that is allowed; a rule between two groups opens the way out of the one and into the other."""
    return (
        Rule("https", None, "load-balancer", HTTPS, "HTTPS from anywhere"),
        Rule("http", None, "load-balancer", HTTP, "HTTP from anywhere: redirected"),
        Rule("proxy", "load-balancer", "nodes", proxy_port, "the load balancer to the proxy"),
        Rule("metrics", "nodes", "nodes", proxy_port, "the leading manager to the proxy: how much work is ready"),
        Rule("swarm-management", "nodes", "nodes", 2377, "swarm: management"),
        Rule("swarm-gossip-tcp", "nodes", "nodes", 7946, "swarm: who is there"),
        Rule("swarm-gossip-udp", "nodes", "nodes", 7946, "swarm: who is there", "udp"),
        Rule("swarm-overlay", "nodes", "nodes", 4789, "swarm: overlay networks (VXLAN)", "udp"),
        Rule("swarm-encrypted", "nodes", "nodes", None, "swarm: encrypted overlay networks (IPsec ESP)", "50"),
        Rule("database", "nodes", "database", POSTGRESQL, "the coordinators to PostgreSQL"),
        Rule("endpoints", "nodes", "endpoints", HTTPS, "nodes to AWS services"),
        Rule("out", "nodes", None, HTTPS, "nodes to AWS services, packages, image registries"),
    )
