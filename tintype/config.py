"""What did the operator choose?

`supabase/config.toml` and the environment, read once into one frozen value. Nothing else in
Tintype reads `os.environ`. The environment wins over the file. An unknown key stops the start
and names the nearest known one.
"""

import os
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from tintype.errors import OperatorError

# Sections that Supabase's own CLI writes; an app's file is read unchanged, these are not ours.
SUPABASE_SECTIONS = frozenset(
    (
        "project_id",
        "api",
        "db",
        "studio",
        "inbucket",
        "local_smtp",
        "storage",
        "auth",
        "edge_runtime",
        "analytics",
        "realtime",
        "experimental",
        "remotes",
        "functions",
    )
)


class FunctionConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One `[functions.<name>]` section."""

    enabled: bool = True
    verify_jwt: bool = True
    import_map: str | None = None
    entrypoint: str | None = None
    static_files: list[str] = []
    body_bytes_max: int | None = None


class ServerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[tintype.server]`: where it listens.

    `development` lets anybody ask for pictures without a user; the server then listens on loopback
    only.
    """

    host: str = "127.0.0.1"
    port: int = 54321
    development: bool = False
    public_url: str | None = None
    jwks_url: str | None = None
    jwt_issuer: str | None = None
    jwt_audience: str | None = None


class WorkerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[tintype.worker]`: how much work one process does at once."""

    inside_serve: bool = True
    concurrency: int = 16
    lease_seconds: int = 60
    drain_seconds: int = 20
    job_seconds_max: int = 36 * 3600
    retry_seconds: tuple[int, ...] = (5, 10, 20)


class ProvidersConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[tintype.providers]`: keys, base URLs and the default model."""

    default_model: str | None = None
    gemini_api_key: str | None = None
    gemini_base_url: str = "https://generativelanguage.googleapis.com"
    gemini_model_name: str | None = None
    imagen_base_url: str = "https://generativelanguage.googleapis.com"
    imagen_api_key: str | None = None
    ai_gateway_url: str = "https://ai.gateway.lovable.dev/v1"
    ai_gateway_api_key: str | None = None
    request_seconds_max: float = 180.0
    connect_seconds_max: float = 10.0
    sandbox_seconds: float = 0.4


class StorageConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[tintype.storage]`: limits of uploads; and where bytes lie, "folder" or "s3"."""

    object_bytes_max: int = 200 * 1024 * 1024
    signed_url_seconds_max: int = 7 * 24 * 3600
    backend: str = "folder"
    bucket: str | None = None
    region: str = "us-east-1"
    endpoint: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = None
    session_token: str | None = None


class AuthConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[tintype.auth]`: sign-in, with Supabase's own defaults.

    `…_per_5_minutes` and `…_per_hour` are for one client address, `account_failures_per_5_minutes`
    for one account; each is also how many may come at once. Successful sign-ins are not counted.
    `session_seconds_max` ends a session however often it is refreshed; None: never.
    """

    sign_up_enabled: bool = True
    email_enabled: bool = True
    anonymous_enabled: bool = True
    access_token_seconds: int = 3600
    session_seconds_max: int | None = None
    password_characters_min: int = 6
    # Sets of characters of which a password holds at least one each.
    password_required_characters: tuple[str, ...] = ()
    sign_ups_per_5_minutes: int = 30
    sign_in_failures_per_5_minutes: int = 30
    account_failures_per_5_minutes: int = 10
    refreshes_per_5_minutes: int = 150
    updates_per_5_minutes: int = 60
    anonymous_per_hour: int = 30


class LanesConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[tintype.lanes]`: queues that a Redis of the operator's carries to its workers.

    By default workers pop from this server itself, and no Redis is needed. `depth_max` is how many
    jobs of a queue wait on its list at most; the rest wait in Postgres.
    """

    carried_queues: tuple[str, ...] = ()
    redis_url: str | None = None
    upstash_url: str | None = None
    upstash_token: str | None = None
    depth_max: int = 100


class CreditsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[tintype.credits]`: what a new account starts with."""

    welcome: int = 0


class IdentitiesConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[tintype.identities]`: where identities are published, and how they are trained.

    `hub` "huggingface" publishes to a private repository and needs the token; "storage" keeps the
    same tree in this server's own storage and needs no account. `consent` "required" refuses a
    training without the depicted person's consent; "recorded" only notes what was said.
    """

    hub: Literal["huggingface", "storage"] = "huggingface"
    huggingface_token: str | None = None
    endpoint: str = "https://huggingface.co"
    namespace: str | None = None
    publish_seconds_max: float = 900.0
    consent: Literal["recorded", "required"] = "recorded"
    base_model: Literal["flux", "sdxl"] = "flux"
    steps: int = 1000
    learning_rate: float = 0.0004
    resolution: int = 512
    rank: int = 16
    concurrency: int = 4


class TelemetryConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[tintype.telemetry]`: who may read `/metrics`, and where traces go.

    `metrics_token` opens `/metrics` and nothing else; without it only the service role reads that.
    A `tintype worker` answers it on `worker_metrics_port` of the server's host, if there is one.
    `otlp_endpoint` is the base URL of an OpenTelemetry collector (OTLP over HTTP); None traces
    nothing. `otlp_headers` is `name=value,…` with percent-encoded values. `trace_share` (0 … 1) of
    the traces that begin here are kept; of those that began elsewhere, the ones kept there.
    """

    metrics_token: str | None = None
    worker_metrics_port: int | None = None
    otlp_endpoint: str | None = None
    otlp_headers: str | None = None
    service_name: str = "tintype"
    trace_share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0


class Config(msgspec.Struct, frozen=True):
    """Everything the operator may choose, frozen."""

    data: Path
    project: Path
    database_url: str | None = None
    keys_file: Path | None = None
    server: ServerConfig = ServerConfig()
    worker: WorkerConfig = WorkerConfig()
    providers: ProvidersConfig = ProvidersConfig()
    storage: StorageConfig = StorageConfig()
    credits: CreditsConfig = CreditsConfig()
    lanes: LanesConfig = LanesConfig()
    auth: AuthConfig = AuthConfig()
    identities: IdentitiesConfig = IdentitiesConfig()
    telemetry: TelemetryConfig = TelemetryConfig()
    functions: dict[str, FunctionConfig] = {}

    @property
    def is_development(self) -> bool:
        """Whether whoever reaches this machine's loopback counts as an operator."""
        return self.server.development

    @property
    def public_url(self) -> str:
        """The URL that clients see, without a trailing slash; an IPv6 host is in brackets."""
        host = _LOOPBACKS.get(self.server.host, self.server.host)
        if ":" in host and not host.startswith("["):
            host = f"[{host}]"
        return (self.server.public_url or f"http://{host}:{self.server.port}").rstrip("/")


# What a client on this machine says for "every address".
_LOOPBACKS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
# Environment name → (section, field). The first name that is set wins.
ENVIRONMENT: dict[str, tuple[str, str]] = {
    "TINTYPE_DEVELOPMENT": ("server", "development"),
    "TINTYPE_HOST": ("server", "host"),
    "TINTYPE_PORT": ("server", "port"),
    "TINTYPE_PUBLIC_URL": ("server", "public_url"),
    "TINTYPE_JWKS_URL": ("server", "jwks_url"),
    "TINTYPE_JWT_ISSUER": ("server", "jwt_issuer"),
    "TINTYPE_JWT_AUDIENCE": ("server", "jwt_audience"),
    "TINTYPE_WORKER_CONCURRENCY": ("worker", "concurrency"),
    "TINTYPE_LEASE_SECONDS": ("worker", "lease_seconds"),
    "TINTYPE_DRAIN_SECONDS": ("worker", "drain_seconds"),
    "TINTYPE_DEFAULT_MODEL": ("providers", "default_model"),
    "TINTYPE_SANDBOX_SECONDS": ("providers", "sandbox_seconds"),
    "TINTYPE_PROVIDER_SECONDS_MAX": ("providers", "request_seconds_max"),
    "GEMINI_API_KEY": ("providers", "gemini_api_key"),
    "GEMINI_BASE_URL": ("providers", "gemini_base_url"),
    "GEMINI_MODEL_NAME": ("providers", "gemini_model_name"),
    "IMAGEN_BASE_URL": ("providers", "imagen_base_url"),
    "IMAGEN_API_KEY": ("providers", "imagen_api_key"),
    "AI_GATEWAY_URL": ("providers", "ai_gateway_url"),
    "AI_GATEWAY_API_KEY": ("providers", "ai_gateway_api_key"),
    "LOVABLE_API_KEY": ("providers", "ai_gateway_api_key"),
    "TINTYPE_STORAGE_BACKEND": ("storage", "backend"),
    "TINTYPE_S3_BUCKET": ("storage", "bucket"),
    "TINTYPE_S3_REGION": ("storage", "region"),
    "AWS_REGION": ("storage", "region"),
    "TINTYPE_S3_ENDPOINT": ("storage", "endpoint"),
    "AWS_ENDPOINT_URL_S3": ("storage", "endpoint"),
    "AWS_ACCESS_KEY_ID": ("storage", "access_key_id"),
    "AWS_SECRET_ACCESS_KEY": ("storage", "secret_access_key"),
    "AWS_SESSION_TOKEN": ("storage", "session_token"),
    "TINTYPE_REDIS_URL": ("lanes", "redis_url"),
    "TINTYPE_UPSTASH_URL": ("lanes", "upstash_url"),
    "TINTYPE_UPSTASH_TOKEN": ("lanes", "upstash_token"),
    "TINTYPE_WELCOME_CREDITS": ("credits", "welcome"),
    "HUGGINGFACE_TOKEN": ("identities", "huggingface_token"),
    "HF_ENDPOINT": ("identities", "endpoint"),
    "TINTYPE_IDENTITIES_HUB": ("identities", "hub"),
    "TINTYPE_METRICS_TOKEN": ("telemetry", "metrics_token"),
    "TINTYPE_METRICS_PORT": ("telemetry", "worker_metrics_port"),
    "OTEL_EXPORTER_OTLP_ENDPOINT": ("telemetry", "otlp_endpoint"),
    "OTEL_EXPORTER_OTLP_HEADERS": ("telemetry", "otlp_headers"),
    "OTEL_SERVICE_NAME": ("telemetry", "service_name"),
    "OTEL_TRACES_SAMPLER_ARG": ("telemetry", "trace_share"),
}
SECTIONS: dict[str, type[msgspec.Struct]] = {
    "server": ServerConfig,
    "worker": WorkerConfig,
    "providers": ProvidersConfig,
    "storage": StorageConfig,
    "credits": CreditsConfig,
    "lanes": LanesConfig,
    "auth": AuthConfig,
    "identities": IdentitiesConfig,
    "telemetry": TelemetryConfig,
}
LOOPBACK_HOSTS = frozenset(("127.0.0.1", "localhost", "::1"))
# The functions that come with Tintype and are open to callers without a token.
BUILTIN_FUNCTIONS = {
    "generate-admin-image": FunctionConfig(verify_jwt=False),
    "image-worker": FunctionConfig(verify_jwt=False),
    "job-callback": FunctionConfig(verify_jwt=False),
}


def load(
    *,
    data: Path | None = None,
    project: Path | None = None,
    host: str | None = None,
    port: int | None = None,
    environment: Mapping[str, str] | None = None,
) -> Config:
    """Read the file and the environment into one `Config`.

    `project` is the folder that holds `supabase/config.toml` (default: the current one); `data`
    is where the embedded Postgres, the keys and the objects live (default `<project>/.tintype`).
    Raises `OperatorError` for an unknown key, a wrong type or a file that does not parse.
    """
    env = os.environ if environment is None else environment
    project = (project or Path.cwd()).resolve()
    document = _read(project / "supabase" / "config.toml")
    _check_names(document, SUPABASE_SECTIONS | {"tintype"}, "")
    ours = dict(document.get("tintype", {}))
    _check_names(ours, SECTIONS.keys(), "tintype.")
    values = {name: dict(ours.get(name, {})) for name in SECTIONS}
    for variable, (section, field) in reversed(ENVIRONMENT.items()):
        if env.get(variable):
            values[section][field] = env[variable]
    if host is not None:
        values["server"]["host"] = host
    if port is not None:
        values["server"]["port"] = port
    sections = {name: _section(name, values[name], SECTIONS[name]) for name in SECTIONS}
    if sections["server"].development and sections["server"].host not in LOOPBACK_HOSTS:
        raise OperatorError(
            "development_not_on_loopback",
            f"Development mode does not listen on {sections['server'].host}.",
            hint="Leave out TINTYPE_DEVELOPMENT, or listen on 127.0.0.1.",
        )
    functions = dict(BUILTIN_FUNCTIONS)
    for name, section in document.get("functions", {}).items():
        functions[name] = _section(f"functions.{name}", section, FunctionConfig)
    keys_file = env.get("TINTYPE_KEYS_FILE")
    chosen = data or (Path(env["TINTYPE_DATA"]) if env.get("TINTYPE_DATA") else None)
    return Config(
        data=(chosen or project / ".tintype").resolve(),
        project=project,
        database_url=env.get("DATABASE_URL") or None,
        keys_file=Path(keys_file) if keys_file else None,
        functions=functions,
        **sections,
    )


class WorkerAccess(msgspec.Struct, frozen=True):
    """What a worker outside the server is told of it. Neither has to be set."""

    url: str | None
    key: str | None


def worker_access(environment: Mapping[str, str] | None = None) -> WorkerAccess:
    """Return the server and the key that `tintype workers add` gave this machine."""
    env = os.environ if environment is None else environment
    return WorkerAccess(env.get("SUPABASE_URL") or None, env.get("SUPABASE_SERVICE_KEY") or None)


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OperatorError("config_unreadable", f"{path} does not parse: {error}") from error


def _check_names(section: Mapping[str, Any], known: Any, prefix: str) -> None:
    for name in section:
        if name not in known:
            near = get_close_matches(name, list(known), n=1, cutoff=0.5)
            hint = f"Did you mean `{prefix}{near[0]}`?" if near else None
            raise OperatorError(
                "config_unknown_key", f"Unknown configuration key `{prefix}{name}`.", hint=hint
            )


def _section(name: str, values: Mapping[str, Any], kind: type[Any]) -> Any:
    known = [field.name for field in msgspec.structs.fields(kind)]
    _check_names(values, known, f"{name}." if name.startswith("functions") else f"tintype.{name}.")
    try:
        return msgspec.convert(dict(values), kind, strict=False)
    except msgspec.ValidationError as error:
        raise OperatorError(
            "config_wrong_type", f"Configuration section `{name}`: {error}."
        ) from error
