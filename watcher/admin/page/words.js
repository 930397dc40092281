// Numbers, times and states in words.
import { h } from './dom.js';

const NUMBER = new Intl.NumberFormat('en-GB');
const MOMENT = new Intl.DateTimeFormat('sv-SE', {
  year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit', second: '2-digit',
});
const CLOCK = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });

const HOUR = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' });
const DAY = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', timeZone: 'UTC' });

/** How far this browser's clock is from the watcher's, in milliseconds. */
let skew = 0;

export function setClock(iso) {
  skew = Date.parse(iso) - Date.now();
}

export const now = () => Date.now() + skew;

export const count = (n) => (n === null || n === undefined ? '–' : NUMBER.format(n));

/** "1 delivery", "3 deliveries". */
export const deliveries = (n) => `${count(n)} ${n === 1 ? 'delivery' : 'deliveries'}`;

/** A span in its largest unit that tells enough. */
export function span(seconds) {
  if (seconds === null || seconds === undefined) return '–';
  const size = Math.abs(seconds);
  if (size < 1) return `${Math.round(seconds * 1000)} ms`;
  if (size < 10) return `${seconds.toFixed(1)} s`;
  if (size < 120) return `${Math.round(seconds)} s`;
  if (size < 7200) return `${Math.round(seconds / 60)} min`;
  if (size < 172800) return `${(seconds / 3600).toFixed(1)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

export function ms(x) {
  if (x === null || x === undefined) return '–';
  return x < 1000 ? `${Math.round(x)} ms` : `${(x / 1000).toFixed(1)} s`;
}

export function bytes(n) {
  if (n === null || n === undefined) return '–';
  if (n < 1000) return `${n} B`;
  if (n < 1e6) return `${(n / 1e3).toFixed(1)} kB`;
  return n < 1e9 ? `${(n / 1e6).toFixed(1)} MB` : `${(n / 1e9).toFixed(1)} GB`;
}

/** Which part succeeded: never "100 %" while one failed. */
export function rate(good, all) {
  if (!all) return '–';
  const percent = (good / all) * 100;
  return `${good === all ? '100' : Math.min(99.9, percent).toFixed(1)} %`;
}

/** In the reader's own time zone. */
export const clockTime = (at) => CLOCK.format(at);

export const hour = (at) => HOUR.format(at);

export const day = (at) => DAY.format(at);

/** "3 min ago" or "in 12 s", with the exact time in the title. */
export function ago(iso) {
  if (!iso) return '–';
  const away = (Date.parse(iso) - now()) / 1000;
  const text = Math.abs(away) < 1 ? 'now' : away < 0 ? `${span(-away)} ago` : `in ${span(away)}`;
  return h('time', { datetime: iso, title: `${MOMENT.format(new Date(iso))} (${iso})` }, text);
}

/** The exact time, in the reader's zone, and how long ago that is. */
export function moment(iso) {
  if (!iso) return '–';
  const time = h('time', { datetime: iso, title: iso }, MOMENT.format(new Date(iso)));
  return h('span', null, time, h('span', { class: 'dim' }, ` (${ago(iso).textContent})`));
}

export const STATES = ['held', 'pending', 'delivered', 'dead', 'cancelled'];

/** The state of a delivery; or other words in the colour of one. */
export const badge = (state, words = state) => h('span', { class: `badge ${state}` }, words);

export const verdict = (good, words) => badge(good ? 'delivered' : 'dead', words);

const STANDINGS = {
  ok: ['ok', 'delivered'],
  open: ['failing: circuit open', 'dead'],
  slowed: ['slowed', 'pending'],
  paused: ['paused', 'held'],
  gone: ['no longer in the settings', 'cancelled'],
};

/** The state of an endpoint. */
export function standing(state) {
  const [words, like] = STANDINGS[state] ?? [state, 'held'];
  return badge(like, words);
}

/** Where an endpoint is defined, and so where it is changed. */
export const ORIGINS = {
  file: 'from the settings’ file: locked, and changed there only',
  managed: 'managed: made at run time, and changed here',
  nowhere: 'defined nowhere any more; its deliveries are still in the store, and nothing is sent to it',
};

const ACTS = {
  'endpoint.created': 'Endpoint made',
  'endpoint.changed': 'Endpoint changed',
  'endpoint.deleted': 'Endpoint deleted',
  'secret.rotated': 'Secret rotated',
  'secret.retired': 'Old secrets forgotten',
  'endpoint.paused': 'Endpoint paused',
  'endpoint.resumed': 'Endpoint resumed',
  'deliveries.replayed': 'Deliveries replayed',
  'deliveries.cancelled': 'Deliveries cancelled',
};

/** What an operator did. */
export const act = (name) => ACTS[name] ?? name;

/** The lag: a quiet stream that was read to its end has none, and a replica that stands by has none of its own. */
export function lagOf({ lagSeconds, parts: { lag } }) {
  if (lagSeconds !== null) return span(lagSeconds);
  return lag?.ready ? lag.says : 'unknown';
}

/** What an attempt met, in few words. */
export function answer(status, reason) {
  return reason?.includes(status ?? '') ? reason : [status, reason].filter(Boolean).join(': ') || '–';
}

export const link = (path, query) => {
  const params = new URLSearchParams(query);
  return `#/${path}${params.size ? `?${params}` : ''}`;
};

export const toDelivery = (id) => `#/deliveries/${encodeURIComponent(id)}`;

export const toEndpoint = (name, view) => `#/endpoints/${encodeURIComponent(name)}/${view}`;
