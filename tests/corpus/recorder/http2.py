"""HTTP/2 in cleartext: nghttp, h2load, curl, Node and Go as clients; nghttpd, nginx, Node and Go as servers."""

import json
import os
import re
import subprocess

from .bed import PEERS, TARGET, Case, build_go, foreign, start, wait_for

NGHTTPD, NGINX, NODE, GO, GO_SERVER = 8201, 8202, 8203, 8204, 8205

NGINX_CONF = """
daemon off; worker_processes 1; pid {root}/nginx.pid; error_log {root}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off; root {root}/www; client_body_temp_path {root}/body; proxy_temp_path {root}/proxy;
  fastcgi_temp_path {root}/fastcgi; uwsgi_temp_path {root}/uwsgi; scgi_temp_path {root}/scgi;
  server {{ listen {port} http2; large_client_header_buffers 4 64k; http2_max_field_size 64k; http2_max_header_size 128k; }}
}}
"""
LINE = re.compile(r"^\[ *[\d.]+\] (send|recv) (.*)$")
FRAME = re.compile(r"(\w+) frame <length=(\d+), flags=0x(\w+), stream_id=(\d+)>")
FIELD = re.compile(r"\(stream_id=(\d+)\) (:?[^:]+): (.*)")


def read_nghttp(output, upgraded):
    """What `nghttp -v` tells of each frame that it sent or received, as exchanges; the upgraded request is no frame."""
    streams, fields, frame = {}, {}, None
    for number, asked in upgraded.items():
        entry(streams, number).update(asked)
    for line in output.splitlines():
        stripped, found = line.strip(), LINE.match(line)
        if found:
            direction, what = found.groups()
            if field := FIELD.match(what):
                fields[field[2]] = field[3]
                if field[2] == ":status":
                    entry(streams, int(field[1])).setdefault("statuses", []).append(int(field[3]))
                continue
            frame = FRAME.match(what)
            if frame and frame[1] == "DATA":
                grow(streams, direction, frame, int(frame[2]))
            if frame and frame[1] == "RST_STREAM":
                entry(streams, int(frame[4]))["abort"] = {"by": "client" if direction == "send" else "server"}
        elif frame and (padding := re.search(r"\(padlen=(\d+)", stripped)):
            if frame[1] == "DATA":
                grow(streams, direction, frame, -int(padding[1]))
            if promised := re.search(r"promised_stream_id=(\d+)", stripped):
                entry(streams, int(promised[1])).update(method=fields[":method"], path=fields[":path"])
        elif frame and frame[1] == "HEADERS" and direction == "send" and (field := re.match(r":(method|path): (.*)", stripped)):
            entry(streams, int(frame[4]))[field[1]] = field[2]
        elif frame and frame[1] == "RST_STREAM" and (code := re.search(r"error_code=(\w+)", stripped)):
            entry(streams, int(frame[4]))["abort"]["code"] = code[1]
    return [told(stream) for stream in streams.values() if "method" in stream]


def entry(streams, number):
    return streams.setdefault(number, {"stream": number, "request": {"size": 0}, "response": {"size": 0}})


def grow(streams, direction, frame, by):
    entry(streams, int(frame[4]))["request" if direction == "send" else "response"]["size"] += by


def told(stream):
    if stream["stream"] % 2 == 0 and "abort" in stream:
        # nghttp does not want what it has asked for itself, and looks at nothing of it; the server may have sent it all.
        return {key: stream[key] for key in ("stream", "method", "path")}
    statuses = stream.pop("statuses", [])
    interim = [status for status in statuses if status < 200]
    if interim:
        stream["interim"] = len(interim)
    if statuses:
        stream["status"] = statuses[-1]
    return stream


def nghttp(port, paths, *options):
    def run():
        urls = [f"http://127.0.0.1:{port}{path}" for path in paths]
        done = subprocess.run(["nghttp", "-v", "-n", *options, *urls], capture_output=True, text=True, check=True, timeout=20)
        log = read_nghttp(done.stdout, {1: {"method": "GET", "path": paths[0]}} if "-u" in options else {})
        if not log:
            raise SystemExit(f"nghttp told nothing: {done.stdout}")
        return log

    return run


def curl(port, paths, *options):
    def run():
        urls = [f"http://127.0.0.1:{port}{path}" for path in paths]
        # An output for each of the URLs.
        discard = [word for _ in urls for word in ("-o", "/dev/null")]
        command = ["curl", "-sS", "--max-time", "10", "-w", "%{json}\n", *discard, *options, *urls]
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        return [
            {
                "method": line["method"], "path": "/" + line["url_effective"].split("/", 3)[3], "status": line["http_code"],
                "version": line["http_version"], "request": {"size": line["size_upload"]}, "response": {"size": line["size_download"]},
            }
            for line in map(json.loads, lines)
        ]

    return run


def upgraded():
    # The request that asks for the upgrade is still one of HTTP/1.1; curl tells the version of the answer.
    log = curl(GO_SERVER, ["/one", "/two", "/missing"], "--http2")()
    for line in log:
        line.pop("version")
    return log


def h2load():
    path = TARGET / "h2load.log"
    path.unlink(missing_ok=True)
    command = ["h2load", "-c1", "-m32", "-n300", f"--log-file={path}", "-H", "x-model: iris", f"http://127.0.0.1:{NGHTTPD}/index.html"]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True, timeout=20)
    statuses = [int(line.split("\t")[1]) for line in path.read_text().splitlines()]
    return [{"method": "GET", "path": "/index.html", "status": status} for status in statuses]


def node(case):
    def run():
        command = ["node", PEERS / "http2.js", str(NODE), case]
        return json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout)

    return run


FILES = ["/index.html", "/missing", "/large.txt", "/index.html?2"]
UPLOAD = ["-d", str(PEERS / "http2.js")]

CASES = {
    "nghttp": Case(NGHTTPD, nghttp(NGHTTPD, FILES)),
    "many": Case(NGHTTPD, nghttp(NGHTTPD, FILES[:2], "-m", "40")),
    "padding": Case(NGHTTPD, nghttp(NGHTTPD, FILES, "--padding=64", *UPLOAD)),
    "trailers": Case(NGHTTPD, nghttp(NGHTTPD, FILES, "--trailer=x-sum: 7", "--expect-continue", *UPLOAD)),
    "continuation": Case(NGHTTPD, nghttp(NGHTTPD, FILES, "--continuation")),
    "table_sizes": Case(NGHTTPD, nghttp(NGHTTPD, FILES * 3, "-c", "4096", "-c", "100", "--encoder-header-table-size=200", "-H", "x-a: " + "b" * 90)),
    "upgrade": Case(GO_SERVER, nghttp(GO_SERVER, ["/one", "/two", "/missing"], "-u")),
    "push": Case(NGHTTPD, nghttp(NGHTTPD, ["/index.html"])),
    "h2load": Case(NGHTTPD, h2load),
    "nginx": Case(NGINX, nghttp(NGINX, FILES, "-H", "x-long: " + "c" * 20_000)),
    "curl_nginx": Case(NGINX, curl(NGINX, FILES[:1], "--http2-prior-knowledge", "--compressed")),
    "curl_upload": Case(NODE, curl(NODE, ["/echo"], "--http2-prior-knowledge", "--data-binary", f"@{PEERS / 'http2.js'}")),
    "curl_upgrade": Case(GO_SERVER, upgraded),
    **{f"node_{case}": Case(NODE, node(case)) for case in ["several", "resets", "settings", "goaway"]},
    "go": Case(GO, foreign(GO, TARGET / "go", "http2")),
}


def start_servers(root):
    build_go()
    www = root / "www"
    www.mkdir()
    (www / "index.html").write_text("<!doctype html><title>Iris</title><p>The iris is blue.</p>\n")
    (www / "large.txt").write_text("".join(f"{number:07}\n" for number in range(5000)))
    (www / "style.css").write_text("p { color: blue }\n")
    for path in www.iterdir():
        os.utime(path, (1_700_000_000, 1_700_000_000))
    root.chmod(0o755)
    conf = root / "nginx.conf"
    conf.write_text(NGINX_CONF.format(root=root, port=NGINX))
    servers = start(
        ["nghttpd", "--no-tls", "--push=/index.html=/style.css,/missing.css", "-d", www, str(NGHTTPD)],
        ["nginx", "-c", conf, "-e", root / "error.log"],
        ["node", PEERS / "http2.js", str(NODE)],
        [TARGET / "go", str(GO_SERVER), "-", "serve"],
    )
    for port in [NGHTTPD, NGINX, NODE, GO_SERVER]:
        wait_for(port)
    return servers
