"""Validate the content of JSON files with pydantic; an error is one line with file and key.

Importing pydantic takes a tenth of a second, so command lines import this module only once they
read a file that has a schema.
"""

from __future__ import annotations

import os
import re
from typing import Annotated, Any, ClassVar, Literal, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
)

from benchmark.errors import InputError, did_you_mean
from benchmark.files import MAX_JSON_BYTES, read_json


class Schema(BaseModel):
    """Base of all schemas: strict types, finite numbers, no unknown keys, immutable.

    An integer is accepted where a float is expected; a bool is not a number. A file that states
    its version does so under the key ``schema``::

        schema_version: version_type(1) = Field(1, alias="schema")

    Attributes:
        remedy: how to fix a file that does not fit, appended to every error.
        later: keys that were added to a version, so that complete files may lack them.
    """

    model_config = ConfigDict(
        strict=True,
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        serialize_by_alias=True,
        # Fields such as `model_type` are fine.
        protected_namespaces=(),
    )
    remedy: ClassVar[str] = ""
    later: ClassVar[frozenset[str]] = frozenset()


SchemaT = TypeVar("SchemaT", bound=Schema)


def validate(
    model: type[SchemaT], content: Any, where: str | os.PathLike[str], complete: bool = False
) -> SchemaT:
    """The content of a parsed JSON file as an instance of `model`.

    Args:
        content: what `benchmark.files.read_json` returned, or a config file's names and values.
        complete: also refuse a top-level key that is missing although it has a default, for files
            whose writer always writes every key.

    Raises:
        InputError: one line with the file, the first key at fault, what was expected, and the
            number of further errors. A wrong ``schema`` comes first, then unknown keys.
    """
    versioned = complete and "schema_version" in model.model_fields
    # A file without a version was not written by the benchmark, whatever else is wrong with it.
    if versioned and isinstance(content, dict) and "schema" not in content:
        raise InputError(f"{where}: key 'schema' is missing{_remedy(model)}")
    try:
        instance = model.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{where}: {_summary(model, error)}") from None
    if complete:
        given = instance.model_fields_set | model.later
        for name, field in model.model_fields.items():
            if name not in given:
                key = field.alias or name
                raise InputError(f"{where}: key '{key}' is missing{_remedy(model)}")
    return instance


def read_validated(
    path: str | os.PathLike[str], model: type[SchemaT], limit: int = MAX_JSON_BYTES
) -> SchemaT:
    """Read a JSON file of at most `limit` bytes that holds every key of `model`.

    Raises:
        InputError: as `read_json` and `validate`.
    """
    return validate(model, read_json(path, limit), path, complete=True)


def _remedy(model: type[Schema]) -> str:
    return f"; {model.remedy}" if model.remedy else ""


def _summary(model: type[Schema], error: ValidationError) -> str:
    """The most telling error in one line, and how many others there are."""
    errors = error.errors(include_url=False, include_context=False)
    # Under another schema every other complaint would mislead, and a misspelt key explains why
    # another one is missing.
    first = min(errors, key=lambda one: (one["loc"] != ("schema",), one["type"] != _UNKNOWN))
    if first["loc"] == ("schema",):
        return _line(model, first) + (_remedy(model) or "; update the benchmark (git pull)")
    others = len(errors) - 1
    more = f" (and {others} more error{'s' if others > 1 else ''})" if others else ""
    return f"{_line(model, first)}{more}{_remedy(model)}"


_UNKNOWN = "extra_forbidden"
# The first words of pydantic's messages: "Input should be …", "String should have …".
_SHOULD = re.compile(r"^(?:[A-Z]\w*) should ")


def _line(model: type[Schema], error: Any) -> str:
    location = [str(part) for part in error["loc"] if part != "[key]"]
    # A key of a hostile file may be of any length.
    key = ".".join(location)[:200]
    if error["type"] == _UNKNOWN:
        known = [field.alias or name for name, field in model.model_fields.items()]
        hint = did_you_mean(location[0], known) if len(location) == 1 else ""
        return f"unknown key '{key}'{hint if 'did you mean' in hint else ''}"
    if error["type"] == "missing":
        return f"key '{key}' is missing"
    expected = error["msg"].removeprefix("Value error, ")
    if error["type"] in ("model_type", "dict_type"):
        expected = "must be an object"
    expected = _SHOULD.sub("must ", expected)
    if not expected.startswith("must"):
        return f"key '{key}': {expected}"
    if not location:
        return "must hold a JSON object" if error["type"] == "model_type" else expected
    return f"key '{key}' {expected}, found {error['input']!r:.60}"


def version_type(version: int | str) -> Any:
    """The type of the key ``schema``: `version` and nothing else, not even ``true`` for 1."""

    def check(found: Any) -> Any:
        if type(found) is not type(version) or found != version:
            raise ValueError(f"must be {version!r}")
        return found

    return Annotated[type(version), PlainValidator(check)]


def _not_blank(text: str) -> str:
    if text.isspace():
        raise ValueError("must not be blank")
    return text


def text_type(max_length: int) -> Any:
    """The type of texts of 1 to `max_length` characters, not all of them white space."""
    return Annotated[str, Field(min_length=1, max_length=max_length), AfterValidator(_not_blank)]


_T = TypeVar("_T")
NonEmpty = Annotated[list[_T], Field(min_length=1)]


def _list_to_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


#: For ``Annotated[tuple[T, ...], LISTS_AS_TUPLES]``: JSON and configs write lists.
LISTS_AS_TUPLES = BeforeValidator(_list_to_tuple)

TaskKind = Literal["segmentation", "detection", "denoising"]
TASK_KINDS: tuple[str, ...] = get_args(TaskKind)
#: What a record may be about: a task, or the analysis of an encoder's patch features.
ResultKind = Literal[TaskKind, "representation"]
Text = text_type(1_000)
#: Larger integers are not exact in every reader of JSON.
Count = Annotated[int, Field(ge=0, le=2**53)]
Amount = Annotated[float, Field(ge=0)]
