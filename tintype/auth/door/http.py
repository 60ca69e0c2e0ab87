"""The routes of `/auth/v1`: sign up, sign in, stay signed in, and the user's own row."""

import hashlib
import traceback
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from tintype import __version__, events
from tintype.auth.accounts import Accounts, require_email
from tintype.auth.attempts import Attempts
from tintype.auth.door import admin, closed
from tintype.auth.door.bodies import OwnChanges, PasswordGrant, RefreshGrant, SignUp, read
from tintype.auth.door.gate import caller_of, check_key, require_admin, user_of
from tintype.auth.door.refusals import answer, refusal
from tintype.auth.keys import KeySet
from tintype.auth.passwords import Passwords
from tintype.auth.sessions import (
    SCOPES,
    Session,
    revoke,
    rotate,
    token_response,
    weakness_note,
)
from tintype.auth.settings import FIVE_MINUTES_SECONDS, HOUR_SECONDS, Settings
from tintype.database import Pool, is_passing
from tintype.errors import InvalidRequest, RequestError, TooManyRequests, Unavailable, Unprocessable
from tintype.rate import Limit, address_of

# As long as supabase-js keeps the set.
JWKS_SECONDS = 600
TRACE_CHARACTERS_MAX = 10_000
Handler = Callable[[Request], Awaitable[Response]]


def routes(keys: KeySet, pool: Pool | None = None, settings: Settings | None = None) -> list[Route]:
    """Return the routes of `/auth/v1`; without a pool only health and the key set.

    Those two are open. All others ask for a key of the project first, as `apikey`. Everything is
    answered here, what the server itself got wrong too.
    """
    chosen = settings or Settings()

    async def tell_health(request: Request) -> Response:
        # Clients show the name and decide by it, so it is the one they know.
        return answer(
            {
                "version": __version__,
                "name": "GoTrue",
                "description": "Tintype's authentication, speaking GoTrue's protocol",
            }
        )

    async def tell_keys(request: Request) -> Response:
        headers = {"cache-control": f"public, max-age={JWKS_SECONDS}"}
        return answer(keys.jwks(), headers=headers)

    open_ones = [
        Route("/auth/v1/health", tell_health),
        Route("/auth/v1/.well-known/jwks.json", tell_keys),
    ]
    if pool is None:
        return open_ones
    passwords = Passwords()
    accounts = Accounts(pool, chosen, passwords)
    door = _Door(keys, pool, chosen, accounts)
    users = admin.Admin(accounts, chosen, passwords)
    table: list[tuple[str, str, Handler]] = [
        ("GET", "/settings", door.tell_settings),
        ("POST", "/signup", door.sign_up),
        ("POST", "/token", door.grant),
        ("GET", "/user", door.get_user),
        ("PUT", "/user", door.update_user),
        ("POST", "/logout", door.sign_out),
        *[(method, path, _admin(keys, act)) for method, path, act in users.table()],
        *[(method, path, _admin(keys, act)) for method, path, act in closed.ADMIN],
        *closed.OPEN,
    ]
    closed_by_key = [
        Route(f"/auth/v1{path}", _answering(_keyed(keys, handler)), methods=[method])
        for method, path, handler in table
    ]
    every = ["GET", "POST", "PUT", "PATCH", "DELETE"]
    links = [
        Route(f"/auth/v1{path}", _answering(handler), methods=["GET"])
        for path, handler in closed.LINKS
    ]
    unknown = Route("/auth/v1/{path:path}", _answering(closed.unknown), methods=every)
    return [*open_ones, *links, *closed_by_key, unknown]


class _Door:
    def __init__(self, keys: KeySet, pool: Pool, settings: Settings, accounts: Accounts) -> None:
        self._keys = keys
        self._pool = pool
        self._settings = settings
        self._accounts = accounts
        five = FIVE_MINUTES_SECONDS
        self._sign_ups = Attempts(Limit(settings.sign_ups_per_5_minutes, five))
        self._anonymous = Attempts(Limit(settings.anonymous_per_hour, HOUR_SECONDS))
        self._guesses = Attempts(Limit(settings.sign_in_failures_per_5_minutes, five))
        self._guesses_of_one = Attempts(Limit(settings.account_failures_per_5_minutes, five))
        self._refreshes = Attempts(Limit(settings.refreshes_per_5_minutes, five))
        self._updates = Attempts(Limit(settings.updates_per_5_minutes, five))

    async def tell_settings(self, request: Request) -> Response:
        chosen = self._settings
        ways = {"email": chosen.email_enabled, "anonymous_users": chosen.anonymous_enabled}
        return answer(
            {
                "external": dict.fromkeys((*closed.PROVIDERS, "phone"), False) | ways,
                "disable_signup": not chosen.sign_up_enabled,
                "mailer_autoconfirm": True,
                "phone_autoconfirm": False,
                "sms_provider": "",
                "saml_enabled": False,
            }
        )

    async def sign_up(self, request: Request) -> Response:
        body = await read(request, SignUp)
        if not self._settings.sign_up_enabled:
            raise Unprocessable("signup_disabled", "Signups not allowed for this instance")
        if body.phone:
            raise closed.no_phone()
        caller, address = caller_of(request), address_of(request.scope)
        if not body.email:
            if not self._settings.anonymous_enabled:
                raise Unprocessable(
                    "anonymous_provider_disabled", "Anonymous sign-ins are disabled"
                )
            self._anonymous.take(address)
            return self._signed_in(
                await self._accounts.sign_up_anonymously(body.data or {}, caller)
            )
        self._require_email_enabled("Email signups are disabled")
        if not body.password:
            raise InvalidRequest("validation_failed", "Signup requires a valid password")
        self._sign_ups.take(address)
        return self._signed_in(
            await self._accounts.sign_up(body.email.lower(), body.password, body.data or {}, caller)
        )

    async def grant(self, request: Request) -> Response:
        kind = request.query_params.get("grant_type", "")
        if kind == "password":
            return await self._sign_in(request)
        if kind == "refresh_token":
            return await self._refresh(request)
        raise closed.refused_grant(kind)

    async def _sign_in(self, request: Request) -> Response:
        body = await read(request, PasswordGrant)
        if body.phone:
            raise closed.no_phone()
        self._require_email_enabled("Email logins are disabled")
        if not body.email or not body.password:
            raise InvalidRequest("validation_failed", "missing email or password")
        email = body.email.lower()
        # Counted before the check, so that many guesses at once are not all let through.
        address = address_of(request.scope)
        account = hashlib.sha256(email.encode()).hexdigest()
        self._guesses.take(address)
        try:
            self._guesses_of_one.take(account)
        except TooManyRequests:
            self._guesses.give_back(address)
            raise
        try:
            session = await self._accounts.sign_in(email, body.password, caller_of(request))
        except Exception as error:
            if not (isinstance(error, RequestError) and error.code == "invalid_credentials"):
                self._forgive(address, account)
            raise
        self._forgive(address, account)
        return self._signed_in(session, weakness_note(body.password, self._settings))

    async def _refresh(self, request: Request) -> Response:
        body = await read(request, RefreshGrant)
        if not body.refresh_token:
            raise InvalidRequest("validation_failed", "refresh_token required")
        self._refreshes.take(address_of(request.scope))
        return self._signed_in(
            await rotate(self._pool, body.refresh_token, self._keys.refresh_secret)
        )

    async def get_user(self, request: Request) -> Response:
        bearer = await user_of(self._keys, request)
        return answer(await self._accounts.current(bearer.user_id, bearer.session_id))

    async def update_user(self, request: Request) -> Response:
        bearer = await user_of(self._keys, request)
        body = await read(request, OwnChanges)
        user = await self._accounts.current(bearer.user_id, bearer.session_id)
        self._updates.take(str(bearer.user_id))
        if body.phone:
            raise closed.no_phone()
        changes: dict[str, Any] = {}
        email = body.email.lower() if body.email else user["email"]
        if email != user["email"]:
            self._require_email_enabled("Email logins are disabled")
            require_email(email)
            changes |= {"email": email, "is_confirmed": True}
        if body.data:
            changes["user_metadata"] = body.data
        if body.password is not None:
            changes["password_hash"] = await self._accounts.new_password(
                user, body.password, gets_email="email" in changes
            )
        if changes:
            user = await self._accounts.change(
                bearer.user_id, changes, kept_session=bearer.session_id
            )
        return answer(user)

    async def sign_out(self, request: Request) -> Response:
        bearer = await user_of(self._keys, request)
        asked = request.query_params.get("scope") or "global"
        scope = next((known for known in SCOPES if known == asked), None)
        if scope is None:
            raise InvalidRequest("validation_failed", f"Unsupported logout scope {asked[:40]!r}")
        await self._accounts.current(bearer.user_id, bearer.session_id)
        await revoke(self._pool, bearer.user_id, scope, bearer.session_id)
        return Response(status_code=204)

    def _signed_in(self, session: Session, note: dict[str, Any] | None = None) -> Response:
        # A token is for whoever asked, and for no cache on the way.
        return answer(
            token_response(self._keys, session, self._settings) | (note or {}),
            headers={"cache-control": "no-store"},
        )

    def _forgive(self, address: str, account: str) -> None:
        self._guesses.give_back(address)
        self._guesses_of_one.give_back(account)

    def _require_email_enabled(self, message: str) -> None:
        if not self._settings.email_enabled:
            raise Unprocessable("email_provider_disabled", message)


def _keyed(keys: KeySet, handler: Handler) -> Handler:
    async def act(request: Request) -> Response:
        await check_key(keys, request)
        return await handler(request)

    return act


def _admin(keys: KeySet, handler: Handler) -> Handler:
    async def act(request: Request) -> Response:
        await require_admin(keys, request)
        return await handler(request)

    return act


def _answering(handler: Handler) -> Handler:
    async def act(request: Request) -> Response:
        try:
            return await handler(request)
        except RequestError as error:
            return refusal(request, error)
        except ClientDisconnect:
            # Nobody reads this; the body ended before it was whole, and nothing was done.
            return refusal(request, InvalidRequest("bad_json", "The body ended early."))
        except Exception as error:
            if is_passing(error):
                return refusal(
                    request,
                    Unavailable("unexpected_failure", "The database is away for a moment."),
                )
            return refusal(request, _unexpected(request, error))

    return act


class _Unexpected(RequestError):
    status = 500


def _unexpected(request: Request, error: Exception) -> RequestError:
    reference: UUID = uuid4()
    trace = "".join(traceback.format_exception(error))[-TRACE_CHARACTERS_MAX:]
    events.emit(
        events.FunctionFailed(
            function=f"{request.method} {request.scope['path'][:200]}",
            error=trace,
            request=str(reference),
        )
    )
    return _Unexpected("unexpected_failure", "Unexpected failure, please check server logs")
