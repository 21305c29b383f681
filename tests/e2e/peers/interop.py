"""gRPC of Debian's grpcio, call by call: `interop.py serve ADDRESS` until it is killed; `interop.py ask ADDRESS` makes each kind of
call, and says `ok CALL`, or `failed CALL: why`. The calls are those of gRPC's own interoperability tests, and some more.
"""

import sys
import threading
import time
from concurrent import futures

import grpc

SERVICE = "/test.Interop/"
NO_LIMIT = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
MIB = 1 << 20
GIVEN_UP = threading.Event()


def echo(asked, context):
    return asked


def gathered(asked, context):
    return str([len(message) for message in asked]).encode()


def many(asked, context):
    for number in range(int(asked)):
        yield bytes([number % 256]) * (number * 1000)


def each(asked, context):
    for message in asked:
        yield message * 2


def metadata(asked, context):
    given = dict(context.invocation_metadata())
    context.send_initial_metadata([("x-initial", given["x-initial"])])
    context.set_trailing_metadata([("x-trailing-bin", given["x-trailing-bin"]), ("x-twice", "a"), ("x-twice", "b")])
    return asked


def status(asked, context):
    context.abort(grpc.StatusCode.DATA_LOSS, asked.decode())


def half(asked, context):
    yield b"one"
    context.abort(grpc.StatusCode.ABORTED, "after one")


def slow(asked, context):
    context.add_callback(GIVEN_UP.set)
    yield b"begun"
    GIVEN_UP.wait(30)


def given_up(asked, context):
    return b"yes" if GIVEN_UP.wait(10) else b"no"


def again(asked, context):
    GIVEN_UP.clear()
    return b""


def compressed(asked, context):
    context.set_compression(grpc.Compression.Gzip)
    return asked


HANDLERS = {
    "Echo": grpc.unary_unary_rpc_method_handler(echo),
    "Gathered": grpc.stream_unary_rpc_method_handler(gathered),
    "Many": grpc.unary_stream_rpc_method_handler(many),
    "Each": grpc.stream_stream_rpc_method_handler(each),
    "Metadata": grpc.unary_unary_rpc_method_handler(metadata),
    "Status": grpc.unary_unary_rpc_method_handler(status),
    "Half": grpc.unary_stream_rpc_method_handler(half),
    "Slow": grpc.unary_stream_rpc_method_handler(slow),
    "GivenUp": grpc.unary_unary_rpc_method_handler(given_up),
    "Again": grpc.unary_unary_rpc_method_handler(again),
    "Compressed": grpc.unary_unary_rpc_method_handler(compressed),
    # Denied by policy: it does not come here.
    "Secret": grpc.unary_unary_rpc_method_handler(echo),
}


class Handler(grpc.GenericRpcHandler):
    def service(self, details):
        return HANDLERS.get(details.method.removeprefix(SERVICE))


def serve(address):
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16), handlers=[Handler()], options=NO_LIMIT)
    server.add_insecure_port(address)
    server.start()
    print("listening", flush=True)
    server.wait_for_termination()


class Calls:
    def __init__(self, channel):
        self.channel = channel

    def unary(self, name, data=b"", **more):
        return self.channel.unary_unary(SERVICE + name)(data, timeout=20, **more)

    def refused(self, name, data=b"", timeout=20):
        try:
            self.channel.unary_unary(SERVICE + name)(data, timeout=timeout)
        except grpc.RpcError as error:
            return error.code().name, error.details()
        return "OK", ""

    def empty_unary(self):
        assert self.unary("Echo") == b""

    def unary_of_any_bytes(self):
        assert self.unary("Echo", bytes(range(256))) == bytes(range(256))

    def large_unary(self):
        for size in (MIB, 8 * MIB):
            data = bytes(range(251)) * (size // 251)
            assert self.unary("Echo", data) == data

    def client_streaming(self):
        sizes = [27182, 8, 0, 1828, 45904, MIB]
        ask = self.channel.stream_unary(SERVICE + "Gathered")
        assert ask((b"x" * size for size in sizes), timeout=20) == str(sizes).encode()
        assert ask(iter([]), timeout=20) == b"[]"

    def server_streaming(self):
        ask = self.channel.unary_stream(SERVICE + "Many")
        assert [len(message) for message in ask(b"40", timeout=20)] == [number * 1000 for number in range(40)]
        assert list(ask(b"0", timeout=20)) == []

    def ping_pong(self):
        # Each answer before the next question.
        answered = threading.Semaphore(1)

        def asked():
            for size in (31415, 9, 0, 2653, 58979):
                assert answered.acquire(timeout=20)
                yield b"x" * size

        sizes = []
        for message in self.channel.stream_stream(SERVICE + "Each")(asked(), timeout=20):
            sizes.append(len(message))
            answered.release()
        assert sizes == [62830, 18, 0, 5306, 117958], sizes

    def empty_stream(self):
        assert list(self.channel.stream_stream(SERVICE + "Each")(iter([]), timeout=20)) == []

    def custom_metadata(self):
        given = [("x-initial", "first of all"), ("x-trailing-bin", b"\x00\x0a\xff")]
        answer, call = self.channel.unary_unary(SERVICE + "Metadata").with_call(b"x", timeout=20, metadata=given)
        assert ("x-initial", "first of all") in call.initial_metadata()
        trailing = [pair for pair in call.trailing_metadata() if pair[0].startswith("x-")]
        assert trailing == [("x-trailing-bin", b"\x00\x0a\xff"), ("x-twice", "a"), ("x-twice", "b")], trailing

    def status_and_message(self):
        assert self.refused("Status", b"lost") == ("DATA_LOSS", "lost")

    def special_message(self):
        text = "\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \U0001f608\t\n % 100%"
        assert self.refused("Status", text.encode()) == ("DATA_LOSS", text)

    def status_after_messages(self):
        call = self.channel.unary_stream(SERVICE + "Half")(b"", timeout=20)
        assert next(call) == b"one"
        try:
            next(call)
            raise AssertionError("it went on")
        except grpc.RpcError as error:
            assert (error.code().name, error.details()) == ("ABORTED", "after one")

    def unimplemented_method(self):
        assert self.refused("Nothing")[0] == "UNIMPLEMENTED"

    def unimplemented_service(self):
        try:
            self.channel.unary_unary("/test.Nobody/Nothing")(b"", timeout=20)
            raise AssertionError("it is implemented")
        except grpc.RpcError as error:
            assert error.code().name == "UNIMPLEMENTED"

    def timeout_on_sleeping_server(self):
        self.unary("Again")
        try:
            list(self.channel.unary_stream(SERVICE + "Slow")(b"", timeout=0.5))
            raise AssertionError("it ended in time")
        except grpc.RpcError as error:
            assert error.code().name == "DEADLINE_EXCEEDED", error
        # The server knows, too.
        assert self.unary("GivenUp") == b"yes"

    def cancel_after_begin(self):
        call = self.channel.stream_unary(SERVICE + "Gathered").future(iter(lambda: time.sleep(30), None), timeout=20)
        call.cancel()
        assert call.code().name == "CANCELLED"

    def cancel_after_first_response(self):
        self.unary("Again")
        call = self.channel.unary_stream(SERVICE + "Slow")(b"", timeout=20)
        assert next(call) == b"begun"
        call.cancel()
        assert self.unary("GivenUp") == b"yes"
        assert call.code().name == "CANCELLED"

    def compressed_unary(self):
        data = b"again and " * 20_000
        assert self.unary("Compressed", data, compression=grpc.Compression.Gzip) == data
        assert self.unary("Echo", data, compression=grpc.Compression.Deflate) == data

    def compressed_streaming(self):
        ask = self.channel.stream_stream(SERVICE + "Each")
        answers = ask(iter([b"ab" * 1000] * 3), timeout=20, compression=grpc.Compression.Gzip)
        assert list(answers) == [b"ab" * 2000] * 3

    def denied_by_policy(self):
        assert self.refused("Secret", b"x") == ("PERMISSION_DENIED", "nicht f\u00fcr dich")

    def many_calls_at_once(self):
        ask = self.channel.unary_unary(SERVICE + "Echo")
        waiting = [ask.future(str(number).encode(), timeout=20) for number in range(500)]
        assert [int(call.result()) for call in waiting] == list(range(500))


def ask(address):
    with grpc.insecure_channel(address, options=NO_LIMIT) as channel:
        calls = Calls(channel)
        names = [name for name in vars(Calls) if not name.startswith("_") and name not in ("unary", "refused")]
        for name in names:
            try:
                getattr(calls, name)()
                print("ok", name, flush=True)
            except Exception as error:
                print(f"failed {name}: {error!r}", flush=True)


{"serve": serve, "ask": ask}[sys.argv[1]](*sys.argv[2:])
