"""`alexandria …`: thin commands over the processes, the API and the services.

Loads no library before a command runs, so that `--help` answers at once.
"""

from __future__ import annotations

import gc
import sys
from typing import Annotated

import typer

from app.commands import api_keys, archive, batches, classifier, documents, processes, quality, scheduled, upkeep
from app.commands import broker as brokers
from app.commands import dead_letters as letters
from app.commands.failure import end_with
from app.errors import AlexandriaError

ALLOCATIONS_PER_COLLECTION = 10_000
"""Fourteen times the usual: what a process loads at its start stays, and was looked through again and again."""

alexandria = typer.Typer(
    name="alexandria",
    help="Neo Alexandria, a library that keeps what it derives from its documents true.",
    epilog="Start here:  alexandria up",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
database = typer.Typer(help="The tables: bring them up to date, or back.", no_args_is_help=True)
broker = typer.Typer(help="The message broker and its queues.", no_args_is_help=True)
keys = typer.Typer(help="Who may use the API, and for what.", no_args_is_help=True)
models = typer.Typer(help="What classifies the documents: train it, and see how it does.", no_args_is_help=True)
dead_letters = typer.Typer(help="Work that could not succeed, with its reason.", no_args_is_help=True)
batch = typer.Typer(help="One operation over many documents.", no_args_is_help=True)
qualities = typer.Typer(help="Quality over time, and over all documents.", no_args_is_help=True)
alexandria.add_typer(database, name="db")
alexandria.add_typer(batch, name="batch")
alexandria.add_typer(qualities, name="quality")
alexandria.add_typer(broker, name="broker")
alexandria.add_typer(dead_letters, name="dead-letters")
alexandria.add_typer(keys, name="api-key")
alexandria.add_typer(models, name="classifier")


@alexandria.callback()
def options(
    api_key: Annotated[
        str | None,
        typer.Option(
            metavar="KEY", help="Shown to an API that asks for one. Others see it: better ALEXANDRIA_API_KEY."
        ),
    ] = None,
) -> None:
    """What holds for every command."""
    if api_key is not None:
        from app.settings import adopt_environment  # noqa: PLC0415 — `alexandria --help` loads no library

        adopt_environment({"ALEXANDRIA_API_KEY": api_key})


for run_process in (processes.up, processes.api, processes.relay, processes.worker, processes.beat):
    alexandria.command()(run_process)
alexandria.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(processes.flower)
alexandria.command()(documents.ingest)
alexandria.command()(documents.search)
alexandria.command()(archive.export)
alexandria.command("import")(archive.import_)
for look_after in (upkeep.consistency, upkeep.reindex, scheduled.run_task, upkeep.version):
    alexandria.command()(look_after)
for change_tables in (upkeep.upgrade, upkeep.downgrade, upkeep.current, upkeep.check):
    database.command()(change_tables)
broker.command("status")(upkeep.broker_status)
dead_letters.command("list")(letters.list_dead_letters)
dead_letters.command("show")(letters.show_dead_letter)
dead_letters.command("replay")(letters.replay_dead_letters)
dead_letters.command("discard")(letters.discard_dead_letters)
for show_quality in (quality.degradation, quality.outliers, quality.distribution):
    qualities.command()(show_quality)
batch.command("start")(batches.start)
batch.command("list")(batches.list_batches)
batch.command("show")(batches.show)
batch.command("cancel")(batches.cancel)
for look_after_broker in (brokers.topology, brokers.switch, brokers.drain, brokers.resend):
    broker.command()(look_after_broker)
for name, act in (("create", api_keys.create), ("list", api_keys.list_keys), ("revoke", api_keys.revoke)):
    keys.command(name)(act)

for name, look_into in (
    ("retrain", classifier.retrain),
    ("list", classifier.list_models),
    ("show", classifier.show_model),
):
    models.command(name)(look_into)


def main() -> None:
    """Run a command. Expected errors are one line on stderr."""
    gc.set_threshold(ALLOCATIONS_PER_COLLECTION, *gc.get_threshold()[1:])
    try:
        alexandria()
    except AlexandriaError as error:
        end_with(error)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the reader of our output (`| head`) has seen enough
        sys.stderr.close()
        sys.exit(141)


if __name__ == "__main__":
    main()
