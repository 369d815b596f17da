"""Staging and prod through the real engine, against an emulated AWS: from nothing to nothing, in order, as typed."""

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import docker
import httpx
import psutil
import pytest
import yaml

from cli.toolchain import Toolchain
from components.containers import ROOT, Source
from components.engine import run_in
from tests.aws import ask
from tests.servers import free_port, post, wait_until_ready
from tests.user import User, copy_checkout
from tests.waiting import wait_until

ANYWHERE = "0.0.0.0/0"


@dataclass
class Account:
    """A stack in an emulated account of its own."""

    user: User
    stack: str
    zones: int

    @property
    def name(self) -> str:
        return f"{self.config['beamops:plan']['name']}-{self.stack}"

    @property
    def config(self) -> dict[str, Any]:
        config: dict[str, Any] = yaml.safe_load(self.user.stack_file.read_text())["config"]
        return config

    @property
    def endpoint(self) -> str:
        emulator = json.loads((self.user.folder / "beamops" / f"emulator-{self.stack}.json").read_text())
        return f"http://127.0.0.1:{emulator['port']}"

    def make(self, command: str) -> str:
        code, output = self.user.run(command, self.stack, aws="emulated")
        print(output)
        assert code == 0, output
        return output

    def client(self, service: str) -> Any:
        return ask(service, self.endpoint)


def counts(output: str) -> dict[str, int]:
    """What Pulumi says it did, by word."""
    summary = output.rpartition("Resources:")[2].partition("Duration")[0]
    return {word: int(count) for count, word in re.findall(r"(\d+) (\w+)", summary)}


@pytest.fixture(scope="module", params=["staging", "prod"])
def account(
    request: pytest.FixtureRequest,
    source: Source,
    toolchain: Toolchain,  # noqa: ARG001 - built before anything is timed
    engine: docker.DockerClient,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Account]:
    stack: str = request.param
    user = User(tmp_path_factory.mktemp(stack), source, free_port())
    given = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())["config"]
    chapters = {key.removeprefix("beamops:"): value for key, value in given.items()}
    chapters["plan"] = {**chapters.get("plan", {}), "name": f"t{user.folder.name[:7].replace('_', 'x').lower()}"}
    user.configure(**chapters, distribution={"proxy": {"port": user.port}})
    before = engine.info()["Swarm"]["LocalNodeState"]
    made = Account(user, stack, 3 if stack == "prod" else 2)
    yield made
    made.make("down")
    assert engine.info()["Swarm"]["LocalNodeState"] == before
    assert before != "active" or not engine.services.list(filters={"label": f"beamops.stack={made.name}"})


def test_a_preview_makes_nothing(account: Account) -> None:
    output = account.make("preview")
    assert "! AWS=emulated: the emulator accepts any credentials" in output, "what is not proven is said first"
    assert counts(output)["to"] > 130
    assert (
        account.client("ec2").describe_subnets(Filters=[{"Name": "tag:beamops:stack", "Values": ["*"]}])["Subnets"]
        == []
    )


def test_an_up_that_is_killed_in_the_middle_is_repaired_by_the_next(account: Account) -> None:
    process = account.user.start("up", account.stack, aws="emulated")
    mine = [{"Name": "tag:beamops:stack", "Values": [account.name]}]
    end = time.monotonic() + 120
    while not account.client("ec2").describe_route_tables(Filters=mine)["RouteTables"]:
        assert time.monotonic() < end, "nothing was made"
        time.sleep(0.05)
    for child in psutil.Process(process.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it ended with the one before
            child.kill()
    said, _ = process.communicate(timeout=60)
    assert process.returncode != 0, said
    assert "! An earlier run was cut off" in account.make("up")
    vpcs = account.client("ec2").describe_vpcs(Filters=mine)["Vpcs"]
    assert len(vpcs) == 1, "what the first run made is there beside what the second made"


def change_image(account: Account) -> Iterator[None]:
    """Another version of the coordinator, in a checkout of its own."""
    checkout = account.user.folder / "checkout"
    copy_checkout(checkout)
    file = checkout / "app" / "coordinator" / "api" / "app.py"
    file.write_text(file.read_text().replace("BEAMOps coordinator", "BEAMOps coordinator, next"))
    account.user.checkout = checkout
    yield
    account.user.checkout = ROOT


def change_settings(account: Account, chapter: str, **values: Any) -> Iterator[None]:
    before = account.user.stack_file.read_text()
    config = account.config
    config[f"beamops:{chapter}"] = {**config.get(f"beamops:{chapter}", {}), **values}
    account.user.stack_file.write_text(yaml.safe_dump({"config": config}))
    yield
    account.user.stack_file.write_text(before)


def change_database(account: Account) -> Iterator[None]:
    database = account.config["beamops:production"].get("database", {})
    return change_settings(account, "production", database={**database, "instance_class": "db.t4g.large"})


def change_replicas(account: Account) -> Iterator[None]:
    distribution = account.config["beamops:distribution"]
    return change_settings(account, "distribution", **{**distribution, "coordinator": {"replicas": 3}})


def change_name(account: Account) -> Iterator[None]:
    """Looks harmless in a stack file: every name has it, and RDS cannot rename."""
    before = account.user.stack_file.read_text()
    config = account.config
    config["beamops:plan"] = {**config["beamops:plan"], "name": "renamed"}
    config["beamops:distribution"] = {"proxy": {"port": free_port()}}
    account.user.stack_file.write_text(yaml.safe_dump({"config": config}))
    yield
    account.user.stack_file.write_text(before)


CHANGES: dict[str, dict[str, Callable[[Account], Iterator[None]]]] = {
    "staging": {
        "image": change_image,
        "replicas": change_replicas,
        "rotation": lambda account: change_settings(account, "secrets", database_password_version=2),
        "zone": lambda account: change_settings(account, "network", zones=["a", "b", "c"]),
        "lost-data": change_name,
    },
    "prod": {"database": change_database},
}
BLOCKED = {"lost-data"}


def test_previews_read_as_they_were_when_they_were_reviewed(account: Account) -> None:
    """GOLDEN=1 writes them anew: then look at what changed in them."""
    for name, change in CHANGES[account.stack].items():
        golden = Path(__file__).parent / "golden" / f"{name}.md"
        comment = account.user.folder / "comment.md"
        with contextmanager(change)(account):
            arguments = ("--format", "markdown", "--output", str(comment))
            code, output = account.user.run("preview", account.stack, "emulated", *arguments)
        assert code == (1 if name in BLOCKED else 0), output
        text = steady(comment.read_text())
        if os.environ.get("GOLDEN"):
            golden.parent.mkdir(exist_ok=True)
            golden.write_text(text)
        assert text == golden.read_text(), f"{name} reads otherwise; is it better? then GOLDEN=1 keeps it"


def steady(text: str) -> str:
    """Without what is another one each time: contents' and resources' own numbers, ports, days."""
    text = re.sub(r"\b(vpc|subnet|sg|lt|eni|igw|rtb|nat|eipalloc|vpce)-[0-9a-f]{8,}\b", r"\1-…", text)
    text = re.sub(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}\b", "…", text)
    text = re.sub(r"(?<=[:/`-])([0-9a-f]{12,64}|[0-9a-z]{25}|(?=[a-z]*[0-9])[0-9a-z]{8})(?=[`\" ])", "…", text)
    text = re.sub(r"(-password-v[0-9]+-)[0-9a-z]{8}\b", r"\1…", text)  # the swarm's own
    text = re.sub(r"\b[1-6][0-9]{4}\b", "PORT", text)
    return re.sub(r"(prices|list prices) of [0-9-]{10}", r"\1 of …", text)


def test_a_second_up_changes_nothing_and_the_service_works(account: Account) -> None:
    assert set(counts(account.make("up"))) == {"unchanged"}
    url = f"http://127.0.0.1:{account.user.port}"
    wait_until_ready(url)
    assert httpx.get(f"{url}/v1/work").status_code == 401, "whoever has no token learns nothing"
    code, token = account.user.run("token", account.stack, "emulated", "ada", "operator")
    assert code == 0, token
    headers = {"Authorization": f"Bearer {token.strip()}"}
    with httpx.Client(base_url=url, headers=headers, timeout=30) as client:
        item = post(client, "/v1/work", {"type": "x", "title": "x"}).json()
        (claim,) = post(client, "/v1/claims", {"agent": "ada"}).json()["claims"]
    assert claim["item"]["id"] == item["id"], "there is no example work but in dev"
    for wrong, line in (("cbt_mine", "which token? give TOKEN=cbt_"), ("0" * 32, "token_unknown")):
        code, said = account.user.run("revoke", account.stack, "emulated", wrong)
        assert code == 1 and line in said and "Traceback" not in said, said
    code, said = account.user.run("revoke", account.stack, "emulated", token.strip())
    assert code == 0, said
    wait_until("a revoked token is still good", 30, lambda: httpx.get(f"{url}/v1/work", headers=headers).is_error)
    assert httpx.get(f"{url}/v1/work", headers=headers).status_code == 401


def test_routes_reach_the_world_from_each_zone(account: Account) -> None:
    ec2 = account.client("ec2")
    mine = [{"Name": "tag:beamops:stack", "Values": [account.name]}]
    subnets = ec2.describe_subnets(Filters=mine)["Subnets"]
    tables = ec2.describe_route_tables(Filters=mine)["RouteTables"]
    assert len(subnets) == 2 * account.zones
    networks = [ip_network(subnet["CidrBlock"]) for subnet in subnets]
    assert not any(a.overlaps(b) for a in networks for b in networks if a is not b)
    gates = set()
    for subnet in subnets:
        (table,) = [one for one in tables if any(a.get("SubnetId") == subnet["SubnetId"] for a in one["Associations"])]
        (out,) = [route for route in table["Routes"] if route.get("DestinationCidrBlock") == ANYWHERE]
        name = next(tag["Value"] for tag in subnet["Tags"] if tag["Key"] == "Name")
        if "-public-" in name:
            assert out["GatewayId"].startswith("igw-"), name
        else:
            gates.add(out["NatGatewayId"])
    assert len(gates) == (account.zones if account.stack == "prod" else 1)


def test_only_the_load_balancer_is_open_to_the_world(account: Account) -> None:
    groups = account.client("ec2").describe_security_groups(
        Filters=[{"Name": "tag:beamops:stack", "Values": [account.name]}]
    )["SecurityGroups"]
    open_ = {
        (group["GroupName"], rule["FromPort"])
        for group in groups
        for rule in group["IpPermissions"]
        if any(one["CidrIp"] == ANYWHERE for one in rule["IpRanges"])
    }
    assert open_ == {(f"{account.name}-load-balancer", 80), (f"{account.name}-load-balancer", 443)}


def test_what_keeps_data_is_encrypted_and_in_prod_kept(account: Account) -> None:
    (database,) = account.client("rds").describe_db_instances()["DBInstances"]
    assert (database["StorageEncrypted"], database["PubliclyAccessible"]) == (True, False)
    prod = account.stack == "prod"
    assert (database["MultiAZ"], database["DeletionProtection"]) == (prod, prod)
    parameters = account.client("rds").describe_db_parameters(DBParameterGroupName=f"{account.name}-database")
    assert {one["ParameterName"]: one["ParameterValue"] for one in parameters["Parameters"]}["rds.force_ssl"] == "1"
    for repository in account.client("ecr").describe_repositories()["repositories"]:
        kept = (repository["imageTagMutability"], repository["encryptionConfiguration"]["encryptionType"])
        assert kept == ("IMMUTABLE", "KMS"), repository["repositoryName"]


def test_managers_and_workers_are_as_many_as_asked_for(account: Account) -> None:
    groups = account.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    sizes = {group["AutoScalingGroupName"].rpartition("-")[2]: (group["MinSize"], group["MaxSize"]) for group in groups}
    managers = 3 if account.stack == "prod" else 1
    assert sizes == {"managers": (managers, managers), "workers": (3, 9) if account.stack == "prod" else (1, 4)}


def test_everything_that_can_carries_the_stacks_tags(account: Account) -> None:
    vpc = account.client("ec2").describe_vpcs(Filters=[{"Name": "tag:beamops:stack", "Values": [account.name]}])
    (tags,) = [{tag["Key"]: tag["Value"] for tag in one["Tags"]} for one in vpc["Vpcs"]]
    assert tags == {
        "Name": f"{account.name}-vpc",
        "beamops:chapter": "network",
        "beamops:environment": account.stack,
        "beamops:managed-by": "pulumi",
        "beamops:owner": "platform",
        "beamops:stack": account.name,
    }


def test_the_password_of_the_database_is_the_one_in_secrets_manager(
    account: Account, engine: docker.DockerClient
) -> None:
    secret = account.client("secretsmanager").get_secret_value(SecretId=f"{account.name}/database")
    password = json.loads(secret["SecretString"])["password"]
    (database,) = engine.containers.list(filters={"name": f"{account.name}-database"}, ignore_removed=True)
    assert run_in(database, ["cat", "/run/secrets/database_password"])[1] == password.encode()
    state = "".join(file.read_text() for file in (account.user.folder / "beamops").rglob("*.json*"))
    assert password not in state


def test_the_doctor_finds_nothing_wrong_until_something_is(account: Account) -> None:
    assert " ✓  certificate" in account.make("doctor")
    load_balancing = account.client("elbv2")
    (group,) = load_balancing.describe_target_groups(Names=[f"{account.name}-proxy"])["TargetGroups"]
    told = load_balancing.describe_target_health(TargetGroupArn=group["TargetGroupArn"])["TargetHealthDescriptions"]
    targets = [{"Id": one["Target"]["Id"]} for one in told]
    load_balancing.deregister_targets(TargetGroupArn=group["TargetGroupArn"], Targets=targets)
    code, output = account.user.run("doctor", account.stack, aws="emulated")
    assert code == 1
    assert "beamops: not healthy: targets" in output
    load_balancing.register_targets(TargetGroupArn=group["TargetGroupArn"], Targets=targets)


def test_what_changed_behind_our_back_is_put_right(account: Account) -> None:
    ec2 = account.client("ec2")
    (group,) = ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": [f"{account.name}-nodes"]}])[
        "SecurityGroups"
    ]
    (vpc,) = ec2.describe_vpcs(Filters=[{"Name": "tag:beamops:stack", "Values": [account.name]}])["Vpcs"]
    ec2.modify_vpc_attribute(VpcId=vpc["VpcId"], EnableDnsHostnames={"Value": False})
    ec2.create_tags(Resources=[group["GroupId"]], Tags=[{"Key": "foreign", "Value": "x"}])
    account.client("logs").delete_log_group(logGroupName=f"/{account.name}/flows")
    changes = counts(account.make("up"))
    assert (changes["created"], changes["updated"]) == (1, 2), changes
    hostnames = ec2.describe_vpc_attribute(VpcId=vpc["VpcId"], Attribute="enableDnsHostnames")
    assert hostnames["EnableDnsHostnames"]["Value"]


def test_a_change_of_each_important_kind(account: Account) -> None:
    """In place, by replacement, and one that adds: another machine, another rotation, another port."""
    config = account.config
    ec2, before = account.client("ec2"), {}
    for page in account.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]:
        before[page["AutoScalingGroupName"]] = page["LaunchTemplate"]["Version"]
    config["beamops:production"]["worker_type"] = "t3.xlarge"
    config["beamops:network"] = {**config.get("beamops:network", {}), "flow_log_days": 90}
    config["beamops:secrets"] = {"database_password_version": 2}
    config["beamops:autoscaling"] = {"maximum": 9}
    account.user.stack_file.write_text(yaml.safe_dump({"config": config}))
    secret = account.client("secretsmanager").get_secret_value(SecretId=f"{account.name}/database")["SecretString"]
    account.make("up")
    after = account.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    workers = next(one for one in after if one["AutoScalingGroupName"].endswith("-workers"))
    assert workers["MaxSize"] == 9
    assert workers["LaunchTemplate"]["Version"] == "2"
    versions = ec2.describe_launch_template_versions(LaunchTemplateName=f"{account.name}-worker", Versions=["$Default"])
    assert versions["LaunchTemplateVersions"][0]["LaunchTemplateData"]["InstanceType"] == "t3.xlarge"
    group = account.client("logs").describe_log_groups(logGroupNamePrefix=f"/{account.name}/flows")["logGroups"][0]
    assert group["retentionInDays"] == 90
    rotated = account.client("secretsmanager").get_secret_value(SecretId=f"{account.name}/database")["SecretString"]
    assert rotated != secret, "a new version of the password is a new value of the secret"
    assert set(counts(account.make("up"))) == {"unchanged"}


def test_down_leaves_nothing_and_closes_the_account(account: Account, engine: docker.DockerClient) -> None:
    endpoint = account.endpoint
    account.make("down")
    with pytest.raises(httpx.ConnectError):
        httpx.get(endpoint)
    left = [str(one.name) for one in engine.networks.list()]
    left += [str(one.name) for one in engine.containers.list(all=True, ignore_removed=True)]
    left += [str(one.name) for one in engine.volumes.list()]
    assert not [name for name in left if name.startswith(account.name)]


def test_a_zone_that_the_region_lacks_is_one_line(account: Account) -> None:
    config = account.config
    config["beamops:network"] = {**config.get("beamops:network", {}), "zones": ["a", "b", "f"]}
    account.user.stack_file.write_text(yaml.safe_dump({"config": config}))
    code, output = account.user.run("up", account.stack, aws="emulated")
    assert code == 1
    assert "beamops:network.zones: eu-central-1 has no zone f; it has a, b, c: name those" in output
