#!/usr/bin/env python3
"""Records tests/corpus: real clients and servers, listened to by tcpdump on `lo` of a network namespace.

    sudo tests/corpus/record.py [PROTOCOL | PROTOCOL/CASE]…

Beside CASE.pcap lies CASE.log.json: what the endpoints themselves say they sent and received, field by field. The test
compares what the interceptor makes of the capture with both that log and CASE.jsonl. Afterwards look at what is new in
the latter, and keep it: UPDATE_EXPECT=1 cargo xtask test corpus

needs  apt-get install iproute2 tcpdump nginx-light curl nodejs nghttp2-client nghttp2-server redis-server openssl python3-venv
       golang-go golang-google-grpc-dev golang-golang-x-net-dev, and cargo for tonic
Python's peers are installed by pip into target/corpus/venv.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
VENV = HERE.parents[1] / "target/corpus/venv"
PROTOCOLS = ["http1", "http2", "grpc", "sse", "websocket", "opaque", "inference", "llm"]


def record(protocol, name, case):
    path = HERE / protocol / f"{name}.pcap"
    filters = [word for word in case.tcpdump if word.startswith("and ")]
    options = [word for word in case.tcpdump if word not in filters]
    interface = [] if "-i" in options else ["-i", "lo"]
    command = ["tcpdump", *interface, *options, "-Z", "root", "-B", "32768", "-U", "--immediate-mode", "-w", path, f"tcp port {case.port} {' '.join(filters)}"]
    dump = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while "listening on" not in (line := dump.stderr.readline()):
        if not line:
            sys.exit(f"tcpdump failed for {name}")
    try:
        log = case.run()
        # The connection's last packets.
        time.sleep(0.3)
    finally:
        dump.send_signal(signal.SIGINT)
        end = dump.communicate()[1]
    if "\n0 packets dropped by kernel" not in end:
        sys.exit(f"tcpdump missed packets of {name}; try again: {end}")
    if log:
        lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in log)
        path.with_suffix(".log.json").write_text(f"[\n{lines}\n]\n")
    print(f"{protocol}/{name:28} {path.stat().st_size:7} bytes {len(log or []):4} logged", flush=True)


def inside(wanted):
    import importlib

    sys.path.insert(0, str(HERE))
    for protocol in PROTOCOLS:
        if wanted and protocol not in [name.split("/")[0] for name in wanted]:
            continue
        module = importlib.import_module(f"recorder.{protocol}")
        names = [name for name in module.CASES if not wanted or protocol in wanted or f"{protocol}/{name}" in wanted]
        if not names:
            continue
        (HERE / protocol).mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory() as root:
            servers = module.start_servers(pathlib.Path(root))
            try:
                for name in names:
                    record(protocol, name, module.CASES[name])
            finally:
                for server in servers:
                    server.terminate()
                    server.wait()


def main():
    if "INSIDE" in os.environ:
        inside(sys.argv[1:])
        # Threads of servers in this process do not end.
        sys.stdout.flush()
        os._exit(0)
    if not VENV.exists():
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
    subprocess.run([VENV / "bin/pip", "install", "-q", "-r", HERE / "peers/requirements.txt"], check=True)
    name = f"interceptor-corpus-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        enter = ["ip", "netns", "exec", name]
        subprocess.run([*enter, "ip", "link", "set", "lo", "up"], check=True)
        return subprocess.run([*enter, VENV / "bin/python", *sys.argv], env={**os.environ, "INSIDE": "1"}).returncode
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


if __name__ == "__main__":
    sys.exit(main())
