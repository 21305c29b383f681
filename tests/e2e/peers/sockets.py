"""WebSocket of PyPI's websockets: `sockets.py serve HOST PORT` until it is killed; `sockets.py ask HOST PORT` says `ok WHAT`, or
`failed WHAT: why`, of each thing that it does.
"""

import sys

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.sync.server import serve as listen

MIB = 1 << 20
LIMIT = 4 * MIB


def answer(socket):
    for message in socket:
        if message == "close":
            socket.close(4001, "wie gew\u00fcnscht")
        elif message == "field":
            socket.send(socket.request.headers.get("x-set", "none"))
        elif message == "ping":
            assert socket.ping("from the server").wait(10)
            socket.send("pong came")
        else:
            socket.send(message)


def chosen(_connection, offered):
    return "echo.v1" if "echo.v1" in offered else None


def serve(host, port):
    with listen(answer, host, int(port), max_size=LIMIT, select_subprotocol=chosen) as server:
        print("listening", flush=True)
        server.serve_forever()


class Does:
    def __init__(self, address):
        self.address = address

    def open(self, path="/", **more):
        return connect(f"ws://{self.address}{path}", max_size=LIMIT, open_timeout=20, **more)

    def text(self):
        with self.open() as socket:
            for text in ("", "text", "\u00fc\u263a\U0001f608" * 1000):
                socket.send(text)
                assert socket.recv(20) == text

    def binary(self):
        with self.open() as socket:
            for data in (b"", bytes(range(256)), b"\0" * 70_000):
                socket.send(data)
                assert socket.recv(20) == data

    def a_mebibyte(self):
        for compression in ("deflate", None):
            with self.open(compression=compression) as socket:
                data = bytes(range(251)) * (MIB // 251 + 1)
                socket.send(data)
                assert socket.recv(20) == data

    def fragments(self):
        with self.open() as socket:
            socket.send(iter(["in ", "three ", "pieces"]))
            assert socket.recv(20) == "in three pieces"

    def ping_and_pong(self):
        with self.open() as socket:
            assert socket.ping("from the client").wait(10)
            socket.send("ping")
            assert socket.recv(20) == "pong came"

    def subprotocol(self):
        with self.open(subprotocols=["other", "echo.v1"]) as socket:
            assert socket.subprotocol == "echo.v1"

    def closed_by_the_server(self):
        with self.open() as socket:
            socket.send("close")
            try:
                socket.recv(20)
                raise AssertionError("it goes on")
            except ConnectionClosed as closed:
                assert (closed.rcvd.code, closed.rcvd.reason) == (4001, "wie gew\u00fcnscht"), closed
                assert closed.sent.code == 4001

    def closed_by_the_client(self):
        with self.open() as socket:
            socket.close(4002, "enough")
            assert socket.close_code == 4002, socket.close_code

    def rewritten_by_a_rule(self):
        with self.open("/fields") as socket:
            socket.send("field")
            assert socket.recv(20) == "new"
        with self.open("/") as socket:
            socket.send("field")
            assert socket.recv(20) == "none"

    def denied_by_a_rule(self):
        try:
            self.open("/secret")
            raise AssertionError("it is open")
        except InvalidStatus as error:
            assert error.response.status_code == 451


def ask(host, port):
    does = Does(f"{host}:{port}")
    for name in [name for name in vars(Does) if not name.startswith("_") and name != "open"]:
        try:
            getattr(does, name)()
            print("ok", name, flush=True)
        except Exception as error:
            print(f"failed {name}: {error!r}", flush=True)


{"serve": serve, "ask": ask}[sys.argv[1]](*sys.argv[2:])
