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
from typing import Any

import resp

# What is stored under each of the few keys, in the order of KEYS.
State = tuple[bytes | None, ...]
KEYS = (b"a", b"b", b"c")
EMPTY: State = (None,) * len(KEYS)


@dataclass(frozen=True)
class Operation:
    """What a client asked, and when. If nobody knows whether it happened, `reply` is None; it did before `end`, when
    the server died, or never."""

    commands: tuple[tuple[bytes, ...], ...]
    begin: int
    end: int
    reply: bytes | None
    transaction: bool = False  # the reply is EXEC's
    expected: bytes | None = None  # if the transaction watched its first command's key: the reply to GET before

    def __str__(self) -> str:
        text = "; ".join(b" ".join(command).decode() for command in self.commands)
        text = f"MULTI; {text}; EXEC" if self.transaction else text
        expected = "" if self.expected is None else f" if it is {resp.show(self.expected)}"
        reply = "?" if self.reply is None else resp.show(self.reply)
        return f"[{self.begin}, {self.end}] {text}{expected} -> {reply}"


# --- the model

Outcomes = Callable[[State, Operation], Iterable[State]]


def bulk(value: bytes | None) -> bytes:
    return b"$-1\r\n" if value is None else b"$%d\r\n%s\r\n" % (len(value), value)


def put(state: State, key: bytes, value: bytes | None) -> State:
    at = KEYS.index(key)
    return (*state[:at], value, *state[at + 1 :])


def execute(state: State, command: tuple[bytes, ...]) -> tuple[State, bytes]:
    """One command on the state: the state after it, and the raw reply."""
    name, *words = command
    values = [state[KEYS.index(word)] for word in words if word in KEYS]
    if name == b"GET":
        return state, bulk(values[0])
    if name == b"MGET":
        return state, b"*%d\r\n" % len(values) + b"".join(map(bulk, values))
    if name == b"SET":
        return put(state, words[0], words[1]), b"+OK\r\n"
    if name == b"GETSET":
        return put(state, words[0], words[1]), bulk(values[0])
    if name == b"MSET":
        for key, value in zip(words[::2], words[1::2], strict=True):
            state = put(state, key, value)
        return state, b"+OK\r\n"
    if name == b"DEL":
        count = sum(value is not None for value in values)
        for key in words:
            state = put(state, key, None)
        return state, b":%d\r\n" % count
    if name == b"RENAME":
        if values[0] is None:
            return state, b"-ERR no such key\r\n"
        return put(put(state, words[0], None), words[1], values[0]), b"+OK\r\n"
    if name == b"INCR":
        number = b"%d" % (int(values[0] or b"0") + 1)
        return put(state, words[0], number), b":%s\r\n" % number
    raise ValueError(name)


def outcomes(state: State, operation: Operation) -> Iterator[State]:
    """The states that the operation may leave behind, given its reply; none: it cannot happen here."""
    if operation.reply is None:
        yield state
    if operation.expected is not None:
        if operation.reply == b"*-1\r\n":
            yield state
        if bulk(state[KEYS.index(operation.commands[0][1])]) != operation.expected:
            return
    after, replies = state, []
    for command in operation.commands:
        after, reply = execute(after, command)
        replies.append(reply)
    whole = b"*%d\r\n" % len(replies) + b"".join(replies) if operation.transaction else replies[0]
    if operation.reply is None or operation.reply == whole:
        yield after


def outcomes_with_eviction(state: State, operation: Operation) -> Iterator[State]:
    """As outcomes, where any of the operation's keys may have been evicted before it."""
    states = {state}
    for key in {word for command in operation.commands for word in command if word in KEYS}:
        states |= {put(each, key, None) for each in states}
    for each in states:
        yield from outcomes(each, operation)


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


def explain(operation: Operation, under_way: dict[int, Operation], configurations: Iterable[Configuration]) -> str:
    states: set[Any] = {dict(zip(KEYS, state, strict=True)).__repr__() for state, _ in configurations}
    others = [f"  {other}" for other in under_way.values() if other is not operation]
    return "\n".join([f"no moment for {operation}", "while:", *others, "and possibly:", *sorted(states)])
