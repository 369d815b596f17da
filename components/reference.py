"""The reference of all settings, rendered from their models: a page for people, a JSON schema for editors."""

import json
from collections.abc import Iterator
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from components.settings import NAMESPACE, Settings


def render_page() -> str:
    """docs/configuration.md."""
    lines = [
        "# Configuration",
        "",
        "<!-- Made by `make docs` from components/settings.py; do not edit. -->",
        "",
        "Settings stand in `Pulumi.<stack>.yaml` under `config:`, a group a chapter; what is not set has the default",
        "below. An unknown key, a wrong type or a value outside its bounds stops the run before anything is made.",
        "A dot in a key below is a level there:",
        "",
        "```yaml",
        "config:",
        f"  {NAMESPACE}:monitoring: {{enabled: true}}",
        f"  {NAMESPACE}:distribution: {{coordinator: {{replicas: 4, autoscale: {{maximum: 8}}}}}}",
        "```",
        "",
    ]
    for name, field in Settings.model_fields.items():
        lines += [f"## `{NAMESPACE}:{name}`", "", str(field.description), ""]
        lines += ["| key | default | allowed | what for |", "|---|---|---|---|"]
        lines += [f"| `{path}` | {default} | {allowed} | {what} |" for path, default, allowed, what in _rows(field)]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def render_schema() -> str:
    """docs/settings.schema.json."""
    chapters = {
        f"{NAMESPACE}:{name}": {"$ref": f"#/$defs/{_model(field).__name__}"}
        for name, field in Settings.model_fields.items()
    }
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A BEAMOps stack file",
        "type": "object",
        "properties": {"config": {"type": "object", "properties": chapters}},
        "$defs": Settings.model_json_schema()["$defs"],
    }
    return json.dumps(schema, indent=2) + "\n"


def _rows(chapter: FieldInfo, prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    yield from _table(_model(chapter), prefix)


def _item(field: FieldInfo) -> type[BaseModel] | None:
    """The model of a list's members, where they have one."""
    members = get_args(field.annotation)
    kind = members[0] if get_origin(field.annotation) is list else None
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _table(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str, str, str]]:
    described = model.model_json_schema()["properties"]
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _rows(field, f"{prefix}{name}.")
        elif (item := _item(field)) is not None:
            yield from _table(item, f"{prefix}{name}[].")
        else:
            default = "must be given" if field.is_required() else _default(field.default)
            yield f"{prefix}{name}", default, _allowed(described[name]), str(field.description)


def _default(value: Any) -> str:
    return "not set" if value is None else f"`{json.dumps(value)}`"


def _allowed(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_allowed(one) for one in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    words = [str(schema["type"])]
    for key, word in (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤")):
        if key in schema:
            words.append(f"{word} {schema[key]}")
    if "pattern" in schema:
        words.append(f"`{schema['pattern']}`".replace("|", "\\|"))
    return " ".join(words)


def _model(field: FieldInfo) -> type[BaseModel]:
    assert isinstance(field.annotation, type)  # noqa: S101 - every chapter is a model
    return field.annotation
