"""Listening sockets: TCP on IPv4 and IPv6, and a Unix socket; and what every accepted connection goes through.

The sockets are the standard library's, non-blocking, and waited for with trio: a wake-up accepts all that have come.
Limits: an address in `bind` is a number or a name that resolves; "*" and "::*" are all of IPv4 and of IPv6; a leading
"-" leaves out an address that this machine does not have.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
import stat
from collections.abc import Callable, Iterable, Iterator

import trio

from kvcy.server.logs import Log
from kvcy.server.options import Options

ACCEPTS_A_TURN = 256
PAUSE_S = 0.1  # after accept failed for want of descriptors or memory

# What bind says of an address that this machine, or this kernel, does not have.
_NOT_HERE = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT, errno.ENOPROTOOPT}
# What accept says of a connection that was given up before it could be accepted (accept(2), "Error handling").
_GIVEN_UP = {
    errno.ECONNABORTED, errno.EPERM, errno.EPROTO, errno.ENETDOWN, errno.ENOPROTOOPT, errno.EHOSTDOWN,
    errno.EHOSTUNREACH, errno.EOPNOTSUPP, errno.ENETUNREACH, errno.EINTR,
}  # fmt: skip

Accepted = Callable[[socket.socket], None]


class StartError(Exception):
    """The server cannot start; the text is one line for its user."""


@contextlib.contextmanager
def open_all(options: Options) -> Iterator[list[socket.socket]]:
    """The listening sockets that these options ask for, closed at the end.

    Raises:
        StartError: an address or a path cannot be had, or none is asked for.
    """
    if not options.port and not options.unixsocket:
        raise StartError("nothing to listen on: 'port' is 0 and 'unixsocket' is not set")
    with contextlib.ExitStack() as held:
        sockets = []
        if options.port:
            sockets = open_tcp(options.bind, options.port, options.tcp_backlog)
            for one in sockets:
                held.callback(one.close)
        if options.unixsocket:
            one = open_unix(options.unixsocket, options.unixsocketperm, options.tcp_backlog)
            sockets.append(one)
            held.callback(one.close)
            held.callback(_unlink, options.unixsocket)
        yield sockets


def _unlink(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


def open_tcp(addresses: Iterable[str], port: int, backlog: int) -> list[socket.socket]:
    """One listening socket an address.

    Raises:
        StartError: an address is taken, or not this machine's (without a leading "-").
    """
    opened: list[socket.socket] = []
    try:
        for address in addresses:
            optional = address.startswith("-")
            address = address.removeprefix("-")
            try:
                opened.append(_open_one(address, port, backlog))
            except OSError as error:
                if optional and (error.errno in _NOT_HERE or isinstance(error, socket.gaierror)):
                    continue
                raise StartError(f"cannot listen on {show(address, port)}: {reason(error)}") from None
        if not opened:
            raise StartError(f"cannot listen on port {port}: none of the addresses in 'bind' is this machine's")
    except BaseException:
        for one in opened:
            one.close()
        raise
    return opened


def _open_one(address: str, port: int, backlog: int) -> socket.socket:
    host = {"*": "0.0.0.0", "::*": "::"}.get(address, address)
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, where = found[0]
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setblocking(False)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if _is_loopback_address(str(where[0])):
            _spare_congestion_control(listening)
        listening.bind(where)
        listening.listen(min(backlog, 65535))
    except BaseException:
        listening.close()
        raise
    return listening


def _spare_congestion_control(listening: socket.socket) -> None:
    """Chooses the plainest congestion control for its connections: within a machine there is nothing to control, and
    what models the network, as BBR does, takes 3 % of a busy client's processor time for that."""
    if hasattr(socket, "TCP_CONGESTION"):
        with contextlib.suppress(OSError):  # the system's own stays
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")


def open_unix(path: str, permissions: int, backlog: int) -> socket.socket:
    """A listening Unix socket; one that a dead server left behind is replaced. `permissions` 0: the umask's.

    Raises:
        StartError: the path cannot be had.
    """
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.setblocking(False)
        _remove_stale(path)
        listening.bind(path)
        if permissions:
            os.chmod(path, permissions)
        listening.listen(min(backlog, 65535))
    except OSError as error:
        listening.close()
        raise StartError(f"cannot listen on Unix socket {path}: {reason(error)}") from None
    return listening


def _remove_stale(path: str) -> None:
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return  # bind will say that it is in use
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)


async def accept_forever(listening: socket.socket, accepted: Accepted, log: Log) -> None:
    """Hands every connection that comes to `accepted`, which owns it then and does not raise."""
    while True:
        await trio.lowlevel.wait_readable(listening)
        for _ in range(ACCEPTS_A_TURN):
            try:
                connection, _ = listening.accept()
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno not in _GIVEN_UP:
                    log.warning(f"cannot accept a connection: {reason(error)}")
                    await trio.sleep(PAUSE_S)
                continue
            accepted(connection)


def configure(connection: socket.socket, keepalive_s: int) -> None:
    """TCP: no delay; keepalive probes (0: none), the peer being given up after twice that time."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if keepalive_s:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in (
            ("TCP_KEEPIDLE", keepalive_s), ("TCP_KEEPINTVL", max(keepalive_s // 3, 1)), ("TCP_KEEPCNT", 3),
        ):  # fmt: skip
            if hasattr(socket, option):
                with contextlib.suppress(OSError):  # beyond what the kernel takes: its own default stays
                    connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def show(address: str, port: int) -> str:
    """An address as CLIENT LIST shows it."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def addresses(connection: socket.socket) -> tuple[str, str]:
    """The peer's address and our own, as CLIENT LIST shows them.

    Raises:
        OSError: the connection is gone already.
    """
    if connection.family == socket.AF_UNIX:
        path = connection.getsockname()
        path = os.fsdecode(path)
        return f"{path}:0", f"{path}:0"
    peer, own = connection.getpeername(), connection.getsockname()
    return show(peer[0], peer[1]), show(own[0], own[1])


def is_loopback(connection: socket.socket) -> bool:
    """Whether the peer is on this machine."""
    if connection.family == socket.AF_UNIX:
        return True
    return _is_loopback_address(connection.getpeername()[0])


def _is_loopback_address(text: str) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def reason(error: OSError) -> str:
    return error.strerror or str(error)
