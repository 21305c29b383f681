"""A model server: `serve.py iris|binary ADDRESS DIRECTORY` until it is killed.

`iris`: mlserver with scikit-learn's iris, REST on port 8080 and gRPC on port 8081. `binary`: a few lines that take tritonclient's
binary tensors and answer with some, because mlserver takes none over REST.
"""

import json
import os
import sys
from pathlib import Path


def iris(address, directory):
    import joblib
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    rows, kinds = load_iris(return_X_y=True)
    joblib.dump(LogisticRegression(max_iter=500).fit(rows, kinds), directory / "model.joblib")
    settings = {
        "host": address,
        "http_port": 8080,
        "grpc_port": 8081,
        "metrics_endpoint": None,
        "parallel_workers": 0,
        "debug": False,
    }
    model = {
        "name": "iris",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": "./model.joblib", "version": "v3"},
    }
    (directory / "settings.json").write_text(json.dumps(settings))
    (directory / "model-settings.json").write_text(json.dumps(model))
    os.chdir(directory)
    os.execv(Path(sys.executable).parent / "mlserver", ["mlserver", "start", str(directory)])


def binary(address, _directory):
    from http.server import BaseHTTPRequestHandler, HTTPServer

    import numpy

    class Sums(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            length = int(self.headers["Inference-Header-Content-Length"])
            asked = json.loads(body[:length])
            rows = numpy.frombuffer(body[length:], "<f8").reshape(asked["inputs"][0]["shape"])
            sums = rows.sum(axis=1, keepdims=True).tobytes()
            output = {"name": "predict", "datatype": "FP64", "shape": [len(rows), 1]}
            output["parameters"] = {"binary_data_size": len(sums)}
            head = {"id": asked["id"], "model_name": "iris", "model_version": "v3", "outputs": [output]}
            head = json.dumps(head).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Inference-Header-Content-Length", str(len(head)))
            self.send_header("Content-Length", str(len(head) + len(sums)))
            self.end_headers()
            self.wfile.write(head + sums)

    HTTPServer((address, 8080), Sums).serve_forever()


if __name__ == "__main__":
    globals()[sys.argv[1]](sys.argv[2], Path(sys.argv[3]))
