"""A receiver of CloudEvents, read by the SDK of CloudEvents; prints each that it takes: events.py PORT FILE.
What the file says it does: `refuse` answers 503, `wait` answers nothing for a while; else it takes them."""
import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cloudevents.core.bindings.http import HTTPMessage, from_http_event

mood = Path(sys.argv[2])


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        now = mood.read_text() if mood.exists() else ""
        if now == "wait":
            time.sleep(5)
        if now != "refuse":
            # At once: others write meanwhile.
            sys.stdout.write(json.dumps(read(dict(self.headers), body)) + "\n")
            sys.stdout.flush()
        self.send_response(503 if now == "refuse" else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def read(headers, body):
    event = from_http_event(HTTPMessage(headers, body))
    attributes = {name: str(value) for name, value in event.get_attributes().items()}
    return {"attributes": attributes, "body": body.decode(), "data": event.get_data()}


class Server(ThreadingHTTPServer):
    daemon_threads = True


Server(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
