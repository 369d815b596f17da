"""What a row of the table says of a resource type: its calls, its properties, what a change of each means."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import jmespath

from toolchain.plugin_aws.api import Api, ApiError
from toolchain.plugin_aws.codecs import TEXT, Codec, get, put

BY_HOOK: Final = "-"
"""The member of a property that a row's own function writes."""

SPREAD: Final = "*"
"""The member of an object whose keys are members themselves."""


@dataclass(frozen=True)
class Field:
    """A property: `member` in the call that writes it (its own name, capitalised, when empty), `read` in the answer."""

    member: str = ""
    codec: Codec = TEXT
    required: bool = False
    replace: bool = False
    """A change makes a new resource: as the provider's documentation says."""
    read: str | None = None
    """Path in the answer where it differs from `member`; "" where AWS never tells (a password)."""
    default: Any = None
    """What AWS has where it is not given, when that is something."""
    quiet: bool = False
    """The emulator takes it and does not always tell it: what it does not tell is as it was."""


@dataclass(frozen=True)
class Call:
    """A call: `given` holds texts such as `$id` or `$name`, which stand for what is known; `at` is a JMESPath."""

    operation: str
    given: Mapping[str, Any] = field(default_factory=dict)
    at: str = "@"
    whole: bool = False
    """Send every property, and not those alone that changed."""


@dataclass
class It:
    """One resource in work: its inputs before and after."""

    id: str
    new: dict[str, Any]
    old: dict[str, Any]
    state: dict[str, Any]
    """What it was at the end of its last change, outputs included."""


Write = Callable[[Api, It], None]


@dataclass(frozen=True)
class Part:
    """Properties that another call writes than the one that creates."""

    fields: Mapping[str, Field]
    write: Call | Write
    read: Call | None = None
    """None: they are in the row's own answer."""
    remove: Call | None = None
    """Undoes them all, when none is given any more."""


@dataclass(frozen=True)
class Tags:
    """Tags: in calls, `$tags` are those to add, `$keys` the names of those to remove."""

    codec: Codec
    add: Call
    remove: Call
    read: Call | None = None
    at: str = "Tags"
    keys_in_pairs: bool = False


@dataclass(frozen=True)
class Row:
    """A resource type."""

    token: str
    service: str
    create: Call
    id: str
    """JMESPath in the answer to `create`, or a text with `$name`s."""
    read: Call
    delete: Call | Write | None
    fields: Mapping[str, Field]
    update: Call | Write | None = None
    parts: tuple[Part, ...] = ()
    outputs: Mapping[str, str] = field(default_factory=dict)
    """Further properties: JMESPath in the answer to `read`, or a text with `$name`s."""
    tags: Tags | None = None
    name: str = ""
    """The property that names it; made up from `<name>Prefix` or the resource's own name when not given."""
    made: Mapping[str, str] = field(default_factory=dict)
    """What the answer to `create` alone tells, by JMESPath; kept in the state, where `update` may write it anew."""
    volatile: tuple[str, ...] = ()
    """Outputs that every update changes."""
    before: Callable[[Api, It], dict[str, Any]] = lambda _api, _it: {}
    """Further parameters of `create`."""
    after: Write | None = None
    """What the provider does right after `create`."""
    before_delete: Write | None = None
    local: Mapping[str, Codec] = field(default_factory=dict)
    """Properties that no call takes when they change: they say how to delete, and the like."""

    def all_fields(self) -> dict[str, Field]:
        """Every property with a field, by name."""
        return dict(self.fields) | {name: one for part in self.parts for name, one in part.fields.items()}


_NAME: Final = re.compile(r"\$([a-z][A-Za-z]*)")


def fill(value: Any, known: Mapping[str, Any]) -> Any:
    """Put what is known in place of `$name`s; a text that is nothing but one becomes the value itself."""
    if isinstance(value, dict):
        filled = {key: fill(one, known) for key, one in value.items()}
        return {key: one for key, one in filled.items() if one is not None}
    if isinstance(value, list):
        return [fill(one, known) for one in value]
    if not isinstance(value, str):
        return value
    if (whole := _NAME.fullmatch(value)) is not None:
        return known.get(whole[1])
    return _NAME.sub(lambda found: str(known.get(found[1], "")), value)


def member_of(name: str, one: Field) -> str:
    """Where a property goes in a call."""
    return one.member or name[0].upper() + name[1:]


def write_fields(fields: Mapping[str, Field], values: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a call that carry these properties; nothing for what no call takes."""
    parameters: dict[str, Any] = {}
    for name, value in values.items():
        if name in fields and value is not None and fields[name].member != BY_HOOK:
            one = fields[name]
            written = one.codec.write(value)
            if one.member == SPREAD:
                parameters |= written
            elif written is not None:
                put(parameters, member_of(name, one), written)
    return parameters


def read_fields(fields: Mapping[str, Field], answer: Any) -> dict[str, Any]:
    """The properties that an answer tells."""
    found = {}
    for name, one in fields.items():
        if one.read == "":
            continue
        path = one.read or member_of(name, one)
        value = get(answer, path) if re.fullmatch(r"[\w.]+", path) else jmespath.search(path, answer)
        if value is not None:
            found[name] = one.codec.read(value)
    return found


def look(api: Api, row: Row, call: Call, known: Mapping[str, Any]) -> Any:
    """Ask, and take what the path points at; None when it is not there."""
    try:
        answer = api.call(row.service, call.operation, fill(dict(call.given), known))
    except ApiError as error:
        if error.gone:
            return None
        raise
    return jmespath.search(fill(call.at, known), answer)
