"""The Celery application: `celery -A app.tasks.celery_app worker|beat|flower`."""

from __future__ import annotations

import sys

from celery import Celery
from kombu import Queue

from app.errors import SettingsError
from app.logs import keep_celery_from_configuring
from app.settings import Settings, get_settings
from app.tasks.schedule import beat_schedule
from app.tasks.solo_heartbeat import SoloHeartbeat
from app.transports.registry import broker_for


def create_celery_app(settings: Settings) -> Celery:
    """Celery as this house runs it: what depends on the broker comes from the transport, the rest is here."""
    app = Celery(
        "neo_alexandria",
        include=["app.tasks.celery_tasks"],
        events="app.tasks.monitoring_events:MonitoringEvents",
        control="app.tasks.monitoring_events:RemoteControl",
        set_as_current=True,
    )
    config = dict(broker_for(settings).celery_config)
    queues = [Queue.from_dict(name, **options) for name, options in config.pop("task_queues").items()]
    app.conf.update(config, task_queues=queues)  # as objects: Flower reads their names
    app.conf.update(
        enable_utc=True,
        timezone="UTC",
        task_ignore_result=True,  # the outbox row is the result; results expire, rows do not
        task_store_errors_even_if_ignored=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_send_task_events=True,
        worker_max_memory_per_child=settings.worker_max_memory_kib,
        worker_max_tasks_per_child=settings.worker_max_tasks_per_child or None,
        worker_soft_shutdown_timeout=5.0,
        beat_scheduler="app.tasks.schedule:OutboxScheduler",
        beat_schedule=beat_schedule(settings),
        beat_max_loop_interval=5,
    )
    app.steps["consumer"].add(SoloHeartbeat)
    keep_celery_from_configuring(settings, role="celery")
    app.steps["worker"].add("app.tasks.broker_watch:BrokerWatch")
    app.steps["worker"].add("app.tasks.lost_processes:LostProcesses")
    return app


def _of_this_process() -> Celery:
    try:
        return create_celery_app(get_settings())
    except SettingsError as error:
        # `celery -A` shows an Exception of what it loads with all of its traceback.
        sys.stderr.write(f"alexandria: {error.detail}\n")
        raise SystemExit(2) from None


celery_app = _of_this_process()
