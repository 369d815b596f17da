"""The look-ups that a program may ask for."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from toolchain.plugin_aws.api import Api, ApiError

Function = Callable[[Api, dict[str, Any]], dict[str, Any]]


def _get_zones(api: Api, given: dict[str, Any]) -> dict[str, Any]:
    filters = [{"Name": "state", "Values": [given["state"]]}] if given.get("state") else []
    zones = api.call("ec2", "DescribeAvailabilityZones", {"Filters": filters})["AvailabilityZones"]
    return {
        "id": api.region,
        "names": [zone["ZoneName"] for zone in zones],
        "zoneIds": [zone["ZoneId"] for zone in zones],
    }


def _get_identity(api: Api, _: dict[str, Any]) -> dict[str, Any]:
    told = api.call("sts", "GetCallerIdentity", {})
    return {"id": told["Account"], "accountId": told["Account"], "arn": told["Arn"], "userId": told["UserId"]}


def _get_hosted_zone(api: Api, given: dict[str, Any]) -> dict[str, Any]:
    name = given["name"].rstrip(".")
    zones = api.call("route53", "ListHostedZonesByName", {"DNSName": name})["HostedZones"]
    found = [zone for zone in zones if zone["Name"].rstrip(".") == name]
    if not found:
        raise ApiError(f"no matching Route 53 hosted zone found: {name}")
    id_ = found[0]["Id"].rpartition("/")[2]
    return {"id": id_, "zoneId": id_, "name": name}


FUNCTIONS: Final[Mapping[str, Function]] = {
    "aws:index/getAvailabilityZones:getAvailabilityZones": _get_zones,
    "aws:index/getCallerIdentity:getCallerIdentity": _get_identity,
    "aws:route53/getZone:getZone": _get_hosted_zone,
}
"""Functions by the token that programs know them by."""
