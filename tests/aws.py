"""An emulated AWS account, asked as tests ask it."""

from typing import Any, Final

import boto3

REGION: Final = "eu-central-1"
SIGNED_IN: Final = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
"""The environment of whoever is signed in at one: it takes any credentials."""


def ask(service: str, url: str) -> Any:
    """A client of one of its services."""
    return boto3.client(service, endpoint_url=url, region_name=REGION, aws_access_key_id="x", aws_secret_access_key="x")
