"""What a rule is, and how it looks into a resource of which not everything is known in a preview."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from pulumi_policy import PolicyResource
from pulumi_policy.proxy import UnknownValueError

Severity = Literal["critical", "high", "medium", "low"]
Props = dict[str, Any]


class Unknown:
    """A value that is known only after an update: no rule holds it against anybody, and the update looks again."""

    def __repr__(self) -> str:
        """As messages show it."""
        return "(known after the update)"


UNKNOWN: Final = Unknown()


@dataclass(frozen=True)
class Resource:
    """A resource as the engine is about to register it."""

    urn: str
    kind: str
    name: str
    props: Props
    protected: bool
    parent: str
    """Type of the component that it belongs to; empty when it belongs to none."""
    uses: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Names of the resources that each of its properties comes from."""

    @property
    def environment(self) -> str:
        """The stack that it is in."""
        return self.urn.split("::")[0].rpartition(":")[2]


@dataclass(frozen=True)
class Rule:
    """One thing that holds of every resource of some types; `check` says what does not."""

    name: str
    says: str
    why: str
    remedy: str
    severity: Severity
    kinds: tuple[str, ...]
    check: Callable[[Resource], Iterator[str]]
    advisory_in_dev: bool = False


@dataclass(frozen=True)
class StackRule:
    """One thing that holds of a stack as a whole; `check` gives what does not, and of which resource."""

    name: str
    says: str
    why: str
    remedy: str
    severity: Severity
    check: Callable[[list[Resource]], Iterator[tuple[str, Resource | None]]]
    advisory_in_dev: bool = False


def plain(value: Any) -> Any:
    """A property without the guards that the SDK puts around it: `UNKNOWN` where it cannot be known yet."""
    if isinstance(value, Mapping):
        return {key: _read(value, key) for key in value}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_read(value, number) for number in range(len(value))]
    return value


def _read(container: Any, key: Any) -> Any:
    try:
        return plain(container[key])
    except UnknownValueError:
        return UNKNOWN


def at(value: Any, path: str) -> Any:
    """What is at a path of dots and numbers: None where nothing is, `UNKNOWN` below what is not known."""
    for part in path.split("."):
        if isinstance(value, Unknown):
            return value
        if isinstance(value, list):
            value = value[int(part)] if int(part) < len(value) else None
        elif isinstance(value, dict):
            value = value.get(part)
        else:
            return None
    return value


def differs(value: Any, *wanted: Any) -> bool:
    """Whether a value is known and is none of these."""
    return not isinstance(value, Unknown) and value not in wanted


def several(value: Any) -> list[Any]:
    """A list, empty where there is none or where it is not known."""
    return value if isinstance(value, list) else []


def of_kind(resources: list[Resource], kind: str) -> list[Resource]:
    """The resources of a type."""
    return [resource for resource in resources if resource.kind == kind]


def describe(resource: PolicyResource) -> Resource:
    """A resource of the SDK's as rules see it."""
    uses = {name: frozenset(one.name for one in used) for name, used in (resource.property_dependencies or {}).items()}
    parent = resource.parent.resource_type if resource.parent is not None else ""
    return Resource(
        resource.urn, resource.resource_type, resource.name, plain(resource.props), bool(resource.opts.protect),
        parent, uses,
    )  # fmt: skip
