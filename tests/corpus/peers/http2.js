// HTTP/2 of Node. `node http2.js PORT` serves; `node http2.js PORT CASE` asks, and writes what it saw to its output.
'use strict';

const http2 = require('node:http2');

const port = Number(process.argv[2]);
const later = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function collect(stream) {
  const pieces = [];
  for await (const piece of stream) pieces.push(piece);
  return Buffer.concat(pieces);
}

const routes = {
  async echo(stream) {
    const body = await collect(stream);
    stream.respond({ ':status': 200, 'content-type': 'text/plain' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-bytes': `${body.length}` }));
    stream.end(body);
  },
  async hints(stream) {
    stream.additionalHeaders({ ':status': 103, link: '</style.css>; rel=preload' });
    stream.additionalHeaders({ ':status': 103, link: '</more.css>; rel=preload' });
    stream.respond({ ':status': 200 });
    stream.end('after the hints\n');
  },
  async broken(stream) {
    stream.respond({ ':status': 200 });
    stream.write('half of it');
    await later(30);
    // close(code) would end the stream in order, and then reset what is over.
    stream.destroy(new Error('broken'));
  },
  async endless(stream) {
    stream.on('error', () => {});
    stream.respond({ ':status': 200 });
    for (let number = 0; number < 1000 && !stream.destroyed; number++) {
      stream.write(`line ${number}\n`);
      await later(20);
    }
  },
  async long(stream) {
    stream.respond({ ':status': 200, 'x-long': 'v'.repeat(30_000) });
    stream.end('a large field section\n');
  },
  async bye(stream) {
    stream.respond({ ':status': 200 });
    stream.write('going ');
    stream.session.close();
    await later(50);
    stream.end('away\n');
  },
};

function serve() {
  const server = http2.createServer({ settings: { headerTableSize: 256, enableConnectProtocol: true } });
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    if (headers[':method'] === 'CONNECT') {
      stream.respond({ ':status': 200 });
      stream.pipe(stream);
      return;
    }
    const route = routes[new URL(headers[':path'], 'http://x').pathname.slice(1)];
    if (route) return route(stream);
    stream.respond({ ':status': 404 });
    stream.end('no such thing\n');
  });
  server.listen(port, '127.0.0.1');
}

const whole = (data) => ({ size: data.length, text: data.length < 1000 ? data.toString() : undefined });
const log = [];

// A request, and what its client saw of it.
function ask(session, path, body = '', headers = {}, use = () => {}) {
  return new Promise((resolve) => {
    const method = body ? 'POST' : 'GET';
    const entry = { method, path, request: whole(Buffer.from(body)), response: {} };
    log.push(entry);
    const stream = session.request({ ':method': method, ':path': path, ...headers }, { endStream: !body });
    const pieces = [];
    let interim = 0;
    stream.on('headers', () => (interim += 1));
    stream.on('response', (head) => (entry.status = head[':status']));
    stream.on('data', (piece) => pieces.push(piece));
    stream.on('error', () => {});
    stream.on('close', () => {
      entry.stream = stream.id;
      entry.response = whole(Buffer.concat(pieces));
      if (interim) entry.interim = interim;
      resolve({ entry, stream });
    });
    if (body) stream.end(body);
    use(stream, entry);
  });
}

const asks = {
  async several(session) {
    await Promise.all([
      ask(session, '/echo', 'one'), ask(session, '/echo', 'x'.repeat(50_000)), ask(session, '/missing'), ask(session, '/hints'),
      ask(session, '/long'), ask(session, '/echo?again', 'three', { 'x-long': 'w'.repeat(40_000) }),
    ]);
    await ask(session, '/echo', 'with a smaller table by now');
  },
  async resets(session) {
    const { entry } = await ask(session, '/broken');
    entry.abort = { by: 'server', code: 'INTERNAL_ERROR' };
    const cancel = await ask(session, '/endless', '', {}, (stream) => {
      stream.once('data', () => setTimeout(() => stream.close(http2.constants.NGHTTP2_CANCEL), 50));
    });
    cancel.entry.abort = { by: 'client', code: 'CANCEL' };
    // What had been sent by the time of the cancellation, the client does not say.
    delete cancel.entry.response;
    await ask(session, '/echo', 'still alive');
  },
  async settings(session) {
    await ask(session, '/echo', 'one');
    for (const headerTableSize of [0, 8192, 100]) {
      await new Promise((resolve) => session.settings({ headerTableSize }, resolve));
      await ask(session, '/echo', `table of ${headerTableSize}`, { 'x-a': 'b'.repeat(40) });
      await ask(session, '/missing', '', { 'x-a': 'b'.repeat(40) });
    }
    await new Promise((resolve) => session.ping(resolve));
    await ask(session, '/echo', 'last');
  },
  async goaway(session) {
    await ask(session, '/echo', 'first');
    await ask(session, '/bye');
  },
};

async function client() {
  const session = http2.connect(`http://127.0.0.1:${port}`);
  session.on('error', () => {});
  await new Promise((resolve) => session.once('remoteSettings', resolve));
  await asks[process.argv[3]](session);
  session.close();
  process.stdout.write(JSON.stringify(log));
}

if (process.argv[3]) client();
else serve();
