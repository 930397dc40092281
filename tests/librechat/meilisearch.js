'use strict';
/** A Meilisearch that forgets everything and always succeeds: enough for LibreChat's search plugin. */
const http = require('node:http');

class Meilisearch {
  async listen() {
    this.server = http.createServer((request, response) => {
      request.resume().on('end', () => answer(request, response));
    });
    await new Promise((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${this.server.address().port}`;
  }

  async close() {
    this.server?.closeAllConnections();
    this.server?.close();
  }
}

function answer({ method, url }, response) {
  const now = new Date().toISOString();
  const task = { uid: 1, taskUid: 1, indexUid: 'any', status: 'succeeded', type: 'any' };
  const times = { enqueuedAt: now, startedAt: now, finishedAt: now, duration: 'PT0S' };
  const [path] = url.split('?');

  let status = 200;
  let body = {};
  if (path.startsWith('/tasks')) body = { ...task, ...times };
  else if (method === 'GET' && path.endsWith('/documents')) body = { results: [], offset: 0, limit: 20, total: 0 };
  else if (method === 'GET') body = { uid: path.split('/')[2], createdAt: now, updatedAt: now, primaryKey: null };
  else [status, body] = [202, { ...task, status: 'enqueued', enqueuedAt: now }];

  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify(body));
}

module.exports = { Meilisearch };
