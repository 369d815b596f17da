"""A real account, looked at before anything is registered; and what AWS refuses, in one line with what to do."""

import shutil
from typing import Final

import boto3
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, TokenRetrievalError

from components.aws.machine import Architecture, find_architecture
from components.aws.session import PLUGIN
from components.aws.settings import ProductionSettings
from components.engine import Engine, EngineError

EXPIRED: Final = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidClientTokenId"}
REFUSED: Final = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}
_ARCHITECTURES: Final[dict[str, Architecture]] = {"x86_64": "x86_64", "aarch64": "arm64"}


def check_account(settings: ProductionSettings, region: str, engine: Engine, *, changes: bool) -> None:
    """Make sure that somebody is signed in, and that what is built here runs there.

    Args:
        settings: machines' types, whose processors must be of the kind that the engine here builds for.
        region: where the account is asked.
        engine: builds the images.
        changes: whether machines will be reached, and not only looked at from outside.

    Raises:
        EngineError: with one line that says what to do.
    """
    try:
        boto3.client("sts", region_name=region).get_caller_identity()
    except (BotoCoreError, ClientError) as error:
        raise EngineError(explain(error)) from None
    built = _ARCHITECTURES.get(engine.architecture, engine.architecture)
    for name in ("manager_type", "worker_type"):
        machine = getattr(settings, name)
        if find_architecture(machine) != built:
            raise EngineError(
                f"beamops:production.{name}: {machine} is {find_architecture(machine)}, and the engine here builds for "
                f"{built}: deploy from an {find_architecture(machine)} machine, or choose a type that is {built}"
            )
    missing = [program for program in ("aws", "ssh", PLUGIN) if shutil.which(program) is None] if changes else []
    if missing:
        raise EngineError(
            f"{' and '.join(missing)} not found; nodes are reached through Session Manager: install the AWS CLI, "
            "its session-manager-plugin and an SSH client"
        )


def explain(error: BotoCoreError | ClientError) -> str:
    """What AWS or its SDK refused, in one line, with what to do."""
    if isinstance(error, NoCredentialsError):
        return "no AWS credentials are found; sign in with `aws sso login`, or set AWS_PROFILE"
    if isinstance(error, TokenRetrievalError):
        return "the AWS session has ended; sign in again with `aws sso login`"
    if isinstance(error, ClientError):
        code = error.response["Error"]["Code"]
        if code in EXPIRED:
            return f"the AWS session has ended ({code}); sign in again with `aws sso login`"
        if code in REFUSED:
            return f"not allowed to look: {' '.join(error.response['Error']['Message'].split())}"
        return f"{error.operation_name}: {code}: {' '.join(error.response['Error']['Message'].split())}"
    return " ".join(str(error).split())
