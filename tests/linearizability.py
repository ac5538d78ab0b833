"""A checker of linearizability, and a model of the commands that the histories are made of.

A history is what clients saw: for each operation when it was called, when its reply came, and the reply. It is
linearizable if every operation can be given a moment between its call and its reply so that, executed one by one in the
order of these moments, they give these replies (Herlihy and Wing, 1990). The search is just-in-time linearization
(Lowe, "Testing for linearizability", 2017, after Wing and Gong, 1993): it goes through the calls and returns in order
and keeps every configuration that is possible so far, which is a state of the store and the set of operations that have
had their moment without having returned. Operations get theirs only when one has to have returned, and configurations
that are equal are one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from typing import NamedTuple

import resp

Command = tuple[bytes, ...]

KEYS = (b"a", b"b", b"c")
# Beside these few keys there is a crowd: so many that a command on all of them runs on another thread. It is written as
# a whole, with one value for all. In commands one name stands for all its members, another for a few of them.
CROWD, SAMPLE = b"crowd", b"sample"
CROWD_KEYS = 1500
POSITIONS = {CROWD: range(CROWD_KEYS), SAMPLE: range(0, CROWD_KEYS, CROWD_KEYS // 6)}
MASKS = {name: sum(1 << position for position in positions) for name, positions in POSITIONS.items()}


class Crowd(NamedTuple):
    """What is stored under the keys of the crowd."""

    value: bytes
    gone: int  # a bit for each member that is not there


# What is stored under each of KEYS, in their order, and under the crowd's.
State = tuple[bytes | None, bytes | None, bytes | None, Crowd]
NOBODY = Crowd(b"", MASKS[CROWD])
EMPTY: State = (None, None, None, NOBODY)


@dataclass(frozen=True)
class Operation:
    """What a client asked, and when. If nobody knows whether it happened, `reply` is None; it did before `end`, when
    the server died, or never."""

    commands: tuple[Command, ...]
    begin: int
    end: int
    reply: bytes | None
    transaction: bool = False  # the reply is EXEC's
    expected: bytes | None = None  # if the transaction watched its first command's key: the reply to MGET before

    def __str__(self) -> str:
        text = "; ".join(b" ".join(command).decode() for command in self.commands)
        text = f"MULTI; {text}; EXEC" if self.transaction else text
        expected = "" if self.expected is None else f" if it is {resp.show(self.expected)}"
        reply = "?" if self.reply is None else resp.show(self.reply)
        return f"[{self.begin}, {self.end}] {text}{expected} -> {reply}"


# --- the model

Outcomes = Callable[[State, Operation], Iterable[State]]
Evictions = Callable[[State, Command, bytes | None], Iterable[State]]
NIL = b"$-1\r\n"


def bulk(value: bytes | None) -> bytes:
    return NIL if value is None else b"$%d\r\n%s\r\n" % (len(value), value)


@lru_cache(1000)
def members(crowd: Crowd, name: bytes) -> bytes:
    """The raw replies to reading these members of the crowd."""
    value = bulk(crowd.value)
    return b"".join(NIL if crowd.gone >> position & 1 else value for position in POSITIONS[name])


def read(state: State, name: bytes) -> bytes:
    return members(state[-1], name) if name in POSITIONS else bulk(state[KEYS.index(name)])


def count(state: State, name: bytes) -> int:
    """How many of the keys that the name stands for are there."""
    if name in POSITIONS:
        return len(POSITIONS[name]) - (state[-1].gone & MASKS[name]).bit_count()
    return int(state[KEYS.index(name)] is not None)


def put(state: State, name: bytes, value: bytes | None) -> State:
    if name == CROWD and value is not None:
        return (*state[:-1], Crowd(value, 0))
    if name in POSITIONS:
        return without(state, MASKS[name])
    at = KEYS.index(name)
    return (*state[:at], value, *state[at + 1 :])  # type: ignore[return-value]


def without(state: State, gone: int) -> State:
    """The state when these members of the crowd are gone, too."""
    gone |= state[-1].gone
    return (*state[:-1], NOBODY if gone == NOBODY.gone else Crowd(state[-1].value, gone))


def execute(state: State, command: Command) -> tuple[State, bytes]:
    """One command on the state: the state after it, and the raw reply."""
    name, *words = command
    if name == b"GET":
        return state, read(state, words[0])
    if name == b"MGET":
        keys = sum(len(POSITIONS.get(word, b"1")) for word in words)
        return state, b"*%d\r\n" % keys + b"".join(read(state, word) for word in words)
    if name == b"SET":
        return put(state, words[0], words[1]), b"+OK\r\n"
    if name == b"GETSET":
        return put(state, words[0], words[1]), read(state, words[0])
    if name == b"MSET":
        for key, value in zip(words[::2], words[1::2], strict=True):
            state = put(state, key, value)
        return state, b"+OK\r\n"
    if name == b"DEL":
        deleted = sum(count(state, word) for word in words)
        return reduce(lambda state, word: put(state, word, None), words, state), b":%d\r\n" % deleted
    if name == b"RENAME":
        renamed = state[KEYS.index(words[0])]
        if renamed is None:
            return state, b"-ERR no such key\r\n"
        return put(put(state, words[0], None), words[1], renamed), b"+OK\r\n"
    if name == b"INCR":
        number = b"%d" % (int(state[KEYS.index(words[0])] or b"0") + 1)
        return put(state, words[0], number), b":%s\r\n" % number
    raise ValueError(name)


@lru_cache(1000)
def elements(reply: bytes) -> Sequence[bytes]:
    """The raw replies in an array; none: it is none."""
    return resp.elements(reply.partition(b"\r\n")[2]) if reply.startswith(b"*") else []


def after(state: State, command: Command, reply: bytes | None, evictions: Evictions) -> Iterator[State]:
    """The states after a command that had this reply, or any."""
    for before in evictions(state, command, reply):
        reached, seen = execute(before, command)
        if reply is None or reply == seen:
            yield reached


def nothing_evicted(state: State, command: Command, reply: bytes | None) -> Iterator[State]:
    yield state


def outcomes(state: State, operation: Operation, evictions: Evictions = nothing_evicted) -> Iterator[State]:
    """The states that the operation may leave behind, given its reply; none: it cannot happen here."""
    commands, replies = operation.commands, [operation.reply] * len(operation.commands)
    if operation.reply is None:
        yield state
    elif operation.transaction:
        replies = list(elements(operation.reply))
    states = {state}
    if operation.expected is not None:
        if operation.reply == b"*-1\r\n":
            yield state
        states = set(after(state, (b"MGET", commands[0][1]), operation.expected, evictions))
    if len(replies) == len(commands):
        for command, reply in zip(commands, replies, strict=True):
            states = {reached for each in states for reached in after(each, command, reply, evictions)}
        yield from states


def crowd_evicted(state: State, command: Command, reply: bytes | None) -> Iterator[State]:
    """The state when those members of the crowd have been evicted that the reply tells of.

    Which it tells of is not said where they are counted; but only DEL counts them, and so it is all the same.
    """
    name, *words = command
    named = next((word for word in words if word in POSITIONS), None)
    gone = 0
    if named is not None and reply is not None and name == b"MGET":
        first = words.index(named)  # each word before it is one key
        found = elements(reply)[first : first + len(POSITIONS[named])]
        gone = sum(1 << position for position, each in zip(POSITIONS[named], found, strict=False) if each == NIL)
    elif named is not None and reply is not None and reply.startswith(b":"):
        there = [1 << position for position in POSITIONS[named] if not state[-1].gone >> position & 1]
        deleted = int(reply[1:]) - sum(count(state, word) for word in words if word != named)
        gone = sum(there[max(deleted, 0) :])
    yield without(state, gone)


def outcomes_with_eviction(state: State, operation: Operation) -> Iterator[State]:
    """As outcomes, where any of the operation's keys may have been evicted before it. Of the crowd any may have been
    before any of its commands, which is more than can happen."""
    states = {state}
    for key in {word for command in operation.commands for word in command if word in KEYS}:
        states |= {put(each, key, None) for each in states}
    for each in states:
        yield from outcomes(each, operation, crowd_evicted)


# --- the checker

Configuration = tuple[State, frozenset[int]]


def expand(
    configurations: set[Configuration], last: int, under_way: dict[int, Operation], model: Outcomes
) -> set[Configuration]:
    """All configurations in which operation `last` has just had its moment, or had it before."""
    reached = {each for each in configurations if last in each[1]}
    seen = configurations - reached
    waiting = list(seen)
    while waiting:
        state, done = waiting.pop()
        for number, operation in under_way.items():
            if number in done:
                continue
            for after in model(state, operation):
                configuration = (after, done | {number})
                if number == last:
                    reached.add(configuration)
                elif configuration not in seen:
                    seen.add(configuration)
                    waiting.append(configuration)
    return reached


def check(history: Sequence[Operation], before: State = EMPTY, model: Outcomes = outcomes) -> str | None:
    """None if the history is linearizable from the state `before` on; else what cannot be explained."""
    events: list[tuple[int, int, int]] = []
    for number, operation in enumerate(history):
        events += [(operation.begin, 0, number), (operation.end, 1, number)]
    configurations: set[Configuration] = {(before, frozenset())}
    under_way: dict[int, Operation] = {}
    for _, is_return, number in sorted(events):
        if not is_return:
            under_way[number] = history[number]
            continue
        reached = expand(configurations, number, under_way, model)
        if not reached:
            return explain(history[number], under_way, configurations)
        del under_way[number]
        configurations = {(state, done - {number}) for state, done in reached}
    return None


def show(state: State) -> str:
    crowd = f"{state[-1].value!r} but for {state[-1].gone.bit_count()}"
    return f"{dict(zip(KEYS, state[:-1], strict=True))}, crowd: {crowd}"


def explain(operation: Operation, under_way: dict[int, Operation], configurations: Iterable[Configuration]) -> str:
    states = {show(state) for state, _ in configurations}
    others = [f"  {other}" for other in under_way.values() if other is not operation]
    return "\n".join([f"no moment for {operation}", "while:", *others, "and possibly:", *sorted(states)])
