"""What pydantic-resolve raises; all are `dloader.DloaderError`s too."""

from __future__ import annotations

from dloader.errors import DloaderError

__all__ = (
    "GlobalLoaderFieldOverlappedError",
    "LoaderContextNotProvidedError",
    "LoaderFieldNotProvidedError",
    "MissingAnnotationError",
    "MissingCollector",
    "ResolverTargetAttrNotFound",
)


class ResolverTargetAttrNotFound(DloaderError):  # noqa: N818 - pydantic-resolve's name
    """A ``resolve_`` or ``post_`` method fills no field."""


class LoaderFieldNotProvidedError(DloaderError):
    """A loader lacks a parameter that has no default."""


class MissingAnnotationError(DloaderError):
    """A ``resolve_`` method says nothing about what it returns, and ``ensure_type`` wants that."""


class GlobalLoaderFieldOverlappedError(DloaderError):
    """``loader_params`` and ``global_loader_param`` both give a parameter of one loader."""


class MissingCollector(DloaderError):  # noqa: N818 - pydantic-resolve's name
    """What a field sends up is collected by nobody above."""


class LoaderContextNotProvidedError(DloaderError):
    """A loader declares ``_context``, and the resolver has no context."""
