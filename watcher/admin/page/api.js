// The API of the watcher. URLs are relative, so that a reverse proxy may put the page below a path.

const PATIENCE = 20;
// By path, since two watchers may stand behind one host.
const KEY = `watcher-token ${location.pathname}`;

/** The API answered that it does not do this; the message is in its own words. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** The watcher could not be reached. */
export class Offline extends Error {}

let kept = null;

/** The token lives as long as the browser's tab. */
export const token = {
  get: () => {
    try {
      return kept ?? sessionStorage.getItem(KEY);
    } catch {
      return kept;
    }
  },
  set: (value) => {
    kept = value;
    try {
      if (value) sessionStorage.setItem(KEY, value);
      else sessionStorage.removeItem(KEY);
    } catch {
      // Then it is forgotten when the page is loaded again.
    }
  },
};

/** Called with what each request met: null, Offline or Refused. */
export const watch = { told: () => {} };

export const get = (path, query) => ask('GET', query && `${query}` ? `${path}?${query}` : path);

export const post = (path, body = {}, patience = PATIENCE) => ask('POST', path, body, patience);

export const change = (path, body) => ask('PATCH', path, body);

export const drop = (path) => ask('DELETE', path);

/** Where the API has an endpoint, and what may be done with it. */
export const endpointPath = (name, verb) => `api/endpoints/${encodeURIComponent(name)}${verb ? `/${verb}` : ''}`;

async function ask(method, path, body, patience = PATIENCE) {
  try {
    const answer = await request(method, path, body, patience);
    watch.told(null);
    return answer;
  } catch (error) {
    watch.told(error);
    throw error;
  }
}

async function request(method, path, body, patience) {
  let response;
  let text;
  try {
    response = await fetch(path, {
      method,
      headers: {
        Authorization: `Bearer ${bytesOf(token.get() ?? '')}`,
        ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: 'no-store',
      credentials: 'same-origin',
      signal: AbortSignal.timeout(patience * 1000),
    });
    text = await response.text();
  } catch (error) {
    throw new Offline(error.name === 'TimeoutError' ? `No answer for ${patience} s.` : 'The watcher cannot be reached.');
  }
  return parsed(response.status, text);
}

/** A header is bytes to `fetch`: of another letter than Latin ones it would make nothing. */
const bytesOf = (text) => String.fromCharCode(...new TextEncoder().encode(text));

function parsed(status, text) {
  // A proxy in between speaks for a watcher that is not there.
  if (status === 502 || status === 504) throw new Offline(`A proxy answers in the watcher's place (status ${status}).`);
  let document;
  try {
    document = JSON.parse(text);
  } catch {
    throw new Refused(status, `The answer (status ${status}) is not the watcher's. Does a proxy in between want a login?`);
  }
  if (status >= 200 && status < 300) return document;
  throw new Refused(status, document?.error ?? `The watcher refused this (status ${status}).`);
}

/** Do `task` now and again every few seconds while the tab is seen. After failures it waits longer, up to 30 s. */
export function repeat(task, seconds) {
  let timer = null;
  let failures = 0;
  let busy = false;
  let again = false;
  let stopped = false;

  async function turn() {
    if (stopped) return;
    if (busy) {
      again = true;
      return;
    }
    clearTimeout(timer);
    busy = true;
    try {
      await task();
      failures = 0;
    } catch (error) {
      failures += 1;
      if (!(error instanceof Refused || error instanceof Offline)) console.error(error);
    }
    busy = false;
    if (!again) return plan();
    again = false;
    return turn();
  }
  function plan() {
    clearTimeout(timer);
    if (stopped || document.hidden) return;
    timer = setTimeout(turn, Math.min(30, seconds * 2 ** Math.min(failures, 4)) * 1000);
  }
  const seen = () => (document.hidden ? clearTimeout(timer) : turn());
  document.addEventListener('visibilitychange', seen);
  document.addEventListener('watcher-again', turn);
  turn();
  return {
    now: turn,
    stop: () => {
      stopped = true;
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', seen);
      document.removeEventListener('watcher-again', turn);
    },
  };
}
