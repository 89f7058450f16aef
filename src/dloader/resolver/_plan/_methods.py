"""Reading methods: the ``resolve_`` and ``post_`` methods of a class as steps, and what they want as arguments."""

from __future__ import annotations

import difflib
import inspect
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum, auto
from typing import Any, NamedTuple

from dloader._text import did_you_mean
from dloader.resolver._markers import Depends, ICollector, is_ignored, is_mapper_decorator, needs_of
from dloader.resolver._plan._annotations import FieldType, split_annotated
from dloader.resolver._plan._mistakes import problem_of_argument
from dloader.resolver._plan._names import Evaluated, name_of_unknown
from dloader.resolver._plan._plan import Method, NodeField, Phase, Step, node_field
from dloader.resolver._plan._signatures import (
    annotations_of,
    call_by_name,
    is_mock,
    names_by_position,
    parameters_of,
)

__all__ = ("Methods", "compile_methods", "methods_of_fields")

OF_ANY_NUMBER = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
INJECTED = ("context", "parent", "ancestor_context")
UNLESS_OURS = "if it is none of the resolver's, mark it or its class with dloader.resolver.ignore"


class Methods(NamedTuple):
    """What the methods of a class do."""

    steps: Sequence[Step]
    posts: Sequence[Step]
    final: Step | None
    """``post_default_handler``."""
    problems: Sequence[str]


def compile_methods(cls: type, fields: Mapping[str, FieldType], is_marked: bool) -> Methods:
    """Read the ``resolve_`` and ``post_`` methods of a class.

    Args:
        cls: The class.
        fields: Its fields.
        is_marked: Whether it has markers. If not, and if no method is the resolver's by any other sign, methods
            without a field are the class's own affair: a client's ``post_json``, say.
    """
    functions, others = _functions_of(cls, fields)
    problems = list(_problems_of_others(cls, others, fields))
    compiled = [_compile_method(cls, name, function) for name, function in functions.items()]
    is_ours = is_marked or bool(problems) or any(_is_ours(each, fields) for each in compiled)
    steps: list[Step] = []
    for each in compiled:
        problem = _problem_of_target(cls, each.method.name, fields)
        if problem is None or is_ours or _is_misspelt(each, fields):
            problems += each.problems
            problems += [] if problem is None else [problem]
            steps.extend(_steps_of(each.method, fields))
    return Methods(
        [step for step in steps if step.phase is Phase.RESOLVING],
        [step for step in steps if step.phase is Phase.POSTING],
        next((step for step in steps if step.phase is Phase.FINISHING), None),
        problems,
    )


def _is_ours(compiled: _Compiled, fields: Mapping[str, FieldType]) -> bool:
    """Whether a method can only be meant for the resolver."""
    method = compiled.method
    if _target_of(method.name) in (*fields, "default_handler") or method.mapper is not None or method.needs:
        return True
    return "ancestor_context" in method.injected or not compiled.wants.isdisjoint(ONLY_OURS)


def _is_misspelt(compiled: _Compiled, fields: Mapping[str, FieldType]) -> bool:
    """Whether a method without a field seems to be meant for one: the resolver could call it, and the name is near."""
    if _Want.WHAT_NOBODY_HAS in compiled.wants:
        return False
    return bool(difflib.get_close_matches(_target_of(compiled.method.name), fields, n=1, cutoff=0.7))


def methods_of_fields(cls: type, fields: Mapping[str, FieldType]) -> list[str]:
    """The names of the methods that fill fields or compute them."""
    return [name for name in _functions_of(cls, fields)[0] if _target_of(name) in fields]


# -- which functions there are -------------------------------------------------------------------------------


def _functions_of(
    cls: type, fields: Mapping[str, FieldType]
) -> tuple[dict[str, Callable[..., Any]], list[str]]:
    """The ``resolve_`` and ``post_`` functions of a class, and the names that something else stands under.

    Base classes come first, in the order of their definition.
    """
    decorators = getattr(cls, "__pydantic_decorators__", None)
    computed: Mapping[str, Any] = getattr(decorators, "computed_fields", {})
    ignored = [base for base in cls.__mro__ if is_ignored(base)]
    found: dict[str, Any] = {}
    for name in dict.fromkeys(name for base in reversed(cls.__mro__) for name in vars(base)):
        if name.startswith(("resolve_", "post_")) and name not in fields and name not in computed:
            owner = next(base for base in cls.__mro__ if name in vars(base))
            member = vars(owner)[name]
            if (is_mock(member) or not is_ignored(member)) and not any(
                issubclass(base, owner) for base in ignored
            ):
                found[name] = member
    functions: dict[str, Callable[..., Any]] = {
        name: member
        for name, member in found.items()
        if isinstance(member, types.FunctionType) or is_mock(member)
    }
    return functions, [name for name in found if name not in functions and _is_like_a_method(found[name])]


def _is_like_a_method(member: Any) -> bool:
    """Whether something in a class gives values when it is asked: a property, say. A slot does not."""
    return callable(member) or (
        hasattr(member, "__get__") and not isinstance(member, types.MemberDescriptorType)
    )


def _target_of(name: str) -> str:
    """``offices`` for ``resolve_offices``."""
    return name.partition("_")[2]


def _problems_of_others(cls: type, names: Iterable[str], fields: Mapping[str, FieldType]) -> Iterable[str]:
    for name in names:
        if _target_of(name) in (*fields, "default_handler"):
            yield (
                f"{cls.__qualname__}.{name} is no plain method: write `def {name}(self): ...` or `async def`, "
                f"without classmethod, staticmethod, partialmethod, property or a cache around it; {UNLESS_OURS}"
            )


def _problem_of_target(cls: type, name: str, fields: Mapping[str, FieldType]) -> str | None:
    """What is wrong with the field that a method fills."""
    target = _target_of(name)
    if name == "post_default_handler":
        if target not in fields:
            return None
        return (
            f"{cls.__qualname__}.post_default_handler runs last and fills no field, but there is a field "
            f"'default_handler': rename one of them"
        )
    if target in fields:
        return None
    hint = did_you_mean(target, fields)
    return f"{cls.__qualname__}.{name} fills no field: there is no field {target!r} ({hint}); {UNLESS_OURS}"


def _steps_of(method: Method, fields: Mapping[str, FieldType]) -> Iterable[Step]:
    loaders = tuple(source for _, source in method.loaders)
    target = _target_of(method.name)
    if method.name == "post_default_handler":
        yield Step(NodeField(method.name, (), False), loaders, method, phase=Phase.FINISHING)
    elif target in fields:
        phase = Phase.POSTING if method.name.startswith("post_") else Phase.RESOLVING
        after = frozenset[str]() if phase is Phase.POSTING else frozenset(method.needs)
        yield Step(node_field(target, fields[target]), loaders, method, phase=phase, after=after)


# -- what a method wants -------------------------------------------------------------------------------------


class _Want(Enum):
    LOADER = auto()
    COLLECTOR = auto()
    INJECTED = auto()
    CONTEXT_IF_ANY = auto()
    NOTHING = auto()
    SOMETHING_ELSE = auto()
    WHAT_NOBODY_HAS = auto()


ONLY_OURS = frozenset({_Want.LOADER, _Want.COLLECTOR, _Want.SOMETHING_ELSE})


class _Compiled(NamedTuple):
    method: Method
    wants: frozenset[_Want]
    problems: Sequence[str]


def _compile_method(cls: type, name: str, function: Callable[..., Any]) -> _Compiled:
    every = parameters_of(function)
    hints = annotations_of(function, every, cls)
    parameters = every[1:]
    call = call_by_name(function, parameters)
    wanted = [(parameter.name, *_want_of(parameter, hints.get(parameter.name))) for parameter in parameters]
    method = Method(
        name,
        call,
        inspect.iscoroutinefunction(function),
        getattr(function, "__dloader_mapper__", None),
        tuple((name, source) for name, want, source in wanted if want is _Want.LOADER),
        tuple((name, default) for name, want, default in wanted if want is _Want.COLLECTOR),
        frozenset(name for name, want, _ in wanted if want is _Want.INJECTED),
        any(want is _Want.CONTEXT_IF_ANY for _, want, _ in wanted),
        names_by_position(function) if call is function else (),
        needs_of(function),
        function,
    )
    where = f"{cls.__qualname__}.{name}"
    is_post = name.startswith("post_")
    problems = [
        *_problems_of_function(where, name, function),
        *_problems_of_self(where, name, every, hints),
        *(
            problem
            for parameter, want, found in wanted
            if (problem := _problem_of(where, parameter, want, found, is_post))
        ),
    ]
    return _Compiled(method, frozenset(want for _, want, _ in wanted), problems)


def _problems_of_function(where: str, name: str, function: Callable[..., Any]) -> Iterable[str]:
    """What is wrong with a method, whatever it wants."""
    if inspect.isasyncgenfunction(function):
        yield f"{where} is an async generator, which is no value: write a method that returns a list"
    if name.startswith("post_") and needs_of(function):
        yield f"{where}: a post_ method runs when all fields are filled; needs is for resolve_ methods"
    if is_mapper_decorator(function):
        yield f"{where}: mapper stands without a rule; write @mapper(rule) above `def {name}`"


def _problems_of_self(
    where: str, name: str, parameters: Sequence[inspect.Parameter], hints: Mapping[str, Evaluated]
) -> Iterable[str]:
    """Whether the node would come in the place of something else."""
    first = parameters[0] if parameters else None
    if first is not None and first.kind not in (first.KEYWORD_ONLY, first.VAR_KEYWORD):
        want, _ = _want_of(first, hints.get(first.name))
        if want in (_Want.WHAT_NOBODY_HAS, _Want.NOTHING):
            return
    yield f"{where} takes no self, and the node would come in another's place: write `def {name}(self, ...)`"


def _want_of(parameter: inspect.Parameter, evaluated: Evaluated | None) -> tuple[_Want, Any]:
    """What a parameter wants, and the loader or collector if it is one of these, or what is wrong with it."""
    annotation, missing = (None, ()) if evaluated is None else evaluated
    if problem := problem_of_argument(parameter, annotation):
        return _Want.SOMETHING_ELSE, problem
    source = _source_of(parameter, annotation)
    if name_of_unknown(source):
        return _Want.SOMETHING_ELSE, _unknown_annotation(parameter.name, missing)
    if source is not None:
        return _Want.LOADER, source
    if isinstance(parameter.default, ICollector):
        return _Want.COLLECTOR, parameter.default
    return _want_of_name(parameter), _unknown_annotation(parameter.name, missing) if missing else None


def _unknown_annotation(name: str, missing: Sequence[str]) -> str:
    return (
        f"the annotation of {name!r} cannot be evaluated ({', '.join(missing)}): import it outside of "
        f"`if TYPE_CHECKING`, or write {name}=LoaderDepend(loader) if it is meant for a loader"
    )


def _want_of_name(parameter: inspect.Parameter) -> _Want:
    """What a parameter wants by its name, or else needs not."""
    has_default = parameter.default is not parameter.empty
    if parameter.name == "context" and has_default:
        return _Want.CONTEXT_IF_ANY
    if parameter.name in INJECTED:
        return _Want.INJECTED
    if has_default or parameter.kind in OF_ANY_NUMBER:
        return _Want.NOTHING
    return _Want.WHAT_NOBODY_HAS


def _source_of(parameter: inspect.Parameter, annotation: Any) -> object | None:
    """The loader that a parameter asks for, as default value or inside ``Annotated``."""
    declared, markers = split_annotated(annotation)
    marker = next((mark for mark in (parameter.default, *markers) if isinstance(mark, Depends)), None)
    if marker is None:
        return None
    if marker.dependency is not None:
        return marker.dependency
    return declared if declared is not None else marker  # a marker is no loader: reported with the loaders


def _problem_of(where: str, name: str, want: _Want, found: Any, is_post: bool) -> str | None:
    if want is _Want.SOMETHING_ELSE:
        return f"{where}: {found}"
    if want is _Want.COLLECTOR and not is_post:
        return f"{where}: a Collector is filled after the subtree is done, so only post_ methods take one"
    if want is _Want.WHAT_NOBODY_HAS:
        return (
            f"{where}: {found}"
            if found
            else (
                f"{where} takes {name!r}, which nobody provides: use context, parent, ancestor_context, "
                f"LoaderDepend(...), Collector(...) or a default"
            )
        )
    return None
