"""Server-sent events, lines of JSON and multipart: aiohttp, also behind nginx that compresses, asked by aiohttp and curl."""

import asyncio
import json
import threading

import aiohttp
from aiohttp import web

from .bed import Case, start, wait_for

AIOHTTP, NGINX = 8301, 8302

NGINX_CONF = """
daemon off; worker_processes 1; pid {root}/nginx.pid; error_log {root}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off; client_body_temp_path {root}/body; proxy_temp_path {root}/proxy;
  fastcgi_temp_path {root}/fastcgi; uwsgi_temp_path {root}/uwsgi; scgi_temp_path {root}/scgi;
  gzip on; gzip_min_length 0; gzip_proxied any; gzip_types text/event-stream application/x-ndjson;
  server {{
    listen {port};
    location / {{ proxy_pass http://127.0.0.1:{upstream}; proxy_buffering off; proxy_http_version 1.1; }}
  }}
}}
"""
TOKENS = [f'event: token\ndata: {{"text": "{word}"}}\n\n' for word in ["The", " iris", " is", " blue"]]
ODD = [
    "\ufeffdata: after a mark\n\n",
    ": a comment\r\ndata: one\r\ndata: two\r\n\r\n",
    "id: 7\rdata:none\r\r",
    "data: " + "long " * 500 + "\n\n",
    "data: [DONE]\n\n",
]
STREAMS = {"/tokens": TOKENS, "/odd": ODD, "/split": TOKENS}


async def events(request):
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    if coding := request.query.get("coding"):
        response.enable_compression(web.ContentCoding[coding])
    await response.prepare(request)
    for written in STREAMS[request.path]:
        data = written.encode()
        # In the middle of lines, of line ends and of characters.
        pieces = [data[at : at + 3] for at in range(0, len(data), 3)] if request.path == "/split" else [data]
        for piece in pieces:
            await response.write(piece)
        await asyncio.sleep(0.01)
    await response.write_eof()
    return response


async def lines(request):
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    await response.prepare(request)
    for number in range(5):
        await response.write(json.dumps({"number": number}).encode() + b"\n")
        await asyncio.sleep(0.005)
    await response.write_eof()
    return response


async def form(request):
    parts = []
    async for part in await request.multipart():
        parts.append((await part.read()).decode())
    return web.json_response(parts)


def event_log(path):
    """What aiohttp's server wrote, an event each; its client has checked that this is what came."""
    messages = [{"size": len(written.encode()), "text": written} for written in STREAMS[path.split("?")[0]]]
    return {"method": "GET", "path": path, "status": 200, "response": {"messages": messages}}


def asked(port, *paths):
    async def run():
        async with aiohttp.ClientSession(headers={"Accept-Encoding": "gzip, deflate"}) as session:
            log = []
            for path in paths:
                async with session.get(f"http://127.0.0.1:{port}{path}") as response:
                    body = await response.text()
                if body != "".join(STREAMS[path.split("?")[0]]):
                    raise SystemExit(f"the peers do not understand each other: {body!r}")
                log.append(event_log(path))
            return log

    return lambda: asyncio.run(run())


def asked_for_lines():
    async def run():
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{AIOHTTP}/lines") as response:
                read = [line.decode().strip() async for line in response.content]
        return [{"method": "GET", "path": "/lines", "status": 200, "response": {"messages": [{"text": line} for line in read]}}]

    return asyncio.run(run())


def asked_with_parts():
    parts = {"model": "iris", "file": "0123 " * 160, "note": "a\r\n--b\r\n"}

    async def run():
        data = aiohttp.FormData()
        for name, value in parts.items():
            data.add_field(name, value, **({"filename": "x.bin"} if name == "file" else {}))
        async with aiohttp.ClientSession() as session:
            async with session.post(f"http://127.0.0.1:{AIOHTTP}/form", data=data) as response:
                read = await response.json()
        # Each with its head before it, which is not logged.
        log = [{"ends": text} for text in read]
        return [{"method": "POST", "path": "/form", "status": 200, "request": {"messages": log}}]

    return asyncio.run(run())


CASES = {
    "plain": Case(AIOHTTP, asked(AIOHTTP, "/tokens", "/odd")),
    "split": Case(AIOHTTP, asked(AIOHTTP, "/split")),
    "gzip": Case(AIOHTTP, asked(AIOHTTP, "/tokens?coding=gzip", "/odd?coding=gzip", "/split?coding=gzip")),
    "deflate": Case(AIOHTTP, asked(AIOHTTP, "/odd?coding=deflate")),
    "nginx_gzip": Case(NGINX, asked(NGINX, "/tokens", "/odd", "/split")),
    "ndjson": Case(AIOHTTP, asked_for_lines),
    "multipart": Case(AIOHTTP, asked_with_parts),
}


async def serve():
    application = web.Application()
    for path in STREAMS:
        application.router.add_get(path, events)
    application.router.add_get("/lines", lines)
    application.router.add_post("/form", form)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", AIOHTTP).start()
    await asyncio.Future()


def start_servers(root):
    threading.Thread(target=lambda: asyncio.run(serve()), daemon=True).start()
    root.chmod(0o755)
    conf = root / "nginx.conf"
    conf.write_text(NGINX_CONF.format(root=root, port=NGINX, upstream=AIOHTTP))
    servers = start(["nginx", "-c", conf, "-e", root / "error.log"])
    for port in [AIOHTTP, NGINX]:
        wait_for(port)
    return servers
