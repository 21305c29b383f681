"""Model servers: MLServer with a scikit-learn model (REST and gRPC, asked by tritonclient), one with binary
tensors, KServe's version 1, LitServe. The log also has, under `inference`, what the client itself asked and was answered."""

import json
import os
import subprocess
import sys

from .bed import PEERS, TARGET, Case, start, wait_for

HTTP, GRPC, METRICS, KSERVE, LITSERVE, BINARY = 8401, 8402, 8403, 8404, 8405, 8406
HERE = PEERS / "inference"


def python(name, requirements):
    """Of an environment of its own: these servers and KServe want other versions of the same packages."""
    venv = TARGET / name
    if not venv.exists():
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        subprocess.run([venv / "bin/pip", "install", "-q", "-r", HERE / requirements], check=True)
    return venv / "bin/python"


def asked(name):
    def run():
        path = TARGET / "inference.json"
        client = python("inference", "requirements.txt")
        port = CASES[name].port
        subprocess.run([client, HERE / "client.py", name, str(port), path], check=True, timeout=60)
        return json.loads(path.read_text())

    return run


PORTS = {"mlserver_rest": HTTP, "triton_binary": BINARY, "mlserver_grpc": GRPC, "kserve_v1": KSERVE, "litserve": LITSERVE}
CASES = {name: Case(port, asked(name)) for name, port in PORTS.items()}


def start_servers(root):
    ours, kserve = python("inference", "requirements.txt"), python("kserve", "kserve.txt")
    ports = [str(port) for port in [HTTP, GRPC, METRICS]]
    subprocess.run([ours, HERE / "train.py", root / "models", *ports], check=True)
    servers = start(
        [ours.parent / "mlserver", "start", root / "models"],
        [kserve, HERE / "kserve_server.py", str(KSERVE)],
        [ours, HERE / "litserve_server.py", str(LITSERVE)],
        [ours, HERE / "binary_server.py", str(BINARY)],
        env={**os.environ, "PATH": f"{ours.parent}:{os.environ['PATH']}"},
        cwd=root,
    )
    for port in PORTS.values():
        wait_for(port)
    return servers
