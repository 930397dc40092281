// A trial: what a definition would have got of the newest events, before it is saved.
import { post } from './api.js';
import { aside, h, patch, problem } from './dom.js';
import { ago, badge, count, moment } from './words.js';

/** The watcher looks for 8 s at most, once MongoDB answers. */
const PATIENCE = 40;

/** `asked` gives the request, or null when it cannot be made; `refused` hears why the watcher does not do it. */
export function trial(asked, refused) {
  let told = null;
  let isStale = false;
  let busy = false;
  let error = null;
  const inside = h('div', { class: 'result' });
  const status = h('p', { role: 'status' });
  const element = h('section', { class: 'card', 'aria-labelledby': 'trial', hidden: true },
    h('h2', { id: 'trial' }, 'Tried on recent events'), status, inside);

  function draw() {
    element.hidden = !busy && !told && !error;
    status.textContent = busy ? 'Looking at the newest events. This may take 8 s…'
      : told ? `${count(told.sent)} of ${count(told.events)} events would be sent.${isStale ? ' The definition was changed since: try again.' : ''}` : '';
    patch(inside, busy && h('progress', { key: 'busy', 'aria-label': 'Looking at events' }), problem(error), told && !busy && result(told));
  }

  async function run() {
    const request = !busy && asked();
    if (!request) return;
    [busy, error] = [true, null];
    draw();
    element.scrollIntoView({ block: 'nearest' });
    try {
      told = await post('api/trial', request, PATIENCE);
      isStale = false;
    } catch (failed) {
      told = null;
      if (failed.status) refused(failed);
      else error = failed.message;
    }
    busy = false;
    draw();
    if (told) element.scrollIntoView({ block: 'nearest' });
  }

  return { element, run, stale: () => told && !isStale && ((isStale = true), draw()) };
}

const result = ({ since, events, caughtUp, trouble, tried }) => [
  aside(since ? ['All events since ', moment(since), '.'] : 'No event could be read.',
    !caughtUp && ' Time was over before the newest ones were reached: try again.',
    trouble && ` ${trouble}`),
  events > 0 && h('ol', { class: 'attempts', role: 'list' }, tried.map((each, i) => h('li', { key: `${i} ${each.timestamp}` }, one(each)))),
];

function one(each) {
  const { event, timestamp, misses, refused, body, bodyShape } = each;
  const head = [verdictOf(each), ' ', h('b', null, event), ' ', ago(timestamp)];
  if (bodyShape === null) {
    return h('div', { class: 'single' }, head, [refused, ...misses].filter(Boolean).map((why) => h('div', { class: 'dim' }, why)));
  }
  return h('details', null, h('summary', null, head),
    body === null && aside('Texts of people are replaced by “…”.'),
    h('pre', { tabindex: 0, role: 'region', 'aria-label': `Body of ${event}` }, indented(body ?? bodyShape)));
}

function verdictOf({ sent, subscribed, misses, refused }) {
  if (sent) return badge('delivered', 'sent');
  if (refused) return badge('dead', 'refused');
  return subscribed ? badge('pending', misses.length ? 'a filter misses' : 'not sent') : badge('cancelled', 'not subscribed');
}

function indented(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
