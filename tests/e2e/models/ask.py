"""Real clients of model servers: `ask.py WHAT ADDRESS` asks, and writes a line of JSON for each request: what it says it sent and got."""

import json
import sys
import time
import urllib.request

ROWS = [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]


def tell(**what):
    print(json.dumps(what), flush=True)


def tensors(result):
    """Names, types and shapes of a tritonclient's outputs, which both its protocols tell as a dict."""
    return [{"name": one["name"], "datatype": one["datatype"], "shape": [int(size) for size in one["shape"]]} for one in result]


def rest(address):
    """OIP's REST with JSON."""
    import tritonclient.http as triton

    infer(triton, f"{address}:8080", "json", lambda one: one.get_response(), {"binary_data": False})


def binary(address):
    """OIP's REST with binary tensors."""
    import tritonclient.http as triton

    infer(triton, f"{address}:8080", "binary", lambda one: one.get_response(), {"binary_data": True})


def grpc(address):
    """OIP's gRPC."""
    import tritonclient.grpc as triton

    infer(triton, f"{address}:8081", "grpc", lambda one: one.get_response(as_json=True), {})


def infer(triton, address, kind, response, how):
    import numpy

    client = triton.InferenceServerClient(address)
    for rows in (ROWS[:1], ROWS):
        sent = triton.InferInput("x", [len(rows), 4], "FP64")
        sent.set_data_from_numpy(numpy.array(rows), **how)
        wanted = [triton.InferRequestedOutput("predict", **how)]
        result = client.infer("iris", [sent], model_version="v3", outputs=wanted, request_id=f"{kind}-{len(rows)}")
        got = response(result)
        tell(
            kind=kind,
            model=got["model_name"],
            version=got["model_version"],
            inputs=[{"name": "x", "datatype": "FP64", "shape": [len(rows), 4]}],
            outputs=tensors(got["outputs"]),
            batch=len(rows),
        )


def shifted(address):
    """Two hundred flowers whose petals have grown, and whose sepals are as ever."""
    import numpy
    import tritonclient.http as triton
    from sklearn.datasets import load_iris

    rows = load_iris().data[numpy.random.default_rng(1).integers(0, 150, 200)]
    client = triton.InferenceServerClient(f"{address}:8080")
    for row in rows:
        sent = triton.InferInput("x", [1, 4], "FP64")
        sent.set_data_from_numpy(numpy.array([row + [0, 0, 2, 0]]), binary_data=False)
        client.infer("iris", [sent], outputs=[triton.InferRequestedOutput("predict", binary_data=False)])
    tell(kind="shifted", count=len(rows))


def openai(address):
    """An answer at once, a stream, a tool, a stream that fails."""
    client = connect(address)
    asked = [{"role": "user", "content": "What colour is the sky?"}]
    tools = [{"type": "function", "function": {"name": "weather", "description": "The weather", "parameters": {"type": "object"}}}]
    whole = client.chat.completions.create(model="words", messages=asked)
    tell(
        kind="whole",
        answer=whole.choices[0].message.content,
        finish=whole.choices[0].finish_reason,
        input=whole.usage.prompt_tokens,
        output=whole.usage.completion_tokens,
    )
    # Not the first: that one waits for the client to get ready, too.
    for _ in range(3):
        stream(client, "stream", asked, stream_options={"include_usage": True})
    called = client.chat.completions.create(model="words", messages=asked, tools=tools)
    calls = called.choices[0].message.tool_calls or []
    tell(kind="tool", tools=[{"id": one.id, "name": one.function.name, "arguments": one.function.arguments} for one in calls])
    stream(client, "error", [{"role": "user", "content": "Please fail"}])


def connect(address):
    from openai import OpenAI

    return OpenAI(base_url=f"http://{address}:8080/v1", api_key="sk-test", max_retries=0, timeout=30)


def stream(client, kind, messages, **more):
    begun, times, words, finish, usage, error = time.monotonic(), [], [], None, None, None
    try:
        for event in client.chat.completions.create(model="words", messages=messages, stream=True, **more):
            for choice in event.choices:
                if choice.delta.content:
                    times.append(time.monotonic())
                    words.append(choice.delta.content)
                finish = choice.finish_reason or finish
            usage = event.usage or usage
    except Exception as caught:
        error = str(caught)
    gaps = [after - before for before, after in zip(times, times[1:])]
    tell(
        kind=kind,
        answer="".join(words),
        chunks=len(words),
        finish=finish,
        input=usage and usage.prompt_tokens,
        output=usage and usage.completion_tokens,
        first=times[0] - begun if times else None,
        gap=sorted(gaps)[len(gaps) // 2] if gaps else None,
        error=error,
    )


def personal(address):
    """An e-mail address and a number of a card in a prompt."""
    text = "My card 4111 1111 1111 1111, mail jane.roe@example.org"
    client = connect(address)
    # The policy looks at a tenth of the tenants.
    for tenant in range(100):
        answer = client.chat.completions.create(
            model="words",
            messages=[{"role": "user", "content": text}],
            tools=[{"type": "function", "function": {"name": "weather", "description": "The weather", "parameters": {"type": "object"}}}],
            extra_headers={"x-tenant": f"tenant-{tenant}"},
        )
    tell(kind="personal", answered=answer.choices[0].finish_reason)


def gone(address):
    """Reads three words of a long answer and goes away."""
    words = 0
    client = connect(address)
    with client.chat.completions.create(
        model="words", messages=[{"role": "user", "content": "Answer at length"}], stream=True
    ) as answer:
        for event in answer:
            words += bool(event.choices and event.choices[0].delta.content)
            if words == 3:
                break
    client.close()
    tell(kind="gone", words=words)


def predict(address):
    """litserve's own API."""
    tell(kind="predict", **post(f"http://{address}:8080/predict", {"input": 4.0}))


def kserve(address):
    """KServe's version 1."""
    tell(kind="kserve", **post(f"http://{address}:8080/v1/models/sums:predict", {"instances": [[1, 2], [3, 4], [5, 6]]}))


def post(url, sent):
    asked = urllib.request.Request(url, json.dumps(sent).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(asked, timeout=30) as answer:
        return {"status": answer.status, "answer": json.load(answer)}


if __name__ == "__main__":
    globals()[sys.argv[1]](sys.argv[2])
