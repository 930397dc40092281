// The overview: what needs somebody first, then how things stand, then how they went.
import { chart, largest, rates } from './charts.js';
import { aside, h, patch, problem, table, to } from './dom.js';
import { ago, bytes, clockTime, count, lagOf, link, span, STATES, verdict } from './words.js';

/** Seconds of oplog left below which somebody must act, as core/headroom.py has it. */
const LITTLE = 3600;
const NEARLY_FULL = 0.8;

/** `pulse` is what the header shows, too: asked for once, by page.js. */
export function overview(main, { pulse }) {
  const draw = () => patch(main,
    h('h1', { tabindex: -1 }, 'Overview'),
    problem(pulse.error),
    pulse.seen ? sections(pulse.seen) : !pulse.error && h('p', null, 'Loading…'));
  draw();
  pulse.hearers.add(draw);
  return { stop: () => pulse.hearers.delete(draw) };
}

const sections = (seen) => [
  attention(seen.attention),
  seen.work.length > 0 && work(seen.work),
  figures(seen),
  history(seen.history),
  h('div', { key: 'parts', class: 'two' }, parts(seen.parts), seen.counts && store(seen.counts)),
  aside(`librechat-watcher ${seen.version}, as of `, h('time', { datetime: seen.now }, clockTime(new Date(seen.now))), '.'),
];

function attention(list) {
  const well = !list.length;
  const looks = well ? 'attention well' : 'attention';
  return h('section', { key: 'attention', class: looks, 'aria-labelledby': 'attention', 'aria-live': 'polite' },
    h('h2', { id: 'attention' }, well ? 'All is well' : 'Needs attention'),
    well ? h('p', null, 'Nothing needs anybody now.') : h('ul', null, list.map((each) => h('li', null, each.text, place(each)))));
}

/** Where on the page that is which an entry is about; parts stand below it. */
function place({ endpoint, state }) {
  if (!endpoint) return null;
  return [' ', state
    ? to(link('deliveries', { endpoint, state }), `Show those of ${endpoint}`)
    : to(link('endpoints', { name: endpoint }), `Show ${endpoint}`)];
}

const work = (list) => h('section', { key: 'work', class: 'card', 'aria-labelledby': 'work' },
  h('h2', { id: 'work' }, 'Work under way'),
  h('ul', { class: 'work' }, list.map((each) => h('li', { key: each.name },
    h('span', null, h('b', null, each.name), each.since && [', began ', ago(each.since)]),
    aside(progress(each)),
    h('progress', { 'aria-label': each.name, ...(each.of === null ? {} : { max: Math.max(each.of, each.rows, 1), value: each.rows }) })))));

function progress({ unit, rows, of }) {
  if (of === null) return `${count(rows)} ${unit} so far`;
  // Of a number that is a guess, 100 % would be a promise.
  return `${count(rows)} of about ${count(of)} ${unit}, ${Math.min(99, Math.floor((rows / Math.max(1, of)) * 100))} %`;
}

const figures = (seen) => h('section', { key: 'figures', 'aria-labelledby': 'figures' },
  h('h2', { id: 'figures', class: 'unseen' }, 'Figures'),
  h('div', { class: 'tiles' }, [lag, waiting, dead, oplog, size, leases].map((each) => tile(each(seen)))));

const tile = ({ name, value, says, bad, href }) => h('div', { class: bad ? 'tile bad' : 'tile' },
  h('h3', null, href ? to(href, name) : name),
  h('p', { class: 'figure' }, value, bad && h('span', { class: 'unseen' }, ' (needs attention)')),
  aside(says));

const lag = (seen) => ({
  name: 'Lag', value: lagOf(seen), says: 'from a change in MongoDB to its storing', bad: seen.parts.lag?.ready === false,
});

const UNREAD = { value: '–', says: 'not known: the state cannot be read', bad: true };

const waiting = ({ counts }) => (counts ? {
  name: 'Waiting',
  value: count(counts.pending + counts.held),
  says: `${count(counts.pending)} pending, ${count(counts.held)} held`,
  href: link('deliveries', [['state', 'pending'], ['state', 'held']]),
} : { name: 'Waiting', ...UNREAD });

const dead = ({ counts }) => (counts ? {
  name: 'Dead',
  value: count(counts.dead),
  says: counts.dead ? 'gave up; can be replayed' : 'none gave up',
  bad: counts.dead > 0,
  href: link('deliveries', { state: 'dead' }),
} : { name: 'Dead', ...UNREAD });

function oplog({ oplog: known }) {
  const name = 'Oplog headroom';
  if (!known) return { name, value: '–', says: 'not known' };
  const { windowSeconds, headroomSeconds, leftSeconds } = known;
  const soon = leftSeconds !== null && leftSeconds < LITTLE && headroomSeconds < windowSeconds / 2;
  return {
    name,
    value: span(headroomSeconds),
    says: `of ${span(windowSeconds)}; ${leftSeconds === null ? 'not shrinking' : `used up in ${span(leftSeconds)}`}`,
    bad: headroomSeconds < 0 || soon,
  };
}

function size({ storeBytes, maxStoreBytes }) {
  const high = maxStoreBytes * NEARLY_FULL;
  return {
    name: 'Store',
    value: bytes(storeBytes),
    says: [
      `of ${bytes(maxStoreBytes)} allowed`,
      storeBytes !== null && h('meter', { 'aria-label': 'Store used', min: 0, max: maxStoreBytes, high, value: storeBytes }),
    ],
    bad: storeBytes > high,
  };
}

const leases = ({ replicas, leases: held }) => ({
  name: 'Leases',
  value: replicas === null ? 'alone' : count(held.length),
  says: replicas === null ? 'one replica does all' : `held here, of ${count(replicas)} replicas: ${held.join(', ') || 'none'}`,
});

function history({ stepSeconds, until, captured, delivered, failed, lagSeconds }) {
  const flow = rates([
    { name: 'captured', class: 'captured', values: captured },
    { name: 'delivered', class: 'good', values: delivered },
    { name: 'failed', class: 'failed', values: failed },
  ], stepSeconds);
  const delay = { series: [{ name: 'lag', class: 'captured', values: lagSeconds }], format: span, join: largest };
  return h('section', { key: 'history', class: 'charts', 'aria-label': 'History of this process' },
    h('div', { class: 'card' }, chart({ title: 'Captured, delivered, failed', stepSeconds, until, ...flow })),
    h('div', { class: 'card' }, chart({ title: 'Lag', stepSeconds, until, ...delay })));
}

const parts = (all) => h('section', { class: 'card', 'aria-labelledby': 'parts' },
  h('h2', { id: 'parts' }, 'Parts'),
  table('Parts', ['Part', 'State', 'Says'], Object.entries(all).map(([name, { ready, says }]) => ({
    key: name,
    cells: [h('b', null, name), verdict(ready, ready ? 'ready' : 'not ready'), says],
  })), { class: 'cards' }));

const store = (counts) => h('section', { class: 'card', 'aria-labelledby': 'counts' },
  h('h2', { id: 'counts' }, 'Deliveries in the store'),
  table('Deliveries in the store', ['State', { head: 'Deliveries', class: 'number' }], STATES.map((state) => ({
    key: state,
    cells: [to(link('deliveries', { state }), state), count(counts[state])],
  }))));
