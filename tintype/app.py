"""One Config in, one running server out."""

import asyncio
import gc
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from tintype import (
    auth,
    database,
    events,
    functions,
    identities,
    jobs,
    lanes,
    providers,
    realtime,
    rest,
    storage,
    telemetry,
    web,
)
from tintype.auth import KeySet, Principal
from tintype.config import Config
from tintype.errors import OperatorError
from tintype.functions import Context, Cors, Loader, Rate, Runtime, Submitter
from tintype.functions.builtin import image_worker
from tintype.jobs import Waiting
from tintype.listening import BoundedHttp, Patience, hush_log
from tintype.workers import Kernel, Worker, outside

POOL_CONNECTIONS_MAX = 16
SUPERVISE_SECONDS = 0.5
# Requests under way get this long to end when the server stops; jobs have their own bound.
REQUESTS_SECONDS_MAX = 5
BACKLOG_CONNECTIONS_MAX = 2048


@asynccontextmanager
async def open_database(config: Config) -> AsyncIterator[str]:
    """Yield the URL of the migrated database: the given one, the running one, or a started one.

    An embedded Postgres that this call started is supervised while it is open (a killed one is
    started again) and stopped at the end; one that another process owns is left running.
    """
    if config.database_url is not None:
        await database.migrate(config.database_url)
        yield config.database_url
        return
    config.data.mkdir(parents=True, exist_ok=True)
    starting = asyncio.ensure_future(
        asyncio.to_thread(database.start_embedded, config.data / "postgres")
    )
    try:
        server = await asyncio.shield(starting)
    except asyncio.CancelledError:
        # The thread cannot be cut off: what it starts is put away.
        with suppress(OperatorError):
            await asyncio.to_thread((await starting).stop)
        raise
    supervisor = asyncio.create_task(_supervise(server))
    try:
        await database.migrate(server.url)
        yield server.url
    finally:
        supervisor.cancel()
        with suppress(asyncio.CancelledError):
            await supervisor
        await asyncio.to_thread(server.stop)


async def _supervise(server: database.EmbeddedPostgres) -> None:
    while True:
        await asyncio.sleep(SUPERVISE_SECONDS)
        try:
            if not server.running:
                await asyncio.to_thread(server.revive)
            server.trim_log()
        except (OperatorError, OSError) as error:
            events.emit(
                events.LoopFailed(
                    loop="postgres", error=str(error), delay_seconds=SUPERVISE_SECONDS
                )
            )


def open_keys(config: Config) -> KeySet:
    """Return the key set of this configuration, made at first use."""
    return auth.open_keys(
        config.keys_file or config.data / "keys.json",
        issuer=f"{config.public_url}/auth/v1",
        jwks_url=config.server.jwks_url,
        outside_issuer=config.server.jwt_issuer,
        outside_audience=config.server.jwt_audience,
    )


@asynccontextmanager
async def open_kernel(config: Config, database_url: str) -> AsyncIterator[tuple[Kernel, KeySet]]:
    """Yield the parts that work needs, and the keys; close them at the end."""
    keys = await asyncio.to_thread(open_keys, config)
    pool = await database.connect(database_url, size_max=POOL_CONNECTIONS_MAX)
    makers = providers.open_providers(config.providers)
    try:
        objects = storage.open_storage(config, pool, keys.url_secret)
        yield Kernel(config, pool, objects, makers), keys
    finally:
        await makers.close()
        # A graceful close waits for connections that a dead database will never give back.
        with suppress(TimeoutError):
            async with asyncio.timeout(REQUESTS_SECONDS_MAX):
                await pool.close()


@asynccontextmanager
async def open_worker(config: Config) -> AsyncIterator["Crew"]:
    """Yield the hands of one process, not started, with everything they need."""
    async with (
        open_database(config) as database_url,
        open_kernel(config, database_url) as (kernel, keys),
        telemetry.open_telemetry(config.telemetry, kernel.pool) as measures,
        _scraped(config, keys, measures),
    ):
        yield Crew(kernel, database_url)


@asynccontextmanager
async def _scraped(
    config: Config, keys: KeySet, measures: telemetry.Telemetry
) -> AsyncIterator[None]:
    port = config.telemetry.worker_metrics_port
    if port is None:
        yield
        return
    door = Starlette(routes=measures.routes(_caller(keys)))
    with _listen(config.server.host, port) as listener:
        async with telemetry.serving(door, listener):
            yield


class Crew:
    """The hands of one process: a worker of jobs, one of trainings, and the remover."""

    def __init__(self, kernel: Kernel, database_url: str) -> None:
        chosen = kernel.config.identities
        hub = identities.open_hub(chosen)
        self.scratch = identities.Scratch(kernel.config.data / "scratch")
        self.worker = Worker(kernel, database_url)
        self._trainings = Worker(
            kernel,
            database_url,
            queue=jobs.IDENTITIES_QUEUE,
            perform=identities.Trainings(hub, self.scratch).perform,
            keeps_house=False,
            concurrency=chosen.concurrency,
        )
        self._remover = identities.Remover(kernel, hub)
        self._is_claiming = False

    @property
    def name(self) -> str:
        """What the worker's leases are under."""
        return self.worker.name

    async def start(self, *, claims: bool = True) -> None:
        """Start, and return; without `claims` what `Worker.start` still does then."""
        await asyncio.to_thread(self.scratch.sweep)
        await self.worker.start(claims=claims)
        self._is_claiming = claims
        if claims:
            await self._trainings.start()
            self._remover.start()

    async def drain(self) -> None:
        """Let running jobs end for a while, and give the rest back."""
        ends = [self.worker.drain()]
        if self._is_claiming:
            await self._remover.stop()
            ends.append(self._trainings.drain())
        await asyncio.gather(*ends)

    async def run_until(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then drain."""
        await self.start()
        await stop.wait()
        await self.drain()


@asynccontextmanager
async def open_app(config: Config) -> AsyncIterator[ASGIApp]:
    """Yield the ASGI application, ready to answer; at the end drain the worker and close."""
    async with (
        open_database(config) as database_url,
        open_kernel(config, database_url) as (kernel, keys),
        telemetry.open_telemetry(config.telemetry, kernel.pool) as measures,
    ):
        crew = Crew(kernel, database_url)
        context = Context(
            kernel=kernel,
            keys=keys,
            submitter=Submitter(kernel.pool, welcome=config.credits.welcome),
            waiting=Waiting(kernel.pool),
            publishing=Waiting(kernel.pool, jobs.prepared),
            intake=identities.Intake(crew.scratch),
            worker=crew.worker,
            rate=Rate([image_worker.RATE]),
        )
        runtime = _runtime(context, database_url)
        tables = await rest.open_rest(kernel.pool, _caller(keys), database_url=database_url)
        live = realtime.open_realtime(kernel.pool, database_url, keys)
        await live.start()
        await crew.start(claims=config.worker.inside_serve)
        carriers = outside.open_carriers(config, kernel.pool, database_url)
        for carrier in carriers:
            carrier.start()
        try:
            yield Cors(Patience(_Doors(runtime, tables, _routes(context, live, measures))))
        finally:
            await asyncio.gather(*(carrier.stop() for carrier in carriers))
            await live.close()
            await tables.close()
            await runtime.close(REQUESTS_SECONDS_MAX)
            await context.submitter.close()
            await crew.drain()


async def serve(config: Config, *, ready: Any = None) -> None:
    """Serve until SIGTERM or SIGINT, then drain: requests first, then the worker's jobs.

    `ready` is called with the URL once requests are answered.
    """
    hush_log()
    with _listen(config.server.host, config.server.port) as listener:
        async with open_app(config) as app:
            # What is there by now stays. A collection that goes through it again stops every
            # request and socket meanwhile.
            gc.collect()
            gc.freeze()
            await _Server(app, config, ready).serve([listener])


def _listen(host: str, port: int) -> socket.socket:
    """Take the port before anything is started; whoever connects waits until we are ready."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG_CONNECTIONS_MAX)
    except (OSError, OverflowError) as error:
        raise OperatorError(
            "port_in_use",
            f"Port {port} of {host} cannot be listened on: {getattr(error, 'strerror', error)}.",
            hint="Stop what uses it, or choose another with --port.",
        ) from error


class _Server(uvicorn.Server):
    def __init__(self, app: ASGIApp, config: Config, ready: Any) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                loop="uvloop",
                http=BoundedHttp,
                ws="websockets-sansio",
                ws_max_size=realtime.FRAME_BYTES_MAX,
                ws_per_message_deflate=False,
                lifespan="off",
                access_log=False,
                log_level="warning",
                server_header=False,
                backlog=BACKLOG_CONNECTIONS_MAX,
                timeout_graceful_shutdown=REQUESTS_SECONDS_MAX,
            )
        )
        self._public_url = config.public_url
        self._ready = ready

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        # uvicorn's own raises the signal again once requests are done, and would kill the drain.
        # This stays until the loop closes: a second signal does not cut the drain off either.
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self.handle_exit, number, None)
        yield

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        events.emit(events.ServerStarted(url=self._public_url))
        if self._ready is not None:
            self._ready(self._public_url)


class _Doors:
    """Functions and tables are the hot paths: told by their prefix before any route is matched."""

    def __init__(self, runtime: ASGIApp, tables: ASGIApp, routes: ASGIApp) -> None:
        self._runtime = runtime
        self._tables = tables
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        door = self._routes
        if scope["type"] == "http":
            path = scope["path"]
            if path.startswith("/functions/v1/") or path == "/functions/v1":
                door = self._runtime
            elif path.startswith("/rest/v1"):
                door = self._tables
        await door(scope, receive, send)


def _routes(context: Context, live: realtime.Realtime, measures: telemetry.Telemetry) -> ASGIApp:
    caller = _caller(context.keys)

    async def authenticate(request: Request) -> Principal:
        return await caller(request) or auth.ANONYMOUS

    return Starlette(
        routes=[
            *auth.routes(context.keys, context.pool, context.config.auth),
            Mount("/storage/v1", routes=storage.routes(context.storage, authenticate)),
            *lanes.routes(context.kernel, caller),
            *live.routes(),
            *measures.routes(caller),
            # Last: it takes every path that is left.
            *web.routes(context.config, context.keys),
        ]
    )


def _runtime(context: Context, database_url: str) -> Runtime:
    return Runtime(
        Loader(context.config.project, context.config.functions),
        authenticate=_caller(context.keys),
        context=context,
        environment=functions.environment(context.config, context.keys, database_url),
    )


def _caller(keys: KeySet) -> Callable[[Request], Awaitable[Principal | None]]:
    """Return what tells who calls: a Principal, or None when no credentials came."""

    async def authenticate(request: Request) -> Principal | None:
        return await auth.authenticate(keys, request.headers, request.query_params)

    return authenticate
