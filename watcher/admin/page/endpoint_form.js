// The form of a managed endpoint: fields, all keys as JSON, and a trial. What is sent is what stands in the JSON.
import { change, endpointPath, get, post } from './api.js';
import { difference, patched, problemsIn, unsayable, withValue } from './definition.js';
import { button, h, patch, problem, to, toast } from './dom.js';
import { fieldGroups } from './fields.js';
import { showSecret } from './managing.js';
import { trial } from './trial.js';
import { link } from './words.js';

export function endpointForm(main, { route }) {
  const { endpoint: name } = route;
  let editor = null;

  patch(main,
    h('p', null, to('#/endpoints', '← Endpoints')),
    h('h1', { tabindex: -1 }, name ? `Edit ${name}` : 'New endpoint'),
    h('div', { class: 'list' }, h('p', null, 'Loading…')));
  const inside = main.querySelector('.list');

  async function load() {
    try {
      const [{ endpoints, managing }, { events }] = await Promise.all([get('api/endpoints'), get('api/events')]);
      const found = endpoints.find((each) => each.name === name);
      const why = refusal(name, found, managing);
      if (why) patch(inside, problem(why));
      else {
        editor = form({ events, endpoint: found ?? null });
        inside.replaceChildren(...editor.elements);
      }
    } catch (failed) {
      patch(inside, problem(failed.message), h('p', null, button('Try again', load)));
    }
  }

  load();
  return { stop: () => editor?.stop(), isDirty: () => editor?.isDirty() ?? false };
}

/** Why an endpoint cannot be edited, or made. */
function refusal(name, found, managing) {
  if (!managing.on) return managing.why;
  if (!name) return null;
  if (!found || found.state === 'gone') return `There is no endpoint ${name}. Was it deleted meanwhile?`;
  if (found.locked) return `${name} stands in the settings' file: it is changed there.`;
  if (!found.definition) return `${name} cannot be opened: it was encrypted with another key than this replica has.`;
  return null;
}

function form({ events, endpoint }) {
  const isNew = endpoint === null;
  let base = endpoint?.definition ?? { name: '', url: '', events: ['*'] };
  let revision = endpoint?.revision;
  let definition = base;
  let unread = null;
  let saved = false;
  let busy = false;

  const groups = fieldGroups(tell, { events, isNew });
  const fields = groups.flatMap(([, ...each]) => each);
  const json = h('textarea', {
    id: 'form-json', class: 'code', rows: 18, spellcheck: 'false', oninput: readJson, 'aria-describedby': 'form-json-help form-json-wrong',
  });
  const jsonWrong = h('small', { id: 'form-json-wrong', class: 'bad' });
  const trouble = h('div', { class: 'problem', tabindex: -1, role: 'group', 'aria-labelledby': 'trouble', hidden: true });
  const changes = h('p', { class: 'dim' });
  const tryOut = trial(() => {
    if (isReadable()) return { definition: isNew ? definition : difference(base, definition) ?? {}, ...(isNew ? {} : { name: base.name }) };
    return null;
  }, (failed) => blame('It cannot be tried', failed));
  // While the JSON cannot be read the fields would overwrite what is being written.
  const side = h('fieldset', { class: 'list plain', 'aria-label': 'Fields' }, groups.map(([title, ...each], i) => (
    h('section', { class: 'card', 'aria-labelledby': `group-${i}` },
      h('h2', { id: `group-${i}` }, title), h('div', { class: 'fields entry' }, each.map(({ element }) => element))))));
  const element = h('form', { class: 'editor', 'aria-label': isNew ? 'New endpoint' : `Edit ${base.name}`, novalidate: true, onsubmit: save },
    side,
    h('section', { class: 'card keys', 'aria-labelledby': 'keys' },
      h('h2', { id: 'keys' }, h('label', { for: 'form-json' }, 'All keys, as JSON')),
      h('small', { id: 'form-json-help', class: 'dim' }, help(isNew)), json, jsonWrong),
    h('div', { class: 'actions' },
      h('button', { type: 'submit', class: 'primary' }, isNew ? 'Create endpoint' : 'Save changes'),
      button('Try on recent events', tryOut.run),
      to('#/endpoints', 'Go back', { class: 'button' }), changes));

  /** A field says what it became. */
  function tell(told) {
    definition = Object.entries(told).reduce((whole, [path, value]) => withValue(whole, path, value), definition);
    show();
  }

  function readJson() {
    try {
      const read = JSON.parse(json.value);
      if (typeof read !== 'object' || read === null || Array.isArray(read)) throw new Error('it must be a mapping, { … }');
      unread = null;
      definition = read;
      show();
    } catch (error) {
      unread = `It cannot be read yet, and the fields wait for it: ${error.message}`;
    }
    side.disabled = unread !== null;
    jsonWrong.textContent = unread ?? '';
    json.setAttribute('aria-invalid', `${unread !== null}`);
  }

  function show() {
    fields.forEach((field) => field.show(definition));
    if (json !== document.activeElement) json.value = JSON.stringify(definition, null, 2);
    changes.textContent = isNew ? '' : `Changed: ${Object.keys(difference(base, definition) ?? {}).join(', ') || 'nothing yet'}`;
    tryOut.stale();
  }

  /** May the definition be sent? Else the focus is where it is wrong. */
  function isReadable() {
    const wrong = fields.find((field) => field.wrong?.());
    if (unread) json.focus();
    else if (wrong) wrong.focus();
    if (unread || wrong) {
      toast(unread ?? wrong.wrong(), true);
      return false;
    }
    const problems = isNew ? [] : unsayable(base, definition);
    if (problems.length) complain('It cannot be saved so', problems);
    else clear();
    return !problems.length;
  }

  const clear = () => {
    trouble.hidden = true;
    fields.forEach((field) => field.mark(null));
  };

  /** Tell what the API has against it, with a way to each field that it names. */
  function blame(title, { message, status }) {
    const again = status === 409 && !isNew && button('Look at it again, with my changes on top', lookAgain);
    complain(title, status === 422 ? problemsIn(message) : [{ what: message }], again);
  }

  function complain(title, problems, ...more) {
    clear();
    for (const field of fields) {
      const own = problems.filter(({ key }) => field.keys.includes(key));
      if (own.length) field.mark(own.map(({ what, cure }) => [what, cure].filter(Boolean).join('\n')).join('\n'));
    }
    trouble.replaceChildren(
      h('h2', { id: 'trouble' }, title),
      h('ul', null, problems.map(({ where, key, what, cure }) => h('li', null,
        where && (leadTo(key, where) ?? h('b', null, where)), where && ': ', what, cure && `\n${cure}`))),
      ...more.filter(Boolean));
    trouble.hidden = false;
    trouble.focus();
    trouble.scrollIntoView({ block: 'nearest' });
  }

  function leadTo(key, where) {
    const field = fields.find(({ keys }) => keys.includes(key));
    return field && button(where, () => field.focus(), { class: 'link', 'aria-label': `${where}: go to the field` });
  }

  async function save(event) {
    event.preventDefault();
    if (busy || !isReadable()) return;
    const changed = difference(base, definition);
    if (!isNew && !changed) {
      toast('Nothing was changed.');
      return;
    }
    busy = true;
    try {
      const { endpoint: made, secret } = isNew
        ? await post('api/endpoints', { definition })
        : await change(endpointPath(base.name), { definition: changed, revision });
      saved = true;
      if (secret) await showSecret(made.name, secret);
      toast(isNew ? `${made.name} is made. It is told of what happens from now on.` : `${made.name} is changed, from now on.`);
      location.hash = link('endpoints', { name: made.name });
    } catch (failed) {
      blame('Not saved', failed);
    } finally {
      busy = false;
    }
  }

  /** Somebody was faster: put what was changed here on what is there now. */
  async function lookAgain() {
    try {
      const { endpoints } = await get('api/endpoints');
      const now = endpoints.find((each) => each.name === base.name && each.definition);
      if (!now) throw new Error(`There is no endpoint ${base.name} any more.`);
      const [mine, theirs] = [difference(base, definition) ?? {}, difference(base, now.definition) ?? {}];
      const both = Object.keys(mine).filter((key) => Object.hasOwn(theirs, key));
      ({ definition: base, revision } = now);
      definition = patched(base, mine);
      clear();
      json.blur();
      show();
      toast(`Somebody changed: ${Object.keys(theirs).join(', ') || 'what is hidden'}.${both.length ? ` You, too: ${both.join(', ')}; yours stands here.` : ''}`);
      element.querySelector('button[type=submit]').focus();
    } catch (failed) {
      blame('It cannot be looked at', failed);
    }
  }

  const isDirty = () => !saved && (unread !== null || difference(base, definition) !== undefined);
  const hold = (event) => isDirty() && event.preventDefault();
  addEventListener('beforeunload', hold);
  show();
  return { elements: [trouble, element, tryOut.element], isDirty, stop: () => removeEventListener('beforeunload', hold) };
}

const help = (isNew) => [
  'In step with the fields; what stands here is sent. Keys are those of ', h('code', null, 'webhooks.endpoints'),
  ' in the settings\u2019 file; one that is not here is as for all endpoints. ',
  isNew
    ? 'Without “secret” a secret is made, and shown once.'
    : 'What may be secret is not shown: the URL behind its host, headers\u2019 values, hashKey, secret. Left as it is, it stays.'];
