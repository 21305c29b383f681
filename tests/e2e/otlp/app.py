"""An application that makes no spans, and passes the trace's header fields on as it got them: app.py ADDRESS PORT [NEXT]"""

import http.client
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PASSED = {"traceparent", "tracestate", "b3", "x-b3-traceid", "x-b3-spanid", "x-b3-sampled"}
address, port, *behind = sys.argv[1:]


class App(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = b"back"
        if behind:
            connection = http.client.HTTPConnection(behind[0], int(port), timeout=10)
            fields = {name: value for name, value in self.headers.items() if name.lower() in PASSED}
            connection.request("GET", "/back", headers=fields)
            body = b"front, " + connection.getresponse().read()
            connection.close()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer((address, int(port)), App)
print("listening", flush=True)
server.serve_forever()
