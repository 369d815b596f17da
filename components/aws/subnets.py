"""Subnets: a network cut so that no subnet ever changes its number when a zone comes or goes."""

from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Final

_BLOCKS: Final = 16
_ZONES_MAX: Final = _BLOCKS // 2


@dataclass(frozen=True)
class ZoneSubnets:
    """The two subnets of a zone."""

    zone: str
    public: str
    private: str


def cut_network(cidr: str, zones: list[str]) -> list[ZoneSubnets]:
    """Two subnets a zone, each a sixteenth of the network: by the zone's letter, not by its place in the list.

    Args:
        cidr: a network, /16 to /20.
        zones: names of availability zones, which end in a letter: `eu-central-1a`.

    Raises:
        ValueError: a zone's letter is beyond the eighth.
    """
    blocks = list(IPv4Network(cidr).subnets(prefixlen_diff=_BLOCKS.bit_length() - 1))
    found = []
    for zone in zones:
        number = ord(zone[-1]) - ord("a")
        if not 0 <= number < _ZONES_MAX:
            raise ValueError(f"zone {zone}: its letter should be one of a to h")
        found.append(ZoneSubnets(zone, public=str(blocks[_ZONES_MAX + number]), private=str(blocks[number])))
    return found
