"""Fill trees of response models: declare on the model how each missing field is loaded or computed.

Needs Pydantic: ``pip install "dloader[resolver]"``.
"""

# Read in this order, which is the life of a node:
#   _markers            what users write on their models
#   _plan/              model class > plan; Subtree: what can lie below a class
#   _resolver           checks the models and arguments, and hands roots to the engine
#   _run/_engine        nodes found in a field > groups by class > a step for each field that is to be filled
#   _run/_barriers      a step that loads is held until nothing else can join its batch; then goes with its wave
#   _run/_steps         calls the method for all nodes of the group (_calls), or loads their keys ...
#   _run/_values        ... waits until all values are there ...
#   _convert            ... converts them to the field's type and writes them into the nodes
#   _containers         the nodes among the values are the next groups, one level below: again from _run/_engine
#   _run/_shared_nodes  a node that was found before is waited for, or copied; _run/_cycles ends circles
#   _run/_collectors    when all below is done, what was sent up is collected, and the posts are steps once more
# Beside them: _params and _loaders, which make the loaders of a resolve; _run/_paths, for what fails.

try:
    import pydantic as _pydantic
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        'dloader.resolver needs Pydantic: pip install "dloader[resolver]"', name="pydantic"
    ) from error

from dloader import build_list, build_object
from dloader.resolver._field_errors import FieldError
from dloader.resolver._loaders import LoaderInstances
from dloader.resolver._markers import (
    Collector,
    ExposeAs,
    FieldMarker,
    FillMarker,
    ICollector,
    Load,
    Loader,
    LoaderDepend,
    MarkedField,
    SendTo,
    copy_dataloader_kls,
    ignore,
    mapper,
    needs,
)
from dloader.resolver._resolver import Resolver

del _pydantic

__all__ = (
    "Collector",
    "ExposeAs",
    "FieldError",
    "FieldMarker",
    "FillMarker",
    "ICollector",
    "Load",
    "Loader",
    "LoaderDepend",
    "LoaderInstances",
    "MarkedField",
    "Resolver",
    "SendTo",
    "build_list",
    "build_object",
    "copy_dataloader_kls",
    "ignore",
    "mapper",
    "needs",
)
