"""A server of the Open Inference Protocol with binary tensors, which MLServer lacks: python binary_server.py PORT

It answers with the sum of each row of `x`, and with `names` as they came."""

import http.server
import json
import sys

import numpy

LENGTH = "Inference-Header-Content-Length"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        at = int(self.headers[LENGTH])
        asked = json.loads(body[:at])
        raw = {}
        for tensor in asked["inputs"]:
            size = tensor["parameters"]["binary_data_size"]
            raw[tensor["name"]] = (tensor["shape"], body[at : at + size])
            at += size
        shape, data = raw["x"]
        sums = numpy.frombuffer(data, numpy.float32).reshape(shape).sum(axis=1).astype(numpy.float16)
        self.answer(asked["id"], [("sum", "FP16", [shape[0]], sums.tobytes()), ("names", "BYTES", *raw["names"])])

    def answer(self, request_id, tensors):
        outputs = [
            {"name": name, "datatype": kind, "shape": shape, "parameters": {"binary_data_size": len(data)}}
            for name, kind, shape, data in tensors
        ]
        head = json.dumps({"model_name": "sum", "model_version": "2", "id": request_id, "outputs": outputs}).encode()
        body = head + b"".join(data for *_, data in tensors)
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header(LENGTH, str(len(head)))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
