"""One resource: checked, compared, made, read back, changed and taken away as its row says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import jmespath

from toolchain.plugin_aws.api import Api, ApiError, find_faults
from toolchain.plugin_aws.codecs import TEXT, UNKNOWN, Pairs, has_unknown, narrow
from toolchain.plugin_aws.table import Call, Field, It, Row, fill, look, read_fields, write_fields

Faults = list[tuple[str, str]]
_MADE_UP: Final = "__defaults"
"""The key under which the engine's own plugins keep which inputs they made up."""
_TAGS: Final = Pairs()


@dataclass
class Difference:
    """What changes: properties, those of them that make a new resource, and each path with its kind."""

    changed: set[str] = field(default_factory=set)
    replaces: set[str] = field(default_factory=set)
    detail: dict[str, str] = field(default_factory=dict)
    delete_first: bool = False
    """The new one has the old one's name."""


class Resource:
    """A row of the table at work."""

    def __init__(self, row: Row, api: Api, default_tags: Mapping[str, str]) -> None:
        self._row = row
        self._api = api
        self._default_tags = dict(default_tags) if row.tags else {}
        self._fields = row.all_fields()
        self._codecs = {name: one.codec for name, one in self._fields.items()} | dict(row.local)
        if row.tags:
            self._codecs["tags"] = _TAGS

    def check(self, new: dict[str, Any], old: dict[str, Any], own: str, suffix: str) -> tuple[dict[str, Any], Faults]:
        """The inputs with a name, and what is wrong with them, by property.

        Args:
            new: the inputs.
            old: those of the last run, whose made-up name is kept.
            own: the resource's name in the program.
            suffix: makes a made-up name one of its own.
        """
        row = self._row
        inputs = {name: value for name, value in new.items() if value is not None}
        if row.name and row.name not in inputs:
            prefix = inputs.get(f"{row.name}Prefix")
            kept = old.get(row.name) if row.name in old.get(_MADE_UP, ()) else None
            fits = isinstance(kept, str) and kept.startswith(prefix or f"{own}-")
            if prefix != UNKNOWN:
                inputs |= {row.name: kept if fits else f"{prefix or f'{own}-'}{suffix}", _MADE_UP: [row.name]}
        faults: Faults = [
            (name, f"missing required property {name!r}")
            for name, one in self._fields.items()
            if one.required and name not in inputs
        ]
        known = set(self._codecs) | {f"{row.name}Prefix", _MADE_UP}
        faults += [
            (name, f"the stand-in for the AWS plugin does not carry {name!r} of {row.token}")
            for name in inputs
            if name not in known
        ]
        for name, codec in self._codecs.items():
            if name in inputs:
                faults += [(name, fault) for fault in codec.check(inputs[name], name)]
        if not faults and not has_unknown(inputs):
            faults += [("", fault) for fault in find_faults(row.service, row.create.operation, self._ask_for(inputs))]
        return inputs, faults

    def diff(self, old: dict[str, Any], new: dict[str, Any], state: dict[str, Any]) -> Difference:
        """What changes from the old inputs to the new ones."""
        found = Difference()
        for name in self._changed(old, new):
            one = self._fields.get(name)
            replace = one is not None and one.replace
            found.changed.add(name)
            if replace:
                found.replaces.add(name)
            found.detail |= _describe(name, old.get(name), new.get(name), "_REPLACE" if replace else "")
        if self._row.tags and not found.changed and state.get("tagsAll") != self._all_tags(new):
            found.changed.add("tagsAll")
            found.detail |= _describe("tagsAll", state.get("tagsAll"), self._all_tags(new), "")
        named = self._row.name and self._row.name not in new.get(_MADE_UP, ())
        found.delete_first = bool(found.replaces and named and self._row.name not in found.replaces)
        return found

    def foresee(self, inputs: dict[str, Any], state: dict[str, Any] | None = None) -> dict[str, Any]:
        """What a preview knows of the state after `inputs` are carried out; `state` is the one before, if any."""
        row = self._row
        if state is None:
            known = dict.fromkeys((*row.outputs, *row.made), UNKNOWN)
        else:
            known = {name: value for name, value in state.items() if name not in self._codecs}
            known |= dict.fromkeys(row.volatile, UNKNOWN)
        return known | self._shown(inputs)

    def create(self, inputs: dict[str, Any]) -> tuple[str, dict[str, Any], str | None]:
        """Make it: its id, its state, and what failed when it was made and then could not be finished.

        Raises:
            ApiError: nothing was made.
        """
        row = self._row
        answer = self._api.call(row.service, row.create.operation, self._ask_for(inputs))
        made = {name: jmespath.search(path, answer) for name, path in row.made.items()}
        known = self._known("", {**inputs, **made})
        id_: str = fill(row.id, known) if "$" in row.id else str(jmespath.search(row.id, answer))
        it = It(id_, inputs, {}, dict(made))
        try:
            if row.after is not None:
                row.after(self._api, it)
            it.state |= self._outputs(id_, {**inputs, **it.state})
            self._write_parts(it, {name for name in inputs if name in self._fields})
            self._write_tags(it, {}, self._all_tags(inputs))
            return id_, it.state | self._outputs(id_, {**inputs, **it.state}) | self._shown(inputs), None
        except ApiError as error:
            return id_, it.state | self._shown(inputs), str(error)

    def read(
        self, id_: str, inputs: dict[str, Any], state: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """Inputs and state as AWS has them now; None when it is gone.

        Raises:
            ApiError: it cannot be read.
        """
        known = self._known(id_, {**inputs, **state})
        answer = look(self._api, self._row, self._row.read, known)
        if answer is None:
            return None
        told = read_fields(self._row.fields, answer)
        for part in self._row.parts:
            source = answer if part.read is None else look(self._api, self._row, part.read, known)
            told |= read_fields(part.fields, source) if source is not None else {}
        found = {
            name: value for name, value in inputs.items() if name not in self._fields or self._fields[name].read == ""
        }
        for name, one in self._fields.items():
            if one.quiet and name in inputs and name not in told:
                found[name] = inputs[name]
            elif one.read != "":
                found |= _settle(name, one, inputs, told)
        if self._row.name in told:
            found.setdefault(self._row.name, told[self._row.name])
        kept = {name: value for name, value in state.items() if name not in self._codecs and name != "tagsAll"}
        if self._row.tags is None:
            return found, kept | self._read_outputs(answer, known) | found
        tags = self._read_tags(known, answer)
        own = {key: value for key, value in tags.items() if self._default_tags.get(key) != value}
        own |= {key: tags[key] for key in inputs.get("tags") or () if key in tags}
        found.pop("tags", None)
        if own or "tags" in inputs:
            found["tags"] = own
        return found, kept | self._read_outputs(answer, known) | found | {"tagsAll": tags}

    def update(
        self, id_: str, old: dict[str, Any], new: dict[str, Any], state: dict[str, Any]
    ) -> tuple[dict[str, Any], str | None]:
        """Change it in place: its state, and what failed on the way."""
        row = self._row
        it = It(id_, new, old, dict(state))
        changed = self._changed(old, new)
        try:
            if changed & set(row.fields):
                self._write_row(it, changed & set(row.fields))
            self._write_parts(it, changed)
            self._write_tags(it, it.state.get("tagsAll") or {}, self._all_tags(new))
        except ApiError as error:
            return state, str(error)
        kept = {name: value for name, value in it.state.items() if name not in self._codecs}
        return kept | self._outputs(id_, {**it.state, **new}) | self._shown(new), None

    def delete(self, id_: str, state: dict[str, Any]) -> None:
        """Take it away; what is gone already is no fault.

        Raises:
            ApiError: it cannot be taken away.
        """
        row, it = self._row, It(id_, {}, {}, state)
        try:
            if row.before_delete is not None:
                row.before_delete(self._api, it)
            if isinstance(row.delete, Call):
                self._call(row.delete, self._known(id_, state))
            elif row.delete is not None:
                row.delete(self._api, it)
        except ApiError as error:
            if not error.gone:
                raise

    def _known(self, id_: str, values: Mapping[str, Any]) -> dict[str, Any]:
        return {**values, "id": id_, "region": self._api.region, "account": self._api.account}

    def _ask_for(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Parameters of the call that creates."""
        row = self._row
        given = fill(dict(row.create.given), self._known("", inputs))
        return {**given, **write_fields(row.fields, inputs), **row.before(self._api, It("", inputs, {}, {}))}

    def _changed(self, old: dict[str, Any], new: dict[str, Any]) -> set[str]:
        def key(name: str, values: dict[str, Any]) -> Any:
            value = values.get(name)
            if value is None and name in self._fields:
                value = self._fields[name].default
            return None if value is None else self._codecs[name].key(value)

        return {name for name in self._codecs if name in {*old, *new} and key(name, old) != key(name, new)}

    def _write_row(self, it: It, changed: set[str]) -> None:
        row = self._row
        if row.update is None:
            return
        if not isinstance(row.update, Call):
            row.update(self._api, it)
            return
        names = set(row.fields) if row.update.whole else changed
        self._send(row.update, it, row.fields, names)

    def _write_parts(self, it: It, changed: set[str]) -> None:
        for part in self._row.parts:
            names = changed & set(part.fields)
            if not names:
                continue
            if not isinstance(part.write, Call):
                part.write(self._api, it)
            elif part.remove is not None and not any(name in it.new for name in part.fields):
                self._send(part.remove, it, {}, set())
            else:
                self._send(part.write, it, part.fields, set(part.fields) if part.write.whole else names)

    def _send(self, call: Call, it: It, fields: Mapping[str, Field], names: set[str]) -> None:
        values = {name: it.new.get(name, fields[name].default) for name in names}
        given = fill(dict(call.given), self._known(it.id, {**it.state, **it.new}))
        self._api.call(self._row.service, call.operation, {**write_fields(fields, values), **given})

    def _all_tags(self, inputs: dict[str, Any]) -> dict[str, str]:
        tags = inputs.get("tags") or {}
        return {**self._default_tags, **tags} if isinstance(tags, dict) else tags

    def _shown(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Inputs as the state has them."""
        shown = {name: value for name, value in inputs.items() if name != _MADE_UP}
        return {**shown, "tagsAll": self._all_tags(inputs)} if self._row.tags else shown

    def _write_tags(self, it: It, old: dict[str, str], new: dict[str, str]) -> None:
        tags = self._row.tags
        if tags is None or old == new:
            return
        known = self._known(it.id, {**it.state, **it.new})
        gone = sorted(set(old) - set(new))
        if gone:
            keys = [{"Key": key} for key in gone] if tags.keys_in_pairs else gone
            self._call(tags.remove, {**known, "keys": keys})
        if new:
            self._call(tags.add, {**known, "tags": tags.codec.write(new)})

    def _call(self, call: Call, known: Mapping[str, Any]) -> None:
        self._api.call(self._row.service, call.operation, fill(dict(call.given), known))

    def _read_tags(self, known: Mapping[str, Any], answer: Any) -> dict[str, str]:
        tags = self._row.tags
        if tags is None:
            return {}
        source = answer if tags.read is None else look(self._api, self._row, tags.read, known)
        told = jmespath.search(tags.at, source) if source is not None else None
        read: dict[str, str] = tags.codec.read(told) if told else {}
        return {key: TEXT.read(value) for key, value in read.items() if not key.startswith("aws:")}

    def _outputs(self, id_: str, values: Mapping[str, Any]) -> dict[str, Any]:
        known = self._known(id_, values)
        if not self._row.outputs:
            return {}
        return self._read_outputs(look(self._api, self._row, self._row.read, known), known)

    def _read_outputs(self, answer: Any, known: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: fill(path, known) if "$" in path else jmespath.search(path, answer)
            for name, path in self._row.outputs.items()
        }


def _settle(name: str, one: Field, inputs: dict[str, Any], told: dict[str, Any]) -> dict[str, Any]:
    """The input as it is to be noted: as it was written when AWS has the same, else as AWS has it."""
    value = told.get(name, one.default)
    if value is None:
        return {}
    if name in inputs:
        value = narrow(one.codec, inputs[name], value)
        same = one.codec.key(inputs[name]) == one.codec.key(value)
        return {name: inputs[name] if same else value}
    changed = one.default is not None and one.codec.key(value) != one.codec.key(one.default)
    return {name: value} if changed else {}


def _describe(path: str, old: Any, new: Any, suffix: str) -> dict[str, str]:
    """Each path that differs, as the engine shows them, and whether something is added, deleted or updated."""
    if isinstance(old, dict) and isinstance(new, dict):
        deeper = [(f"{path}.{key}" if key.isidentifier() else f'{path}["{key}"]', key) for key in sorted({*old, *new})]
        return {
            inner: kind
            for below, key in deeper
            if old.get(key) != new.get(key)
            for inner, kind in _describe(below, old.get(key), new.get(key), suffix).items()
        }
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return {
            inner: kind
            for number, (one, other) in enumerate(zip(old, new, strict=True))
            if one != other
            for inner, kind in _describe(f"{path}[{number}]", one, other, suffix).items()
        }
    return {path: f"{'ADD' if old is None else 'DELETE' if new is None else 'UPDATE'}{suffix}"}
