"""Server-sent events, compressed and flushed one by one: `events.py ADDRESS PORT`. Each event tells when it was sent."""

import http.server
import sys
import time
import zlib

EVENTS = 10


class Events(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        gzip = zlib.compressobj(wbits=31)
        for number in range(EVENTS):
            event = b"id: %d\ndata: %d\n\n" % (number, time.time_ns())
            self.chunk(gzip.compress(event) + gzip.flush(zlib.Z_SYNC_FLUSH))
            time.sleep(0.05)
        self.chunk(gzip.flush())
        self.chunk(b"")

    def chunk(self, content):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))
        self.wfile.flush()

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Events)
print("listening", flush=True)
server.serve_forever()
