"""This package is the projector: it reads the log and keeps the read model's tables."""

from consumers.projector.batch import Limits
from consumers.projector.loop import Projector

__all__ = ["Limits", "Projector"]
