// The audit list: what operators did, when, and from where. The newest first.
import { get, repeat } from './api.js';
import { aside, button, h, patch, problem, table, to } from './dom.js';
import { act, count, link, moment } from './words.js';

const LIMIT = 50;
/** With a filter, which is done here: the most that the API gives at once. */
const MOST = 200;

export function audit(main, { route }) {
  let { query } = route;
  let page = null;
  let error = null;
  let turn = 0;

  const before = () => query.get('before');
  const endpoint = () => query.get('endpoint');

  async function load() {
    const mine = ++turn;
    const params = new URLSearchParams({ limit: endpoint() ? MOST : LIMIT, ...(before() ? { before: before() } : {}) });
    try {
      const found = await get('api/audit', params);
      if (mine !== turn) return;
      page = found;
      error = null;
    } catch (failed) {
      if (mine !== turn) return;
      error = failed.message;
      throw failed;
    } finally {
      if (mine === turn) draw();
    }
  }

  const draw = () => patch(main,
    h('h1', { tabindex: -1 }, 'Audit'),
    aside('What operators did on this page, by the API and by commands. Kept: the last 10,000.'),
    endpoint() && h('p', { key: 'filter' }, 'About ', h('b', null, endpoint()), ' only. ', to('#/audit', 'Show all')),
    problem(error),
    page ? entries() : !error && h('p', null, 'Loading…'),
    page && h('nav', { key: 'pager', class: 'pager', 'aria-label': 'Pages of the list' },
      button('Newest', () => turnTo(null), { disabled: !before() }),
      button('Older →', () => turnTo(page.next), { disabled: page.next === null })));

  function entries() {
    const shown = endpoint() ? page.entries.filter((entry) => isAbout(entry, endpoint())) : page.entries;
    if (!shown.length) {
      return h('p', { key: 'none', class: 'card empty' }, page.next === null ? 'Nothing is on record.' : 'Nothing among these. Older ones may have some.');
    }
    return h('div', { key: 'entries', class: 'card' }, table('Audit', ['When', 'What', 'On', 'From', 'Details'], shown.map((entry) => ({
      key: `${entry.at} ${entry.act} ${entry.subject}`,
      cells: [
        moment(entry.at), act(entry.act), h('code', null, entry.subject), from(entry), details(entry.details),
      ],
    })), { class: 'cards' }));
  }

  function turnTo(cursor) {
    const params = new URLSearchParams(query);
    params.delete('before');
    if (cursor !== null) params.set('before', cursor);
    location.hash = link('audit', params);
  }

  draw();
  // An older page does not change.
  const turns = repeat(() => (page && before() && !error ? draw() : load()), 10);
  return {
    stop: turns.stop,
    update: (next) => {
      ({ query } = next);
      page = null;
      draw();
      load().catch(() => {});
    },
  };
}

/** Its subject is the endpoint, or a filter of deliveries that names it. */
const isAbout = ({ subject }, name) => subject === name
  || subject.split(' ').some((part) => part.startsWith('endpoint=') && part.slice(9).split(',').includes(name));

const from = ({ way, address, forwarded }) => [
  way === 'cli' ? 'a command, by ' : '', h('code', null, address || '–'),
  forwarded && h('span', { class: 'dim' }, ' [for ', h('code', null, forwarded), ', says the proxy]'),
];

const DETAILS = {
  keys: (keys) => `keys: ${[keys].flat().join(', ')}`,
  expected: (n) => `deliveries: ${count(n)}`,
  kept: (n) => (n ? 'the old one is kept' : 'the old one is forgotten'),
  reason: (text) => text,
  why: (text) => text,
};

const details = (all) => Object.entries(all)
  .map(([name, value]) => DETAILS[name]?.(value) ?? `${name}: ${typeof value === 'object' ? JSON.stringify(value) : value}`)
  .join('; ') || '–';
