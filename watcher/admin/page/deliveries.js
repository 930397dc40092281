// The delivery log: newest first, with filters that stand in the page's address, and what may be done to many at once.
import { get, repeat } from './api.js';
import { carryOutFew, carryOutMany, confirm } from './dialogs.js';
import { facts, h, patch, problem, speak, table, toast } from './dom.js';
import { ago, answer, badge, count, deliveries as number, link, now, STATES, toDelivery } from './words.js';

const SINGLE = ['id', 'user', 'conversation', 'since', 'until'];
const SEVERAL = ['endpoint', 'event', 'state'];
const LIMIT = 50;
/** Of which states a delivery can be replayed or cancelled. */
const ALLOWED = { replay: ['dead', 'cancelled', 'delivered'], cancel: ['held', 'pending'] };
const RANGES = { 'last 15 minutes': 900, 'last hour': 3600, 'last 24 hours': 86400, 'last 7 days': 604800 };
/** News are told to screen readers this seldom: a busy log would never let them finish. */
const QUIET = 30000;

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
  const form = filterForm({ submit: apply, clear: () => go(new URLSearchParams()) });
  patch(main, h('h1', { tabindex: -1 }, 'Deliveries'), form.element, bar, list);

  const filters = () => new URLSearchParams([...query].filter(([name]) => name !== 'before'));
  const before = () => query.get('before') ?? '';
  const isLive = () => !paused && !before() && !selected.size;

  function go(params) {
    location.hash = link('deliveries', params);
  }

  function apply() {
    const params = form.read(query);
    if (`${params}` !== `${filters()}`) go(params);
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
    const all = rows?.length > 0 && rows.every(({ id }) => selected.has(id));
    patch(bar,
      h('div', { key: 'live', class: 'live' },
        h('button', { type: 'button', 'aria-pressed': `${!paused}`, disabled: before() !== '', onclick: () => ((paused = !paused), paused ? draw() : turns.now()) }, h('span', { class: isLive() ? 'dot on' : 'dot' }), 'Live'),
        h('span', { class: 'dim' }, before() ? 'An older page stands still.' : paused ? 'Paused.' : selected.size ? 'Waits while rows are selected.' : 'New ones appear by themselves.')),
      h('div', { key: 'do', class: 'actions' },
        h('button', { type: 'button', disabled: !selected.size, onclick: () => few('replay') }, `Replay selected (${selected.size})`),
        h('button', { type: 'button', disabled: !selected.size, onclick: () => few('cancel') }, `Cancel selected (${selected.size})`),
        h('button', { type: 'button', disabled: query.has('id'), onclick: () => many('replay') }, 'Replay all that match…'),
        h('button', { type: 'button', disabled: query.has('id'), onclick: () => many('cancel') }, 'Cancel all that match…')));
    patch(list,
      problem(error),
      rows === null ? !error && h('p', null, 'Loading…') : rows.length
        ? table('Deliveries', [
          { head: h('input', { type: 'checkbox', 'aria-label': 'Select all on this page', checked: all, indeterminate: !all && selected.size > 0, onchange: () => (rows.forEach(({ id }) => (all ? selected.delete(id) : selected.add(id))), draw()) }), class: 'check' },
          'State', 'Event', 'Endpoint', 'Answer', 'Happened', 'Next or end', { head: 'Id', class: 'id' },
        ], rows.map(row), { class: 'cards log' })
        : h('p', { class: 'card empty' }, filters().size || before() ? 'No delivery matches these filters.' : 'There is no delivery yet. The first change in LibreChat makes one.'),
      h('nav', { key: 'pager', class: 'pager', 'aria-label': 'Pages of the list' },
        h('button', { type: 'button', disabled: !before(), onclick: () => turnTo('') }, 'Newest'),
        h('button', { type: 'button', disabled: !before(), onclick: () => turnTo(newer.get(before()) ?? '') }, '← Newer'),
        h('span', null, `Page ${place()}`),
        h('button', { type: 'button', disabled: !next, onclick: older }, 'Older →')));
  }

  const row = (each) => ({
    key: each.id,
    class: [selected.has(each.id) && 'selected', fresh.has(each.id) && 'fresh'].filter(Boolean).join(' ') || null,
    onclick: ({ target }) => {
      if (target.closest('a, input, button') || `${getSelection()}`) return;
      location.hash = toDelivery(each.id);
    },
    cells: [
      h('input', { type: 'checkbox', 'aria-label': `Select ${each.id}`, checked: selected.has(each.id), onchange: ({ currentTarget }) => ((currentTarget.checked ? selected.add(each.id) : selected.delete(each.id)), draw()) }),
      [badge(each.state), each.failedAttempts > 0 && h('small', { class: 'dim' }, ` ${each.failedAttempts} failed`)],
      each.event,
      h('span', { class: 'clip', title: each.endpoint }, each.endpoint),
      h('span', { class: 'clip', title: answer(each.status, each.reason) }, answer(each.status, each.reason)),
      ago(each.timestamp),
      each.state === 'held' ? ['sent ', ago(each.heldUntil)] : each.state === 'pending' ? (Date.parse(each.nextTryAt) > now() ? ['try ', ago(each.nextTryAt)] : 'in its turn') : ['ended ', ago(each.settledAt)],
      h('a', { href: toDelivery(each.id), title: each.id }, each.id),
    ],
  });

  function older() {
    newer.set(next, before());
    turnTo(next);
  }

  function turnTo(cursor) {
    const params = filters();
    if (cursor) params.set('before', cursor);
    go(params);
  }

  // From a shared link on, nobody knows how many pages are newer.
  function place() {
    let pages = 1;
    let cursor = before();
    while (cursor && newer.has(cursor)) {
      pages += 1;
      cursor = newer.get(cursor);
    }
    return cursor ? '–' : count(pages);
  }

  async function few(verb) {
    const chosen = rows.filter(({ id }) => selected.has(id));
    const again = chosen.filter(({ state }) => state === 'delivered').length;
    const says = verb === 'cancel'
      ? `${number(chosen.length)} will not be sent any more. They stay in the store, and can be replayed.`
      : `${number(again)} of these arrived already, and will be sent once more under the same id.`;
    if ((verb === 'cancel' || again) && await confirm({
      title: verb === 'cancel' ? 'Cancel the selected?' : 'Send them again?',
      says,
      yes: verb === 'cancel' ? `Cancel ${number(chosen.length)}` : `Replay ${number(chosen.length)}`,
      danger: verb === 'cancel',
    }) === null) return;
    await carryOutFew(verb, chosen.map(({ id }) => id));
    selected.clear();
    await turns.now();
  }

  async function many(verb) {
    const wanted = filters();
    const asked = wanted.getAll('state');
    const states = asked.length ? asked.filter((state) => ALLOWED[verb].includes(state)) : verb === 'replay' ? ['dead'] : ALLOWED.cancel;
    if (!states.length) return toast(`What is ${asked.join(' or ')} cannot be ${verb === 'replay' ? 'replayed' : 'cancelled'}.`, true);
    wanted.delete('state');
    states.forEach((state) => wanted.append('state', state));
    let found;
    try {
      found = await get('api/deliveries/count', wanted);
    } catch (failed) {
      return toast(failed.message, true);
    }
    if (!found.count) return toast(`There is none to ${verb}: none that matches is ${states.join(' or ')}.`);
    const sure = await confirm({
      title: `${verb === 'replay' ? 'Replay' : 'Cancel'} ${number(found.count)}?`,
      says: [
        facts([
          ...Object.entries(found.byState).filter(([, n]) => n).map(([state, n]) => [state, count(n)]),
          ...[...SINGLE, 'endpoint', 'event'].filter((name) => wanted.has(name)).map((name) => [name, wanted.getAll(name).join(', ')]),
        ]),
        !asked.length && `You chose no state: only what is ${states.join(' or ')} is taken.`,
        found.byState.delivered > 0 && 'Those that were delivered are sent once more, under the same id.',
        verb === 'replay' ? 'They are sent in their order, at the pace of their endpoints.' : 'They are not sent any more. They stay in the store, and can be replayed.',
      ].filter(Boolean),
      yes: `${verb === 'replay' ? 'Replay' : 'Cancel'} ${number(found.count)}`,
      danger: verb === 'cancel',
    });
    if (sure === null) return;
    const filter = Object.fromEntries([...new Set(wanted.keys())].map((name) => [name, SEVERAL.includes(name) ? wanted.getAll(name) : wanted.get(name)]));
    await carryOutMany(verb, filter, found.count);
    selected.clear();
    await turns.now();
  }

  function show(params) {
    const paged = query.get('before') !== params.get('before');
    query = params;
    known = null;
    selected.clear();
    sessionStorage.setItem('watcher-list', location.hash);
    form.draw(query, names);
    draw();
    load().then(() => speak(paged ? `Page ${place()}, ${number(rows.length)}.` : `${number(rows.length)}${next ? ' and more' : ''}.`), () => {});
  }

  sessionStorage.setItem('watcher-list', location.hash);
  form.draw(query, names);
  form.sync(query);
  draw();
  readNames().catch(() => {});
  const turns = repeat(() => (rows === null || error || isLive() ? load() : draw()), 4);
  return {
    stop: () => (turns.stop(), form.stop()),
    update: (to) => (form.sync(to.query), show(to.query)),
  };
}

/** The filters as a form: texts are taken on Enter or when they are left, choices at once. */
function filterForm({ submit, clear }) {
  const choices = { endpoint: h('details', { class: 'pick' }), event: h('details', { class: 'pick' }), state: h('fieldset', { class: 'chips' }) };
  const text = (name, label, props) => h('div', { class: 'field' },
    h('label', { for: `filter-${name}` }, label),
    h('input', { id: `filter-${name}`, name, autocomplete: 'off', spellcheck: 'false', onchange: submit, ...props }));
  const range = h('select', {
    id: 'filter-range',
    onchange: () => {
      const seconds = RANGES[range.value];
      element.elements.since.value = seconds ? toLocal(new Date(now() - seconds * 1000).toISOString()) : '';
      element.elements.until.value = '';
      submit();
    },
  }, h('option', { value: '' }, 'any time'), Object.keys(RANGES).map((name) => h('option', { value: name }, name)));
  const moment = { type: 'datetime-local', step: 1, onchange: null, onblur: submit };
  const heading = h('summary', null, 'More filters');
  const more = h('details', { class: 'more', open: matchMedia('(min-width: 48rem)').matches },
    heading,
    h('div', { class: 'fields' },
      text('user', 'User id'), text('conversation', 'Conversation id'), choices.endpoint, choices.event,
      h('div', { class: 'field' }, h('label', { for: 'filter-range' }, 'When'), range),
      text('since', 'From (your time)', moment), text('until', 'To (your time)', moment)),
    choices.state);
  const element = h('form', { class: 'filters card', role: 'search', 'aria-label': 'Filter deliveries', onsubmit: (event) => (event.preventDefault(), submit()) },
    h('div', { class: 'fields first' },
      text('id', 'Delivery id', { type: 'search', placeholder: 'webhook_…   (press / to come here)' }),
      h('button', { type: 'submit', class: 'primary' }, 'Search'),
      h('button', { type: 'button', onclick: clear }, 'Clear filters')),
    more);

  const box = (name, value, query) => h('label', { key: value }, h('input', { type: 'checkbox', name, value, checked: query.getAll(name).includes(value), onchange: submit }), h('span', null, value));
  const picks = Object.values(choices).slice(0, 2);
  const leave = (event) => picks.forEach((pick) => pick.contains(event.target) || (pick.open = false));
  const escape = (event) => {
    const open = event.key === 'Escape' && picks.find((pick) => pick.open);
    if (!open) return;
    open.open = false;
    open.querySelector('summary').focus();
  };
  for (const type of ['pointerdown', 'focusin']) document.addEventListener(type, leave);
  document.addEventListener('keydown', escape);

  return {
    element,
    stop: () => {
      for (const type of ['pointerdown', 'focusin']) document.removeEventListener(type, leave);
      document.removeEventListener('keydown', escape);
    },
    /** Offer these names, and whatever the address names beside them. */
    draw(query, names) {
      const set = [...query.keys()].filter((name) => !['id', 'before'].includes(name)).length;
      heading.textContent = set ? `More filters (${set} set)` : 'More filters';
      for (const name of ['endpoint', 'event']) {
        const chosen = query.getAll(name);
        const all = [...new Set([...names[name], ...chosen])];
        patch(choices[name],
          h('summary', null, h('span', null, name === 'endpoint' ? 'Endpoint' : 'Event'), h('b', null, chosen.length ? chosen.join(', ') : 'any')),
          h('div', { class: 'panel', role: 'group', 'aria-label': name === 'endpoint' ? 'Endpoints' : 'Events' }, all.map((each) => box(name, each, query))));
      }
      patch(choices.state, h('legend', null, 'State'), STATES.map((each) => box('state', each, query)));
    },
    sync(query) {
      for (const name of SINGLE) {
        const value = query.get(name) ?? '';
        element.elements[name].value = value && ['since', 'until'].includes(name) ? toLocal(value) : value;
      }
      if (!query.has('since')) range.value = '';
      if ([...query.keys()].some((name) => !['id', 'before'].includes(name)) && matchMedia('(min-width: 48rem)').matches) more.open = true;
    },
    read(query) {
      const params = new URLSearchParams();
      for (const [name, value] of new FormData(element)) {
        const typed = value.trim();
        if (!typed) continue;
        if (!['since', 'until'].includes(name)) params.append(name, typed);
        // What came by the address is exact to the millisecond; what the field shows of it is not.
        else params.append(name, toLocal(query.get(name)) === typed ? query.get(name) : new Date(typed).toISOString());
      }
      return params;
    },
  };
}

/** As an input of type datetime-local wants it. */
function toLocal(iso) {
  const at = new Date(iso ?? NaN);
  if (Number.isNaN(at.getTime())) return '';
  return new Date(at.getTime() - at.getTimezoneOffset() * 60000).toISOString().slice(0, 19);
}
