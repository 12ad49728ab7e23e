"""The Lua of the lease transport on a real server: in whatever order things happen, every message is in one place."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule, run_state_machine_as_test

from app.transports.base import PRIORITIES, Message
from app.transports.lease.scripts import CLAIM, GIVE_BACK_CLAIMS, RENEW, RETIRE, SETTLE, SWEEP
from app.transports.redis_format import lpush
from chaos.servers.base import Server
from chaos.servers.redis import RedisServer

QUEUES = ("default", "ingest")
OWNERS = ("one", "two")
LIMIT = 3
LEASE = 15.0
AT_ONCE = -1.0  # times are rounded to a millisecond, up as well
LONG_AGO = 100.0
JUNK = ["", "{", "[]", '{"properties": 1}', "\x00\xff", '{"properties": {"delivery_tag": "x"}}\x00']
HOW = {"a": "acknowledged", "r": "given back", "d": "rejected"}


@pytest.mark.parametrize("kind", ["redis", "valkey"])
def test_ready_and_held_and_dead_and_done_are_what_was_published(
    kind: str, fragile_servers: Callable[[str], Server]
) -> None:
    server = fragile_servers(kind)
    assert isinstance(server, RedisServer)
    with server.client() as client:
        Messages.client = client
        run_state_machine_as_test(
            Messages,
            settings=settings(
                max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
            ),
        )
        client.flushall()


class Messages(RuleBasedStateMachine):
    """Random interleavings of everything that workers, relays, crashes and clocks do."""

    client: ClassVar[Any]  # redis-py's answers are str or bytes to mypy; they are bytes here
    claimed = Bundle("claimed")

    def __init__(self) -> None:
        super().__init__()
        self.client.flushall()
        self.published: set[str] = set()
        self.done: set[str] = set()
        self.numbers = 0

    @rule(
        queue=st.sampled_from(QUEUES),
        priority=st.sampled_from(PRIORITIES),
        is_call=st.booleans(),
        tag=st.sampled_from(["its own", "same"]),
    )
    def publish(self, queue: str, priority: int, is_call: bool, tag: str) -> None:
        """`same`: a copy of a message has the tag of the first."""
        name = f"m{len(self.published)}"
        command = lpush(Message(call_id=name, task="t", queue=queue, priority=priority))
        raw = json.loads(str(command[2]))
        raw["properties"]["delivery_tag"] = tag if tag == "same" else name
        if not is_call:
            del raw["headers"]["generation"]
        self.client.lpush(str(command[1]), json.dumps(raw))
        self.published.add(name)

    @rule(queue=st.sampled_from(QUEUES), junk=st.sampled_from(JUNK))
    def publish_what_nobody_can_read(self, queue: str, junk: str) -> None:
        name = f"junk{len(self.published)}"
        self.client.lpush(queue, f"{junk} {name}")
        self.published.add(name)

    @rule(target=claimed, owner=st.sampled_from(OWNERS), wanted=st.integers(0, 5), is_heard=st.booleans())
    def claim(self, owner: str, wanted: int, is_heard: bool) -> Any:
        words = self._claim(owner, wanted)
        got = list(zip(*[iter(words)] * 3, strict=True))
        assert len(got) <= wanted
        for queue in QUEUES:
            steps = [_step(json.loads(raw)) for name, _, raw in got if name.decode() == queue]
            assert steps == sorted(steps), "the most urgent of a queue first"
        if is_heard:
            return multiple(*((owner, self.numbers, tag.decode()) for _, tag, _ in got))
        self._run(GIVE_BACK_CLAIMS, owner, self.numbers)
        return multiple()

    @rule(held=claimed, how=st.sampled_from(sorted(HOW)), times=st.integers(1, 2))
    def settle(self, held: tuple[str, int, str], how: str, times: int) -> None:
        """Late or doubled as well: who no longer owns a message changes nothing."""
        owner, number, tag = held
        fence = f"{owner}|{number}"
        is_owner = self.client.hget("unacked_owner", tag) == fence.encode()
        before, name = self._places(), self._name_of(tag)
        for _ in range(times):
            self._run(SETTLE, 1, how, tag, fence)
        if is_owner and how == "a":
            self.done.add(name)
        if not is_owner:
            assert self._places() == before

    @rule(target=claimed, held=claimed, how=st.sampled_from(sorted(HOW)), wanted=st.integers(0, 3))
    def settle_and_claim(self, held: tuple[str, int, str], how: str, wanted: int) -> Any:
        """In one call, as a worker does."""
        owner, number, tag = held
        fence = f"{owner}|{number}"
        is_owner, name = self.client.hget("unacked_owner", tag) == fence.encode(), self._name_of(tag)
        words = self._claim(owner, wanted, how, tag, fence)
        if is_owner and how == "a":
            self.done.add(name)
        return multiple(*((owner, self.numbers, taken.decode()) for taken in words[1::3]))

    @rule(owner=st.sampled_from(OWNERS))
    def renew(self, owner: str) -> None:
        held = self.client.hgetall("unacked_owner")
        words = [(tag, f"{owner}|{fence.decode().split('|')[1]}") for tag, fence in held.items()]
        lost = self._run(RENEW, owner, *(word for pair in words for word in pair))
        assert set(lost) == {tag for tag, fence in held.items() if not fence.startswith(f"{owner}|".encode())}

    @rule(owner=st.sampled_from(OWNERS))
    def retire(self, owner: str) -> None:
        self._run(RETIRE, owner, 0)
        assert not self._held_by(owner)

    @rule()
    def fall_silent(self) -> None:
        """Nobody listens any more: a kill is noticed long before a lease ends."""
        self.client.set("unacked_swept", int(self.client.time()[0]))
        self._run(SWEEP, 0, AT_ONCE, AT_ONCE, LEASE, LIMIT, 3600)
        assert not any(self._held_by(owner) for owner in OWNERS)

    @rule(owner=st.sampled_from(OWNERS))
    def die(self, owner: str) -> None:
        """Nobody renews any more, for longer than any lease."""
        seconds = int(self.client.time()[0])
        self.client.set("unacked_swept", seconds)
        if self.client.zscore("unacked_owners", owner) is None:
            return
        self.client.zadd("unacked_owners", {owner: seconds - LONG_AGO})
        self._sweep()
        assert not self._held_by(owner)

    @rule()
    def pause(self) -> None:
        """After a pause of the server everyone gets a full lease: nothing moves."""
        self.client.delete("unacked_swept")
        for key in ("unacked_owners", "unacked_index"):
            for name in self.client.zrange(key, 0, -1):
                self.client.zadd(key, {name: int(self.client.time()[0]) - LONG_AGO})
        before = self._places()
        self._sweep()
        assert self._places() == before

    @rule()
    def forget_the_scripts(self) -> None:
        self.client.script_flush()

    @invariant()
    def every_message_is_in_one_place(self) -> None:
        places = self._places()
        assert set(places) == self.published - self.done
        assert all(len(found) == 1 for found in places.values()), places

    @invariant()
    def what_is_held_has_an_owner_and_a_lease(self) -> None:
        held = set(self.client.hkeys("unacked"))
        assert held == set(self.client.hkeys("unacked_owner")) == set(self.client.zrange("unacked_index", 0, -1))

    @invariant()
    def only_what_cannot_be_done_is_dead(self) -> None:
        for queue in QUEUES:
            for letter in self.client.lrange(f"{queue}.dead", 0, -1):
                header = json.loads(letter.split(b"\n", 1)[0])
                assert header["queue"] == queue
                assert header["reason"] in {"rejected", "undecodable", "delivery_limit"}
                if header["reason"] == "delivery_limit":
                    assert header["count"] == LIMIT
                    assert b'"generation"' not in letter, "a call counts its own starts"

    def _claim(self, owner: str, wanted: int, *settlement: str) -> list[bytes]:
        self.numbers += 1
        queues = (word for queue in QUEUES for word in (queue, 0))
        words = self._run(CLAIM, owner, self.numbers, wanted, 1 if settlement else 0, *settlement, *queues)
        return list(words)

    def _name_of(self, tag: str) -> str:
        record = self.client.hget("unacked", tag)
        return "" if record is None else _name(record)

    def _run(self, script: Any, *arguments: Any) -> Any:
        return script.run(self.client.execute_command, *arguments)

    def _sweep(self) -> None:
        self._run(SWEEP, 0, 0, LEASE, LEASE, LIMIT, 3600)

    def _held_by(self, owner: str) -> list[bytes]:
        return [
            t for t, fence in self.client.hgetall("unacked_owner").items() if fence.startswith(f"{owner}|".encode())
        ]

    def _places(self) -> dict[str, list[str]]:
        """Each message, and where it is: told by its name, wherever that stands."""
        keys = [f"{queue}{end}" for queue in QUEUES for end in ("", ".dead", *(f"\x06\x16{n}" for n in range(1, 10)))]
        with self.client.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.lrange(key, 0, -1)
            *lists, held = pipe.hvals("unacked").execute()
        found: dict[str, list[str]] = {}
        for key, raws in zip([*keys, "unacked"], [*lists, held], strict=True):
            for raw in raws:
                found.setdefault(_name(raw), []).append(key)
        return found


def _name(raw: bytes) -> str:
    text = raw.split(b"\n", 1)[-1].decode()
    if "junk" in text:
        return text.split(" ")[-1]
    message = json.loads(text)
    return str((message[0] if isinstance(message, list) else message)["headers"]["id"])


def _step(message: dict[str, Any]) -> int:
    return 9 - int(message["properties"]["priority"])


def test_queues_take_turns_and_a_full_one_starves_none(valkey_url: str) -> None:
    with redis.Redis.from_url(valkey_url, socket_timeout=5) as client:
        for queue, count in (("default", 500), ("ingest", 3)):
            for number in range(count):
                _, key, raw = lpush(Message(call_id=f"{queue}{number}", task="t", queue=queue))
                client.lpush(str(key), raw)

        words = CLAIM.run(client.execute_command, "one", 1, 8, 0, "default", 0, "ingest", 0)

        assert Counter(words[::3]) == {b"default": 5, b"ingest": 3}


def test_who_retires_while_it_is_thought_dead_leaves_nothing(valkey_url: str) -> None:
    with redis.Redis.from_url(valkey_url, socket_timeout=5) as client:
        RENEW.run(client.execute_command, "one")
        client.set("unacked_swept", int(client.time()[0]))
        SWEEP.run(client.execute_command, 0, LEASE, LEASE, LEASE, LIMIT, 3600)
        assert client.hexists("unacked_suspects", "one"), "nobody listens on its channel"

        RETIRE.run(client.execute_command, "one", 0)

        assert {key for key in client.keys("*") if key != b"unacked_swept"} == set()
