"""A compose file that says the same as services that run, for `docker stack deploy`."""

from typing import Any

import docker

_SECOND = 1_000_000_000


def describe(client: docker.DockerClient, stack: str, port: int, secret: str) -> dict[str, Any]:
    """Of a stack's services, with their networks, configs, volumes, limits, checks and update policies.

    Args:
        client: of the swarm's manager.
        stack: what the names of its services begin with.
        port: for the proxy.
        secret: name of the secret that takes the place of each secret.
    """
    networks: dict[str, Any] = {}
    for network in client.networks.list(filters={"label": f"beamops.stack={stack}"}):
        attributes = network.attrs
        networks[part(stack, attributes["Name"])] = {"driver": "overlay", "internal": attributes["Internal"]}
    ids = {str(network.id): part(stack, network.attrs["Name"]) for network in client.networks.list()}
    configs = {
        config.attrs["Spec"]["Name"]: {"external": True}
        for config in client.configs.list(filters={"label": f"beamops.stack={stack}"})
    }
    services = {
        part(stack, service.name): _service(service.attrs["Spec"], ids, port, secret, stack)
        for service in client.services.list(filters={"label": f"beamops.stack={stack}"})
    }
    return {
        "version": "3.8", "services": services, "networks": networks, "configs": configs,
        "secrets": {secret: {"external": True}}, "volumes": {"data": {}},
    }  # fmt: skip


def part(stack: str, name: str) -> str:
    return name.removeprefix(f"{stack}-")


def _service(spec: dict[str, Any], networks: dict[str, str], port: int, secret: str, stack: str) -> dict[str, Any]:
    task = spec["TaskTemplate"]
    container, update, check = task["ContainerSpec"], spec["UpdateConfig"], task["ContainerSpec"]["Healthcheck"]
    limits, reserved = task["Resources"]["Limits"], task["Resources"]["Reservations"]
    described: dict[str, Any] = {
        "image": container["Image"],
        "entrypoint": container["Command"],
        "command": container.get("Args", []),
        "user": container["User"],
        "read_only": True,
        "init": True,
        "cap_drop": ["ALL"],
        "stop_signal": container["StopSignal"],
        "stop_grace_period": f"{container['StopGracePeriod'] // _SECOND}s",
        # What was found by the first stack's names is found by this one's.
        "environment": [one.replace(f"@{stack}-", "@") for one in container.get("Env", [])],
        "networks": [networks[network["Target"]] for network in task["Networks"]],
        "healthcheck": {
            "test": check["Test"],
            "interval": f"{check['Interval'] // _SECOND}s",
            "timeout": f"{check['Timeout'] // _SECOND}s",
            "start_period": f"{check['StartPeriod'] // _SECOND}s",
            "retries": check["Retries"],
        },
        "logging": {"driver": "json-file", "options": task["LogDriver"]["Options"]},
        "secrets": [
            {"source": secret, "target": one["File"]["Name"], "uid": one["File"]["UID"], "mode": one["File"]["Mode"]}
            for one in container.get("Secrets", [])
        ],
        "configs": [
            {"source": one["ConfigName"], "target": one["File"]["Name"], "uid": one["File"]["UID"]}
            for one in container.get("Configs", [])
        ],
        "volumes": [
            {"type": "volume", "source": "data", "target": one["Target"]} for one in container.get("Mounts", [])
        ],
        "deploy": {
            "endpoint_mode": "dnsrr",
            "replicas": spec["Mode"]["Replicated"]["Replicas"],
            "update_config": {
                "order": update["Order"],
                "failure_action": update["FailureAction"],
                "monitor": f"{update['Monitor'] // _SECOND}s",
                "parallelism": update["Parallelism"],
            },
            "restart_policy": {"condition": "any", "delay": "1s"},
            "resources": {
                "limits": {"memory": str(limits["MemoryBytes"]), "cpus": f"{limits['NanoCPUs'] / _SECOND:g}"},
                "reservations": {"memory": str(reserved["MemoryBytes"]), "cpus": f"{reserved['NanoCPUs'] / _SECOND:g}"},
            },
        },
    }
    if spec["EndpointSpec"].get("Ports"):
        described["ports"] = [
            {"target": spec["EndpointSpec"]["Ports"][0]["TargetPort"], "published": port, "mode": "host"}
        ]
    return described
