"""Models that are made of some of another model's fields, or checked to be."""

from __future__ import annotations

import copy
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, Self, TypeVar, cast, get_args, get_origin

from pydantic import BaseModel, create_model, model_validator
from pydantic.fields import FieldInfo

from dloader.compat.pydantic_resolve._annotations import is_model
from dloader.compat.pydantic_resolve._diagram import relationships_of
from dloader.compat.pydantic_resolve._markers import LoaderInfo, SendTo
from dloader.compat.pydantic_resolve._relationship import Relationship
from dloader.compat.pydantic_resolve.constant import (
    ENSURE_SUBSET_DEFINITION,
    ENSURE_SUBSET_DEFINITION_SHORT,
    ENSURE_SUBSET_REFERENCE,
    POST_PREFIX,
    RESOLVE_PREFIX,
)
from dloader.resolver import ExposeAs

__all__ = ("DefineSubset", "SubsetConfig", "create_subset", "ensure_subset")

M = TypeVar("M", bound=BaseModel)
UNDEFINED_NAMES_STAY: dict[str, Any] = {"format": 3} if sys.version_info >= (3, 14) else {}
"""``annotationlib.Format.FORWARDREF``: the model asks for these names again."""
DEFINITIONS = (ENSURE_SUBSET_DEFINITION, ENSURE_SUBSET_DEFINITION_SHORT)


class SubsetConfig(BaseModel):
    """Which fields of a model a subset has, and what becomes of them.

    Example:
        >>> class User(BaseModel):
        ...     id: int
        ...     name: str
        ...     password: str
        >>> class PublicUser(DefineSubset):
        ...     __subset__ = SubsetConfig(kls=User, omit_fields=["password"], expose_as=[("name", "user_name")])
        >>> PublicUser(id=1, name="Ada")
        PublicUser(id=1, name='Ada')
    """

    kls: type[BaseModel]
    """The model."""
    fields: list[str] | Literal["all"] | None = None
    omit_fields: list[str] | None = None
    """All fields but these; either this or ``fields`` is given."""
    excluded_fields: list[str] | None = None
    """Those that are not serialised."""
    expose_as: list[tuple[str, str]] | None = None
    """Fields, and the names that nodes below see them by."""
    send_to: list[tuple[str, tuple[str, ...] | str]] | None = None
    """Fields, and the collectors above that get their values."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.fields is not None and self.omit_fields is not None:
            raise ValueError("fields and omit_fields are exclusive: give one of them")
        if self.fields is None and self.omit_fields is None:
            raise ValueError("fields or omit_fields must be provided")
        return self

    def chosen(self) -> list[str]:
        """The names of the fields."""
        every = list(self.kls.model_fields)
        if isinstance(self.fields, list):
            return self.fields
        return [name for name in every if name not in (self.omit_fields or ())]

    def changed(self, name: str, field: FieldInfo) -> FieldInfo:
        """A field with what is to become of it; the same object if that is nothing."""
        exposed = [ExposeAs(alias) for wanted, alias in self.expose_as or () if wanted == name]
        sent = [SendTo(names) for wanted, names in self.send_to or () if wanted == name]
        is_excluded = name in (self.excluded_fields or ())
        if not (exposed or sent or is_excluded):
            return field
        field = copy.deepcopy(field)
        field.metadata.extend([*exposed, *sent])
        if is_excluded:
            field.exclude = True
        return field


def ensure_subset(base: type[BaseModel]) -> Callable[[type[M]], type[M]]:
    """Check that a model's required fields are those of another, with the same types.

    Args:
        base: The model that has them.

    Raises:
        AttributeError: There is no such field, or it has another type.
        TypeError: One of the two is no Pydantic model.

    Example:
        >>> class User(BaseModel):
        ...     id: int
        ...     name: str
        >>> @ensure_subset(User)
        ... class UserName(BaseModel):
        ...     name: str
    """

    def check(kls: type[M]) -> type[M]:
        setattr(kls, ENSURE_SUBSET_REFERENCE, base)
        if not (is_model(base) and is_model(kls)):
            raise TypeError("base and kls should both be Pydantic BaseModel")
        for name, field in kls.model_fields.items():
            if field.is_required():
                known = base.model_fields.get(name)
                if known is None:
                    raise AttributeError(
                        f"{name} does not exist in {base.__name__}, and {kls.__name__} requires it"
                    )
                if known.annotation != field.annotation:
                    raise AttributeError(
                        f"type of {name} in {kls.__name__} not consistent with {base.__name__}"
                    )
        return kls

    return check


def create_subset(
    parent: type[BaseModel], fields: Sequence[str], name: str = "SubsetModel"
) -> type[BaseModel]:
    """Make a model of some fields of another.

    Args:
        parent: The model that has them, with their validators and its configuration.
        fields: Their names.
        name: The new model's.

    Raises:
        AttributeError: There is no such field.
        ValueError: A field is named twice.
        TypeError: `parent` is no Pydantic model, or `fields` are no names.
    """
    if not is_model(parent):
        raise TypeError("parent must be a pydantic BaseModel")
    made: type[BaseModel] = create_model(
        name, __config__=parent.model_config, **cast(Any, _chosen_fields(parent, fields))
    )
    _take_over(parent, fields, made)
    return made


def _chosen_fields(parent: type[BaseModel], names: object) -> dict[str, tuple[Any, Any]]:
    if not isinstance(names, (list, tuple)):
        raise TypeError("fields must be a list or tuple of field names")
    chosen: dict[str, tuple[Any, Any]] = {}
    for name in cast(Sequence[object], names):
        if not isinstance(name, str):
            raise TypeError(f"each field name must be a string, not {name!r}")
        if name in chosen:
            raise ValueError(f'duplicate field name "{name}" in subset fields')
        if name not in parent.model_fields:
            raise AttributeError(f'field "{name}" does not exist in {parent.__name__}')
        field = parent.model_fields[name]
        chosen[name] = (field.annotation, field)
    return chosen


def _take_over(parent: type[BaseModel], names: Iterable[str], made: type[BaseModel]) -> None:
    """Give a subset the names of the validators that its fields have, and of the model that it is made of."""
    names = set(names)
    for validator, decorator in parent.__pydantic_decorators__.field_validators.items():
        if names.intersection(decorator.info.fields):
            setattr(made, validator, getattr(parent, validator))
    setattr(made, ENSURE_SUBSET_REFERENCE, parent)


class _SubsetMeta(type):
    """Makes a Pydantic model of a class body that says which model it is a subset of."""

    def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **kwargs: Any) -> Any:
        if not bases:
            return super().__new__(cls, name, bases, namespace, **kwargs)
        definition = namespace.get(ENSURE_SUBSET_DEFINITION) or namespace.get(ENSURE_SUBSET_DEFINITION_SHORT)
        if not definition:
            raise ValueError(
                f"Class {name} must define {ENSURE_SUBSET_DEFINITION} or {ENSURE_SUBSET_DEFINITION_SHORT}"
            )
        config: SubsetConfig | None = definition if isinstance(definition, SubsetConfig) else None
        parent: type[BaseModel]
        chosen: Sequence[str]
        parent, chosen = (config.kls, config.chosen()) if config else cast(Any, definition)
        fields = _chosen_fields(parent, chosen)
        if config is not None:
            fields = {each: (type_, config.changed(each, field)) for each, (type_, field) in fields.items()}
        extra = _own_fields(namespace, chosen)
        fields |= _hidden_keys(parent, extra, fields)
        made = create_model(
            name,
            __config__=parent.model_config,
            __module__=namespace.get("__module__", __name__),
            **cast(Any, fields | extra),
        )
        for each in (config.excluded_fields or ()) if config else ():
            if each in made.model_fields:  # also one of the class body, which loses it on its way
                made.model_fields[each].exclude = True
                made.model_rebuild(force=True)
        _take_over(parent, chosen, made)
        for each, value in namespace.items():
            is_method = callable(value) and each.startswith((RESOLVE_PREFIX, POST_PREFIX))
            if is_method or (each.startswith("__pydantic_resolve") and each not in DEFINITIONS):
                setattr(made, each, value)
        return made


class DefineSubset(metaclass=_SubsetMeta):
    """The base of a class body that becomes a Pydantic model, made of some fields of another.

    Fields of its own, and ``resolve_`` and ``post_`` methods, are added. The foreign key of a relationship that fills
    one of them is there too, and not serialised.

    Example:
        >>> class User(BaseModel):
        ...     id: int
        ...     name: str
        ...     password: str
        >>> class PublicUser(DefineSubset):
        ...     __subset__ = (User, ["id", "name"])
        ...     greeting: str = ""
        ...     def post_greeting(self):
        ...         return f"Hello {self.name}"
        >>> list(PublicUser.model_fields)
        ['id', 'name', 'greeting']
    """


def _own_fields(namespace: Mapping[str, Any], chosen: Iterable[str]) -> dict[str, tuple[Any, Any]]:
    """The fields that stand in the class body."""
    found: dict[str, tuple[Any, Any]] = {}
    for name, annotation in _annotations_of(namespace).items():
        if name in DEFINITIONS:
            continue
        if name in chosen:
            raise ValueError(f'additional field "{name}" duplicates subset field')
        found[name] = (annotation, namespace.get(name, ...))
    return found


def _annotations_of(namespace: Mapping[str, Any]) -> Mapping[str, Any]:
    """The annotations of a class body, which Python 3.14 has as a function: only a class tells them."""
    names = ("__annotations__", "__annotate_func__", "__annotate__", "__module__")
    holder = type("holder", (), {name: namespace[name] for name in names if name in namespace})
    return inspect.get_annotations(holder, **UNDEFINED_NAMES_STAY)


def _hidden_keys(
    parent: type[BaseModel], extra: Mapping[str, tuple[Any, Any]], chosen: Mapping[str, object]
) -> dict[str, tuple[Any, Any]]:
    """The foreign keys that relationships need to fill fields of the class body, and that are not among the chosen."""
    known = relationships_of(parent)
    hidden: dict[str, tuple[Any, Any]] = {}
    for name, (annotation, _) in extra.items():
        found = known.get(_relationship_name(name, annotation), [])
        key = _only_key(parent, found) if found else None
        if key is not None and key not in chosen and key in parent.model_fields:
            type_ = parent.model_fields[key].annotation
            hidden[key] = (type_, FieldInfo(annotation=cast(Any, type_), default=None, exclude=True))
    return hidden


def _relationship_name(field: str, annotation: Any) -> str:
    if get_origin(annotation) is Annotated:
        marker = next((found for found in get_args(annotation)[1:] if isinstance(found, LoaderInfo)), None)
        if marker is not None and marker.origin:
            return marker.origin
    return field


def _only_key(parent: type, found: Sequence[Relationship]) -> str:
    keys = {relationship.fk for relationship in found}
    if len(keys) > 1:
        raise ValueError(
            f'Ambiguous external ErDiagram relationship "{found[0].name}" for {parent.__name__}: multiple foreign '
            f"keys found {sorted(keys)}: select one of them in the subset, or use base_entity().get_diagram()"
        )
    return found[0].fk
