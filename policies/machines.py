"""How nodes are started, and how many there may be."""

from collections.abc import Iterator
from typing import Final

from policies.rule import Resource, Rule, at, differs, several

_TEMPLATE: Final = "aws:ec2/launchTemplate:LaunchTemplate"
_FLEET: Final = "aws:autoscaling/group:Group"
_MOST: Final = 100
_PROD_MANAGERS: Final = 3


def _check_metadata(template: Resource) -> Iterator[str]:
    if differs(at(template.props, "metadataOptions.httpTokens"), "required"):
        yield "instance metadata is given without a token (IMDSv1)"
    if differs(at(template.props, "metadataOptions.httpPutResponseHopLimit"), 1):
        yield "instance metadata reaches containers: the hop limit is not 1"


def _check_disks(template: Resource) -> Iterator[str]:
    disks = several(at(template.props, "blockDeviceMappings"))
    if not disks:
        yield "names no disk, and so takes the image's, which need not be encrypted"
    for disk in disks:
        if differs(at(disk, "ebs.encrypted"), "true", True):
            yield f"disk {at(disk, 'deviceName')} is not encrypted"


def _check_address(template: Resource) -> Iterator[str]:
    for interface in several(at(template.props, "networkInterfaces")):
        if differs(at(interface, "associatePublicIpAddress"), "false", False):
            yield "starts with a public address"


def _check_key(template: Resource) -> Iterator[str]:
    if at(template.props, "keyName"):
        yield f"lets the SSH key {at(template.props, 'keyName')} in"


def _check_limits(fleet: Resource) -> Iterator[str]:
    least, most = at(fleet.props, "minSize"), at(fleet.props, "maxSize")
    if isinstance(least, int | float) and isinstance(most, int | float):
        if least > most:
            yield f"at least {least:.0f} is above at most {most:.0f}"
        if most > _MOST:
            yield f"may grow to {most:.0f} nodes; {_MOST} is the most"


def _check_managers(fleet: Resource) -> Iterator[str]:
    count = at(fleet.props, "desiredCapacity")
    if fleet.name != "managers" or not isinstance(count, int | float):
        return
    if count % 2 == 0:
        yield f"{count:.0f} managers are an even number"
    if fleet.environment == "prod" and count < _PROD_MANAGERS:
        yield f"{count:.0f} managers; prod needs {_PROD_MANAGERS}"


RULES: Final = (
    Rule(
        "imdsv2",
        "Instance metadata is given for a token alone, and one hop far",
        "A request that an attacker makes a service send would else read the node's credentials",
        "httpTokens required, httpPutResponseHopLimit 1",
        "critical",
        (_TEMPLATE,),
        _check_metadata,
    ),
    Rule(
        "node-disks-encrypted",
        "Disks of nodes are encrypted",
        "Disks, and copies of them, outlive the machine",
        "set ebs.encrypted for every disk",
        "high",
        (_TEMPLATE,),
        _check_disks,
    ),
    Rule(
        "nodes-without-public-address",
        "Nodes have no public address",
        "They are reached by the load balancer and Session Manager, and by nobody else",
        "associatePublicIpAddress false",
        "critical",
        (_TEMPLATE,),
        _check_address,
    ),
    Rule(
        "nodes-without-ssh-key",
        "Nodes let no SSH key in",
        "A key is shared, copied and never taken back",
        "leave keyName out",
        "high",
        (_TEMPLATE,),
        _check_key,
    ),
    Rule(
        "scaling-limits-sane",
        f"A group has a least and a most that make sense, {_MOST} at the most",
        "A metric that goes wrong must not buy a thousand machines",
        "set beamops:autoscaling.minimum and maximum",
        "medium",
        (_FLEET,),
        _check_limits,
    ),
    Rule(
        "odd-managers",
        f"Managers are an odd number, and {_PROD_MANAGERS} at least in prod",
        "An even number survives no more losses than one less",
        "set beamops:production.managers",
        "high",
        (_FLEET,),
        _check_managers,
    ),
)
