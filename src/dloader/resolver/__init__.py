"""Fill trees of response models: declare on the model how each missing field is loaded or computed.

Needs Pydantic: ``pip install "dloader[resolver]"``.
"""

try:
    import pydantic as _pydantic
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        'dloader.resolver needs Pydantic: pip install "dloader[resolver]"', name="pydantic"
    ) from error

from dloader import build_list, build_object
from dloader.resolver._markers import (
    Collector,
    ExposeAs,
    ICollector,
    Load,
    Loader,
    LoaderDepend,
    SendTo,
    copy_dataloader_kls,
    mapper,
)
from dloader.resolver._params import LoaderInstances
from dloader.resolver._resolver import Resolver

del _pydantic

__all__ = (
    "Collector",
    "ExposeAs",
    "ICollector",
    "Load",
    "Loader",
    "LoaderDepend",
    "LoaderInstances",
    "Resolver",
    "SendTo",
    "build_list",
    "build_object",
    "copy_dataloader_kls",
    "mapper",
)
