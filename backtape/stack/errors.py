"""This module names what can go wrong with the local stack.

StackError
├── NotRunning      the stack (or one service) was asked for and is not there
├── ServiceDied     a service ended while it started; carries the last lines of its log
├── ServiceSilent   a service runs and does not answer within its time
└── JarsMissing     Maven could not bring the jars of a service
"""

from __future__ import annotations


class StackError(Exception):
    """Say what is wrong with the local stack, in words for the person who started it."""


class NotRunning(StackError):
    """The stack was asked for and is not running."""


class ServiceDied(StackError):
    """A service ended while it started."""


class ServiceSilent(StackError):
    """A service runs, but gave no answer in time."""


class JarsMissing(StackError):
    """The jars of a service are not there and could not be fetched."""
