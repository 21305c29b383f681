// What Node's HTTP server sends in the recorded conversations. `node server.js PORT`, `node server.js PORT CASE` asks.
'use strict';

const crypto = require('node:crypto');
const http = require('node:http');

const port = Number(process.argv[2]);
const later = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function collect(stream) {
  const pieces = [];
  for await (const piece of stream) pieces.push(piece);
  return Buffer.concat(pieces);
}

const routes = {
  async chunked(request, response) {
    response.writeHead(200, { 'Content-Type': 'text/plain' });
    for (const line of ['one\n', 'two, a little longer\n', '\u00fcber\n']) {
      response.write(line);
      await later(5);
    }
    response.end('last\n');
  },
  async echo(request, response) {
    const body = await collect(request);
    const digest = crypto.createHash('sha256').update(body).digest('hex');
    response.setHeader('Content-Type', 'application/json');
    response.end(JSON.stringify({ bytes: body.length, sha256: digest, trailers: request.trailers }));
  },
  async trailers(request, response) {
    await collect(request);
    response.writeHead(200, { Trailer: 'X-Checksum', 'Transfer-Encoding': 'chunked' });
    response.write('the body\n');
    response.addTrailers({ 'X-Checksum': 'd41d8cd9' });
    response.end();
  },
  async events(request, response) {
    response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
    for (const token of ['The', ' iris', ' is', ' blue']) {
      response.write(`event: token\ndata: ${JSON.stringify({ text: token })}\n\n`);
      await later(5);
    }
    response.end('data: [DONE]\n\n');
  },
  async hints(request, response) {
    response.writeEarlyHints({ link: '</style.css>; rel=preload; as=style' });
    await later(5);
    response.end('after the hints\n');
  },
};

function serve() {
  const server = http.createServer((request, response) => {
    const route = routes[new URL(request.url, 'http://x').pathname.slice(1)];
    if (route) return route(request, response);
    response.writeHead(404, { 'Content-Type': 'text/plain' });
    response.end('no such thing\n');
  });
  server.on('upgrade', (request, socket) => {
    // RFC 6455 section 1.3.
    const guid = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
    const accept = crypto.createHash('sha1').update(request.headers['sec-websocket-key'] + guid).digest('base64');
    const head = ['HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade'];
    socket.write([...head, `Sec-WebSocket-Accept: ${accept}`, '', ''].join('\r\n'));
    socket.on('data', () => socket.end(Buffer.from([0x81, 0x05, ...Buffer.from('hello'), 0x88, 0x00])));
  });
  server.listen(port, '::');
}

function get(options, use) {
  return new Promise((resolve, reject) => {
    const request = http.request({ port, host: '127.0.0.1', agent: false, ...options });
    request.on('error', reject);
    request.on('response', (response) => collect(response).then(resolve));
    use(request, resolve);
  });
}

const asks = {
  trailers: () =>
    get({ path: '/trailers', method: 'POST', headers: { Trailer: 'X-Sum', 'Transfer-Encoding': 'chunked' } }, (request) => {
      request.write('some ');
      request.write('content');
      request.addTrailers({ 'X-Sum': '42' });
      request.end();
    }),
  websocket: () =>
    get(
      {
        path: '/chat?room=1',
        headers: {
          Connection: 'Upgrade',
          Upgrade: 'websocket',
          'Sec-WebSocket-Version': '13',
          'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
        },
      },
      (request, resolve) => {
        request.on('upgrade', (response, socket) => {
          socket.on('data', () => {});
          socket.on('close', resolve);
          // A masked text frame, "hi".
          socket.write(Buffer.from([0x81, 0x82, 1, 2, 3, 4, 0x68 ^ 1, 0x69 ^ 2]));
        });
        request.end();
      },
    ),
};

if (process.argv[3]) asks[process.argv[3]]();
else serve();
