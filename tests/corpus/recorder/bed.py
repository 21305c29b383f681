"""What all protocols share: cases, processes, and how a log is written.

A log is a list of exchanges, each with what its endpoint knows: `method`, `path`, `status`, `grpc_status`,
`grpc_message`, `grpc_details`, `stream`, `abort` (`by`, `code`), and of `request` and `response` the `size` and `crc32` of
the content, or its `messages` (`size`, `wire_size`, `kind`, `compression`, and `json`, `text`, `crc32` or, of a part with its head, `ends`). What an endpoint
does not know it leaves out.
"""

import dataclasses
import json
import pathlib
import socket
import subprocess
import sys
import threading
import time
import typing
import zlib

PEERS = pathlib.Path(__file__).resolve().parents[1] / "peers"
PROJECT = PEERS.parents[2]
TARGET = PROJECT / "target/corpus"


@dataclasses.dataclass
class Case:
    port: int
    # Gives the log, or nothing.
    run: typing.Callable
    # What tcpdump is told besides.
    tcpdump: tuple = ()


def start(*commands, **options):
    options = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **options}
    return [subprocess.Popen(command, **options) for command in commands]


def build_go():
    """With the distribution's packages of Go's libraries, which are sources."""
    go = {"GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOCACHE": str(TARGET / "go-cache"), "PATH": "/usr/bin:/bin"}
    subprocess.run(["go", "build", "-o", TARGET / "go", "."], cwd=PEERS / "go", env=go, check=True)


def foreign(port, program, *more):
    """A client and its server in one process of another language, which writes the log."""

    def run():
        path = TARGET / "foreign.json"
        subprocess.run([program, str(port), path, *more], check=True, timeout=60)
        return json.loads(path.read_text())

    return run


def wait_for(port):
    for _ in range(400):
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
    sys.exit(f"nothing listens on port {port}")


def listen(port, handle):
    """A server of one's own: `handle` has each connection, in a thread."""
    listener = socket.create_server(("127.0.0.1", port))

    def accept():
        while True:
            threading.Thread(target=handle, args=[listener.accept()[0]], daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def content(data):
    """A whole content, as the log tells it."""
    return {"size": len(data), "crc32": zlib.crc32(data)}


def message(data, **more):
    """A message within a content."""
    if isinstance(data, str):
        return {"size": len(data.encode()), "text": data, **more}
    return {**content(data), **more}
