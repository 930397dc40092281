// The delivery log: newest first, with filters that stand in the page's address, and what may be done to many at once.
import { get, repeat } from './api.js';
import { carryOutFew, carryOutMany, confirm } from './dialogs.js';
import { button, facts, h, patch, problem, speak, table, to, toast } from './dom.js';
import { filterForm, filtersOf, SEVERAL, SINGLE } from './filters.js';
import { ago, answer, badge, count, deliveries as number, link, now, toDelivery } from './words.js';

const LIMIT = 50;
/** Of which states a delivery can be replayed or cancelled. */
const ALLOWED = { replay: ['dead', 'cancelled', 'delivered'], cancel: ['held', 'pending'] };
/** The states that are meant when none is chosen: to send again what arrived must be asked for. */
const MEANT = { replay: ['dead'], cancel: ['held', 'pending'] };
const WORDS = {
  replay: { do: 'Replay', done: 'replayed', then: 'They are sent in their order, at the pace of their endpoints.' },
  cancel: { do: 'Cancel', done: 'cancelled', then: 'They are not sent any more. They stay in the store, and can be replayed.' },
};
const AGAIN = 'What was delivered is sent once more, under the same id.';
/** News are told to screen readers this seldom: a busy log would never let them finish. */
const QUIET = 30000;

/** Where the reader was in the list, to come back to. */
export const lastList = { hash: '#/deliveries' };

export function deliveries(main, { route }) {
  let query = route.query;
  let rows = null;
  let next = null;
  let error = null;
  let paused = false;
  let spoken = 0;
  let turn = 0;
  let known = null;
  const fresh = new Set();
  const selected = new Set();
  const newer = new Map();
  const names = { endpoint: [], event: [] };

  const bar = h('div', { class: 'toolbar' });
  const list = h('div', { class: 'list' });
  const form = filterForm(apply);
  patch(main, h('h1', { tabindex: -1 }, 'Deliveries'), form.element, bar, list);

  const before = () => query.get('before') ?? '';
  const isLive = () => !paused && !before() && !selected.size;

  function apply() {
    const params = form.read(query);
    if (`${params}` !== `${filtersOf(query)}`) location.hash = link('deliveries', params);
    else turns.now();
  }

  async function load() {
    const mine = ++turn;
    const params = new URLSearchParams(query);
    params.set('limit', LIMIT);
    try {
      const page = await get('api/deliveries', params);
      if (mine !== turn) return;
      note(page.deliveries);
      ({ deliveries: rows, next } = page);
      error = null;
    } catch (failed) {
      if (mine !== turn) return;
      error = failed.message;
      throw failed;
    } finally {
      if (mine === turn) draw();
    }
  }

  function note(found) {
    fresh.clear();
    if (known) for (const { id } of found) if (!known.has(id)) fresh.add(id);
    known = new Set(found.map(({ id }) => id));
    if (fresh.size && Date.now() - spoken > QUIET) {
      spoken = Date.now();
      speak(`${number(fresh.size)} more at the top of the list.`);
    }
  }

  async function readNames() {
    const [{ endpoints }, { events }] = await Promise.all([get('api/endpoints'), get('api/events')]);
    names.endpoint = endpoints.map(({ name }) => name);
    names.event = events;
    form.draw(query, names);
  }

  function draw() {
    patch(bar, live(), h('div', { key: 'do', class: 'actions' },
      ['replay', 'cancel'].map((verb) => button(`${WORDS[verb].do} selected (${selected.size})`, () => few(verb), { disabled: !selected.size })),
      // A filter by id finds one at most.
      ['replay', 'cancel'].map((verb) => button(`${WORDS[verb].do} all that match…`, () => many(verb), { disabled: query.has('id') }))));
    patch(list,
      problem(error),
      rows === null ? !error && h('p', null, 'Loading…') : rows.length ? log() : nothing(),
      h('nav', { key: 'pager', class: 'pager', 'aria-label': 'Pages of the list' },
        button('Newest', () => turnTo(''), { disabled: !before() }),
        button('← Newer', () => turnTo(newer.get(before()) ?? ''), { disabled: !before() }),
        h('span', null, `Page ${place()}`),
        button('Older →', older, { disabled: !next })));
  }

  function live() {
    const toggle = () => {
      paused = !paused;
      draw();
      turns.now();
    };
    const says = before() ? 'An older page stands still.'
      : paused ? 'Paused.'
        : selected.size ? 'Waits while rows are selected.' : 'New ones appear by themselves.';
    return h('div', { key: 'live', class: 'live' },
      button([h('span', { class: isLive() ? 'dot on' : 'dot' }), 'Live'], toggle, { 'aria-pressed': `${!paused}`, disabled: before() !== '' }),
      h('span', { class: 'dim' }, says));
  }

  const nothing = () => h('p', { class: 'card empty' }, filtersOf(query).size || before()
    ? 'No delivery matches these filters.'
    : 'There is no delivery yet. The first change in LibreChat makes one.');

  function log() {
    const all = rows.every(({ id }) => selected.has(id));
    const box = checkbox('Select all on this page', all, (on) => rows.forEach(({ id }) => select(id, on)));
    box.indeterminate = !all && selected.size > 0;
    const columns = [{ head: box, class: 'check' }, 'State', 'Event', 'Endpoint', 'Answer', 'Happened', 'Next or end', { head: 'Id', class: 'id' }];
    return table('Deliveries', columns, rows.map(row), { class: 'cards log' });
  }

  const select = (id, on) => (on ? selected.add(id) : selected.delete(id));

  const checkbox = (label, checked, onchange) => h('input', {
    type: 'checkbox',
    'aria-label': label,
    checked,
    onchange: ({ currentTarget }) => {
      onchange(currentTarget.checked);
      draw();
    },
  });

  const row = (each) => ({
    key: each.id,
    class: [selected.has(each.id) && 'selected', fresh.has(each.id) && 'fresh'].filter(Boolean).join(' ') || null,
    onclick: ({ target }) => {
      if (!target.closest('a, input') && !`${getSelection()}`) location.hash = toDelivery(each.id);
    },
    cells: [
      checkbox(`Select ${each.id}`, selected.has(each.id), (on) => select(each.id, on)),
      [badge(each.state), each.failedAttempts > 0 && h('small', { class: 'dim' }, ` ${each.failedAttempts} failed`)],
      each.event,
      clipped(each.endpoint),
      clipped(answer(each.status, each.reason)),
      ago(each.timestamp),
      upcoming(each),
      to(toDelivery(each.id), each.id, { title: each.id }),
    ],
  });

  function older() {
    newer.set(next, before());
    turnTo(next);
  }

  function turnTo(cursor) {
    const params = filtersOf(query);
    if (cursor) params.set('before', cursor);
    location.hash = link('deliveries', params);
  }

  // From a shared link on, nobody knows how many pages are newer.
  function place() {
    let pages = 1;
    let cursor = before();
    while (newer.has(cursor)) {
      pages += 1;
      cursor = newer.get(cursor);
    }
    return cursor ? '–' : count(pages);
  }

  async function few(verb) {
    const chosen = rows.filter(({ id }) => selected.has(id));
    const again = verb === 'replay' && chosen.some(({ state }) => state === 'delivered');
    const what = `${WORDS[verb].do} ${number(chosen.length)}`;
    const asks = { title: `${what}?`, says: again ? AGAIN : WORDS[verb].then, yes: what, danger: verb === 'cancel' };
    if ((verb === 'cancel' || again) && await confirm(asks) === null) return;
    await carryOutFew(verb, chosen.map(({ id }) => id));
    selected.clear();
    await turns.now();
  }

  async function many(verb) {
    const wanted = filtersOf(query);
    const asked = wanted.getAll('state');
    const states = asked.length ? asked.filter((state) => ALLOWED[verb].includes(state)) : MEANT[verb];
    if (!states.length) {
      toast(`What is ${asked.join(' or ')} cannot be ${WORDS[verb].done}.`, true);
      return;
    }
    wanted.delete('state');
    states.forEach((state) => wanted.append('state', state));
    try {
      const found = await get('api/deliveries/count', wanted);
      if (!found.count) toast(`There is none to ${verb}: nothing that matches is ${states.join(' or ')}.`);
      else if (await sure(verb, wanted, found, !asked.length)) {
        await carryOutMany(verb, asFilter(wanted), found.count);
        selected.clear();
        await turns.now();
      }
    } catch (failed) {
      toast(failed.message, true);
    }
  }

  function show(params) {
    const paged = query.get('before') !== params.get('before');
    query = params;
    known = null;
    selected.clear();
    lastList.hash = location.hash;
    form.sync(query);
    form.draw(query, names);
    draw();
    load().then(() => {
      const found = `${number(rows.length)}${next ? ', and there are more' : ''}.`;
      speak(paged ? `Page ${place()}, ${found}` : found);
    }, () => {});
  }

  lastList.hash = location.hash;
  form.draw(query, names);
  form.sync(query);
  draw();
  readNames().catch(() => {});
  const turns = repeat(() => (rows === null || error || isLive() ? load() : draw()), 4);
  return {
    stop: () => {
      turns.stop();
      form.stop();
    },
    update: ({ query: params }) => show(params),
  };
}

const clipped = (text) => h('span', { class: 'clip', title: text }, text);

function upcoming({ state, heldUntil, nextTryAt, settledAt }) {
  if (state === 'held') return ['sent ', ago(heldUntil)];
  if (state !== 'pending') return ['ended ', ago(settledAt)];
  return Date.parse(nextTryAt) > now() ? ['try ', ago(nextTryAt)] : 'in its turn';
}

/** Ask before much is done: with how many, in which states, and by which filters. */
async function sure(verb, wanted, { count: all, byState }, stateless) {
  const what = `${WORDS[verb].do} ${number(all)}`;
  const filters = [...SINGLE, 'endpoint', 'event'].filter((name) => wanted.has(name));
  return await confirm({
    title: `${what}?`,
    says: [
      facts([
        ...Object.entries(byState).filter(([, n]) => n).map(([state, n]) => [state, count(n)]),
        ...filters.map((name) => [name, wanted.getAll(name).join(', ')]),
      ]),
      stateless && `You chose no state: only what is ${wanted.getAll('state').join(' or ')} is taken.`,
      byState.delivered > 0 && AGAIN,
      WORDS[verb].then,
    ].filter(Boolean),
    yes: what,
    danger: verb === 'cancel',
  }) !== null;
}

/** As the API wants it: lists where several are allowed. */
const asFilter = (wanted) => Object.fromEntries([...new Set(wanted.keys())].map((name) => [
  name, SEVERAL.includes(name) ? wanted.getAll(name) : wanted.get(name),
]));
