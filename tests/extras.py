"""What tests need that an environment may lack: one made before it was needed, or without servers. CI has it all."""

from __future__ import annotations

import os
import socket
from importlib.util import find_spec

import pytest

EXTRAS = {
    "dloader.opentelemetry": "opentelemetry.instrumentation",
    "dloader.redis": "redis",
    "opentelemetry": "opentelemetry.instrumentation",
    "redis": "redis",
}
"""By module, or page, the package."""
SERVERS = {"redis": 6379}
"""By page, the port."""


def is_missing(name: str) -> bool:
    """Whether the package of a module or page is not installed."""
    try:
        return find_spec(EXTRAS.get(name, "pytest")) is None
    except ModuleNotFoundError:  # not even the package above it is there
        return True


def skip_without_extra(name: str) -> None:
    """Skip a test of a module or page whose package is not installed, or whose server does not run."""
    if is_missing(name) and not os.environ.get("CI"):
        pytest.skip(f"install the extra test again: {EXTRAS[name]} is missing")
    port = SERVERS.get(name)
    if port is not None:
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)):
                pytest.skip(f"needs a server: port {port}")
