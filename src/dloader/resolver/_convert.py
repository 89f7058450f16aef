"""Loaded values -> the field's type, those of all nodes at once; and into the nodes."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias, TypeVar, cast, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    PydanticUserError,
    TypeAdapter,
    ValidationError,
    WrapValidator as Wrap,
)
from pydantic.fields import FieldInfo
from pydantic_core import SchemaValidator
from typing_extensions import TypedDict  # Pydantic wants this one, and brings it

from dloader.resolver._fields import FailedAt
from dloader.resolver._plan._annotations import (
    FieldType,
    field_type,
    field_types,
    inner_metadata,
    is_node_class,
)
from dloader.resolver._rows._cutting import Form
from dloader.resolver._rows._explain import explain
from dloader.resolver._rows._kinds import Leaves, form_of, leaves_of, may_hold_rows, readable
from dloader.resolver._rows._schemas import RowSchemas

__all__ = (
    "Convert",
    "Converter",
    "InBulk",
    "convert_for_nodes",
    "converter_of",
    "holds_awaitables",
    "mapper_of",
)

Convert: TypeAlias = Callable[[Sequence[Any], list[Any], Leaves | None], list[Any]]
"""From nodes and the raw values for one of their fields to values of the field's type.

Takes what stands in lists there, if somebody has looked: what rows are is read from it.
"""

VALIDATORS: dict[str, Any] = {
    "before": BeforeValidator,
    "after": AfterValidator,
    "wrap": Wrap,
    "plain": PlainValidator,
}
CONTAINERS = frozenset({dict, list, set})
GIVEN_CONTAINERS = CONTAINERS | {frozenset, tuple}
UNCACHED: list[str] = []
"""Not hashable: keeps ``typing`` from caching an annotation, and with it the class whose validators it holds."""


class Converter(NamedTuple):
    """How the values for a field are converted."""

    convert: Convert
    is_of_type_alone: bool
    """Whether the same raw value is converted alike for every node."""


def convert_for_nodes(
    converter: Converter,
    nodes: Sequence[Any],
    values: list[Any],
    keys: Sequence[Any] | None,
    is_reused: bool,
    leaves: Leaves | None = None,
) -> list[Any]:
    """Convert the values for a field of nodes.

    Args:
        converter: Of the field.
        nodes: Whose field it is.
        values: One for each node, or for each distinct key, in the order in which these first come.
        keys: Of the nodes, where some have the same.
        is_reused: Whether nodes that were given the same value, or have the same key, may share what becomes of it;
            containers are each node's own.
        leaves: What stands in lists there, if somebody has looked.

    Raises:
        FailedAt: A value cannot be converted.
    """
    convert = converter.convert
    if not (is_reused and converter.is_of_type_alone):
        return convert(nodes, values if keys is None else _spread(keys, values), leaves)
    if keys is None:
        keys = list(map(id, values))
        if len(set(keys)) == len(keys):
            return convert(nodes, values, leaves)
        distinct = dict(zip(keys, values, strict=True))
        values = list(distinct.values())
    else:
        distinct = dict.fromkeys(keys)
    try:
        converted = convert(nodes, values, leaves)
    except FailedAt as failed:
        raise FailedAt(keys.index(list(distinct)[failed.index]), failed.error) from None
    by_key = dict(zip(distinct, converted, strict=True))
    found = list(map(by_key.__getitem__, keys))
    if CONTAINERS.isdisjoint(map(type, converted)):
        return found
    return [value.copy() if type(value) in CONTAINERS else value for value in found]


def _spread(keys: Sequence[Any], values: Iterable[Any]) -> list[Any]:
    """From the values of the distinct keys, in the order in which these first come, to one for each key."""
    by_key = dict(zip(dict.fromkeys(keys), values, strict=True))
    return list(map(by_key.__getitem__, keys))


def converter_of(cls: type, name: str) -> Converter:
    """Make the converter of one field, with all that the class declares for it.

    Constraints, ``Annotated`` and decorated validators, strictness and the aliases of nested models apply as they do
    when the class itself is validated; objects with attributes are accepted like dicts.
    """
    declared = _declared(cls, name)
    metadata = tuple(mark for mark in declared.metadata if not type(mark).__module__.startswith("dloader."))
    annotation = declared.annotation
    parts = [*metadata, *_decorated_validators(cls, name)]
    for validator, is_of_items in _validators_of_pydantic_1(cls, name):
        if is_of_items:
            annotation = _at_items(annotation, validator)
        else:
            parts.append(validator)
    if annotation is Any and not parts:
        return Converter(_as_they_are, is_of_type_alone=True)
    kind: Any = Annotated[(annotation, *parts, UNCACHED)] if parts else annotation
    config = config_of(cls, f"{cls.__name__}.{name}")
    if any(map(_takes_info, (*parts, *inner_metadata(annotation)))):
        return Converter(_among_others(cls, name, kind, config), is_of_type_alone=False)
    convert = InBulk(kind, config).convert
    return Converter(_checked(convert) if _says_nothing(kind) else convert, is_of_type_alone=True)


def _as_they_are(_nodes: Sequence[Any], values: list[Any], _leaves: Leaves | None = None) -> list[Any]:
    if not GIVEN_CONTAINERS.isdisjoint(map(type, values)):
        _refuse_awaitables(values)
    return values


def _checked(convert: Convert) -> Convert:
    """For a type that takes anything somewhere: what is still awaited is no value."""

    def convert_checked(nodes: Sequence[Any], values: list[Any], leaves: Leaves | None = None) -> list[Any]:
        converted = convert(nodes, values, leaves)
        _refuse_awaitables(converted)
        return converted

    return convert_checked


def _says_nothing(annotation: Any) -> bool:
    """Whether a type takes anything, or a container of anything."""
    if annotation in (Any, object, *GIVEN_CONTAINERS) or isinstance(annotation, TypeVar):
        return True
    return get_origin(annotation) is not Literal and any(map(_says_nothing, get_args(annotation)))


def _refuse_awaitables(values: Sequence[Any]) -> None:
    for index, value in enumerate(values):
        if holds_awaitables(value):
            text = f"a {type(value).__name__} of futures is no value"
            raise FailedAt(index, TypeError(text))


def holds_awaitables(value: Any, only_first: bool = True) -> bool:
    """Whether somebody still has to await what a list, say, holds: a look at the first item is cheap."""
    kind: Any = cast(Any, type(value))
    if kind not in GIVEN_CONTAINERS or not value:
        return False
    items: Iterable[Any] = value.values() if kind is dict else value
    return any(hasattr(item, "__await__") for item in (itertools.islice(items, 1) if only_first else items))


class InBulk:
    """Converts values into a type, all those of a step at once; kept with the plan of the class whose field it is."""

    def __init__(self, kind: Any, config: ConfigDict) -> None:
        of_kind: Any = list
        adapter: Any = TypeAdapter[list[Any]](of_kind[kind], config=config)
        self.schemas = RowSchemas(adapter, _core_config(config))
        # The adapter's own validate_python takes twice the time for a single value (measured).
        self._own: SchemaValidator = adapter.validator
        self._alone = _Alone(kind, config)

    def convert(self, _nodes: Sequence[Any], values: list[Any], leaves: Leaves | None = None) -> list[Any]:
        """See `Convert`."""
        schemas = self.schemas
        if schemas.is_of_atoms:
            return self.validated(values)
        leaves = leaves or leaves_of(values)
        if leaves.are_plain and not schemas.holds_others and not may_hold_rows(leaves, schemas.survey):
            return self.validated(values, leaves)
        return self.validated(readable(values, schemas.survey, schemas.holds_others))

    def validated(self, rows: list[Any], leaves: Leaves | None = None) -> list[Any]:
        """The same of values that can be read.

        Args:
            rows: The values.
            leaves: What stands in lists there, if that is known.

        Raises:
            FailedAt: A value does not fit.
        """
        schemas = self.schemas
        try:
            validator = _validator_for(rows, schemas, leaves) if schemas.survey.is_needed else self._own
            converted: list[Any] = validator.validate_python(rows, from_attributes=True)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            suspects: Sequence[int] = [cast(int, first["loc"][0])]
            failed: Exception = error
        except Exception as error:  # a validator may raise anything
            suspects, failed = range(len(rows)), error
        else:
            return converted
        try:
            raise self._alone.failed_at(suspects, rows) or FailedAt(suspects[0], failed)
        finally:
            del failed  # it refers to this frame


def _validator_for(values: list[Any], schemas: RowSchemas, leaves: Leaves | None = None) -> SchemaValidator:
    form, survey = Form.BARE, schemas.survey
    if survey.forms_differ:
        form = Form.EITHER if schemas.holds_others else form_of(leaves or leaves_of(values), survey.special)
    return schemas.validator(form)


def _core_config(config: ConfigDict) -> Any:
    """A configuration as the core takes it, which a type of its own is given."""
    make: Any = TypedDict  # made here, where no type checker can follow
    row = make("Row", {})
    row.__pydantic_config__ = config
    return cast(Any, TypeAdapter(row).core_schema).get("config")


class _Alone:
    """Validates values one by one, for an error that speaks of one and not of a list; made ready by the first."""

    def __init__(self, kind: Any, config: ConfigDict) -> None:
        self._kind = kind
        self._config = config

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        try:
            return TypeAdapter(self._kind, config=self._config)
        except PydanticUserError:  # a model has a configuration of its own
            return TypeAdapter(self._kind)

    @cached_property
    def _schemas(self) -> RowSchemas:
        return RowSchemas(self._adapter, _core_config(self._config))

    def failed_at(self, suspects: Sequence[int], values: Sequence[Any]) -> FailedAt | None:
        """The first of some values that does not validate, and why."""
        schemas = self._schemas
        for index in suspects:
            try:
                if schemas.survey.is_needed:
                    _validator_for([values[index]], schemas).validate_python(
                        values[index], from_attributes=True
                    )
                else:
                    self._adapter.validate_python(values[index], from_attributes=True)
            except Exception as error:
                explain(error, schemas)
                return FailedAt(index, error)
        return None


def _among_others(cls: type, name: str, kind: Any, config: ConfigDict) -> Convert:
    """For validators that look at other fields: each value is validated in a row with what the node has."""
    others = [other for other in field_types(cls) if other != name]
    make: Any = TypedDict  # made here, where no type checker can follow
    # Each with an alias of its own, so that the class's alias generator, which holds for what is inside, gives none.
    columns = {
        column: Annotated[Any if column != name else kind, Field(alias=column)] for column in (*others, name)
    }
    row = make(f"{cls.__name__}.{name}", columns, total=False)  # what model_construct left out is not there
    row.__pydantic_config__ = config
    convert = InBulk(row, config).convert

    def convert_rows(nodes: Sequence[Any], values: list[Any], _leaves: Leaves | None = None) -> list[Any]:
        rows = [{**_present(node, others), name: value} for node, value in zip(nodes, values, strict=True)]
        return [converted[name] for converted in convert(nodes, rows, None)]

    return convert_rows


def _present(node: Any, names: Iterable[str]) -> dict[str, Any]:
    """What a node has in its fields; ``model_construct`` may have left some out."""
    held: Mapping[str, Any] = getattr(node, "__dict__", {})
    return {
        name: held[name] if name in held else getattr(node, name)
        for name in names
        if name in held or hasattr(node, name)
    }


def _declared(cls: type[Any], name: str) -> FieldType:
    """The type of a field, with what Pydantic has read from ``Field()``."""
    infos: Any = cls.model_fields if issubclass(cls, BaseModel) else getattr(cls, "__pydantic_fields__", {})
    if name not in infos:
        return field_types(cls)[name]
    info: FieldInfo = infos[name]
    discriminator = () if info.discriminator is None else (Field(discriminator=info.discriminator),)
    return field_type(cls, info.annotation, (*info.metadata, *discriminator))


def config_of(cls: type, title: str) -> ConfigDict:
    own: Any = getattr(cls, "model_config", None) or getattr(cls, "__pydantic_config__", None) or {}
    return cast(ConfigDict, {"arbitrary_types_allowed": True, **own, "title": title})


def _decorated_validators(cls: type, name: str) -> Iterator[Any]:
    """The ``@field_validator`` functions of a field, in the form that ``Annotated`` takes."""
    for decorator in _decorators_of(cls, "field_validators", name):
        yield VALIDATORS[decorator.info.mode](decorator.func)


def _validators_of_pydantic_1(cls: type, name: str) -> Iterator[tuple[Any, bool]]:
    """The ``@validator`` functions of a field in the same form, and whether they are of its items."""
    for decorator in _decorators_of(cls, "validators", name):
        yield VALIDATORS[decorator.info.mode](decorator.func), decorator.info.each_item


def _decorators_of(cls: type, kind: str, name: str) -> Iterator[Any]:
    decorators = getattr(cls, "__pydantic_decorators__", None)
    for decorator in getattr(decorators, kind, {}).values():
        if name in decorator.info.fields or "*" in decorator.info.fields:
            yield decorator


def _at_items(annotation: Any, validator: Any) -> Any:
    """A list, set, tuple or dict whose items, or values, a validator of Pydantic 1 with ``each_item`` looks at."""
    origin: Any = get_origin(annotation) or annotation
    if origin is tuple and ... not in get_args(annotation):  # Pydantic does not look at these either
        return annotation
    made: Any = origin
    is_dict = origin is dict
    items: list[Any] = list(get_args(annotation)) or [Any, Any][: 1 + is_dict]
    items[is_dict:] = [
        item if item is ... else Annotated[item, validator, UNCACHED] for item in items[is_dict:]
    ]
    return made[tuple(items)]


def _takes_info(validator: Any) -> bool:
    """Whether a validator may look at the other fields, through ``info.data``."""
    if not isinstance(validator, (AfterValidator, BeforeValidator, PlainValidator, Wrap)):
        return False
    try:
        parameters = inspect.signature(validator.func).parameters.values()
    except ValueError:  # a builtin type such as int
        return False
    positional = [
        p
        for p in parameters
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty
    ]
    return len(positional) > (2 if isinstance(validator, Wrap) else 1)


def mapper_of(rule: Any, is_walked: bool) -> Converter:
    """Make the converter of a method with a `mapper`: a function, or a class to validate a value or its items into.

    Args:
        rule: The function or class.
        is_walked: Whether nodes in the field are filled, so that they may lack what rows do not have.
    """
    convert: Callable[[Any], Any] = _into(rule, is_walked) if is_node_class(rule) else rule

    def mapped(_nodes: Sequence[Any], values: list[Any], _leaves: Leaves | None = None) -> list[Any]:
        converted: list[Any] = []
        try:
            converted.extend(None if value is None else convert(value) for value in values)
        except Exception as error:
            failed = FailedAt(len(converted), error)
        else:
            return converted
        raise failed

    return Converter(mapped, is_of_type_alone=False)


def _into(cls: type, is_walked: bool) -> Callable[[Any], Any]:
    adapter: TypeAdapter[Any] = TypeAdapter(cls)
    in_bulk = InBulk(cls, {"title": cls.__name__}).convert if is_walked else None

    def convert(value: Any) -> Any:
        kind = cast(Any, type(value))
        if kind is list:
            return [None if item is None else convert(item) for item in value]
        if in_bulk is None:
            return adapter.validate_python(value, from_attributes=True)
        try:
            return in_bulk((None,), [value])[0]
        except FailedAt as caught:
            failed = caught
        raise failed.take()

    return convert
