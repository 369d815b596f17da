"""Settings of a running coordinator, read from its environment."""

from pathlib import Path
from typing import Literal, Self
from urllib.parse import quote, urlsplit, urlunsplit

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from coordinator import contract


class Settings(BaseSettings):
    """What a coordinator needs to know before it starts; COORDINATOR_HOST is the field `host`, and so on."""

    model_config = SettingsConfigDict(env_prefix="COORDINATOR_", extra="ignore")

    database_url: str = Field(
        "sqlite:///coordinator.db",
        pattern=r"^(sqlite:///.+|postgresql://.+)$",
        description="Where work is kept: sqlite:///FILE or postgresql://USER@HOST:PORT/NAME.",
    )
    database_password_file: Path | None = Field(None, description="File that holds the database password.")
    database_connections: int = Field(8, ge=1, le=64, description="Connections to PostgreSQL of one process.")
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(contract.PORT, ge=1, le=65535, description="Port to listen on.")
    trust_network: bool = Field(
        default=False,
        description="Serve without authentication beyond loopback: for a network that lets only known callers in.",
    )
    authenticate: bool = Field(
        default=False, description="Ask for a bearer token; `coordinator admin create-token` makes them."
    )
    rate_limit: str = Field(
        "200/second",
        pattern=r"^[1-9][0-9]{0,6}/(second|minute|hour)$",
        description="Requests that one replica takes from one token; more are refused with 429.",
    )
    colour: Literal["blue", "green"] | None = Field(
        None, description="Of this version, where another one runs beside it: it serves when the store says so."
    )
    replicas: int = Field(1, ge=1, le=1000, description="Replicas that there should be, for the health score.")
    webhook_key_file: Path | None = Field(None, description="File with the key that webhooks' secrets are made from.")
    insight_key_file: Path | None = Field(None, description="File that holds a key of Anthropic's API, for insights.")
    insight_url: str | None = Field(None, description="Where that API is, if not at its usual address.")
    insight_model: str = Field("claude-haiku-4-5", description="The model that gives insights.")
    insight_seconds: float = Field(20, gt=0, le=120, description="How long an insight may take, retries included.")
    insight_tokens_per_hour: int = Field(200_000, ge=1, description="Tokens that one replica uses at most.")
    insight_input_price: float = Field(1, ge=0, description="Dollars for a million tokens read, for the cost metric.")
    insight_output_price: float = Field(5, ge=0, description="Dollars for a million tokens written.")
    retention_days: int = Field(30, ge=1, le=3650, description="How long finished work is kept.")
    drain_seconds: float = Field(
        0,
        ge=0,
        le=60,
        description="How long after SIGTERM to go on serving while telling proxies, by /readyz, to look elsewhere.",
    )

    @model_validator(mode="after")
    def _loopback_unless_trusted(self) -> Self:
        loopback = self.host in {"127.0.0.1", "::1", "localhost"}
        if not (loopback or self.authenticate or self.trust_network):
            raise ValueError(
                f"COORDINATOR_HOST={self.host} would serve without authentication beyond this machine; "
                "listen on 127.0.0.1, set COORDINATOR_AUTHENTICATE=true, "
                f"or set {contract.TRUST_NETWORK}=true on a network that you trust"
            )
        return self

    @property
    def sqlite_path(self) -> Path | None:
        """The embedded store's file, or None where PostgreSQL is used."""
        scheme, _, path = self.database_url.partition(":///")
        return Path(path) if scheme == "sqlite" else None

    def database_dsn(self) -> str:
        """The database's address with the password from its file, which is read anew at each call.

        Raises:
            OSError: the password file cannot be read.
        """
        if self.database_password_file is None:
            return self.database_url
        url = urlsplit(self.database_url)
        password = quote(self.database_password_file.read_text().strip(), safe="")
        user, _, host = url.netloc.rpartition("@")
        return urlunsplit(url._replace(netloc=f"{user}:{password}@{host}"))
