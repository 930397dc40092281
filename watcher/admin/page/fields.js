// The fields of the endpoint form. Each shows its keys of a definition, and tells what they became.
import { BODY, CONDITION, LIST, NUMBER, NUMBERS, TEXT, TRUTH, valueAt } from './definition.js';
import { button, h } from './dom.js';

const AS_FOR_ALL = 'as for all';
const PRESETS = ['slack', 'discord', 'teams'];
/** What a body is made by: the option's value, its words, and the keys that say so. */
const BODIES = [
  ['', 'as for all endpoints', {}],
  ['librechat', 'as LibreChat documents it', { format: 'librechat' }],
  ['cloudevents', 'CloudEvents', { format: 'cloudevents' }],
  ...PRESETS.map((preset) => [preset, `a message for ${preset[0].toUpperCase()}${preset.slice(1)}`, { preset }]),
  ['transform', 'of your own making', { transform: { event: '{{ event }}', user: '{{ userId }}' } }],
];

/** All fields, in groups: [title, …fields]. `tell` gets what changed, by path; undefined takes a key away. */
export const fieldGroups = (tell, { events, isNew }) => [
  ['Receiver',
    text('name', 'Name', { required: true, readonly: !isNew, maxlength: 63, help: isNew ? 'Letters, digits, “.”, “_” and “-”. It stays.' : 'It stays as it is.' }, tell),
    text('url', 'URL', { required: true, inputmode: 'url', help: isNew ? null : 'What follows the host is hidden. Left as it is shown, it stays.' }, tell),
    choice('signing', 'Signature', { '': AS_FOR_ALL, librechat: 'librechat (X-Webhook-Signature)', standard: 'Standard Webhooks', both: 'both', none: 'none' }, TEXT, tell),
    choice('allowHttp', 'Plain http to other machines', { '': AS_FOR_ALL, true: 'allowed', false: 'refused' }, TRUTH, tell)],
  ['Events', subscriptions(events, tell), filters(events, tell)],
  ['Body',
    body(tell),
    text('omit', 'Leave out (omit)', { kind: LIST, help: 'Names of fields, with commas: text, email' }, tell),
    text('hash', 'Hash', { kind: LIST, help: 'As keyed hashes: userId, conversationId' }, tell),
    choice('textLength', 'Length of texts in their place', { '': AS_FOR_ALL, true: 'yes', false: 'no' }, TRUTH, tell)],
  ['Delivery',
    headers(tell),
    text('timeout', 'Timeout (ms)', { kind: NUMBER, inputmode: 'numeric' }, tell),
    text('retries', 'Retries', { kind: NUMBER, inputmode: 'numeric' }, tell),
    text('retryDelays', 'Seconds before each retry', { kind: NUMBERS, help: 'As 5, 15, 60. Sets how many.' }, tell),
    text('rateLimit.maxPerSecond', 'Requests per second, at most', { kind: NUMBER, inputmode: 'decimal' }, tell),
    text('rateLimit.batchSize', 'Events per request, at most', { kind: NUMBER, inputmode: 'numeric', help: 'More than 1: in batches while more wait than may go.' }, tell),
    choice('ordering', 'Order', { '': AS_FOR_ALL, entity: 'per conversation, user, agent, file', none: 'none' }, TEXT, tell)],
];

/** What stands round a control: its label, its help, and what is wrong with it. */
function frame(id, label, control, help) {
  const wrong = h('small', { id: `${id}-wrong`, class: 'bad' });
  control.setAttribute('aria-describedby', `${id}-wrong ${id}-help`);
  return {
    element: h('div', { class: 'field' },
      h('label', { for: id }, label), control, h('small', { id: `${id}-help`, class: 'dim' }, help), wrong),
    mark: (says) => mark(control, wrong, says),
  };
}

/** The same round several controls. */
function group(id, legend, help, ...inside) {
  const wrong = h('small', { id: `${id}-wrong`, class: 'bad' });
  const element = h('fieldset', { id, class: 'group', tabindex: -1, 'aria-describedby': `${id}-wrong ${id}-help` },
    h('legend', null, legend), h('small', { id: `${id}-help`, class: 'dim' }, help), inside, wrong);
  return { element, mark: (says) => mark(element, wrong, says) };
}

function mark(control, wrong, says) {
  wrong.textContent = says ?? '';
  if (says && control.localName !== 'fieldset') control.setAttribute('aria-invalid', 'true');
  else control.removeAttribute('aria-invalid');
}

/** Whoever types in a field is not disturbed by it. */
function put(control, value) {
  if (control !== document.activeElement) control.value = value;
}

function text(key, label, { kind = TEXT, help, required, ...props }, tell) {
  const id = `form-${key}`;
  const input = h('input', {
    id,
    autocomplete: 'off',
    autocapitalize: 'none',
    spellcheck: 'false',
    placeholder: required ? null : AS_FOR_ALL,
    'aria-required': required ? 'true' : null,
    oninput: () => {
      framed.mark(null);
      tell({ [key]: kind.read(input.value) });
    },
    ...props,
  });
  const framed = frame(id, label, input, help);
  return {
    ...framed,
    keys: [key.split('.')[0]],
    focus: () => input.focus(),
    show: (definition) => put(input, kind.show(valueAt(definition, key))),
  };
}

function choice(key, label, options, kind, tell) {
  const id = `form-${key}`;
  const select = h('select', {
    id,
    onchange: () => {
      framed.mark(null);
      tell({ [key]: kind.read(select.value) });
    },
  });
  const framed = frame(id, label, select);
  return {
    ...framed,
    keys: [key],
    focus: () => select.focus(),
    show: (definition) => {
      const value = kind.show(definition[key]);
      // One that nobody knows is shown as it stands in the JSON.
      const all = value in options ? options : { ...options, [value]: value };
      select.replaceChildren(...Object.entries(all).map(([each, words]) => h('option', { value: each }, words)));
      select.value = value;
    },
  };
}

/** Which events, as boxes to tick: patterns first. */
function subscriptions(events, tell) {
  const families = [...new Set(events.map((event) => `${event.split('.')[0]}.*`))].filter((family) => family !== 'watcher.*');
  const boxes = h('div', { class: 'chips' });
  let chosen = [];
  const framed = group('form-events', 'Told', 'None ticked: as for all endpoints. “*” and “message.*” mean the documented ones.', boxes);
  const tick = ({ currentTarget: { value, checked } }) => {
    framed.mark(null);
    chosen = checked ? [...chosen, value] : chosen.filter((each) => each !== value);
    tell({ events: chosen.length ? chosen : undefined });
  };
  const offer = (name) => boxes.append(h('label', null, h('input', { type: 'checkbox', value: name, onchange: tick }), name));
  const offered = () => [...boxes.querySelectorAll('input')];
  ['*', ...families, ...events].forEach(offer);
  return {
    ...framed,
    keys: ['events'],
    focus: () => framed.element.focus(),
    show: ({ events: given }) => {
      chosen = Array.isArray(given) ? given : [];
      // One that nobody knows stays, so that it can be unticked.
      chosen.map(String).filter((name) => !offered().some(({ value }) => value === name)).forEach(offer);
      for (const box of offered()) box.checked = chosen.includes(box.value);
    },
  };
}

/** Rows that can be added and removed. `parts` makes the controls of a row, which it changes in place; `given` makes
 * the value of all rows, and `taken` rows of a value, or null where fields cannot show it. */
function rows({ key, legend, help, add, blank, parts, given, taken }, tell) {
  let all = [];
  const list = h('div', { class: 'rows' });
  const more = button(add, () => {
    all.push(blank());
    draw();
    list.lastElementChild.querySelector('input').focus();
  }, { class: 'small' });
  const framed = group(`form-${key}`, legend, help, list, more);
  const changed = () => {
    framed.mark(null);
    if (all.every((row) => !row.wrong)) tell({ [key]: given(all) });
  };
  const draw = () => list.replaceChildren(...all.map((row, i) => h('div', { class: 'row' },
    parts(row, i + 1, changed),
    button('Remove', () => {
      all.splice(i, 1);
      draw();
      changed();
      more.focus();
    }, { class: 'small', 'aria-label': `Remove ${legend} ${i + 1}` }))));
  return {
    ...framed,
    keys: [key],
    focus: () => (framed.element.querySelector('[aria-invalid]') ?? framed.element).focus(),
    wrong: () => all.find((row) => row.wrong)?.wrong,
    show: (definition) => {
      if (framed.element.contains(document.activeElement)) return;
      const found = taken(definition[key]);
      more.disabled = found === null;
      all = found ?? [];
      draw();
      if (found === null) list.replaceChildren(h('p', { class: 'dim' }, 'It is written in the JSON.'));
    },
  };
}

const filters = (events, tell) => rows({
  key: 'filters',
  legend: 'Filters',
  help: 'Of the events that are chosen, only those whose data meet the condition. Others pass.',
  add: 'Add a filter',
  blank: () => ({ event: '', text: '', condition: {}, rest: {} }),
  parts: (row, n, changed) => {
    const wrong = h('small', { id: `filter-${n}-wrong`, class: 'bad' });
    const condition = h('textarea', {
      rows: 2,
      class: 'code',
      spellcheck: 'false',
      'aria-label': `Condition of filter ${n}`,
      'aria-describedby': wrong.id,
      placeholder: '{"endpoint": "openAI"}',
      value: row.text,
      oninput: () => {
        row.text = condition.value;
        row.wrong = unread(() => { row.condition = CONDITION.read(row.text); });
        mark(condition, wrong, row.wrong);
        changed();
      },
    });
    return [
      h('input', {
        'aria-label': `Events of filter ${n}`,
        list: 'form-event-names',
        placeholder: 'message.created, or *',
        autocomplete: 'off',
        value: row.event,
        oninput: ({ currentTarget }) => {
          row.event = currentTarget.value.trim();
          changed();
        },
      }),
      n === 1 && h('datalist', { id: 'form-event-names' }, ['*', ...events].map((event) => h('option', { value: event }))),
      h('div', { class: 'field' }, condition, wrong),
    ];
  },
  given: (all) => {
    const written = all.filter(({ event, text: typed }) => event || typed.trim());
    return written.length ? written.map(({ event, condition, rest }) => ({ ...(event && { event }), condition, ...rest })) : undefined;
  },
  taken: (value) => {
    if (value === undefined) return [];
    if (!Array.isArray(value) || !value.every((each) => typeof each === 'object' && each !== null && !Array.isArray(each))) return null;
    return value.map(({ event, condition, ...rest }) => ({ event: TEXT.show(event), text: CONDITION.show(condition), condition, rest }));
  },
}, tell);

const headers = (tell) => rows({
  key: 'headers',
  legend: 'Headers',
  help: 'Sent along with each request. Values are hidden once they are saved: “(hidden)” stays what it is.',
  add: 'Add a header',
  blank: () => ({ name: '', value: '' }),
  parts: (row, n, changed) => ['name', 'value'].map((part) => h('input', {
    'aria-label': `${part === 'name' ? 'Name' : 'Value'} of header ${n}`,
    placeholder: part === 'name' ? 'Authorization' : 'Bearer …',
    autocomplete: 'off',
    spellcheck: 'false',
    value: row[part],
    oninput: ({ currentTarget }) => {
      row[part] = currentTarget.value;
      changed();
    },
  })),
  given: (all) => {
    const named = all.map(({ name, value }) => [name.trim(), value]).filter(([name]) => name);
    return named.length ? Object.fromEntries(named) : undefined;
  },
  taken: (value) => {
    if (value === undefined) return [];
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return null;
    return Object.values(value).every((each) => typeof each === 'string') ? Object.entries(value).map(([name, each]) => ({ name, value: each })) : null;
  },
}, tell);

/** One way to make a body at a time: choosing one takes the others' keys away. */
function body(tell) {
  let wrong = null;
  const select = h('select', { id: 'form-body' }, BODIES.map(([value, words]) => h('option', { value }, words)));
  const area = h('textarea', { id: 'form-transform', rows: 5, class: 'code', spellcheck: 'false' });
  const form = frame('form-body', 'Form', select);
  const own = frame('form-transform', 'Transform', area, ['JSON whose texts are templates, or one template: ', h('code', null, 'New chat by {{ data.userId }}')]);
  const clear = (says = null) => [form, own].forEach((each) => each.mark(says));
  select.onchange = () => {
    const [, , keys] = BODIES.find(([value]) => value === select.value);
    clear();
    wrong = null;
    tell({ format: undefined, preset: undefined, transform: undefined, ...keys });
  };
  area.oninput = () => {
    clear();
    let value;
    wrong = unread(() => { value = BODY.read(area.value); });
    own.mark(wrong);
    if (!wrong) tell({ transform: value });
  };
  return {
    element: [form.element, own.element],
    keys: ['format', 'preset', 'transform'],
    mark: (says) => (own.element.hidden ? form : own).mark(says),
    focus: () => (own.element.hidden ? select : area).focus(),
    wrong: () => wrong,
    show: ({ format, preset, transform }) => {
      const isOwn = transform !== undefined || area === document.activeElement;
      select.value = isOwn ? 'transform' : preset ?? format ?? '';
      own.element.hidden = !isOwn;
      if (area === document.activeElement) return;
      wrong = null;
      area.value = BODY.show(transform);
    },
  };
}

/** Why a text is no JSON; null where it is. */
function unread(read) {
  try {
    read();
    return null;
  } catch (error) {
    return `It is no JSON yet: ${error.message}`;
  }
}
