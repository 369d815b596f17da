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
    watched: bool = False
    """Whether somebody measures PostgreSQL, and has a role for it."""


class Secrets(Chapter):
    """Passwords of PostgreSQL's roles, by version: a new one is a new secret; the old one goes when nothing uses it.

    `password` is the coordinator's, `watcher_password` that of the role that may only watch, where there is one.
    """

    number = 7

    def __init__(self, names: Names, args: SecretsArgs, options: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(names, options)
        self._args, self._generation = args, str(args.settings.database_password_version)
        self.password = self._keep("database-password", args.database_password)
        self.watcher_password = self._keep("watcher-password") if args.watched else None
        self.register_outputs({"database_password": self.password.name})

    def _keep(self, part: str, password: pulumi.Input[str] | None = None) -> File:
        """A password as a secret of the swarm; one is made where none is given."""
        known = pulumi.Output.from_input(password or self._make_password(part))
        secret = docker.Secret(
            part,
            docker.SecretArgs(
                # Secrets cannot change: the swarm that holds it and its version are part of its name.
                name=pulumi.Output.concat(
                    self.names.of(f"{part}-v{self._generation}-"),
                    pulumi.Output.from_input(self._args.swarm).apply(lambda id_: id_[:8]),
                ),
                data=known.apply(lambda value: base64.b64encode(value.encode()).decode()),
                labels=self.label(docker.SecretLabelArgs, **{"beamops.version": self._generation}),
            ),
            # The old one can go only when no service uses it any more.
            self.options(delete_before_replace=False),
        )
        return File(secret.id, secret.name, f"/run/secrets/{part.replace('-', '_')}")

    def _make_password(self, part: str) -> pulumi.Output[str]:
        return random.RandomPassword(
            part,
            random.RandomPasswordArgs(length=40, special=False, keepers={"version": self._generation}),
            self.options(),
        ).result
