"""What the public clients of model servers ask, and how they understand the answers: `openai`, `anthropic` and `ollama`
against a server of our own, which answers as the documentation of each API says.

Beside the exchange the log holds `inference`: what the client itself told its caller.
"""

import asyncio
import json
import threading

import anthropic
import ollama
import openai
from aiohttp import web

from .bed import Case, wait_for

PORT = 8501
QUESTION = "Which colour has the iris?"
TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {"at": {"type": "string"}}}}}]


def chunk(delta, reason=None, **more):
    choices = [{"index": 0, "delta": delta, "finish_reason": reason}]
    return {"id": "chatcmpl-7", "object": "chat.completion.chunk", "created": 1, "model": "iris-1-0", "choices": choices, **more}


def called(**function):
    return {"tool_calls": [{"index": 0, "function": function}]}


COUNTS = {"prompt_tokens": 12, "completion_tokens": 9, "total_tokens": 21, "prompt_tokens_details": {"cached_tokens": 4}}
CHAT = [
    chunk({"role": "assistant", "content": ""}),
    *[chunk({"content": text}) for text in ["It", " is", " blue", "."]],
    chunk({"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": {"name": "look", "arguments": ""}}]}),
    chunk(called(arguments='{"at":')),
    chunk(called(arguments=' "iris"}')),
    chunk({}, "tool_calls"),
    {**chunk({}), "choices": [], "usage": COUNTS},
]
MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "iris-1-0", "content": [], "stop_reason": None, "stop_sequence": None}
MESSAGE["usage"] = {"input_tokens": 5, "cache_creation_input_tokens": 3, "cache_read_input_tokens": 4, "output_tokens": 1}
MESSAGES = [
    {"type": "message_start", "message": MESSAGE},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "ping"},
    *[{"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}} for text in ["It is", " blue."]],
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '{"at":'}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '"iris"}'}},
    {"type": "content_block_stop", "index": 1},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": None}, "usage": {"output_tokens": 9}},
    {"type": "message_stop"},
]
LINES = [
    *[{"model": "iris", "message": {"role": "assistant", "content": text}, "done": False} for text in ["It is", " blue."]],
    {"model": "iris", "message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop", "total_duration": 4_000_000,
     "prompt_eval_count": 12, "eval_count": 2},
]
EMBEDDINGS = {"object": "list", "model": "iris-1-0", "usage": {"prompt_tokens": 6, "total_tokens": 6}}
EMBEDDINGS["data"] = [{"object": "embedding", "index": index, "embedding": [0.5, -0.25]} for index in range(2)]


async def stream(request, kind, written):
    response = web.StreamResponse(headers={"Content-Type": kind})
    await response.prepare(request)
    for text in written:
        # Before, not after: a client that has read the last event closes.
        await asyncio.sleep(0.005)
        await response.write(text.encode())
    await response.write_eof()
    return response


async def chat(request):
    asked = await request.json()
    if asked["model"] == "none":
        error = {"message": "The model `none` does not exist.", "type": "NotFoundError", "param": None, "code": 404}
        return web.json_response({"error": error}, status=404)
    if asked.get("stream"):
        events = [f"data: {json.dumps(event)}\n\n" for event in CHAT]
        return await stream(request, "text/event-stream", [*events, "data: [DONE]\n\n"])
    choices = [{"index": 0, "message": {"role": "assistant", "content": "It is blue."}, "finish_reason": "stop"}]
    return web.json_response({"id": "chatcmpl-8", "object": "chat.completion", "created": 1, "model": "iris-1-0", "choices": choices, "usage": COUNTS})


async def embeddings(request):
    return web.json_response(EMBEDDINGS)


async def messages(request):
    asked = await request.json()
    if asked.get("stream"):
        return await stream(request, "text/event-stream", [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in MESSAGES])
    error = {"type": "overloaded_error", "message": "Overloaded"}
    return web.json_response({"type": "error", "error": error}, status=529)


async def lines(request):
    return await stream(request, "application/x-ndjson", [json.dumps(line) + "\n" for line in LINES])


def entry(path, status=200, **inference):
    """`calls` are names and arguments of tools."""
    return {"method": "POST", "path": path, "status": status, "inference": inference}


def openai_streamed(client):
    asked = {"model": "iris", "messages": [{"role": "user", "content": QUESTION}], "tools": TOOLS, "temperature": 0.5}
    text, tools, last = "", {}, None
    for part in client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}):
        last = part
        for choice in part.choices:
            text += choice.delta.content or ""
            reason = choice.finish_reason
            for call in choice.delta.tool_calls or []:
                name, arguments = tools.get(call.index, ("", ""))
                tools[call.index] = (name + (call.function.name or ""), arguments + call.function.arguments)
    usage = [last.usage.prompt_tokens, last.usage.completion_tokens, last.usage.prompt_tokens_details.cached_tokens]
    return entry("/v1/chat/completions", model=last.model, id=last.id, text=text, calls=list(tools.values()), finish_reasons=[reason], usage=usage)


def openai_asked():
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{PORT}/v1", api_key="hunter2", max_retries=0)
    asked = {"model": "iris", "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": QUESTION}]}
    log = [openai_streamed(client)]
    whole = client.chat.completions.create(**asked)
    choice, counts = whole.choices[0], whole.usage
    usage = [counts.prompt_tokens, counts.completion_tokens, counts.prompt_tokens_details.cached_tokens]
    log.append(entry("/v1/chat/completions", model=whole.model, id=whole.id, text=choice.message.content, calls=[], finish_reasons=[choice.finish_reason], usage=usage))
    vectors = client.embeddings.create(model="iris", input=["one", "two"], encoding_format="float")
    log.append(entry("/v1/embeddings", model=vectors.model, usage=[vectors.usage.prompt_tokens, None, None], batch=len(vectors.data)))
    try:
        client.chat.completions.create(**{**asked, "model": "none"})
    except openai.NotFoundError as error:
        log.append(entry("/v1/chat/completions", status=error.status_code, error=[error.type, error.body["message"]]))
    return log


def anthropic_asked():
    client = anthropic.Anthropic(base_url=f"http://127.0.0.1:{PORT}", api_key="hunter2", max_retries=0)
    asked = {"model": "iris", "max_tokens": 64, "messages": [{"role": "user", "content": QUESTION}]}
    with client.messages.stream(**asked) as events:
        whole = events.get_final_message()
    counts = whole.usage
    text = "".join(block.text for block in whole.content if block.type == "text")
    calls = [(block.name, json.dumps(block.input, separators=(",", ":"))) for block in whole.content if block.type == "tool_use"]
    usage = [counts.input_tokens + counts.cache_creation_input_tokens + counts.cache_read_input_tokens, counts.output_tokens, counts.cache_read_input_tokens]
    log = [entry("/v1/messages", model=whole.model, id=whole.id, text=text, calls=calls, finish_reasons=[whole.stop_reason], usage=usage)]
    try:
        client.messages.create(**asked)
    except anthropic.APIStatusError as error:
        told = error.body["error"]
        log.append(entry("/v1/messages", status=error.status_code, error=[told["type"], told["message"]]))
    return log


def ollama_asked():
    text = ""
    for part in ollama.Client(f"http://127.0.0.1:{PORT}").chat("iris", [{"role": "user", "content": QUESTION}], stream=True):
        text += part.message.content
    usage = [part.prompt_eval_count, part.eval_count, None]
    return [entry("/api/chat", model=part.model, text=text, calls=[], finish_reasons=[part.done_reason], usage=usage)]


CASES = {"openai": Case(PORT, openai_asked), "anthropic": Case(PORT, anthropic_asked), "ollama": Case(PORT, ollama_asked)}


async def serve():
    application = web.Application()
    for path, handler in [("/v1/chat/completions", chat), ("/v1/embeddings", embeddings), ("/v1/messages", messages), ("/api/chat", lines)]:
        application.router.add_post(path, handler)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", PORT).start()
    await asyncio.Future()


def start_servers(root):
    threading.Thread(target=lambda: asyncio.run(serve()), daemon=True).start()
    wait_for(PORT)
    return []
