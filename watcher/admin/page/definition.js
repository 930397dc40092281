// A definition of an endpoint as the form works on it: its values, what a change of it says, what is wrong with it.

/** What the API shows instead of a value that may be secret, as admin/managing.py has it. */
const HIDDEN = '(hidden)';

const isMapping = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);

/** The value at a path, as `rateLimit.batchSize`. */
export const valueAt = (definition, path) => path.split('.').reduce((value, key) => (isMapping(value) ? value[key] : undefined), definition);

/** The definition with another value at a path; undefined takes the key away, and a mapping that it leaves empty. */
export function withValue(definition, path, value) {
  const [key, ...deeper] = path.split('.');
  const held = isMapping(definition[key]) ? definition[key] : {};
  const next = deeper.length ? withValue(held, deeper.join('.'), value) : value;
  const changed = { ...definition, [key]: next };
  if (next === undefined || (deeper.length && !Object.keys(next).length)) delete changed[key];
  return changed;
}

/** The JSON Merge Patch (RFC 7396) that makes `to` of `from`; undefined where they are the same. */
export function difference(from, to) {
  if (!isMapping(from) || !isMapping(to)) return JSON.stringify(from) === JSON.stringify(to) ? undefined : to;
  const changes = Object.keys({ ...from, ...to })
    .map((key) => [key, Object.hasOwn(to, key) ? difference(from[key], to[key]) : null])
    .filter(([, change]) => change !== undefined);
  return changes.length ? Object.fromEntries(changes) : undefined;
}

/** `from` with a patch of it. */
export function patched(from, patch) {
  if (!isMapping(patch)) return patch;
  const whole = isMapping(from) ? { ...from } : {};
  for (const [key, change] of Object.entries(patch)) {
    if (change === null) delete whole[key];
    else whole[key] = patched(whole[key], change);
  }
  return whole;
}

/** What a patch cannot say, in the API's manner of telling problems. */
export function unsayable(from, to) {
  const nulls = nullsIn(from.transform, to.transform, 'transform').map((where) => ({
    where,
    key: 'transform',
    what: 'null would take the key away when an endpoint is changed',
    cure: 'write "{{ none }}", which gives null',
  }));
  const headers = isMapping(to.headers) ? Object.entries(to.headers) : [];
  const renamed = headers.filter(([name, value]) => value === HIDDEN && from.headers?.[name] !== HIDDEN);
  return [...nulls, ...renamed.map(([name]) => ({
    where: `headers.${name}`,
    key: 'headers',
    what: 'its value is hidden, and does not go along to another name',
    cure: 'write the value',
  }))];
}

function nullsIn(from, to, place) {
  if (to === null) return from === null ? [] : [place];
  if (!isMapping(to)) return [];
  return Object.entries(to).flatMap(([key, value]) => nullsIn(isMapping(from) ? from[key] : undefined, value, `${place}.${key}`));
}

/** The API's text about a definition as its problems: {where, key, what, cure}. `key` is null where it names none. */
export function problemsIn(text) {
  const found = [];
  for (const line of text.split('\n')) {
    if (/^\s/.test(line) && found.length) {
      found.at(-1).cure = [found.at(-1).cure, line.trim()].filter(Boolean).join('\n');
      continue;
    }
    const [, where, what] = /^endpoint(?: [^:]+)?: ([^:\s]+): (.+)$/.exec(line) ?? [null, null, line];
    found.push({ where, key: where && /^\w+/.exec(where)?.[0], what, cure: '' });
  }
  return found;
}

/** How a field writes a value as text, and what its text means. What means nothing stays text: the API tells why. */
const kind = (show, read) => ({
  show: (value) => (value === undefined ? '' : typeof value === 'string' ? value : show(value)),
  read: (text) => (text.trim() === '' ? undefined : read(text.trim())),
});
const asNumber = (text) => (/^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text);
const parts = (text) => text.split(',').map((part) => part.trim()).filter(Boolean);
const joined = (value) => (Array.isArray(value) && value.every((each) => typeof each !== 'object') ? value.join(', ') : JSON.stringify(value));

export const TEXT = kind(JSON.stringify, (text) => text);
export const NUMBER = kind(JSON.stringify, asNumber);
export const LIST = kind(joined, parts);
export const NUMBERS = kind(joined, (text) => parts(text).map(asNumber));
export const TRUTH = kind(JSON.stringify, (text) => ({ true: true, false: false })[text] ?? text);

/** A mapping or a list as JSON; any other text stays one. Throws where JSON was begun. `{{` begins a template. */
export const BODY = {
  show: (value) => {
    if (value === undefined) return '';
    try {
      if (typeof value === 'string' && BODY.read(value) === value) return value;
    } catch {
      // A text that looks like JSON is shown in quotes.
    }
    return JSON.stringify(value, null, 2);
  },
  read: (text) => {
    if (text.trim() === '') return undefined;
    return /^\s*(\[|"|\{(?![{%#]))/.test(text) ? JSON.parse(text) : text;
  },
};

/** A condition: JSON, and nothing else. Throws where it is none. */
export const CONDITION = {
  show: (value) => (value === undefined ? '' : JSON.stringify(value)),
  read: (text) => (text.trim() === '' ? {} : JSON.parse(text)),
};
