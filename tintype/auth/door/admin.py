"""The routes of `/auth/v1/admin/users`, for the service role."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import asyncpg
from starlette.requests import Request
from starlette.responses import Response

from tintype.auth.accounts import Accounts, NewUser, require_email
from tintype.auth.door import closed
from tintype.auth.door.bodies import AdminChanges, Deletion, Json, read
from tintype.auth.door.durations import banned_until
from tintype.auth.door.refusals import answer
from tintype.auth.keys import PROVIDER
from tintype.auth.passwords import Passwords, is_hash, require_strong
from tintype.auth.settings import Settings
from tintype.errors import Conflict, InvalidRequest, NotFound

USERS_PER_PAGE = 50
USERS_PER_PAGE_MAX = 1000
PAGE_MAX = 10**9
# A token with any other role is one that no part of this server takes.
ROLES = ("authenticated", "service_role")
Handler = Callable[[Request], Awaitable[Response]]


class Admin:
    """Users as the operator sees them."""

    def __init__(self, accounts: Accounts, settings: Settings, passwords: Passwords) -> None:
        self._accounts = accounts
        self._settings = settings
        self._passwords = passwords

    def table(self) -> list[tuple[str, str, Handler]]:
        """Return method, path and handler of each route."""
        return [
            ("GET", "/admin/users", self.list_users),
            ("POST", "/admin/users", self.create_user),
            ("GET", "/admin/users/{user}", self.get_user),
            ("PUT", "/admin/users/{user}", self.update_user),
            ("DELETE", "/admin/users/{user}", self.delete_user),
            ("GET", "/admin/users/{user}/factors", self.list_factors),
        ]

    async def list_users(self, request: Request) -> Response:
        """Answer with a page; `Link` and `X-Total-Count` lead to the others."""
        page = _number(request, "page", 1, PAGE_MAX)
        limit = min(_number(request, "per_page", USERS_PER_PAGE, PAGE_MAX), USERS_PER_PAGE_MAX)
        users, total = await self._accounts.page(limit, (page - 1) * limit)
        last = max(1, -(-total // limit))
        links = {"next": page + 1} if page < last else {}
        # supabase-js reads the character after the first `=`, so `page` has to come first.
        link = ", ".join(
            f'</admin/users?page={number}&per_page={limit}>; rel="{name}"'
            for name, number in (links | {"last": last}).items()
        )
        return answer(
            {"users": users, "aud": "authenticated"},
            headers={"X-Total-Count": str(total), "Link": link},
        )

    async def create_user(self, request: Request) -> Response:
        """Add a user, confirmed only if the body says so."""
        body = await read(request, AdminChanges)
        if body.phone:
            raise closed.no_phone()
        if not body.email:
            raise InvalidRequest(
                "validation_failed", "Cannot create a user without either an email or phone"
            )
        require_email(body.email)
        confirmed = bool(body.email_confirm)
        new = NewUser(
            email=body.email.lower(),
            password_hash=await self._hash_of(body),
            user_id=_new_id(body.id) if body.id else None,
            is_confirmed=confirmed,
            role=_role(body.role) or "authenticated",
            banned_until=banned_until(body.ban_duration) if body.ban_duration else None,
            app_metadata=PROVIDER | (body.app_metadata or {}),
            user_metadata=(body.user_metadata or {}) | {"email_verified": confirmed},
        )
        return answer(await self._accounts.add(new))

    async def get_user(self, request: Request) -> Response:
        """Answer with one user."""
        return answer(await self._accounts.get(_user_id(request)))

    async def update_user(self, request: Request) -> Response:
        """Change what the body names; metadata is merged. A new password ends every session."""
        user_id = _user_id(request)
        body = await read(request, AdminChanges)
        if body.phone:
            raise closed.no_phone()
        changes: Json = {}
        if body.email:
            require_email(body.email)
            changes["email"] = body.email.lower()
        if body.email_confirm:
            changes["is_confirmed"] = True
        if body.ban_duration:
            until = banned_until(body.ban_duration)
            changes["banned_until"] = until.isoformat() if until else None
        hashed = await self._hash_of(body)
        given: dict[str, Any] = {
            "password_hash": hashed,
            "role": _role(body.role),
            "app_metadata": body.app_metadata,
            "user_metadata": body.user_metadata,
        }
        changes |= {name: value for name, value in given.items() if value is not None}
        return answer(await self._accounts.change(user_id, changes))

    async def delete_user(self, request: Request) -> Response:
        """Remove a user with identities and sessions; other tables keep what is theirs."""
        user_id = _user_id(request)
        body = await read(request, Deletion, may_be_empty=True)
        try:
            await self._accounts.remove(user_id, keeps_row=body.should_soft_delete)
        except asyncpg.ForeignKeyViolationError as error:
            raise Conflict(
                "conflict",
                "Other rows still refer to this user.",
                hint="Remove them first, or send should_soft_delete.",
            ) from error
        return answer({})

    async def list_factors(self, request: Request) -> Response:
        """Answer that the user has no second factor: there are none here."""
        await self._accounts.get(_user_id(request))
        return answer([])

    async def _hash_of(self, body: AdminChanges) -> str | None:
        if body.password and body.password_hash:
            raise InvalidRequest(
                "validation_failed", "Only a password or a password hash should be provided"
            )
        if body.password_hash:
            if not is_hash(body.password_hash):
                raise InvalidRequest(
                    "validation_failed",
                    "This password hash is not of a kind that can be checked here.",
                    hint="Send a bcrypt ($2a$, $2b$, $2y$) or Argon2 hash of ordinary cost.",
                )
            return body.password_hash
        if not body.password:
            return None
        require_strong(body.password, self._settings)
        return await self._passwords.hash(body.password)


def _user_id(request: Request) -> UUID:
    try:
        return UUID(request.path_params["user"])
    except ValueError:
        raise NotFound("validation_failed", "user_id must be an UUID") from None


def _new_id(text: str) -> UUID:
    try:
        user_id = UUID(text)
    except ValueError:
        user_id = UUID(int=0)
    if user_id.int == 0:
        raise InvalidRequest("validation_failed", "ID must conform to the uuid v4 format")
    return user_id


def _role(role: str | None) -> str | None:
    if role and role not in ROLES:
        raise InvalidRequest("validation_failed", f"A user's role is one of {', '.join(ROLES)}.")
    return role or None


def _number(request: Request, name: str, default: int, most: int) -> int:
    text = request.query_params.get(name) or str(default)
    if not text.isascii() or not text.isdigit() or len(text) > 10 or not 1 <= int(text) <= most:
        raise InvalidRequest("validation_failed", f"Bad Pagination Parameters: {name}")
    return int(text)
