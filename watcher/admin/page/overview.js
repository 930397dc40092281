// The overview: what needs somebody first, then how things stand, then how they went.
import { chart, largest, rates } from './charts.js';
import { h, patch, problem, table } from './dom.js';
import { ago, bytes, count, link, span, STATES } from './words.js';

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

const sections = (seen) => [attention(seen.attention), work(seen.work), tiles(seen), history(seen.history), parts(seen), footer(seen)];

const attention = (list) => h('section', { key: 'attention', class: list.length ? 'attention' : 'attention well', 'aria-labelledby': 'attention', 'aria-live': 'polite' },
  h('h2', { id: 'attention' }, list.length ? 'Needs attention' : 'All is well'),
  list.length
    ? h('ul', null, list.map((text) => h('li', null, text)))
    : h('p', null, 'Nothing needs anybody now.'));

const work = (list) => list.length > 0 && h('section', { key: 'work', class: 'card', 'aria-labelledby': 'work' },
  h('h2', { id: 'work' }, 'Work under way'),
  h('ul', { class: 'work' }, list.map(({ name, rows, of, since }) => h('li', { key: name },
    h('span', null, h('b', null, name), since && [', began ', ago(since)]),
    h('span', { class: 'dim' }, of === null ? `${count(rows)} rows so far` : `${count(rows)} of about ${count(of)} rows, ${Math.min(99, Math.floor((rows / Math.max(1, of)) * 100))} %`),
    h('progress', { 'aria-label': name, max: of === null ? null : Math.max(of, rows, 1), ...(of === null ? {} : { value: rows }) })))));

function tiles({ lagSeconds, counts, oplog, storeBytes, maxStoreBytes, replicas, leases, parts: told }) {
  const waiting = counts.pending + counts.held;
  return h('section', { key: 'tiles', 'aria-labelledby': 'figures' },
    h('h2', { id: 'figures', class: 'unseen' }, 'Figures'),
    h('div', { class: 'tiles' },
      tile('Lag', lagSeconds === null ? '–' : span(lagSeconds), 'from a change in MongoDB to its storing', told.lag && !told.lag.ready),
      tile('Waiting', count(waiting), `${count(counts.pending)} pending, ${count(counts.held)} held`, false, link('deliveries', [['state', 'pending'], ['state', 'held']])),
      tile('Dead', count(counts.dead), counts.dead ? 'gave up; can be replayed' : 'none gave up', counts.dead > 0, link('deliveries', { state: 'dead' })),
      tile('Oplog headroom', oplog ? span(oplog.headroomSeconds) : '–', oplog
        ? oplog.leftSeconds === null ? `of ${span(oplog.windowSeconds)}; not shrinking` : `of ${span(oplog.windowSeconds)}; used up in ${span(oplog.leftSeconds)}`
        : 'not known', oplog && (oplog.headroomSeconds < 0 || (oplog.leftSeconds !== null && oplog.leftSeconds < 3600 && oplog.headroomSeconds < oplog.windowSeconds / 2))),
      tile('Store', bytes(storeBytes), [`of ${bytes(maxStoreBytes)} allowed`, storeBytes !== null && h('meter', { 'aria-label': 'Store used', min: 0, max: maxStoreBytes, high: maxStoreBytes * 0.8, value: storeBytes })], storeBytes !== null && storeBytes > maxStoreBytes * 0.8),
      tile('Leases', replicas === null ? 'alone' : count(leases.length), replicas === null ? 'one replica does all' : `held here, of ${count(replicas)} replicas: ${leases.join(', ') || 'none'}`)));
}

const tile = (name, value, says, bad, to) => h('div', { class: bad ? 'tile bad' : 'tile' },
  h('h3', null, to ? h('a', { href: to }, name) : name),
  h('p', { class: 'figure' }, value, bad && h('span', { class: 'unseen' }, ' (needs attention)')),
  h('p', { class: 'dim' }, says));

function history({ stepSeconds, until, captured, delivered, failed, lagSeconds }) {
  const flow = rates([
    { name: 'captured', class: 'captured', values: captured },
    { name: 'delivered', class: 'good', values: delivered },
    { name: 'failed', class: 'failed', values: failed },
  ], stepSeconds);
  return h('section', { key: 'history', class: 'charts', 'aria-label': 'History of this process' },
    h('div', { class: 'card' }, chart({ title: 'Captured, delivered, failed', stepSeconds, until, ...flow })),
    h('div', { class: 'card' }, chart({ title: 'Lag', stepSeconds, until, series: [{ name: 'lag', class: 'captured', values: lagSeconds }], format: span, join: largest })));
}

const parts = ({ parts: all, counts }) => h('div', { key: 'parts', class: 'two' },
  h('section', { class: 'card', 'aria-labelledby': 'parts' },
    h('h2', { id: 'parts' }, 'Parts'),
    table('Parts', ['Part', 'State', 'Says'], Object.entries(all).map(([name, { ready, says }]) => ({
      key: name,
      cells: [h('b', null, name), h('span', { class: `badge ${ready ? 'delivered' : 'dead'}` }, ready ? 'ready' : 'not ready'), says],
    })), { class: 'cards' })),
  h('section', { class: 'card', 'aria-labelledby': 'counts' },
    h('h2', { id: 'counts' }, 'Deliveries in the store'),
    table('Deliveries in the store', ['State', { head: 'Deliveries', class: 'number' }], STATES.map((state) => ({
      key: state,
      cells: [h('a', { href: link('deliveries', { state }) }, state), count(counts[state])],
    })), { class: 'plain' })));

const footer = ({ version, now }) => h('p', { key: 'footer', class: 'dim' }, `librechat-watcher ${version}, as of `, h('time', { datetime: now }, new Date(now).toLocaleTimeString()), '.');
