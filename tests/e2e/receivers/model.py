"""A server of the Open Inference Protocol that gives back what it got: model.py ADDRESS."""
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote


class Model(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = unquote(self.path.split("/")[3])
        outputs = [dict(tensor, name="y") for tensor in asked["inputs"]]
        body = json.dumps({"model_name": name, "id": asked["id"], "outputs": outputs}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


ThreadingHTTPServer((sys.argv[1], 8080), Model).serve_forever()
