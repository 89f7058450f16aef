"""All classes that can be met below a root class, checked in pydantic-resolve's order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from dloader.compat.pydantic_resolve._annotations import core_types, is_model, rebuild
from dloader.compat.pydantic_resolve._diagram import ErDiagram
from dloader.compat.pydantic_resolve._needs import Need, Use, needs_of
from dloader.compat.pydantic_resolve._plan import Plan, Step
from dloader.compat.pydantic_resolve.constant import EXPOSE_TO_DESCENDANT
from dloader.compat.pydantic_resolve.exceptions import MissingCollector

__all__ = ("Scan", "Scans")

MOST_SCANS = 1_000


class Scans:
    """The scans of root classes with one diagram."""

    def __init__(self, diagram: ErDiagram | None = None) -> None:
        self.diagram = diagram or None
        self._by_root: dict[Any, Scan] = {}

    def of(self, root: Any) -> Scan:
        """The scan of a root class, made once."""
        scan = self._by_root.get(root)
        if scan is None:
            scan = Scan(root, self.diagram)
            if len(self._by_root) >= MOST_SCANS:  # classes that are made again and again
                self._by_root.clear()
            self._by_root[root] = scan
        return scan


class Scan:
    """The plans of a root class, or of several that an annotation names, and of all that their fields lead to.

    Args:
        root: The class or annotation.
        diagram: Relationships that fill fields.

    Raises:
        AttributeError: The root is no Pydantic model.
        ValueError: Two classes expose something by the same name.
        MissingCollector: What a field sends is collected nowhere above.
        Exception: See `Plan`.
    """

    def __init__(self, root: Any, diagram: ErDiagram | None) -> None:
        self.plans: dict[type, Plan] = {}
        self._diagram = diagram
        self._exposed: set[str] = set()
        self._collected: set[str] = set()
        self._needed: set[type] = set()
        for found in core_types(root):
            rebuild(found)
        for found in core_types(root):
            self._visit(found, ())
        self._needs: dict[bool, list[Need]] = {}
        self.takes_context = any(
            "context" in step.takes for plan in self.plans.values() for step in _all_steps(plan)
        )
        """Whether a method takes ``context``."""
        self.collects = bool(self._collected)
        """Whether anything is collected."""

    def needs(self, by_type: bool) -> list[Need]:
        """The loaders that methods take; `by_type`, one for each set of models that their fields hold."""
        if by_type not in self._needs:
            self._needs[by_type] = needs_of(self._uses(), by_type)
        return self._needs[by_type]

    def _uses(self) -> Iterator[Use]:
        for plan in self.plans.values():
            for step in (*plan.steps, *plan.posts):
                for _, source in step.loaders:
                    yield source, step.types

    def _visit(self, cls: Any, above: Sequence[tuple[str, type]]) -> None:
        """Make the plan of a class, and of those below.

        Args:
            cls: The class.
            above: The fields, from the root down, that lead to it, and the classes that have them.
        """
        plan = self.plans.get(cls)
        if plan is not None:
            if cls in self._needed or plan.wants_nodes:
                self._need(above)
            return
        if not is_model(cls):
            raise AttributeError(
                f"resolve() takes a Pydantic model or a list of these, not {cls!r}: it has no model_fields"
            )
        plan = Plan(cls, self._diagram)
        self._check_exposed(plan)
        self._check_sent(plan)
        self.plans[cls] = plan
        for name, models in plan.node_fields():
            for model in models:
                self._visit(model, (*above, (name, cls)))
        if cls in self._needed or plan.wants_nodes:
            self._need(above)
            self._needed.add(cls)

    def _need(self, above: Iterable[tuple[str, type]]) -> None:
        """Have fields walked, as there is something to do below."""
        for name, cls in above:
            plan = self.plans[cls]
            if name not in plan.walked and all(step.field != name for step in plan.steps):
                plan.walked.append(name)
            self._needed.add(cls)

    def _check_exposed(self, plan: Plan) -> None:
        # What a base class says in its dict is exposed by the subclass too, and is no conflict.
        inherited = EXPOSE_TO_DESCENDANT not in vars(plan.cls) and hasattr(plan.cls, EXPOSE_TO_DESCENDANT)
        for alias in () if inherited else plan.exposes.values():
            if alias in self._exposed:
                raise ValueError(
                    f"Expose alias name conflicts, please check: {plan.cls.__name__} exposes {alias!r}, as another "
                    f"class does"
                )
            self._exposed.add(alias)

    def _check_sent(self, plan: Plan) -> None:
        self._collected.update(collector.alias for step in plan.all_posts for _, collector in step.collectors)
        for names in plan.sends.values():
            for name in names if isinstance(names, (list, tuple)) else (names,):
                if name not in self._collected:
                    raise MissingCollector(
                        f"Collector alias name not found in ancestor, please check: {plan.cls.__name__} sends to "
                        f"{name!r}"
                    )


def _all_steps(plan: Plan) -> list[Step]:
    return [*plan.steps, *plan.all_posts]
