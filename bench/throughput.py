"""B1, B2, B3: no-op tasks per second. B4: calls published per second."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from bench import runs
from bench.results import Found, Ratio
from bench.rounds import Measure, Rounds, Values, medians
from bench.servers import Broker, Servers
from bench.systems import (
    DRAMATIQ_RABBITMQ,
    DRAMATIQ_REDIS,
    HUEY,
    PLUS,
    RQ,
    TASKIQ,
    System,
    celery,
    of_celery,
    on_python_3_13,
    over_nothing,
)

DONE, PUBLISHED = {"done": "tasks/s"}, {"published": "calls/s"}
MANY_CALLS = 20_000
POOLS = ("prefork", "solo")


def ours_against_stock(servers: Servers, rounds: Rounds) -> Found:
    """B1."""
    systems = {f"{name} {pool}": system for pool in POOLS for name, system in of_celery(pool).items()}
    found, done = _measured("B1", systems, servers.redis, rounds)
    ratios = []
    for pool, reach in (("prefork", 2.5), ("solo", 3.0)):
        ours, stock, ceiling, told = (done[f"{name} {pool}"] for name in ("ours", "stock", "ceiling", "told"))
        ratios += [
            Ratio(what=f"ours / stock, {pool}", value=ours / stock, reach=reach),
            Ratio(what=f"ours / Celery over nothing, {pool}", value=ours / ceiling, reach=0.9),
            Ratio(what=f"ours / Celery over nothing, told, {pool}", value=ours / told),
        ]
    return Found(measures=found, ratios=ratios)


def ours_against_peers(servers: Servers, rounds: Rounds) -> Found:
    """B2."""
    celeries = {f"{name} {pool}": system for pool in POOLS for name, system in on_python_3_13(pool).items()}
    peers = {"dramatiq": DRAMATIQ_REDIS, "huey": HUEY, "taskiq": TASKIQ, "rq": RQ}
    ceiling = {"ceiling": over_nothing("prefork", environment=PLUS)}
    found, done = _measured("B2", celeries | ceiling | peers, servers.redis, rounds)
    ratios = [
        Ratio(what=f"ours / celery-redis-plus, {pool}", value=done[f"ours {pool}"] / done[f"plus {pool}"], reach=1.3)
        for pool in POOLS
    ]
    ratios += [Ratio(what=f"ours, prefork / {name}", value=done["ours prefork"] / done[name]) for name in peers]
    best = max(peers, key=lambda name: done[name])
    ratios.append(Ratio(what=f"Celery over nothing, prefork / {best}, the best", value=done["ceiling"] / done[best]))
    return Found(measures=found, ratios=ratios)


def on_rabbitmq(servers: Servers, rounds: Rounds) -> Found:
    """B3."""
    systems = {f"{name} {pool}": of_celery(pool)[name] for pool in POOLS for name in ("stock", "ours")}
    found, done = _measured("B3", systems | {"dramatiq": DRAMATIQ_RABBITMQ}, servers.rabbitmq, rounds)
    ratios = [
        Ratio(what=f"ours / stock, {pool}", value=done[f"ours {pool}"] / done[f"stock {pool}"], reach=1.0)
        for pool in POOLS
    ]
    ratios.append(Ratio(what="ours, prefork / dramatiq", value=done["ours prefork"] / done["dramatiq"]))
    return Found(measures=found, ratios=ratios)


def published_by_the_relay(servers: Servers, rounds: Rounds) -> Found:
    """B4."""
    brokers: dict[str, Broker] = {"Redis": servers.redis, "RabbitMQ": servers.rabbitmq}
    stock = replace(celery("apply_async in a loop", "celery_stock"), calls=2000)
    ours = replace(celery("the relay's batches", "celery_ours"), calls=MANY_CALLS)

    def side(system: System, broker: Broker) -> Callable[[], Values]:
        def measure() -> Values:
            with broker() as url, runs.Run(rounds.of(system), url) as run:
                return {"published": run.publish()}

        return measure

    sides = {
        f"{system.name}, {name}": side(system, broker) for name, broker in brokers.items() for system in (stock, ours)
    }
    found = medians(rounds.alternate("B4", sides), units=PUBLISHED)
    values = {measure.side: measure.value for measure in found}
    ratios = [
        Ratio(
            what=f"batches / loop, {name}",
            value=values[f"{ours.name}, {name}"] / values[f"{stock.name}, {name}"],
            reach=5,
        )
        for name in brokers
    ]
    return Found(measures=found, ratios=ratios)


def _measured(
    row: str, systems: Mapping[str, System], broker: Broker, rounds: Rounds
) -> tuple[list[Measure], dict[str, float]]:
    """The measures under the systems' own names, and the tasks per second by their keys."""

    def side(system: System) -> Callable[[], Values]:
        def measure() -> Values:
            with broker() as url:
                return runs.throughput(rounds.of(system), url)

        return measure

    found = rounds.alternate(row, {system.name: side(system) for system in systems.values()})
    measures = medians(found, units=DONE | PUBLISHED | {"doubled": "calls run twice"})
    done = {measure.side: measure.value for measure in measures if measure.what == "done"}
    return measures, {key: done[system.name] for key, system in systems.items()}
