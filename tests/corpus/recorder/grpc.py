"""gRPC: grpcio against itself, tonic and Go's library against themselves, and gRPC-Web by hand (h2, http.client)."""

import subprocess
import sys
import threading
import time

import grpc
from concurrent import futures
from google.protobuf import any_pb2, json_format
from google.rpc import error_details_pb2, status_pb2

from . import grpc_web
from .bed import PEERS, PROJECT, TARGET, Case, build_go, foreign

GRPCIO, GO, TONIC = 8101, 8102, 8103
SERVICE = "/inference.GRPCInferenceService/"
types = None


def compiled(root):
    """The project's own definition, compiled by Google's compiler."""
    protos = PROJECT / "interceptor-user/proto"
    files = ["inference/service.proto", "inference/model_config.proto"]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", f"-I{protos}", f"--python_out={root}", *files], check=True)
    sys.path.insert(0, str(root))
    from inference import service_pb2

    return service_pb2


def seen(message, known):
    """Fields have names where the method is in the definition."""
    size = message.ByteSize()
    return {"size": size, "json": json_format.MessageToDict(message)} if known else {"size": size}


class Call:
    """A call as its client sees it."""

    def __init__(self, log, method, compression=None):
        self.log = {"method": "POST", "path": SERVICE + method, "status": 200, "request": {"messages": []}, "response": {"messages": []}}
        self.compression = compression
        self.known = method.startswith("Model")
        log.append(self.log)

    def sent(self, message):
        entry = seen(message, self.known)
        if self.compression:
            entry["compression"] = self.compression
        self.log["request"]["messages"].append(entry)
        return message

    def received(self, message):
        self.log["response"]["messages"].append(seen(message, self.known))
        return message

    def over(self, call):
        self.log["grpc_status"] = call.code().name
        if call.details():
            self.log["grpc_message"] = call.details()
        for key, value in call.trailing_metadata() or ():
            if key == "grpc-status-details-bin":
                details = status_pb2.Status.FromString(value).details
                self.log["grpc_details"] = [json_format.MessageToDict(detail) for detail in details]

    def aborted(self, code):
        """By the client: it has a status, but the wire does not carry it."""
        for unknown in ["grpc_status", "grpc_message"]:
            self.log.pop(unknown, None)
        if not self.log["response"]["messages"]:
            del self.log["status"]
        self.log["abort"] = {"by": "client", "code": code}


def request(number, size=0):
    values = [number / 2, -1.5]
    tensor = types.ModelInferRequest.InferInputTensor(name="x", datatype="FP32", shape=[1, 2])
    tensor.contents.fp32_contents.extend(values)
    raw = [bytes(range(256)) * (size // 256)] if size else []
    return types.ModelInferRequest(model_name="iris", id=str(number), inputs=[tensor], raw_input_contents=raw)


class Servicer:
    """A model server; what it does is in the model's name."""

    def infer(self, asked, context):
        if asked.model_name == "slow":
            time.sleep(1)
        if asked.model_name == "broken":
            context.abort(grpc.StatusCode.INTERNAL, "the model is broken: 100% \u00fcbel")
        if asked.model_name == "unknown":
            detail = any_pb2.Any()
            detail.Pack(error_details_pb2.ErrorInfo(reason="NO_MODEL", domain="iris", metadata={"id": asked.id}))
            status = status_pb2.Status(code=5, message="no such model", details=[detail])
            context.set_trailing_metadata([("grpc-status-details-bin", status.SerializeToString())])
            context.abort(grpc.StatusCode.NOT_FOUND, "no such model")
        if asked.model_name == "packed":
            context.set_compression(grpc.Compression.Gzip)
        return self.answer(asked)

    def answer(self, asked):
        output = types.ModelInferResponse.InferOutputTensor(name="y", datatype="INT64", shape=[1])
        output.contents.int64_contents.append(int(asked.id))
        return types.ModelInferResponse(model_name=asked.model_name, id=asked.id, outputs=[output], raw_output_contents=asked.raw_input_contents)

    def stream(self, asked, context):
        for one in asked:
            yield types.ModelStreamInferResponse(infer_response=self.answer(one))
            if one.model_name == "broken":
                context.abort(grpc.StatusCode.ABORTED, "in the middle")

    def service(self, details):
        if not details.method.startswith(SERVICE):
            return None
        kind, handler = {
            "ModelInfer": (types.ModelInferRequest, grpc.unary_unary_rpc_method_handler(self.infer)),
            "ModelStreamInfer": (types.ModelInferRequest, grpc.stream_stream_rpc_method_handler(self.stream)),
            "Many": (types.ModelInferRequest, grpc.unary_stream_rpc_method_handler(lambda one, context: (self.answer(one) for _ in range(5)))),
            "Last": (types.ModelInferRequest, grpc.stream_unary_rpc_method_handler(lambda all, context: self.answer(list(all)[-1]))),
        }.get(details.method.removeprefix(SERVICE), (None, None))
        if handler is None:
            return None
        return handler._replace(request_deserializer=kind.FromString, response_serializer=lambda message: message.SerializeToString())


class Handlers(grpc.GenericRpcHandler):
    def service(self, details):
        return Servicer().service(details)


def server():
    pool = futures.ThreadPoolExecutor(max_workers=32)
    running = grpc.server(pool, handlers=[Handlers()], options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", -1)])
    running.add_insecure_port(f"127.0.0.1:{GRPCIO}")
    running.start()
    return running


def with_server(conversation, **options):
    """A server and a channel of its own for each case, so that each begins with the preface."""

    def run():
        running, log = server(), []
        channel = grpc.insecure_channel(f"127.0.0.1:{GRPCIO}", options=[("grpc.use_local_subchannel_pool", 1)], **options)
        try:
            conversation(channel, log, running)
        finally:
            channel.close()
            running.stop(None).wait()
        return log

    return run


def multi(channel, kind, method, response):
    return getattr(channel, kind)(SERVICE + method, request_serializer=lambda message: message.SerializeToString(), response_deserializer=response.FromString)


def unary(channel, log, message, compression=None, **options):
    call = Call(log, "ModelInfer", {grpc.Compression.Gzip: "gzip", grpc.Compression.Deflate: "deflate"}.get(compression))
    run = multi(channel, "unary_unary", "ModelInfer", types.ModelInferResponse)
    call.sent(message)
    try:
        answer, ended = run.with_call(message, compression=compression, timeout=options.pop("timeout", 10), **options)
        call.received(answer)
    except grpc.RpcError as error:
        ended = error
    call.over(ended)
    return call


def named(message, name):
    message.model_name = name
    return message


def unaries(channel, log, _):
    for number in range(20):
        unary(channel, log, request(number))


def concurrent(channel, log, _):
    threads = [threading.Thread(target=unary, args=[channel, log, request(number)]) for number in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def errors(channel, log, _):
    for number, name in enumerate(["unknown", "iris", "broken", "unknown"]):
        unary(channel, log, named(request(number), name))
    call = Call(log, "NoSuchMethod")
    try:
        multi(channel, "unary_unary", "NoSuchMethod", types.ModelInferResponse)(call.sent(request(9)), timeout=5)
    except grpc.RpcError as error:
        call.over(error)


def compressed(channel, log, _):
    for coding in [grpc.Compression.Gzip, grpc.Compression.Deflate, None, grpc.Compression.Gzip]:
        call = unary(channel, log, named(request(1, 1024), "packed"), compression=coding)
        for answer in call.log["response"]["messages"]:
            answer["compression"] = "gzip"


def large(channel, log, _):
    # Larger than a frame.
    for size in [20_000, 40_000, 100]:
        unary(channel, log, request(size, size))


def deadline(channel, log, _):
    unary(channel, log, request(1))
    unary(channel, log, named(request(2), "slow"), timeout=0.2).aborted("CANCEL")
    time.sleep(1.2)


def streamed(channel, log, kind, method, messages, response, stop=None):
    call = Call(log, method)
    stub = multi(channel, kind, method, response)
    given = (call.sent(message) for message in messages)
    given = next(given) if kind.startswith("unary") else given
    run = stub(given, timeout=10) if kind.endswith("stream") else None
    try:
        if run is None:
            answer, run = stub.with_call(given, timeout=10)
            call.received(answer)
        else:
            for answer in run:
                call.received(answer)
                if stop and len(call.log["response"]["messages"]) == stop:
                    run.cancel()
    except grpc.RpcError as error:
        run = error
    call.over(run)
    if stop:
        call.aborted("CANCEL")


def streams(channel, log, _):
    streamed(channel, log, "unary_stream", "Many", [request(1)], types.ModelInferResponse)
    streamed(channel, log, "stream_unary", "Last", [request(number) for number in range(6)], types.ModelInferResponse)
    streamed(channel, log, "stream_stream", "ModelStreamInfer", [request(number) for number in range(8)], types.ModelStreamInferResponse)
    broken = [request(1), named(request(2), "broken")]
    streamed(channel, log, "stream_stream", "ModelStreamInfer", broken, types.ModelStreamInferResponse)


def slowly(*messages):
    for message in messages:
        yield message
        time.sleep(0.1)
    # The client has not said all when it cancels.
    time.sleep(0.5)


def cancelled(channel, log, _):
    messages = slowly(request(1), request(2))
    streamed(channel, log, "stream_stream", "ModelStreamInfer", messages, types.ModelStreamInferResponse, stop=2)
    unary(channel, log, request(4))


def shut_down(channel, log, running):
    """GOAWAY while a call is under way: it is finished."""
    unary(channel, log, request(1))
    late = threading.Thread(target=unary, args=[channel, log, named(request(2), "slow")])
    late.start()
    time.sleep(0.3)
    running.stop(5).wait()
    late.join()


def metadata(channel, log, _):
    for number in range(4):
        unary(channel, log, request(number), metadata=[("x-request-id", f"r-{number}"), ("x-tenant", "a"), ("trace-bin", bytes([number] * 9))])


CASES = {
    "unary": Case(GRPCIO, with_server(unaries)),
    "concurrent": Case(GRPCIO, with_server(concurrent)),
    "errors": Case(GRPCIO, with_server(errors)),
    "compressed": Case(GRPCIO, with_server(compressed)),
    "large": Case(GRPCIO, with_server(large)),
    "deadline": Case(GRPCIO, with_server(deadline)),
    "streams": Case(GRPCIO, with_server(streams)),
    "cancelled": Case(GRPCIO, with_server(cancelled)),
    "shut_down": Case(GRPCIO, with_server(shut_down)),
    "metadata": Case(GRPCIO, with_server(metadata)),
    "go": Case(GO, foreign(GO, TARGET / "go", "grpc")),
    "tonic": Case(TONIC, foreign(TONIC, TARGET / "tonic/debug/corpus-tonic")),
    **grpc_web.CASES,
}


def start_servers(root):
    global types
    types = compiled(root)
    build_go()
    manifest = PEERS / "tonic/Cargo.toml"
    subprocess.run(["cargo", "build", "-q", "--manifest-path", manifest, "--target-dir", TARGET / "tonic"], check=True)
    return grpc_web.start_servers(types)
