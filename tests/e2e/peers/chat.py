"""A language model that says the same to everybody, and those who ask it: `chat.py serve ADDRESS PORT`; `chat.py ask ADDRESS PORT
COUNT` asks so often, every other time for a stream, each time for another sampled trace, and says which: a line each.
"""

import http.client
import http.server
import json
import secrets
import sys

USAGE = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}


def told(kind, **more):
    return {"id": "chatcmpl-1", "object": kind, "created": 1, "model": "parrot-1", **more}


class Model(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if asked.get("stream"):
            words = [{"index": 0, "delta": {"content": word}, "finish_reason": None} for word in ("Po", "lly", ".")]
            events = [told("chat.completion.chunk", choices=[word]) for word in words]
            last = told("chat.completion.chunk", choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}], usage=USAGE)
            lines = [json.dumps(event) for event in [*events, last]] + ["[DONE]"]
            self.answer("text/event-stream", "".join(f"data: {line}\n\n" for line in lines))
        else:
            message = {"role": "assistant", "content": "Polly."}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            self.answer("application/json", json.dumps(told("chat.completion", choices=[choice], usage=USAGE)))

    def answer(self, kind, content):
        content = content.encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


def serve(address, port):
    server = http.server.ThreadingHTTPServer((address, port), Model)
    print("listening", flush=True)
    server.serve_forever()


def ask(address, port, count):
    connection = http.client.HTTPConnection(address, port, timeout=30)
    for number in range(count):
        trace, span = secrets.token_hex(16), secrets.token_hex(8)
        body = {"model": "parrot", "messages": [{"role": "user", "content": "Hello"}], "stream": number % 2 == 1}
        headers = {"Content-Type": "application/json", "traceparent": f"00-{trace}-{span}-01"}
        connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        response = connection.getresponse()
        response.read()
        assert response.status == 200, response.status
        print(trace, span, flush=True)


if sys.argv[1] == "serve":
    serve(sys.argv[2], int(sys.argv[3]))
else:
    ask(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
