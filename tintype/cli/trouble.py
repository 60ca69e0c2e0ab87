"""Which trouble is expected, and what does a person do about it?"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import asyncpg

from tintype import database
from tintype.config import Config
from tintype.errors import OperatorError, TintypeError


def explain(error: BaseException) -> TintypeError | None:
    """Return the sentence and the hint for an expected error, None for one that is a defect."""
    import httpx2

    if isinstance(error, TintypeError):
        return error
    if isinstance(error, httpx2.HTTPStatusError):
        where = error.request.url
        return OperatorError("download_refused", f"{where} answered {error.response.status_code}.")
    if isinstance(error, httpx2.HTTPError):
        return OperatorError(
            "server_unreachable",
            f"The server does not answer: {error or type(error).__name__}.",
            hint="Is it running? `tintype status` tells.",
        )
    if isinstance(error, OSError) and error.strerror is not None:
        what = "Input or output failed" if error.filename is None else error.filename
        return OperatorError("file_unusable", f"{what}: {error.strerror}.")
    return None


@contextmanager
def told_of(config: Config) -> Iterator[None]:
    """Turn what a database says that is away or refuses us into an `OperatorError` naming it."""
    where = _place(config)
    try:
        yield
    except database.STATEMENT_ERRORS as error:
        found = _of_database(error, config, where)
        if found is None:
            raise
        raise found from error


def _of_database(error: Exception, config: Config, where: str) -> OperatorError | None:
    match error:
        case (
            asyncpg.InvalidAuthorizationSpecificationError()
            | asyncpg.InvalidCatalogNameError()
            | asyncpg.InsufficientPrivilegeError()
        ):
            return OperatorError(
                "database_refused",
                f"The database {where} refuses us: {error}.",
                hint="Check the user, the password and the name in DATABASE_URL.",
            )
        case asyncpg.DiskFullError():
            return OperatorError("database_disk_full", f"The disk of the database {where} is full.")
        case asyncpg.exceptions.ClientConfigurationError():
            return _unusable(error)
        case socket.gaierror() | TimeoutError() | ConnectionError():
            pass
        case OSError() if error.filename is not None:
            return None
        case _ if not database.is_passing(error):
            return None
    said = str(error).strip().rstrip(".") or "no answer in time"
    return OperatorError(
        "database_unreachable",
        f"The database {where} does not answer: {said}.",
        hint="Is the Postgres of DATABASE_URL running, and can this machine reach it?"
        if config.database_url is not None
        else "Run the command again; if that does not help, `tintype doctor` looks closer.",
    )


def _place(config: Config) -> str:
    """Return which database it is, without its password."""
    if config.database_url is None:
        return f"in {config.data}"
    try:
        parts = urlsplit(config.database_url)
        return f"at {parts.hostname}:{parts.port or 5432}{parts.path}"
    except ValueError as error:
        raise _unusable(error) from error


def _unusable(error: Exception) -> OperatorError:
    return OperatorError(
        "database_url_invalid",
        f"DATABASE_URL cannot be used: {error}.",
        hint="It looks like postgresql://user:password@host:5432/name.",
    )
