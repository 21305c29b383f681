"""HTTP/1: nginx, Node, Python and hand-made answers, asked by curl, Node and Python."""

import http.client
import os
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.request

from .bed import PEERS, Case, listen, start, wait_for

NGINX, NODE, PYTHON, RAW, PROXY = 8001, 8002, 8003, 8004, 8005

NGINX_CONF = """
daemon off; worker_processes 1; pid {root}/nginx.pid; error_log {root}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off; root {root}/www; default_type text/plain; types {{ text/html html; }}
  client_body_temp_path {root}/body; proxy_temp_path {root}/proxy; fastcgi_temp_path {root}/fastcgi;
  uwsgi_temp_path {root}/uwsgi; scgi_temp_path {root}/scgi;
  gzip on; gzip_min_length 100; gzip_types text/plain;
  server {{
    listen {port}; listen [::]:{port};
    location = /nothing {{ return 204; }}
    location = /moved {{ return 302 /index.html; }}
  }}
}}
"""


def curl(*arguments):
    command = ["curl", "--silent", "--show-error", "--max-time", "10", *arguments]
    # Some of the answers are broken on purpose.
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def node(case):
    subprocess.run(["node", PEERS / "http1.js", str(NODE), case], check=True, timeout=10)


def at(port, path, host="127.0.0.1"):
    return f"http://{host}:{port}{path}"


def pipelined():
    """Five requests in one write; the answers come in order."""
    paths = ["/index.html", "/nothing", "/missing", "/moved", "/index.html"]
    last = len(paths) - 1
    requests = [
        f"GET {path} HTTP/1.1\r\nHost: nginx\r\n{'Connection: close' if number == last else 'X-Number: ' + str(number)}\r\n\r\n"
        for number, path in enumerate(paths)
    ]
    with socket.create_connection(("127.0.0.1", NGINX)) as connection:
        connection.sendall("".join(requests).encode())
        while connection.recv(65536):
            pass


def post_json():
    connection = http.client.HTTPConnection("127.0.0.1", NODE)
    for body in ['{"inputs": [1, 2, 3]}', '{"inputs": []}']:
        connection.request("POST", "/echo?id=7", body, {"Content-Type": "application/json"})
        connection.getresponse().read()
    connection.close()


def methods():
    for method in ["PUT", "DELETE", "OPTIONS", "PATCH"]:
        request = urllib.request.Request(at(NODE, "/echo"), method=method, data=b"x" if method != "OPTIONS" else None)
        urllib.request.urlopen(request, timeout=10).read()


def header_spread_over_segments():
    with socket.create_connection(("127.0.0.1", NGINX)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in [b"GE", b"T /index.html HT", b"TP/1.1\r", b"\nHost: nginx\r\nConnection: close\r\n\r", b"\n"]:
            connection.sendall(piece)
            time.sleep(0.005)
        while connection.recv(65536):
            pass


# name: (port, client, what tcpdump is told besides)
CONVERSATIONS = {
    "get": (NGINX, lambda: curl(at(NGINX, "/index.html")), []),
    "keep_alive": (NGINX, lambda: curl(*[at(NGINX, f"/{path}") for path in ["index.html", "missing", "nothing"]]), []),
    "head": (NGINX, lambda: curl("--head", at(NGINX, "/index.html"), "--next", "-s", at(NGINX, "/index.html")), []),
    "not_modified": (NGINX, lambda: curl("-z", "Tue, 14 Nov 2023 22:13:20 GMT", at(NGINX, "/index.html"), at(NGINX, "/nothing")), []),
    "gzip": (NGINX, lambda: curl("--compressed", at(NGINX, "/words.txt")), []),
    "ipv6": (NGINX, lambda: curl("-g", at(NGINX, "/index.html", "[::1]")), []),
    "pipelined": (NGINX, pipelined, []),
    "split_head": (NGINX, header_spread_over_segments, []),
    "cooked": (NGINX, lambda: curl(at(NGINX, "/index.html")), ["-i", "any"]),
    "snap_length": (NGINX, lambda: curl(at(NGINX, "/large.txt")), ["-s", "400"]),
    "joined": (NGINX, lambda: curl(*[at(NGINX, "/index.html")] * 3), ["and not tcp[tcpflags] & tcp-syn != 0"]),
    "secrets": (
        NGINX,
        lambda: curl("-u", "ada:lovelace", "-b", "session=0123456789", "-H", "X-Api-Key: k-1", at(NGINX, "/index.html?q=1")),
        [],
    ),
    "chunked_download": (NODE, lambda: curl(at(NODE, "/chunked")), []),
    "chunked_upload": (
        NODE,
        lambda: curl("-H", "Transfer-Encoding: chunked", "-H", "Expect:", "-T", str(PEERS / "http1.js"), at(NODE, "/echo")),
        [],
    ),
    "expect_continue": (NODE, lambda: curl("-H", "Expect: 100-continue", "-d", "x" * 1500, at(NODE, "/echo")), []),
    "early_hints": (NODE, lambda: curl(at(NODE, "/hints")), []),
    "post_json": (NODE, post_json, []),
    "methods": (NODE, methods, []),
    "trailers": (NODE, lambda: node("trailers"), []),
    "websocket": (NODE, lambda: node("websocket"), []),
    "server_sent_events": (NODE, lambda: curl("-N", at(NODE, "/events")), []),
    "http10": (PYTHON, lambda: curl("--http1.0", at(PYTHON, "/index.html")), []),
    "reset": (RAW, lambda: curl(at(RAW, "/reset")), []),
    "cut_short": (RAW, lambda: curl(at(RAW, "/short")), []),
    "chunk_extensions": (RAW, lambda: curl(at(RAW, "/extensions")), []),
    "bare_lf": (RAW, lambda: curl(at(RAW, "/bare-lf")), []),
    "both_lengths": (RAW, lambda: curl(at(RAW, "/both-lengths")), []),
    "connect": (PROXY, lambda: curl("-p", "-x", f"127.0.0.1:{PROXY}", at(NGINX, "/index.html")), []),
}

# These endpoints keep no log.
CASES = {name: Case(port, client, tuple(more)) for name, (port, client, more) in CONVERSATIONS.items()}

# Answers that no well-behaved server gives.
ANSWERS = {
    "/reset": b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"r" * 300,
    "/short": b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"s" * 300,
    "/extensions": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    b"5;name=value\r\nhello\r\n006 ; quoted=\"a;b\"\r\n world\r\n0;end\r\nX-Trailer: yes\r\n\r\n",
    "/bare-lf": b"HTTP/1.1 200 OK\nContent-Length: 3\nConnection: close\n\nabc",
    "/both-lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    b"3\r\nabc\r\n0\r\n\r\n",
}


def read_head(connection):
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(65536)
    return head.decode().split(" ")[1]


def raw_answer(connection):
    path = read_head(connection)
    connection.sendall(ANSWERS[path])
    if path == "/reset":
        time.sleep(0.05)
        # Zero linger time: close() sends RST.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def proxy(connection):
    host, port = read_head(connection).rsplit(":", 1)
    upstream = socket.create_connection((host, int(port)))
    connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")

    def copy(source, target):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)

    back = threading.Thread(target=copy, args=[upstream, connection])
    back.start()
    copy(connection, upstream)
    back.join()


def start_servers(root):
    www = root / "www"
    www.mkdir()
    (www / "index.html").write_text("<!doctype html><title>Iris</title><p>The iris is blue.</p>\n")
    (www / "words.txt").write_text("".join(f"line {number}: the same words again\n" for number in range(60)))
    (www / "large.txt").write_text("".join(f"{number:07}\n" for number in range(4096)))
    for path in www.iterdir():
        os.utime(path, (1_700_000_000, 1_700_000_000))
    root.chmod(0o755)
    conf = root / "nginx.conf"
    conf.write_text(NGINX_CONF.format(root=root, port=NGINX))
    python = [sys.executable, "-m", "http.server", str(PYTHON), "--bind", "127.0.0.1", "--directory", str(www)]
    commands = [["nginx", "-c", conf, "-e", root / "error.log"], ["node", PEERS / "http1.js", str(NODE)], python]
    servers = start(*commands)
    listen(RAW, raw_answer)
    listen(PROXY, proxy)
    for port in [NGINX, NODE, PYTHON]:
        wait_for(port)
    return servers
