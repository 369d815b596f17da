"""Chapter 7, Secrets: generated, kept encrypted in the state, given to services as swarm secrets alone."""

import base64
from dataclasses import dataclass

import pulumi
import pulumi_docker as docker
import pulumi_random as random

from components.chapter import Chapter
from components.naming import Names
from components.service import File
from components.settings import SecretsSettings


@dataclass(frozen=True)
class SecretsArgs:
    """Which versions, and on which swarm."""

    settings: SecretsSettings
    swarm: pulumi.Input[str]
    database_password: pulumi.Input[str] | None = None
    """Where another chapter has it; else it is made here."""


class Secrets(Chapter):
    """The database password, by version: a new version is a new secret, and the old one goes when nothing uses it."""

    number = 7

    def __init__(self, names: Names, args: SecretsArgs, options: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(names, options)
        version = args.settings.database_password_version
        password = args.database_password or self._make_password(version)
        self.database_password = docker.Secret(
            "database-password",
            docker.SecretArgs(
                # Secrets cannot change: the swarm that holds it and its version are part of its name.
                name=pulumi.Output.concat(
                    names.of(f"database-password-v{version}-"),
                    pulumi.Output.from_input(args.swarm).apply(lambda id_: id_[:8]),
                ),
                data=pulumi.Output.from_input(password).apply(lambda value: base64.b64encode(value.encode()).decode()),
                labels=self.label(docker.SecretLabelArgs, **{"beamops.version": str(version)}),
            ),
            # The old one can go only when no service uses it any more.
            self.options(delete_before_replace=False),
        )
        self.password = File(self.database_password.id, self.database_password.name, "/run/secrets/database_password")
        self.register_outputs({"database_password": self.database_password.name})

    def _make_password(self, version: int) -> pulumi.Output[str]:
        return random.RandomPassword(
            "database-password",
            random.RandomPasswordArgs(length=40, special=False, keepers={"version": str(version)}),
            self.options(),
        ).result
