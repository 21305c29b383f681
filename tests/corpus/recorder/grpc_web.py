"""gRPC-Web, by hand: requests of http.client and curl, answers of sockets and of the h2 library."""

import base64
import http.client
import struct

import h2.config
import h2.connection
import h2.events

from .bed import Case, listen

HTTP1, HTTP2 = 8111, 8112
PATH = "/inference.GRPCInferenceService/"
# A field of number 1, a string.
ASKED = b"\x0a\x04iris"
ANSWERS = [b"\x0a\x04iris\x1a\x011", b"\x0a\x04iris\x1a\x012"]
TRAILERS = b"grpc-status:0\r\ngrpc-message:all%20well\r\n"


def framed(data, flags=0):
    return struct.pack(">BI", flags, len(data)) + data


def answer(text):
    whole = [framed(data) for data in ANSWERS] + [framed(TRAILERS, 0x80)]
    # Each piece of text is padded by itself, as proxies do.
    return [base64.b64encode(piece) for piece in whole] if text else whole


def entry(method):
    sizes = [{"size": len(data)} for data in ANSWERS]
    return {
        "method": "POST", "path": PATH + method, "status": 200, "grpc_status": "OK", "grpc_message": "all well",
        "request": {"messages": [{"size": len(ASKED)}]}, "response": {"messages": sizes},
    }


def serve_http1(connection):
    stream = connection.makefile("rb")
    while line := stream.readline():
        length, kind = 0, "application/grpc-web+proto"
        while (field := stream.readline().strip()):
            name, value = field.decode().split(": ", 1)
            length = int(value) if name.lower() == "content-length" else length
            kind = value if name.lower() == "content-type" else kind
        stream.read(length)
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head.encode())
        for piece in answer("text" in kind):
            # Chunks and messages have nothing to do with each other.
            for part in (piece[:3], piece[3:]):
                connection.sendall(f"{len(part):x}\r\n".encode() + part + b"\r\n")
        connection.sendall(b"0\r\n\r\n")


def serve_http2(socket):
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
    connection.initiate_connection()
    socket.sendall(connection.data_to_send())
    kinds = {}
    while data := socket.recv(65536):
        for event in connection.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                kinds[event.stream_id] = dict(event.headers)["content-type"]
            if isinstance(event, h2.events.StreamEnded):
                kind = kinds[event.stream_id]
                connection.send_headers(event.stream_id, [(":status", "200"), ("content-type", kind)])
                for piece in answer("text" in kind):
                    connection.send_data(event.stream_id, piece[:4])
                    connection.send_data(event.stream_id, piece[4:])
                connection.end_stream(event.stream_id)
        socket.sendall(connection.data_to_send())


KINDS = {"Binary": "application/grpc-web+proto", "Text": "application/grpc-web-text", "Again": "application/grpc-web"}


def asked(kind):
    return base64.b64encode(framed(ASKED)) if "text" in kind else framed(ASKED)


def over_http1():
    connection = http.client.HTTPConnection("127.0.0.1", HTTP1)
    for method, kind in KINDS.items():
        connection.request("POST", PATH + method, asked(kind), {"Content-Type": kind, "X-Grpc-Web": "1"})
        if connection.getresponse().read() != b"".join(answer("text" in kind)):
            raise SystemExit("the peers do not understand each other")
    connection.close()
    return [entry(method) for method in KINDS]


def over_http2():
    import socket

    connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    connection.initiate_connection()
    with socket.create_connection(("127.0.0.1", HTTP2)) as peer:
        for method, kind in KINDS.items():
            stream = connection.get_next_available_stream_id()
            head = {":method": "POST", ":scheme": "http", ":authority": "web", ":path": PATH + method, "content-type": kind}
            connection.send_headers(stream, list(head.items()))
            connection.send_data(stream, asked(kind), end_stream=True)
        peer.sendall(connection.data_to_send())
        ended = 0
        while ended < len(KINDS):
            for event in connection.receive_data(peer.recv(65536)):
                ended += isinstance(event, h2.events.StreamEnded)
            peer.sendall(connection.data_to_send())
    return [entry(method) for method in KINDS]


CASES = {"web_http1": Case(HTTP1, over_http1), "web_http2": Case(HTTP2, over_http2)}


def start_servers(_):
    listen(HTTP1, serve_http1)
    listen(HTTP2, serve_http2)
    return []
