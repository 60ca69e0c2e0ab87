"""How does somebody become a user, come in, change and leave?

The story of each call, between the door that reads it and the SQL functions that keep it.
"""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec

from tintype.auth.keys import PROVIDER
from tintype.auth.passwords import Passwords, require_strong
from tintype.auth.sessions import Caller, Session, open_session
from tintype.auth.settings import METADATA_BYTES_MAX, Settings
from tintype.auth.users import is_email
from tintype.database import Pool, named_queries, transaction
from tintype.errors import Forbidden, InvalidRequest, NotFound, RequestError, Unprocessable

# The password may be changed, or its hash replaced, while it is being checked.
CHECKS_MAX = 3
Document = dict[str, Any]


class NewUser(msgspec.Struct, frozen=True, kw_only=True):
    """What a user starts as."""

    email: str | None
    password_hash: str | None = None
    user_id: UUID | None = None
    is_confirmed: bool = True
    role: str = "authenticated"
    banned_until: datetime | None = None
    app_metadata: Document = {}
    user_metadata: Document = {}


class Credentials(msgspec.Struct, frozen=True):
    """What a password is checked against."""

    user_id: UUID
    password_hash: str | None
    is_confirmed: bool
    is_banned: bool


class Accounts:
    """Users and their sessions in one database. Used from one event loop."""

    def __init__(self, pool: Pool, settings: Settings, passwords: Passwords) -> None:
        self._pool = pool
        self._settings = settings
        self._passwords = passwords

    async def sign_up(self, email: str, password: str, data: Document, caller: Caller) -> Session:
        """Add a user whose address counts as confirmed, and open a session.

        Of two calls at once with one address one adds the user. Raises `Unprocessable`
        `user_already_exists`, `weak_password`; `InvalidRequest` `validation_failed`.
        """
        require_email(email)
        require_strong(password, self._settings)
        user_id = uuid4()
        own = {"sub": str(user_id), "email": email, "email_verified": True, "phone_verified": False}
        new = NewUser(
            email=email,
            password_hash=await self._passwords.hash(password),
            user_id=user_id,
            app_metadata=PROVIDER,
            user_metadata=data | own,
        )
        return await self._enter(new, "password", caller)

    async def sign_up_anonymously(self, data: Document, caller: Caller) -> Session:
        """Add a user without an address, and open a session. Raises as `sign_up` does."""
        return await self._enter(NewUser(email=None, user_metadata=data), "anonymous", caller)

    async def _enter(self, new: NewUser, method: str, caller: Caller) -> Session:
        async with transaction(self._pool) as connection:
            user_id = await self._add(new, connection)
            if user_id is None:
                raise Unprocessable("user_already_exists", "User already registered")
            session = await open_session(
                connection, user_id, method=method, caller=caller, settings=self._settings
            )
        assert session is not None  # the row is this transaction's own
        return session

    async def sign_in(self, email: str, password: str, caller: Caller) -> Session:
        """Open a session for whoever knows the password.

        Nothing about the account shows before the password is right: an unknown address and a
        wrong password give the same answer at the same cost. Raises `InvalidRequest`
        `invalid_credentials`, `email_not_confirmed`, `user_banned`.
        """
        for _ in range(CHECKS_MAX):
            known = await self._credentials(email, None) if is_email(email) else None
            verdict = await self._passwords.verify(password, known.password_hash if known else None)
            if known is None or not verdict.fits:
                break
            if known.is_banned:
                raise InvalidRequest("user_banned", "User is banned")
            if not known.is_confirmed:
                raise InvalidRequest("email_not_confirmed", "Email not confirmed")
            new_hash = await self._passwords.hash(password) if verdict.is_outdated else None
            async with transaction(self._pool) as connection:
                session = await open_session(
                    connection,
                    known.user_id,
                    method="password",
                    caller=caller,
                    settings=self._settings,
                    password_hash=known.password_hash,
                    password_rehashed=new_hash,
                )
            if session is not None:
                return session
        raise InvalidRequest("invalid_credentials", "Invalid login credentials")

    async def current(self, user_id: UUID, session_id: UUID | None) -> Document:
        """Return the user of an access token whose session is open.

        Raises `Forbidden` `user_not_found`, `session_not_found`, `user_banned`.
        """
        found = await self._pool.fetchval(
            named_queries("auth")["find_session"], user_id, session_id
        )
        if found["user"] is None:
            raise Forbidden("user_not_found", "User from sub claim in JWT does not exist")
        if not found["is_open"]:
            raise Forbidden(
                "session_not_found", "Session from session_id claim in JWT does not exist"
            )
        if found["is_banned"]:
            raise Forbidden("user_banned", "User is banned")
        user: Document = found["user"]
        return user

    async def new_password(self, user: Document, password: str, *, gets_email: bool) -> str:
        """Return the hash of a user's own new password.

        Raises `Unprocessable` `weak_password`, `same_password`; and `validation_failed` for an
        anonymous user who does not get an address too, and could never use it.
        """
        if user["is_anonymous"] and not gets_email:
            raise Unprocessable(
                "validation_failed",
                "Updating password of an anonymous user without an email or phone is not allowed",
            )
        require_strong(password, self._settings)
        known = await self._credentials(None, UUID(user["id"]))
        if known is not None and known.password_hash is not None:
            verdict = await self._passwords.verify(password, known.password_hash)
            if verdict.fits:
                raise Unprocessable(
                    "same_password", "New password should be different from the old password."
                )
        return await self._passwords.hash(password)

    async def change(
        self, user_id: UUID, changes: Document, *, kept_session: UUID | None = None
    ) -> Document:
        """Change a user as `tintype.change_user` does and return the user.

        A new password ends every session but `kept_session`. Raises `NotFound` `user_not_found`,
        `Unprocessable` `email_exists`, `InvalidRequest` `validation_failed` for too much metadata.
        """
        found = await self._pool.fetchval(
            named_queries("auth")["change_user"],
            user_id,
            changes,
            kept_session,
            METADATA_BYTES_MAX,
        )
        if found["outcome"] != "changed":
            raise _unchanged(found["outcome"])
        user: Document = found["user"]
        return user

    async def add(self, new: NewUser) -> Document:
        """Add a user and return it. Raises `Unprocessable` `email_exists`."""
        async with transaction(self._pool) as connection:
            user_id = await self._add(new, connection)
            if user_id is None:
                raise _unchanged("email_exists")
            user: Document = await connection.fetchval(named_queries("auth")["read_user"], user_id)
        return user

    async def get(self, user_id: UUID) -> Document:
        """Return a user; raise `NotFound` `user_not_found`."""
        user: Document | None = await self._pool.fetchval(
            named_queries("auth")["read_user"], user_id
        )
        if user is None:
            raise _unchanged("not_found")
        return user

    async def page(self, limit: int, offset: int) -> tuple[list[Document], int]:
        """Return a page of users, newest first, and how many there are in all."""
        found = await self._pool.fetchval(named_queries("auth")["page_users"], limit, offset)
        return found["users"], found["total"]

    async def remove(self, user_id: UUID, *, keeps_row: bool) -> None:
        """Remove a user with identities and sessions; jobs and the ledger stay for the books.

        `keeps_row` keeps the id without anything personal. Raises `NotFound` `user_not_found`.
        """
        if not await self._pool.fetchval(named_queries("auth")["remove_user"], user_id, keeps_row):
            raise _unchanged("not_found")

    async def _credentials(self, email: str | None, user_id: UUID | None) -> Credentials | None:
        row = await self._pool.fetchrow(named_queries("auth")["find_credentials"], email, user_id)
        return None if row is None else Credentials(**row)

    async def _add(self, new: NewUser, connection: Any) -> UUID | None:
        size = len(msgspec.json.encode([new.app_metadata, new.user_metadata]))
        if size > METADATA_BYTES_MAX:
            raise _unchanged("metadata_too_large")
        added: UUID | None = await connection.fetchval(
            named_queries("auth")["add_user"],
            new.user_id or uuid4(),
            new.email,
            new.password_hash,
            new.is_confirmed,
            new.role,
            new.banned_until,
            new.app_metadata,
            new.user_metadata,
        )
        return added


def require_email(email: str) -> None:
    """Raise `InvalidRequest` `validation_failed` for what is no address."""
    if not is_email(email):
        raise InvalidRequest(
            "validation_failed", "Unable to validate email address: invalid format"
        )


def _unchanged(outcome: str) -> RequestError:
    if outcome == "not_found":
        return NotFound("user_not_found", "User not found")
    if outcome == "email_exists":
        return Unprocessable(
            "email_exists", "A user with this email address has already been registered"
        )
    return InvalidRequest(
        "validation_failed",
        f"A user's metadata has at most {METADATA_BYTES_MAX} bytes: it travels in every token.",
        hint="Keep it in a table of your own.",
    )
