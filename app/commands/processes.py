"""Commands that are processes: `up` runs them all, the others are one of them."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from celery import Celery

    from app.settings import Settings

Port = Annotated[int | None, typer.Option("--port", min=0, max=65535, help="Port of the API; 0: any free one.")]

_SHARED = (
    *("app.logs", "app.main", "app.migrate", "app.tasks.relay", "app.tasks.celery_app", "app.tasks.celery_tasks"),
    *("uvicorn.lifespan.on", "uvicorn.protocols.http.auto", "uvicorn.loops.auto"),
    *("celery.apps.worker", "celery.apps.beat", "celery.concurrency.prefork"),
)


def up(
    port: Port = None,
    workers: Annotated[bool, typer.Option("--workers/--no-workers", help="Run workers and beat too.")] = True,
) -> None:
    """Run everything on this machine; Ctrl-C stops it.

    Example:  alexandria up --port 8080
    """
    from app.commands.console import StackConsole
    from app.embedding.embedder import check_engine
    from app.settings import load_settings
    from app.supervision.listener import address_of, listen
    from app.supervision.run_state import only_supervisor
    from app.supervision.stack import Programs, plan
    from app.supervision.supervisor import Supervisor
    from app.transports.registry import parse_address

    settings = load_settings(**({} if port is None else {"api_port": port}))
    parse_address(settings.broker)  # refused before anything is started
    check_engine(settings)
    programs = Programs(
        api=lambda descriptor: _as_process(partial(api, listener=descriptor)),
        relay=lambda: _as_process(relay),
        worker=lambda queues, name, count: _as_process(partial(worker, queues=queues, name=name, concurrency=count)),
        beat=lambda: _as_process(beat),
    )
    with (
        only_supervisor(settings.data_dir) as announce,
        listen(host=settings.api_host, port=settings.api_port) as listener,
        plan(
            settings, programs, address=address_of(listener), listener=listener.fileno(), with_workers=workers
        ) as stack,
    ):
        announce(stack.address, stack.told)
        console = StackConsole(settings, stack)
        supervisor = Supervisor(
            stack.stages,
            report=console.line,
            ready=console.ready,
            on_ready=console.welcome,
            meanwhile=partial(_import_what_is_shared, stack.told),
        )
        code = supervisor.run()
    raise typer.Exit(code)


def _import_what_is_shared(told: Mapping[str, str]) -> None:
    """Every process of the stack needs this: imported once, and held in memory once."""
    import gc
    import importlib

    from app.content import language
    from app.settings import adopt_environment

    adopt_environment(told)
    for module in _SHARED:
        importlib.import_module(module)
    language.load()
    gc.collect()
    gc.freeze()  # the collector of a copy would touch, and so double, every page


def _as_process(run: Callable[[], object]) -> None:
    """One command as the whole of a process: expected errors are one line, as in `cli.main`."""
    from app.commands.failure import end_with
    from app.errors import AlexandriaError

    try:
        run()
    except typer.Exit as end:
        sys.exit(end.exit_code)
    except AlexandriaError as error:
        end_with(error)


def api(
    port: Port = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    listener: Annotated[int | None, typer.Option(hidden=True, help="A listening socket handed down.")] = None,
) -> None:
    """Serve the HTTP API and the web page.

    Example:  alexandria api --port 8080
    """
    import uvicorn

    from app.embedding.embedder import check_engine
    from app.logs import configure
    from app.settings import adopt_environment, get_settings
    from app.supervision.listener import address_of, inherited, listen
    from app.supervision.run_state import forget_address, write_address

    if host is not None:
        adopt_environment({"API_HOST": host})  # where it listens decides whether it asks for keys
    settings = get_settings()
    configure(settings, role="api")
    check_engine(settings)
    from app.main import create_app

    chosen = settings.api_port if port is None else port
    own = listener is None
    with listen(host=settings.api_host, port=chosen) if listener is None else inherited(listener) as socket:
        if own:
            write_address(settings.data_dir, address_of(socket))
            typer.echo(f"listening on {address_of(socket)}")
        config = uvicorn.Config(create_app(), log_config=None, access_log=False, timeout_graceful_shutdown=5)
        try:
            uvicorn.Server(config).run(sockets=[socket])
        except KeyboardInterrupt:
            raise typer.Exit(0) from None
        finally:
            forget_address(settings.data_dir)


def relay() -> None:
    """Send the calls of the outbox to the broker. Any number may run.

    Example:  alexandria relay
    """
    from app.logs import configure

    settings = settings_beside_the_stack()
    configure(settings, role="relay")
    from app.tasks.relay import run

    run(settings)


def worker(
    queues: Annotated[str | None, typer.Option(help="Comma-separated; all of them when left out.")] = None,
    concurrency: Annotated[int | None, typer.Option(min=1, help="Processes that work at once.")] = None,
    name: Annotated[str, typer.Option(help="Its name before the @.")] = "worker",
) -> None:
    """Do the work of the queues.

    Example:  alexandria worker --queues default,ingest --concurrency 4 --name pages
    """
    from app.embedding.embedder import check_engine
    from app.errors import InvalidInput
    from app.settings import get_settings
    from app.tasks.watchdog import restart_with
    from app.transports.base import QUEUES

    settings = get_settings()
    chosen = [queue.strip() for queue in queues.split(",")] if queues else list(QUEUES)
    if unknown := [queue for queue in chosen if queue not in QUEUES]:
        raise InvalidInput(f"--queues: no queue is called {', '.join(unknown)}; there are {', '.join(QUEUES)}")
    if "ml_tasks" in chosen:
        check_engine(settings)
    usual = settings.ml_worker_concurrency if chosen == ["ml_tasks"] else settings.worker_concurrency
    count = concurrency or usual
    restart_with("worker", "--queues", ",".join(chosen), "--concurrency", str(count), "--name", name)
    celery_app = _celery_app(role=name)
    from celery.utils.nodenames import host_format

    from app.tasks.broker_watch import state

    started: Any = celery_app.Worker(
        hostname=host_format(f"{name}@%h"),
        queues=chosen,
        pool="prefork",
        concurrency=count,
        task_events=True,
        without_gossip=True,
        without_mingle=True,
        loglevel=settings.log_level,
        quiet=True,
    )
    started.start()
    raise typer.Exit(int(state.should_stop or 0))


def beat() -> None:
    """Put the scheduled calls into the outbox. Two do not double them.

    Example:  alexandria beat
    """
    from app.settings import get_settings

    celery_app = _celery_app(role="beat")
    celery_app.conf.include = ()  # it stores calls by name and needs no task: half its memory
    celery_app.Beat(loglevel=get_settings().log_level, quiet=True).run()


def flower(context: typer.Context) -> None:
    """Run Flower, the monitor of Celery; its own options are passed on.

    Example:  alexandria flower --port=5555
    """
    started: Any = _celery_app(role="flower").start  # its stub says that it never returns
    started(["--quiet", "flower", *context.args])


def settings_beside_the_stack() -> Settings:
    """The settings, and where they leave broker and cache open, those of the stack that runs on the data directory."""
    from app.settings import adopt_environment, get_settings
    from app.supervision.run_state import read_settings

    settings = get_settings()
    told = read_settings(settings.data_dir)
    adopt_environment({name: value for name, value in told.items() if name.lower() not in settings.model_fields_set})
    return get_settings()


def _celery_app(*, role: str) -> Celery:
    """Celery, for one of its programs.

    Worker and beat are begun as objects: Celery's command line would import a shell, Flower and a REPL into them, a
    fifth of their start.
    """
    from celery.exceptions import SecurityWarning

    from app.logs import configure, keep_celery_from_configuring

    settings = settings_beside_the_stack()
    configure(settings, role=role)
    keep_celery_from_configuring(settings, role=role)
    warnings.simplefilter("ignore", SecurityWarning)  # Celery warns root of pickled messages; ours are JSON
    from app.tasks.celery_app import celery_app

    return celery_app
