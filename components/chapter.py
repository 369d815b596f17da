"""What every chapter is: a component that owns its resources and says which chapter they belong to."""

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import pulumi

from components.naming import CHAPTER_TAG, Names

_L = TypeVar("_L")


class Chapter(pulumi.ComponentResource):
    """A component of type `beamops:chapters:<Name>`, of `beamops:aws:<Name>` for what a chapter has on AWS.

    What it makes is its child by `self.options()`, is named by `self.names`, and carries `self.labels`.
    """

    number: ClassVar[int]
    package: ClassVar[str] = "chapters"

    def __init__(self, names: Names, options: pulumi.ResourceOptions | None = None) -> None:
        kind = type(self).__name__
        super().__init__(f"beamops:{self.package}:{kind}", kind.lower(), {}, options)
        self.names = names
        self.labels = names.labels(kind.lower())

    def label(self, kind: Callable[..., _L], **more: pulumi.Input[str]) -> list[_L]:
        """The labels of what this chapter makes, and further ones, as arguments of that kind."""
        return [kind(label=name, value=value) for name, value in {**self.labels, **more}.items()]

    def options(self, **values: Any) -> pulumi.ResourceOptions:
        """Options of a child."""
        return pulumi.ResourceOptions(parent=self, **values)


class AwsChapter(Chapter):
    """A chapter's part on AWS; staging has both parts of some chapters."""

    package = "aws"

    def tags(self, part: str) -> dict[str, str]:
        """Tags of what this chapter makes, beside those that the provider puts on everything."""
        return {"Name": self.names.of(part), CHAPTER_TAG: type(self).__name__.lower()}
