"""This module holds the errors of the cold side.

::

    SnapshotError(Exception)      a snapshot can't be made or is not what it should be; the message carries both values
    ├── LogError                  the run's log is broken: its chain, its beginning or its end
    └── DamagedError              what lies in the blob store does not follow from the log, or not from its manifest
        └── ReadBackError         what was just written reads back otherwise: writing it again may help
"""


class SnapshotError(Exception):
    """A snapshot can't be made, or is not what it should be."""


class LogError(SnapshotError):
    """The run's log is broken."""


class DamagedError(SnapshotError):
    """What lies in the blob store is not what it should be."""


class ReadBackError(DamagedError):
    """What was just written reads back otherwise."""
