"""Secrets are where secrets belong."""

import base64
import re
from collections.abc import Iterator
from typing import Any, Final

from policies.rule import Resource, Rule, at, several

_SERVICE: Final = "docker:index/service:Service"
_CONFIG: Final = "docker:index/serviceConfig:ServiceConfig"
_NAMED: Final = re.compile(r"(password|passwd|secret|token|api_?key|private_?key|credential)", re.IGNORECASE)
_POINTS: Final = re.compile(r"^(/run/secrets/|arn:aws:|\d*$|true$|false$)")
"""What says where a secret is, and is none: a path, the name of one in AWS, a number."""
_LOOKS: Final = re.compile(
    r"(AKIA[0-9A-Z]{16}|-----BEGIN [A-Z ]*PRIVATE KEY-----|gh[pousr]_[A-Za-z0-9]{36}|://[^/:@\s]+:[^@\s]+@|"
    r"eyJ[A-Za-z0-9_-]{10,}\.eyJ|xox[baprs]-[0-9A-Za-z-]{10,}|sk-[A-Za-z0-9-]{20,})"
)
"""Forms that secrets are given in: AWS, PEM, GitHub, a URL with a password, JWT, Slack, Anthropic and OpenAI."""


def _check_environment(service: Resource) -> Iterator[str]:
    container = at(service.props, "taskSpec.containerSpec")
    for where, values in (("environment", at(container, "env")), ("label", _labels(at(container, "labels")))):
        for name, value in (values if isinstance(values, dict) else {}).items():
            if isinstance(value, str) and _is_secret(name, value):
                yield f"{where} {name} looks like a secret"


def _labels(value: Any) -> dict[str, Any]:
    return {str(at(one, "label")): at(one, "value") for one in several(value)}


def _is_secret(name: str, value: str) -> bool:
    named = _NAMED.search(name) is not None and not _POINTS.match(value)
    return named or _LOOKS.search(value) is not None


def _check_config(config: Resource) -> Iterator[str]:
    for name in ("data", "dataRaw"):
        data = at(config.props, name)
        if isinstance(data, str) and _LOOKS.search(data):
            yield "holds what looks like a secret; a config can be read by whoever reaches a manager"


def _check_template(template: Resource) -> Iterator[str]:
    data = at(template.props, "userData")
    if isinstance(data, str) and (_LOOKS.search(data) or _LOOKS.search(_decoded(data))):
        yield "user data holds what looks like a secret; every process on the node can read it"


def _decoded(data: str) -> str:
    try:
        return base64.b64decode(data, validate=True).decode(errors="replace")
    except ValueError:
        return data


RULES: Final = (
    Rule(
        "no-secret-in-environment",
        "Nothing that looks like a secret is in a service's environment or labels",
        "They are shown by `docker inspect`, kept in plain text, and end in error reports",
        "make it a swarm secret, and give its path",
        "critical",
        (_SERVICE,),
        _check_environment,
    ),
    Rule(
        "no-secret-in-configs",
        "Nothing that looks like a secret is in a swarm config",
        "Configs are not encrypted",
        "make it a swarm secret",
        "critical",
        (_CONFIG,),
        _check_config,
    ),
    Rule(
        "no-secret-in-user-data",
        "Nothing that looks like a secret is in user data",
        "Instance metadata gives it to every process on the node",
        "let the node read it from SSM or Secrets Manager",
        "critical",
        ("aws:ec2/launchTemplate:LaunchTemplate",),
        _check_template,
    ),
)
