"""Tests; README.md says where each belongs."""

import os

from hypothesis import settings

# Here, so that it counts for all that is imported later. No deadline: a busy machine must not make a test fail.
settings.register_profile("quick", deadline=None)
settings.register_profile("long", deadline=None, max_examples=5000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
