"""This module settles hypothesis for all unit tests: no deadline per example, because other processes share the machine."""

from hypothesis import settings

settings.register_profile("shared_machine", deadline=None)
settings.load_profile("shared_machine")
