"""What does GoTrue offer that is not enabled here?

Each answers what GoTrue answers where it is switched off, so that clients show the right thing.
This server sends no mail and no messages, knows no OAuth provider and has no second factor.
"""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from tintype.auth.door.bodies import Enrollment, read
from tintype.errors import Forbidden, InvalidRequest, NotFound, RequestError, Unprocessable

Handler = Callable[[Request], Awaitable[Response]]
PROVIDERS = (
    "apple",
    "azure",
    "bitbucket",
    "discord",
    "facebook",
    "figma",
    "fly",
    "github",
    "gitlab",
    "google",
    "kakao",
    "keycloak",
    "linkedin",
    "linkedin_oidc",
    "notion",
    "slack",
    "slack_oidc",
    "spotify",
    "twitch",
    "twitter",
    "workos",
    "x",
    "zoom",
)
NO_MAIL = "Mail is not enabled: this server sends none."
NO_OAUTH = "Unsupported provider: provider is not enabled"
NO_LINKING = "Manual linking is disabled"
NO_FACTORS = "MFA enroll is disabled"
FACTORS = {
    "totp": "mfa_totp_enroll_not_enabled",
    "phone": "mfa_phone_enroll_not_enabled",
    "webauthn": "mfa_webauthn_enroll_not_enabled",
}
NO_FACTOR = "Factor not found"


def no_phone() -> RequestError:
    """Return the answer to whoever brings a phone number."""
    return Unprocessable("phone_provider_disabled", "Phone signups and logins are disabled")


def refused_grant(kind: str) -> RequestError:
    """Return the answer to a `grant_type` other than password and refresh_token."""
    if kind == "pkce":
        return NotFound("flow_state_not_found", "invalid flow state, no valid flow state found")
    if kind == "id_token":
        return InvalidRequest("provider_disabled", "Provider (id_token) is not enabled")
    if kind == "web3":
        return Unprocessable("web3_provider_disabled", "Web3 provider is disabled")
    return InvalidRequest("invalid_credentials", "unsupported_grant_type")


def _saying(kind: type[RequestError], code: str, message: str) -> Handler:
    async def say(request: Request) -> Response:
        raise kind(code, message)

    return say


async def _no_factors(request: Request) -> Response:
    wanted = (await read(request, Enrollment, may_be_empty=True)).factor_type
    raise Unprocessable(FACTORS.get(wanted or "", FACTORS["totp"]), NO_FACTORS)


unknown = _saying(NotFound, "not_found", "There is nothing here under this path and method.")
_no_mail = _saying(Unprocessable, "email_provider_disabled", NO_MAIL)
_no_otp = _saying(
    Unprocessable, "otp_disabled", "Sign-in by link or code is not enabled: it takes mail."
)
_no_oauth = _saying(InvalidRequest, "validation_failed", NO_OAUTH)
_no_linking = _saying(NotFound, "manual_linking_disabled", NO_LINKING)
_no_factor = _saying(NotFound, "mfa_factor_not_found", NO_FACTOR)
_no_saml = _saying(NotFound, "saml_provider_disabled", "SAML 2.0 is disabled")
_no_server = _saying(NotFound, "feature_disabled", "The OAuth server is not enabled")
# No code was ever sent, so none can be right.
_no_code = _saying(Forbidden, "otp_expired", "Token has expired or is invalid")

# Followed by a browser, which sends no key.
LINKS: list[tuple[str, Handler]] = [
    ("/authorize", _no_oauth),
    ("/callback", _no_oauth),
    ("/verify", _no_code),
]
OPEN: list[tuple[str, str, Handler]] = [
    ("POST", "/otp", _no_otp),
    ("POST", "/magiclink", _no_otp),
    ("POST", "/verify", _no_code),
    ("POST", "/recover", _no_mail),
    ("POST", "/resend", _no_mail),
    ("GET", "/reauthenticate", _no_mail),
    ("POST", "/sso", _no_saml),
    ("POST", "/factors", _no_factors),
    ("POST", "/factors/{factor}/challenge", _no_factor),
    ("POST", "/factors/{factor}/verify", _no_factor),
    ("DELETE", "/factors/{factor}", _no_factor),
    ("GET", "/user/identities/authorize", _no_linking),
    ("DELETE", "/user/identities/{identity}", _no_linking),
]
ADMIN: list[tuple[str, str, Handler]] = [
    ("POST", "/invite", _no_mail),
    ("POST", "/admin/generate_link", _no_mail),
    ("DELETE", "/admin/users/{user}/factors/{factor}", _no_factor),
    ("GET", "/admin/oauth/clients", _no_server),
    ("POST", "/admin/oauth/clients", _no_server),
    ("GET", "/admin/sso/providers", _no_saml),
    ("POST", "/admin/sso/providers", _no_saml),
]
