"""What type checkers infer of the ASGI middleware, and refuse."""

from __future__ import annotations

from typing import assert_type

from fastapi import FastAPI
from starlette.applications import Starlette

from dloader.trace import TraceMiddleware, record

app = FastAPI()
app.add_middleware(TraceMiddleware, debug=True, sample=lambda scope: scope["path"] != "/health")
app.add_middleware(record.middleware)
assert_type(TraceMiddleware(Starlette(), keys=str, last=9), TraceMiddleware)
wrapped = TraceMiddleware(TraceMiddleware(app), debug=True)
TraceMiddleware(app, last="9")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
