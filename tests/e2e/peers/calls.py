"""gRPC of Debian's grpcio: `calls.py serve ADDRESS` until it is killed; `calls.py ask ADDRESS UNARY BIDI` calls and says what it saw;
`calls.py late ADDRESS EARLY UNARY BIDI` makes EARLY calls first, of which it says nothing, and waits for SIGUSR1 before the others.

The client writes a line of JSON a call: path, status, and the sizes of the messages each way.
"""

import json
import signal
import sys
import threading
from concurrent import futures

import grpc

UNARY, BIDI = "/test.Echo/Once", "/test.Echo/Each"


class Echo(grpc.GenericRpcHandler):
    def service(self, details):
        return {
            UNARY: grpc.unary_unary_rpc_method_handler(once),
            BIDI: grpc.stream_stream_rpc_method_handler(lambda asked, context: asked),
        }.get(details.method)


def once(asked, context):
    if len(asked) % 10 == 3:
        context.abort(grpc.StatusCode.NOT_FOUND, "no such model")
    return asked * 2


def serve(address):
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=128), handlers=[Echo()])
    server.add_insecure_port(address)
    server.start()
    print("listening", flush=True)
    server.wait_for_termination()


def tell(path, status, request, response):
    print(json.dumps({"path": path, "status": status, "request": request, "response": response}), flush=True)


def unary(channel, first, count):
    call = channel.unary_unary(UNARY)
    waiting = []
    for number in range(first, first + count):
        data = b"x" * (number % 97 + 1)
        waiting.append((len(data), call.future(data, timeout=30)))
    for size, future in waiting:
        status = future.code().name
        tell(UNARY, status, [size], [len(future.result())] if status == "OK" else [])


def bidi(channel, number, go_on):
    sizes = [number % 50 + 1, 3, 20_000 if number % 100 == 0 else 7]

    def messages():
        # All are open before one ends: so many at once on one connection.
        go_on.wait(timeout=30)
        yield from (b"y" * size for size in sizes)

    answers = channel.stream_stream(BIDI)(messages(), timeout=60)
    return sizes, answers


def bidis(channel, count):
    go_on = threading.Event()
    running = [bidi(channel, number, go_on) for number in range(count)]
    go_on.set()
    for sizes, answers in running:
        received = [len(answer) for answer in answers]
        tell(BIDI, answers.code().name, sizes, received)


def ask(address, unaries, bidi_count):
    with grpc.insecure_channel(address) as channel:
        unary(channel, 0, int(unaries))
        bidis(channel, int(bidi_count))


def late(address, early, unaries, bidi_count):
    go_on = threading.Event()
    signal.signal(signal.SIGUSR1, lambda *_: go_on.set())
    with grpc.insecure_channel(address) as channel:
        for number in range(int(early)):
            try:
                channel.unary_unary(UNARY)(b"x" * (number + 1), timeout=30)
            except grpc.RpcError:
                pass
        print("early calls are over", flush=True)
        while not go_on.wait(timeout=0.05):
            pass
        unary(channel, 0, int(unaries))
        bidis(channel, int(bidi_count))


{"serve": serve, "ask": ask, "late": late}[sys.argv[1]](*sys.argv[2:])
