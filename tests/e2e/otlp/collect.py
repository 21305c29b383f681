"""Becomes Rotel, a collector, which prints spans, metrics and log records: collect.py GRPC_PORT HTTP_PORT DIRECTORY"""

import importlib.util
import os
import sys
from pathlib import Path

grpc, http, directory = sys.argv[1:]
# Its package starts a collector of its own when it is imported.
program = Path(importlib.util.find_spec("rotel").origin).parent / "rotel-agent"
places = ["--otlp-grpc-endpoint", f"127.0.0.1:{grpc}", "--otlp-http-endpoint", f"127.0.0.1:{http}"]
files = ["--pid-file", f"{directory}/rotel.pid", "--log-file", f"{directory}/rotel.log"]
shown = [word for signal in ("traces", "metrics", "logs") for word in ("--debug-log", signal)]
rest = ["--exporter", "blackhole", "--debug-log-verbosity", "detailed", *shown]
os.execv(program, [str(program), "start", *places, *files, *rest])
