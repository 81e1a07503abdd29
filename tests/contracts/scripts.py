"""The scripts that lie beside the contracts, which are no package, as modules."""

from __future__ import annotations

import sys
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

CONTRACTS = Path(__file__).parents[2] / "contracts"


@cache
def script(name: str) -> ModuleType:
    """``contracts/<name>.py``."""
    spec = spec_from_file_location(f"contracts_{name}", CONTRACTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    # Dataclasses look their module up.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
