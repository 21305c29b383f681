"""WebSocket: aiohttp and websockets against each other and themselves, and Node over HTTP/2 (extended CONNECT, by hand)."""

import asyncio
import threading

import aiohttp
import websockets
from aiohttp import web

from .bed import Case, message, wait_for

AIOHTTP, WEBSOCKETS = 8401, 8402


async def echo_aiohttp(request):
    # Compresses if the client offers it.
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for came in socket:
        if came.type == aiohttp.WSMsgType.TEXT:
            await socket.send_str(came.data)
        elif came.type == aiohttp.WSMsgType.BINARY:
            await socket.send_bytes(came.data)
    return socket


async def echo_websockets(socket):
    async for came in socket:
        await socket.send(came)


TEXTS = ["hello", "\u00fcbel", "word " * 400, "", "word " * 400]
BINARY = bytes(range(256)) * 3


def entry(path, request, response):
    return {
        "protocol": "websocket", "method": "GET", "path": path, "status": 101,
        "request": {"messages": request}, "response": {"messages": response},
    }


def close(code, reason=""):
    return {"kind": "close", "size": 2 + len(reason)}


def by_aiohttp(port, path, compress):
    """Its client answers the close by itself, with the same code."""

    async def run():
        sent, received = [], []
        async with aiohttp.ClientSession() as session:
            async with session.ws_connect(f"http://127.0.0.1:{port}{path}", compress=compress) as socket:
                for text in TEXTS:
                    sent.append(message(text, kind="text"))
                    await socket.send_str(text)
                    received.append(message((await socket.receive()).data, kind="text"))
                sent.append(message(BINARY, kind="binary"))
                await socket.send_bytes(BINARY)
                received.append(message((await socket.receive()).data, kind="binary"))
                sent.append({"kind": "ping", "size": 4, "text": "beat"})
                await socket.ping(b"beat")
                received.append({"kind": "pong", "size": 4, "text": "beat"})
                await asyncio.sleep(0.1)
        sent.append(close(1000))
        received.append(close(1000))
        return [entry(path, sent, received)]

    return lambda: asyncio.run(run())


def by_websockets(port, path, compression):
    async def run():
        sent, received = [], []
        async with websockets.connect(f"ws://127.0.0.1:{port}{path}", compression=compression) as socket:
            for text in TEXTS:
                sent.append(message(text, kind="text"))
                await socket.send(text)
                received.append(message(await socket.recv(), kind="text"))
            # In fragments, with a ping between messages.
            pieces = ["one ", "two ", "", "three"]
            sent.append(message("".join(pieces), kind="text"))
            await socket.send(pieces)
            received.append(message(await socket.recv(), kind="text"))
            sent.append({"kind": "ping", "size": 1, "text": "p"})
            await (await socket.ping("p"))
            received.append({"kind": "pong", "size": 1, "text": "p"})
            await socket.close(1001, "going away")
        sent.append(close(1001, "going away"))
        received.append(close(1001, "going away"))
        return [entry(path, sent, received)]

    return lambda: asyncio.run(run())


CASES = {
    "aiohttp": Case(AIOHTTP, by_aiohttp(AIOHTTP, "/echo", 0)),
    "aiohttp_deflate": Case(AIOHTTP, by_aiohttp(AIOHTTP, "/echo?deflate", 15)),
    "websockets_deflate": Case(WEBSOCKETS, by_websockets(WEBSOCKETS, "/echo", "deflate")),
    "websockets": Case(WEBSOCKETS, by_websockets(WEBSOCKETS, "/plain", None)),
}


async def serve():
    application = web.Application()
    application.router.add_get("/echo", echo_aiohttp)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", AIOHTTP).start()
    async with websockets.serve(echo_websockets, "127.0.0.1", WEBSOCKETS):
        await asyncio.Future()


def start_servers(_):
    threading.Thread(target=lambda: asyncio.run(serve()), daemon=True).start()
    for port in [AIOHTTP, WEBSOCKETS]:
        wait_for(port)
    return []
