"""How the engine of a swarm on AWS is reached: SSH through Session Manager, so that no port 22 is open to anybody.

A swarm is written `ssh://ec2-user@<stack>.<region>.session`, and never by the name of a machine: machines come and go.
One of its machines is written so for a moment, to ask what runs there: `ssh://ec2-user@<instance>.<stack>.<region>.session`.
This file is also the program that SSH runs to connect (`ProxyCommand`): it finds a manager that is in the swarm, lets
EC2 Instance Connect put our public key there for a minute, and hands over to Session Manager.

It needs the AWS CLI and the session-manager-plugin, and these permissions: ec2:DescribeInstances,
ec2-instance-connect:SendSSHPublicKey, ssm:StartSession.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

USER: Final = "ec2-user"
PLUGIN: Final = "session-manager-plugin"
ROOT: Final = Path(__file__).parents[2]
_DOMAIN: Final = ".session"
_FOLDER: Final = Path("~/.ssh/beamops")
"""SSH's own place; written with a tilde in the state, so that it is the same on every machine."""
_COMMAND: Final = ".venv/bin/python -P components/aws/session.py"
_EXPLAIN_SECONDS: Final = 30
_DOCUMENT: Final = "AWS-StartSSHSession"


def session_host(stack: str, region: str) -> str:
    """The address of a stack's swarm, as Docker writes addresses."""
    return f"ssh://{USER}@{stack}.{region}{_DOMAIN}"


def machine_host(host: str, instance: str) -> str:
    """The address of one machine of a swarm, whose own address is `host`."""
    return host.replace(f"{USER}@", f"{USER}@{instance}.")


def is_session(host: str) -> bool:
    """Whether a host is reached through Session Manager."""
    return host.endswith(_DOMAIN)


def ssh_options() -> list[str]:
    """Options of SSH for such a host; paths are relative to the project's folder, where Pulumi's plugins run.

    Which machine answers is proven by Session Manager, which asks for it by its id over TLS: the host's key is new
    with every machine, and says nothing more. One connection serves all that a run asks, since each takes seconds;
    it outlasts any pause of a run, and is ended before the next (`end_session`): who meets it as it ends fails.
    """
    options = {
        "ProxyCommand": f"{_COMMAND} %h",
        "IdentityFile": f"{_FOLDER}/key",
        "IdentitiesOnly": "yes",
        "StrictHostKeyChecking": "no",
        "UserKnownHostsFile": "/dev/null",
        "LogLevel": "ERROR",
        "ServerAliveInterval": "15",
        "ControlMaster": "auto",
        "ControlPath": f"{_FOLDER}/%C",
        "ControlPersist": "600",
    }
    return [part for name, value in options.items() for part in ("-o", f"{name}={value}")]


def ensure_key() -> None:
    """Make the key that SSH shows; nobody takes it but for the minute after it was sent."""
    folder = _FOLDER.expanduser()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not (folder / "key").exists():
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "beamops", "-f", str(folder / "key")]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def end_session(host: str) -> None:
    """End the connection that an earlier run may have left."""
    command = ["ssh", *ssh_options(), "-O", "exit", host]
    subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, check=False)


def explain_session(host: str) -> str:
    """Why no session comes about: SSH throws away what its `ProxyCommand` says, once a connection is to be shared."""
    command = [*_COMMAND.split(), host.partition("@")[2]]
    try:
        done = subprocess.run(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            timeout=_EXPLAIN_SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return ""
    return done.stderr.removeprefix("beamops: ")


def find_manager(stack: str, region: str) -> str | None:
    """The id of a manager's machine that says that it is in the swarm: the one that runs longest."""
    import boto3  # noqa: PLC0415 - it takes half a second, which only this side need spend

    wanted = {"tag:beamops:stack": stack, "tag:beamops:role": "manager", "tag:beamops:swarm": "ready"}
    filters = [{"Name": name, "Values": [value]} for name, value in wanted.items()]
    pages = (
        boto3.client("ec2", region_name=region)
        .get_paginator("describe_instances")
        .paginate(Filters=[*filters, {"Name": "instance-state-name", "Values": ["running"]}])
    )
    found = [one for page in pages for reservation in page["Reservations"] for one in reservation["Instances"]]
    return min(found, key=lambda one: (one["LaunchTime"], one["InstanceId"]))["InstanceId"] if found else None


def main(host: str) -> None:
    """Connect standard input and output with the SSH of a manager, or of the machine that is named."""
    import boto3  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    *named, stack, region = host.removesuffix(_DOMAIN).split(".")
    try:
        instance = named[0] if named else find_manager(stack, region)
        if instance is None:
            raise SystemExit(f"beamops: no manager of {stack} in {region} is in a swarm; `make doctor` says more")
        key = (_FOLDER.expanduser() / "key.pub").read_text().strip()
        boto3.client("ec2-instance-connect", region_name=region).send_ssh_public_key(
            InstanceId=instance, InstanceOSUser=USER, SSHPublicKey=key
        )
    except (BotoCoreError, ClientError) as error:
        raise SystemExit(f"beamops: no session with a manager of {stack}: {' '.join(str(error).split())}") from None
    command = ["aws", "ssm", "start-session", "--region", region, "--target", instance]
    os.execvp("aws", [*command, "--document-name", _DOCUMENT, "--parameters", "portNumber=22"])  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1])
