"""A way to a server on loopback that can be cut: connections break off, and new ones are refused at once."""

import contextlib
import socket
import threading


class Relay:
    """Passes on what comes in at `port` to a server's own port, for as long as the context lasts."""

    def __init__(self, server_port: int) -> None:
        self._server = ("127.0.0.1", server_port)
        self.port = 0

    def __enter__(self) -> "Relay":
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()

    def open(self) -> None:
        """Also again after `cut`, at the same port."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        self._ends: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def cut(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes who accepts, as closing does not
        self._threads[0].join()
        self._listener.close()
        for end in self._ends:
            _hang_up(end)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # cut
                return
            server = socket.create_connection(self._server)
            for source, target in ((client, server), (server, client)):
                self._ends.append(source)
                thread = threading.Thread(target=_pass_on, args=(source, target))
                self._threads.append(thread)
                thread.start()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with source, contextlib.suppress(OSError):  # the other end has gone
        while data := source.recv(1 << 16):
            target.sendall(data)
    _hang_up(target)


def _hang_up(end: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it has gone already
        end.shutdown(socket.SHUT_RDWR)
