"""The app of a function, whatever is around it."""

from __future__ import annotations

import sys
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import torch

from omnilytics_flwr.flower.app_name import app_name

PROJECT = '[project]\nname = "mine"\n[tool.flwr.app]\npublisher = "me"\n'


@pytest.mark.parametrize("around", [lambda function: function, torch.no_grad(), cache], ids=["alone", "a decorator", "a cache"])
def test_function_is_of_the_app_in_whose_folder_it_is_defined(tmp_path: Path, around) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    (tmp_path / "client_app.py").write_text("def initial_model(context):\n    pass\n")
    spec = spec_from_file_location("omnilytics_test_client_app", tmp_path / "client_app.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    assert app_name(around(module.initial_model)) == "me/mine"
