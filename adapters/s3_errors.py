"""This module sorts what an S3 server or the way to it answers: momentary or final, and whether it may have had its effect."""

import botocore.exceptions as boto

from adapters.errors import AdapterError, ConfigurationError, FatalError, NotFoundError

# Errors that name a fault of the moment. Everything of status 500 and above counts as well.
_MOMENTARY = frozenset(
    {
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "RequestLimitExceeded",
        "TooManyRequests",
        "RequestTimeout",
        "BadDigest",
        "RequestTimeTooSkewed",
        "OperationAborted",
        "XAmzContentSHA256Mismatch",
        "ExpiredToken",
    }
)
_MISSING = frozenset({"404", "NoSuchKey", "NotFound"})


def status_of(error: Exception) -> int | None:
    if not isinstance(error, boto.ClientError):
        return None
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def code_of(error: Exception) -> str:
    if not isinstance(error, boto.ClientError):
        return ""
    return str(error.response.get("Error", {}).get("Code", ""))


def may_have_happened(error: Exception) -> bool:
    """Say whether the server may have done what it was asked for, although the answer says otherwise or never came."""
    if isinstance(error, boto.ClientError):
        return (status_of(error) or 0) >= 500 and code_of(error) not in _MOMENTARY
    return not isinstance(error, boto.ConnectTimeoutError | boto.EndpointConnectionError)


def raise_if_final(error: Exception, what: str) -> None:
    """Return for a fault of the moment; raise the adapters' error for what another try would not change."""
    if isinstance(error, AdapterError):
        raise error
    if isinstance(error, boto.ClientError):
        _raise_if_refused(error, what)
    elif isinstance(error, boto.NoCredentialsError | boto.PartialCredentialsError | boto.ParamValidationError):
        raise ConfigurationError(f"{what}: {error}") from error
    elif isinstance(error, boto.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        raise ConfigurationError(
            f"{what}: the server's certificate is not trusted (AWS_CA_BUNDLE names others): {error}"
        ) from error
    elif not isinstance(error, boto.BotoCoreError | OSError):
        raise error


def _raise_if_refused(error: boto.ClientError, what: str) -> None:
    status, code = status_of(error) or 0, code_of(error)
    if status >= 500 or status == 429 or code in _MOMENTARY:
        return
    if code == "NoSuchBucket":
        raise ConfigurationError(f"{what}: there is no such bucket") from error
    if status == 404 or code in _MISSING:
        raise NotFoundError(f"{what}: there is no such object") from error
    if status in (401, 403):
        raise ConfigurationError(f"{what}: the server refuses these credentials: {error}") from error
    raise FatalError(f"{what}: {error}") from error
