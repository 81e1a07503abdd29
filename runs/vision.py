"""Import torchvision beside a CPU build of torch.

``from runs.vision import datasets, transforms`` is ``from torchvision import datasets, transforms``,
and also works where torchvision was built for CUDA and torch was not: its compiled operators then
do not load, yet it registers gradients and shapes for them on import and fails with
``operator torchvision::... does not exist``. Declaring these operators, without any implementation,
is enough for data sets, transforms and models; calling one of the operators still fails, by name.
"""

import importlib

from torch import library

__all__ = ["datasets", "models", "transforms"]

_OPERATORS = (
    "nms",
    "qnms",
    "roi_align",
    "_roi_align_backward",
    "qroi_align",
    "ps_roi_align",
    "_ps_roi_align_backward",
    "roi_pool",
    "_roi_pool_backward",
    "ps_roi_pool",
    "_ps_roi_pool_backward",
    "deform_conv2d",
    "_deform_conv2d_backward",
)

# The declarations last as long as this object.
_declarations: library.Library | None = None

try:
    importlib.import_module("torchvision")
except RuntimeError as error:
    if "operator torchvision::" not in str(error):
        raise
    _declarations = library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for _name in _OPERATORS:
        _declarations.define(f"{_name}(Tensor placeholder) -> Tensor")  # type: ignore[no-untyped-call]

from torchvision import datasets, models, transforms  # noqa: E402
