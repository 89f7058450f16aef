"""Model class -> plan: its steps and posts, what they need, and where children sit. Pure: no asyncio, no loading."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from dloader.resolver._markers import Depends, ExposeAs, ICollector, Load, SendTo
from dloader.resolver._plan import Child, Method, Phase, Plan, Step
from dloader.resolver._types import (
    FieldType,
    classes_in,
    field_types,
    functions_of,
    inner_metadata,
    mro_place,
    nesting,
    type_hints,
)

__all__ = ("compile_plan", "hint")

EXPOSE, COLLECT = "__pydantic_resolve_expose__", "__pydantic_resolve_collect__"
"""Class-level markers of pydantic-resolve, read so that its models move over unchanged."""

POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def compile_plan(cls: type) -> Plan:
    """Read a model or dataclass; mistakes go to ``plan.problems``, all of them."""
    plan = Plan(cls)
    try:
        fields = field_types(cls)
    except NameError as error:
        plan.problems.append(f"{cls.__qualname__}: a type cannot be evaluated ({_first_line(error)})")
        return plan
    for name, declared in fields.items():
        for marker in inner_metadata(declared.annotation):
            if isinstance(marker, (Load, ExposeAs, SendTo)):
                kind = type(marker).__name__
                plan.problems.append(
                    f"{cls.__qualname__}.{name}: {kind} stands inside the type, where nobody reads it; put it around "
                    f"the whole type: write Annotated[str | None, {kind}(...)], not Annotated[str, {kind}(...)] | None"
                )
    filled = _compile_methods(plan, fields)
    _compile_loads(plan, fields, filled)
    plan.children = tuple(
        child
        for name, declared in fields.items()
        if name not in filled and _may_hold_nodes(child := _child(name, declared))
    )
    plan.exposes = tuple(_exposes(plan, fields))
    plan.sends = tuple(_sends(plan, fields))
    return plan


def hint(name: str, names: Iterable[str]) -> str:
    """`` (did you mean 'offices'?)`` or the names there are."""
    known = list(names)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"there is {', '.join(map(repr, known))}" if known else "there is none"


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]


def _child(name: str, declared: FieldType) -> Child:
    classes, unknown = classes_in(declared.annotation)
    is_shareable = bool(classes) and not unknown and nesting(declared.annotation) <= 1
    return Child(name, classes, unknown, is_shareable)


def _may_hold_nodes(child: Child) -> bool:
    return bool(child.classes) or child.unknown


# -- methods -------------------------------------------------------------------------------------------------


def _compile_methods(plan: Plan, fields: Mapping[str, FieldType]) -> set[str]:
    """Compile ``resolve_`` and ``post_`` methods; return the fields that ``resolve_`` methods fill."""
    steps: list[Step] = []
    posts: list[Step] = []
    functions, others = functions_of(plan.cls)
    for name in others:
        target = name.partition("_")[2]
        if name not in fields and target in (*fields, "default_handler"):
            plan.problems.append(
                f"{plan.cls.__qualname__}.{name} is no plain method: write `def {name}(self): ...` or `async def`, "
                f"without classmethod, staticmethod, partialmethod or a cache around it"
            )
    for name, function in functions.items():
        prefix, _, target = name.partition("_")
        method = _compile_method(plan, name, function, is_post=prefix == "post")
        if name == "post_default_handler":
            if "default_handler" in fields:
                plan.problems.append(
                    f"{plan.cls.__qualname__}.post_default_handler runs last and fills no field, but there is a field "
                    f"'default_handler': rename one of them"
                )
            plan.final = Step(Child(name, (), False), _sources(method), method, phase=Phase.FINISHING)
        elif target not in fields:
            plan.problems.append(
                f"{plan.cls.__qualname__}.{name} fills no field: there is no field {target!r} ({hint(target, fields)})"
            )
        else:
            phase = Phase.POSTING if prefix == "post" else Phase.RESOLVING
            step = Step(_child(target, fields[target]), _sources(method), method, phase=phase)
            (posts if step.is_post else steps).append(step)
    plan.steps, plan.posts = tuple(steps), tuple(posts)
    return {step.child.name for step in steps}


def _sources(method: Method) -> tuple[object, ...]:
    return tuple(source for _, source in method.loaders)


def _compile_method(plan: Plan, name: str, function: Callable[..., Any], is_post: bool) -> Method:
    hints = type_hints(function, plan.cls)
    loaders: list[tuple[str, object]] = []
    collectors: list[tuple[str, ICollector]] = []
    special: set[str] = set()
    may_take_context = False
    parameters = list(inspect.signature(function).parameters.values())[1:]
    for parameter in parameters:
        annotation = hints.get(parameter.name)
        depends = _depends_of(parameter, annotation)
        if depends is not None:
            loaders.append((parameter.name, depends))
        elif isinstance(parameter.default, ICollector):
            if not is_post:
                plan.problems.append(
                    f"{plan.cls.__qualname__}.{name}: a Collector is filled after the subtree is done, so only post_ "
                    f"methods take one"
                )
            collectors.append((parameter.name, parameter.default))
        elif parameter.name == "context" and parameter.default is not parameter.empty:
            may_take_context = True
        elif parameter.name in ("context", "parent", "ancestor_context"):
            special.add(parameter.name)
        elif parameter.default is parameter.empty and parameter.kind.name not in (
            "VAR_POSITIONAL",
            "VAR_KEYWORD",
        ):
            plan.problems.append(
                f"{plan.cls.__qualname__}.{name} takes {parameter.name!r}, which nobody provides: use context, parent, "
                f"ancestor_context, LoaderDepend(...), Collector(...) or a default"
            )
    return Method(
        name,
        function,
        inspect.iscoroutinefunction(function),
        getattr(function, "__dloader_mapper__", None),
        tuple(loaders),
        tuple(collectors),
        frozenset(special),
        may_take_context,
        tuple(parameter.name for parameter in parameters if parameter.kind in POSITIONAL),
    )


def _depends_of(parameter: inspect.Parameter, annotation: Any) -> object | None:
    """The loader that a parameter asks for, as default value or inside ``Annotated``."""
    markers = getattr(annotation, "__metadata__", ())
    marker = next((mark for mark in (parameter.default, *markers) if isinstance(mark, Depends)), None)
    if marker is None:
        return None
    if marker.dependency is not None:
        return marker.dependency
    declared = getattr(annotation, "__origin__", annotation)
    return declared if declared is not None else marker  # a marker is no loader: reported with the loaders


# -- markers -------------------------------------------------------------------------------------------------


def _compile_loads(plan: Plan, fields: Mapping[str, FieldType], filled: set[str]) -> None:
    loads: dict[str, Load] = {}
    for name, declared in fields.items():
        for marker in declared.metadata:
            if isinstance(marker, Load):
                nearer = _nearer_method(plan.cls, name) if name in filled and name not in loads else 0
                if nearer > 0:
                    continue
                if nearer < 0:
                    plan.steps = tuple(step for step in plan.steps if step.child.name != name)
                elif name in filled:
                    plan.problems.append(
                        f"{plan.cls.__qualname__}.{name} is filled twice: by Load and resolve_{name}, or by two Loads"
                    )
                filled.add(name)
                loads[name] = marker
    posted = {step.child.name for step in plan.posts}
    for name in loads:
        plan.problems.extend(
            _problems_of_key(f"{plan.cls.__qualname__}.{name}", name, loads, fields, posted - filled)
        )
    plan.steps = (
        *(
            Step(
                _child(name, fields[name]),
                (load.loader,),
                load=load,
                after=load.by if load.by in filled else None,
            )
            for name, load in loads.items()
        ),
        *plan.steps,
    )


def _nearer_method(cls: type, name: str) -> int:
    """Whether the nearer of two declarations of a field is ``resolve_`` (1) or the annotation (-1); 0 if neither."""
    annotated = mro_place(cls, lambda base: name in inspect.get_annotations(base))
    method = mro_place(cls, lambda base: f"resolve_{name}" in vars(base))
    return (method < annotated) - (method > annotated)


def _problems_of_key(
    where: str, name: str, loads: Mapping[str, Load], fields: Mapping[str, FieldType], posted: set[str]
) -> Iterable[str]:
    by = loads[name].by
    if by not in fields:
        yield f"{where}: Load(by={by!r}) names no field ({hint(by, fields)})"
    elif by in posted:
        yield f"{where}: Load(by={by!r}) needs the key before post_{by} computes it; fill it by resolve_{by}"
    for _ in loads:  # from key to key: as many steps as there are fields lead around any circle
        by = loads[by].by if by in loads else ""
        if name == by:
            yield f"{where}: Load(by={loads[name].by!r}) needs a key that is itself loaded by {name!r}"
            return


def _exposes(plan: Plan, fields: Mapping[str, FieldType]) -> Iterable[tuple[str, str]]:
    for name, declared in fields.items():
        yield from ((name, marker.alias) for marker in declared.metadata if isinstance(marker, ExposeAs))
    for name, alias in getattr(plan.cls, EXPOSE, {}).items():
        _check_field(plan, EXPOSE, name, fields)
        yield name, alias


def _sends(plan: Plan, fields: Mapping[str, FieldType]) -> Iterable[tuple[str | tuple[str, ...], str]]:
    for name, declared in fields.items():
        for marker in declared.metadata:
            if isinstance(marker, SendTo):
                yield from ((name, target) for target in _names(marker.names))
    for names, targets in getattr(plan.cls, COLLECT, {}).items():
        for name in _names(names):
            _check_field(plan, COLLECT, name, fields)
        yield from ((names, target) for target in _names(targets))


def _names(names: Any) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def _check_field(plan: Plan, marker: str, name: str, fields: Mapping[str, FieldType]) -> None:
    if name not in fields:
        plan.problems.append(
            f"{plan.cls.__qualname__}.{marker} names no field: {name!r} ({hint(name, fields)})"
        )
