"""A guard: nothing is looked up or connected to beyond this machine."""

from typing import Any


class Blocked(OSError):
    """A test, or what it tests, wanted the network."""


def _is_here(host: object) -> bool:
    import socket

    name = host.decode(errors="replace") if isinstance(host, bytes) else str(host or "")
    own = {"", "localhost", "localhost.localdomain", "::1", "::", "0.0.0.0", socket.gethostname()}
    return name in own or name.startswith(("127.", "::ffff:127."))


def refuse(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook of Python: it sees what goes through Python's sockets. Raises Blocked."""
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
        if isinstance(address, tuple) and not _is_here(address[0]):  # of a socket within the machine it is a path
            raise Blocked(f"no test may connect to {address[0]}")
    elif event in ("socket.getaddrinfo", "socket.gethostbyname") and not _is_here(arguments[0]):
        raise Blocked(f"no test may look up {arguments[0]!r}")
