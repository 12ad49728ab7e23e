"""What the product does for its promises is taken out of a copy of it, piece by piece: each time the chaos suite fails.

It fails by the invariant that names what was lost, while the harness itself is sound. The same scenarios on the product
as it is hold.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from chaos.run import run
from chaos.scenarios.table import SCENARIOS
from chaos.site import Site
from chaos.stack import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.chaos, pytest.mark.timeout(900)]

SEED = 20261125


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """One piece of the source, and what stands in its place. `words`: what the invariant that catches it says."""

    name: str
    file: str
    before: str
    after: str
    scenario: int
    broker: str
    caught_by: str
    words: str


# Whoever wants no outbox does it so: the change is committed, and what follows from it is handed over then, if it goes.
NO_OUTBOX = """    _hand_over_after_the_commit(session, caused)
    return _upsert(session, [(call, cause) for call in calls])


def _hand_over_after_the_commit(session: Session, caused: list[tuple[PlannedCall, _Cause]]) -> None:
    from contextlib import closing, suppress

    from sqlalchemy import event

    from app.errors import TransientError
    from app.settings import get_settings
    from app.transports.registry import open_transport

    engine = session.get_bind()

    def hand_over(_committed: Session) -> None:
        with suppress(TransientError), closing(open_transport(get_settings().broker)) as broker:
            broker.health(deadline_seconds=2)
            with Session(engine) as afterwards:
                _upsert(afterwards, caused)
                wake_relay(afterwards)
                afterwards.commit()

    if caused:
        event.listen(session, "after_commit", hand_over, once=True)
"""

MUTATIONS = (
    Mutation(
        name="acknowledged before it is done",
        file="app/transports/worker_delivery.py",
        before='"task_acks_late": True',
        after='"task_acks_late": False',
        scenario=13,
        broker="rabbitmq",
        caught_by="bound",
        words="start elsewhere took",
    ),
    Mutation(
        name="not given back when its process is lost",
        file="app/transports/worker_delivery.py",
        before='"task_reject_on_worker_lost": True',
        after='"task_reject_on_worker_lost": False',
        scenario=14,
        broker="redis",
        caught_by="bound",
        words="start again took",
    ),
    Mutation(
        name="tried again at once",
        file="app/events/execution.py",
        before="    return min(most, exponential) * random.random()",
        after="    return min(most, exponential) * 0.01",
        scenario=27,
        broker="redis",
        caught_by="bound",
        words="has no jitter",
    ),
    Mutation(
        name="tried again no later each time",
        file="app/events/execution.py",
        before="    return min(most, exponential) * random.random()",
        after="    return min(most, first) * random.random()",
        scenario=27,
        broker="redis",
        caught_by="bound",
        words="has no backoff",
    ),
    Mutation(
        name="handed to the broker after the commit and not stored with the change",
        file="app/events/outbox.py",
        before="    return _upsert(session, [*caused, *((call, cause) for call in calls)])\n",
        after=NO_OUTBOX,
        scenario=2,
        broker="rabbitmq",
        caught_by="I1",
        words="stale: search_index of",
    ),
    Mutation(
        name="taken for sent whatever the broker says",
        file="app/tasks/relay.py",
        before="sent = [call for call, outcome in known if outcome.accepted]",
        after="sent = [call for call, outcome in known]",
        scenario=22,  # a broker that is full refuses each message; one that is away may meet none
        broker="redis",
        caught_by="I6",
        words="drained after",
    ),
    Mutation(
        name="the effect of whoever comes last",
        file="app/events/execution.py",
        before="""        .where(*_MINE)
        .values(
            lease_until=None,
""",
        after="""        .where(TaskCall.id == bindparam("call"), *(bindparam(p) == bindparam(p) for p in ("of", "by")))
        .values(
            lease_until=None,
""",
        scenario=17,
        broker="redis",
        caught_by="I2",
        words="has 2 effects",
    ),
    Mutation(
        name="an older build in the place of a newer one",
        file="app/services/derived_states.py",
        before="return None if resource is None or built_from(session, resource_id, kind) > version else resource",
        after="return resource",
        scenario=17,
        broker="redis",
        caught_by="I13",
        words="quality of",
    ),
)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Site() as site:
        yield site


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda one: one.name.replace(" ", "-"))
def test_what_is_taken_out_of_the_product_is_missed_by_its_invariant(
    site: Site, tmp_path: Path, mutation: Mutation
) -> None:
    source = mutated(mutation, tmp_path)
    scenario = SCENARIOS[mutation.scenario]

    result = run(scenario, site, broker=mutation.broker, seed=SEED, is_fast=True, source=source)

    verdicts = {name: verdict.breaches for name, verdict in result.verdicts.items() if verdict.breaches}
    assert mutation.words in "\n".join(verdicts.get(mutation.caught_by, ())), (verdicts, result.trouble)
    assert result.verdicts["I14"].holds, verdicts


@pytest.mark.parametrize(("number", "broker"), sorted({(one.scenario, one.broker) for one in MUTATIONS}), ids=str)
def test_the_product_as_it_is_holds(site: Site, number: int, broker: str) -> None:
    result = run(SCENARIOS[number], site, broker=broker, seed=SEED, is_fast=True)

    assert result.passed, (result.trouble, result.verdicts, result.report[-4000:])


def mutated(mutation: Mutation, directory: Path) -> Path:
    """A copy of the product with this one change."""
    for name in ("app", "migrations"):
        shutil.copytree(ROOT / name, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
    file = directory / mutation.file
    text = file.read_text()
    assert text.count(mutation.before) == 1, f"{mutation.file} holds it {text.count(mutation.before)} times"
    file.write_text(text.replace(mutation.before, mutation.after))
    return directory
