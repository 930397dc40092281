// The filters of the delivery log, as a form. Texts are taken on Enter or when they are left, choices at once.
import { button, h, patch } from './dom.js';
import { now, STATES } from './words.js';

export const SINGLE = ['id', 'user', 'conversation', 'since', 'until'];
export const SEVERAL = ['endpoint', 'event', 'state'];
const TIMES = ['since', 'until'];
const RANGES = { 'last 15 minutes': 900, 'last hour': 3600, 'last 24 hours': 86400, 'last 7 days': 604800 };
const PICKS = { endpoint: ['Endpoint', 'Endpoints'], event: ['Event', 'Events'] };

/** The filters in an address, without the place in the list. */
export const filtersOf = (query) => new URLSearchParams([...query].filter(([name]) => name !== 'before'));

export function filterForm(submit) {
  const picks = { endpoint: h('details', { class: 'pick' }), event: h('details', { class: 'pick' }) };
  const states = h('fieldset', { class: 'chips' });
  const roomy = matchMedia('(min-width: 48rem)').matches;
  const heading = h('summary');

  const field = (name, label, props) => h('div', { class: 'field' },
    h('label', { for: `filter-${name}` }, label),
    h('input', { id: `filter-${name}`, name, autocomplete: 'off', spellcheck: 'false', onchange: submit, ...props }));
  // While a time is typed it is a valid one now and then.
  const time = { type: 'datetime-local', step: 1, onchange: null, onblur: submit };
  const range = h('select', { id: 'filter-range', onchange: takeRange },
    h('option', { value: '' }, 'any time'), Object.keys(RANGES).map((name) => h('option', { value: name }, name)));

  const more = h('details', { class: 'more', open: roomy },
    heading,
    h('div', { class: 'fields' },
      field('user', 'User id'), field('conversation', 'Conversation id'), picks.endpoint, picks.event,
      h('div', { class: 'field' }, h('label', { for: 'filter-range' }, 'When'), range),
      field('since', 'From (your time)', time), field('until', 'To (your time)', time)),
    states);
  const element = h('form', {
    class: 'filters card',
    role: 'search',
    'aria-label': 'Filter deliveries',
    onsubmit: (event) => (event.preventDefault(), submit()),
  },
    h('div', { class: 'fields first' },
      field('id', 'Delivery id', { type: 'search', placeholder: 'webhook_…   (key: /)' }),
      h('button', { type: 'submit', class: 'primary' }, 'Search'),
      button('Clear filters', () => { location.hash = '#/deliveries'; })),
    more);

  function takeRange() {
    const seconds = RANGES[range.value];
    element.elements.since.value = seconds ? toLocal(new Date(now() - seconds * 1000).toISOString()) : '';
    element.elements.until.value = '';
    submit();
  }

  const box = (name, value, query) => h('label', { key: value },
    h('input', { type: 'checkbox', name, value, checked: query.getAll(name).includes(value), onchange: submit }),
    h('span', null, value));

  function leave({ target }) {
    for (const pick of Object.values(picks)) if (!pick.contains(target)) pick.open = false;
  }
  function escape({ key }) {
    const open = key === 'Escape' && Object.values(picks).find((pick) => pick.open);
    if (!open) return;
    open.open = false;
    open.querySelector('summary').focus();
  }
  const heard = { pointerdown: leave, focusin: leave, keydown: escape };
  for (const [type, hear] of Object.entries(heard)) document.addEventListener(type, hear);

  return {
    element,
    stop: () => Object.entries(heard).forEach(([type, hear]) => document.removeEventListener(type, hear)),

    /** Offer these names, and whatever the address names beside them. */
    draw(query, names) {
      const set = [...filtersOf(query).keys()].filter((name) => name !== 'id').length;
      heading.textContent = set ? `More filters (${set} set)` : 'More filters';
      for (const [name, [one, all]] of Object.entries(PICKS)) {
        const chosen = query.getAll(name);
        const boxes = [...new Set([...names[name], ...chosen])].map((each) => box(name, each, query));
        patch(picks[name],
          h('summary', null, h('span', null, one), h('b', null, chosen.join(', ') || 'any')),
          h('div', { class: 'panel', role: 'group', 'aria-label': all }, boxes));
      }
      patch(states, h('legend', null, 'State'), STATES.map((each) => box('state', each, query)));
    },

    /** Show what the address says. */
    sync(query) {
      for (const name of SINGLE) {
        const value = query.get(name) ?? '';
        element.elements[name].value = TIMES.includes(name) ? toLocal(value) : value;
      }
      if (!query.has('since')) range.value = '';
    },

    read(query) {
      const params = new URLSearchParams();
      for (const [name, value] of new FormData(element)) {
        const typed = value.trim();
        if (!typed) continue;
        if (!TIMES.includes(name)) params.append(name, typed);
        // What came by the address is exact to the millisecond; what the field shows of it is not.
        else params.append(name, toLocal(query.get(name)) === typed ? query.get(name) : new Date(typed).toISOString());
      }
      return params;
    },
  };
}

/** As an input of type datetime-local wants it. */
function toLocal(iso) {
  const at = new Date(iso || NaN);
  if (Number.isNaN(at.getTime())) return '';
  return new Date(at.getTime() - at.getTimezoneOffset() * 60000).toISOString().slice(0, 19);
}
