"""How a property is written to AWS, read back from it, and checked before: one codec a kind of value."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

UNKNOWN: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""What the engine sends in a preview for what is known only after an update (sdk: plugin.UnknownStringValue)."""


class Codec(Protocol):
    """One kind of value."""

    def check(self, value: Any, path: str) -> list[str]:
        """What is wrong with a value, each fault with its path; nothing of an unknown value is."""

    def write(self, value: Any) -> Any:
        """The value as AWS takes it."""

    def read(self, value: Any) -> Any:
        """The value as Pulumi knows it, from an answer of AWS."""

    def key(self, value: Any) -> Any:
        """Two values of one key are the same to AWS."""


@dataclass(frozen=True)
class Scalar:
    """A text, a number or a flag; `as_text` where Pulumi writes text and AWS another type, or the other way round."""

    kind: type
    api: type

    def check(self, value: Any, path: str) -> list[str]:
        """See Codec."""
        if value == UNKNOWN:
            return []
        try:
            _cast(self.kind, value)
        except ValueError:
            return [f"{path}: given {json.dumps(value)}, should be a {_NAMES[self.kind]}"]
        return []

    def write(self, value: Any) -> Any:
        """See Codec."""
        return _cast(self.api, value)

    def read(self, value: Any) -> Any:
        """See Codec."""
        return _cast(self.kind, value)

    def key(self, value: Any) -> Any:
        """See Codec."""
        return value if value == UNKNOWN else _cast(self.kind, value)


_NAMES: Final = {str: "text", int: "number", float: "number", bool: "flag"}


def _cast(kind: type, value: Any) -> Any:
    if isinstance(value, dict | list):
        raise ValueError(value)  # noqa: TRY004 - one kind of error for a wrong value
    if kind is str:
        return str(value).lower() if isinstance(value, bool) else str(value)
    if kind is bool:
        text = str(value).lower()
        if text not in {"true", "false"}:
            raise ValueError(value)
        return text == "true"
    if isinstance(value, bool):
        raise ValueError(value)  # noqa: TRY004
    return kind(value)


@dataclass(frozen=True)
class Document:
    """JSON in a text, as IAM's policies are: compared by content."""

    def check(self, value: Any, path: str) -> list[str]:
        """See Codec."""
        try:
            if value != UNKNOWN:
                json.loads(value)
        except (TypeError, ValueError):
            return [f"{path}: should be a JSON document"]
        return []

    def write(self, value: Any) -> Any:
        """See Codec."""
        return value

    def read(self, value: Any) -> Any:
        """See Codec."""
        return value if isinstance(value, str) else json.dumps(value)

    def key(self, value: Any) -> Any:
        """See Codec."""
        return value if value == UNKNOWN else json.dumps(json.loads(value), sort_keys=True)


@dataclass(frozen=True)
class Stripped:
    """A text that AWS tells without its beginning."""

    prefix: str

    def check(self, value: Any, path: str) -> list[str]:
        """See Codec."""
        return TEXT.check(value, path)

    def write(self, value: Any) -> Any:
        """See Codec."""
        return value

    def read(self, value: Any) -> Any:
        """See Codec."""
        return self.prefix + str(value).removeprefix(self.prefix)

    def key(self, value: Any) -> Any:
        """See Codec."""
        return value if value == UNKNOWN else self.read(value)


@dataclass(frozen=True)
class Several:
    """A list of values whose order means nothing; joined by commas where AWS takes one text."""

    item: Codec
    joined: bool = False

    def check(self, value: Any, path: str) -> list[str]:
        """See Codec."""
        if value == UNKNOWN:
            return []
        if not isinstance(value, list):
            return [f"{path}: given {json.dumps(value)}, should be a list"]
        return [fault for number, one in enumerate(value) for fault in self.item.check(one, f"{path}[{number}]")]

    def write(self, value: Any) -> Any:
        """See Codec."""
        written = [self.item.write(one) for one in value]
        return ",".join(written) if self.joined else written

    def read(self, value: Any) -> Any:
        """See Codec."""
        return [self.item.read(one) for one in (value.split(",") if self.joined else value)]

    def key(self, value: Any) -> Any:
        """See Codec."""
        return value if value == UNKNOWN else sorted((self.item.key(one) for one in value), key=repr)


@dataclass(frozen=True)
class Block:
    """An object: each key by the name that AWS has for it; keys that are not named here are refused."""

    fields: Mapping[str, tuple[str, Codec]]

    def check(self, value: Any, path: str) -> list[str]:
        """See Codec."""
        if value == UNKNOWN:
            return []
        if not isinstance(value, dict):
            return [f"{path}: given {json.dumps(value)}, should be an object"]
        faults = []
        for name, given in value.items():
            if name not in self.fields:
                faults.append(f"{path}.{name}: unknown key; the stand-in carries {', '.join(sorted(self.fields))}")
            elif given is not None:
                faults += self.fields[name][1].check(given, f"{path}.{name}")
        return faults

    def write(self, value: Any) -> Any:
        """See Codec."""
        written: dict[str, Any] = {}
        for name, given in value.items():
            if given is not None:
                member, codec = self.fields[name]
                put(written, member, codec.write(given))
        return written

    def read(self, value: Any) -> Any:
        """See Codec."""
        found = {}
        for name, (member, codec) in self.fields.items():
            given = get(value, member)
            if given is not None:
                found[name] = codec.read(given)
        return found

    def key(self, value: Any) -> Any:
        """See Codec."""
        if value == UNKNOWN:
            return value
        # In order: what comes over the wire has none, and lists of these are sorted by how they look.
        return {name: self.fields[name][1].key(given) for name, given in sorted(value.items()) if given is not None}


@dataclass(frozen=True)
class Lone:
    """A list of at most one object in Pulumi, the object itself in AWS."""

    block: Block

    def check(self, value: Any, path: str) -> list[str]:
        """See Codec."""
        faults = Several(self.block).check(value, path)
        return faults or ([f"{path}: should be one object at most"] if value != UNKNOWN and len(value) > 1 else [])

    def write(self, value: Any) -> Any:
        """See Codec."""
        return self.block.write(value[0]) if value else None

    def read(self, value: Any) -> Any:
        """See Codec."""
        return [self.block.read(value)]

    def key(self, value: Any) -> Any:
        """See Codec."""
        return Several(self.block).key(value)


@dataclass(frozen=True)
class Attributes:
    """An object in Pulumi that AWS keeps as texts by key: `{"enabled": ("access_logs.s3.enabled", FLAG)}`."""

    fields: Mapping[str, tuple[str, Codec]]

    def check(self, value: Any, path: str) -> list[str]:
        """See Codec."""
        return Block(self.fields).check(value, path)

    def write(self, value: Any) -> Any:
        """See Codec."""
        return [
            {"Key": self.fields[name][0], "Value": TEXT.write(given)}
            for name, given in value.items()
            if given is not None
        ]

    def read(self, value: Any) -> Any:
        """See Codec."""
        told = {pair["Key"]: pair["Value"] for pair in value}
        return {name: codec.read(told[key]) for name, (key, codec) in self.fields.items() if told.get(key)}

    def key(self, value: Any) -> Any:
        """See Codec."""
        return Block(self.fields).key(value)


@dataclass(frozen=True)
class Attribute:
    """One value that AWS keeps as a text by its key."""

    name: str
    kind: Codec

    def check(self, value: Any, path: str) -> list[str]:
        """See Codec."""
        return self.kind.check(value, path)

    def write(self, value: Any) -> Any:
        """See Codec."""
        return Attributes({"it": (self.name, self.kind)}).write({"it": value})

    def read(self, value: Any) -> Any:
        """See Codec."""
        return Attributes({"it": (self.name, self.kind)}).read(value).get("it")

    def key(self, value: Any) -> Any:
        """See Codec."""
        return self.kind.key(value)


@dataclass(frozen=True)
class Alone:
    """One value in Pulumi, in AWS a list of one: of the value, or of an object with it under `name`."""

    item: Codec
    name: str | None = None

    def check(self, value: Any, path: str) -> list[str]:
        """See Codec."""
        return self.item.check(value, path)

    def write(self, value: Any) -> Any:
        """See Codec."""
        written = self.item.write(value)
        return [written if self.name is None else {self.name: written}]

    def read(self, value: Any) -> Any:
        """See Codec."""
        one = value[0] if isinstance(value, list) else value
        return self.item.read(one if self.name is None else one[self.name])

    def key(self, value: Any) -> Any:
        """See Codec."""
        return self.item.key(value)


@dataclass(frozen=True)
class Choice:
    """A value in Pulumi for which AWS has a word."""

    words: Mapping[Any, str]

    def check(self, value: Any, path: str) -> list[str]:
        """See Codec."""
        known = value == UNKNOWN or value in self.words
        return [] if known else [f"{path}: given {json.dumps(value)}, offered {json.dumps(list(self.words))}"]

    def write(self, value: Any) -> Any:
        """See Codec."""
        return self.words[value]

    def read(self, value: Any) -> Any:
        """See Codec."""
        return next(name for name, word in self.words.items() if word == value)

    def key(self, value: Any) -> Any:
        """See Codec."""
        return value


@dataclass(frozen=True)
class Pairs:
    """An object of free keys in Pulumi; in AWS the same, or a list of pairs such as `Key` and `Value`."""

    name: str | None = None
    value: str = "Value"

    def check(self, value: Any, path: str) -> list[str]:
        """See Codec."""
        if value == UNKNOWN or isinstance(value, dict):
            return []
        return [f"{path}: given {json.dumps(value)}, should be an object"]

    def write(self, value: Any) -> Any:
        """See Codec."""
        if self.name is None:
            return value
        return [{self.name: name, self.value: one} for name, one in sorted(value.items())]

    def read(self, value: Any) -> Any:
        """See Codec."""
        return value if self.name is None else {pair[self.name]: pair[self.value] for pair in value}

    def key(self, value: Any) -> Any:
        """See Codec."""
        return value


def narrow(codec: Codec, given: Any, told: Any) -> Any:
    """Of what AWS tells of an object, the keys that are given: for all others it has values of its own."""
    if isinstance(codec, Block) and isinstance(given, dict):
        return {
            name: narrow(codec.fields[name][1], given[name], value)
            for name, value in told.items()
            if given.get(name) is not None
        }
    item = codec.item if isinstance(codec, Several) else codec.block if isinstance(codec, Lone) else None
    if item is not None and isinstance(given, list) and len(given) == len(told):
        return [narrow(item, *pair) for pair in zip(given, told, strict=True)]
    return told


def put(target: dict[str, Any], path: str, value: Any) -> None:
    """Set a value at a path of dots."""
    *folders, last = path.split(".")
    for folder in folders:
        target = target.setdefault(folder, {})
    target[last] = value


def get(source: Any, path: str) -> Any:
    """The value at a path of dots, or None; a number in it is a place in a list."""
    for part in path.split("."):
        if isinstance(source, list):
            source = source[int(part)] if int(part) < len(source) else None
        elif isinstance(source, dict):
            source = source.get(part)
        else:
            return None
    return source


def has_unknown(value: Any) -> bool:
    """Whether anything in it is known only after an update."""
    if isinstance(value, dict):
        return any(map(has_unknown, value.values()))
    if isinstance(value, list):
        return any(map(has_unknown, value))
    return bool(value == UNKNOWN)


TEXT: Final = Scalar(str, str)
NUMBER: Final = Scalar(int, int)
FLOAT: Final = Scalar(float, float)
FLAG: Final = Scalar(bool, bool)
FLAG_TEXT: Final = Scalar(str, bool)
"""A text in Pulumi, a flag in AWS."""
TEXTS: Final = Several(TEXT)
