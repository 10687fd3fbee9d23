"""This module holds the errors of the outside world.

The tree::

    AdapterError                  something outside failed; the message carries the values involved
    ├── RetryableError            the same call may succeed later (no broker just now, throttled, timed out)
    │   └── OutcomeUnknownError   it may have happened: read back before doing it again
    └── FatalError                it will not get better by itself
        ├── FencedError           another owner has taken over: leave, do not retry
        ├── DeletedError          rows of a backtest that was deleted meanwhile: look again, and leave it out
        ├── NotFoundError         there is no such object, data set, version or row
        ├── IntegrityError        bytes do not match their digest, a chain or a topology is broken
        └── ConfigurationError    a setting, topic or schema is not as it must be
"""


class AdapterError(Exception):
    """Something outside failed."""


class RetryableError(AdapterError):
    """The same call may succeed later."""


class OutcomeUnknownError(RetryableError):
    """The call may or may not have had its effect."""


class FatalError(AdapterError):
    """It will not get better by itself."""


class FencedError(FatalError):
    """Another owner has taken over."""


class DeletedError(FatalError):
    """A batch adds to a backtest that was deleted meanwhile. Nothing was written."""


class NotFoundError(FatalError):
    """There is no such thing."""


class IntegrityError(FatalError):
    """What was read is not what was recorded."""


class ConfigurationError(FatalError):
    """A setting, a topic or a schema is not as it must be."""
