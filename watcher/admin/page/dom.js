// Elements from data. Whatever comes from the API becomes a text node or an attribute, never markup.

const SVG = 'http://www.w3.org/2000/svg';
const PROPERTIES = ['value', 'checked', 'indeterminate', 'disabled', 'hidden', 'open'];

/** An HTML element. `on…` are handlers, `key` tells rows apart when the page is brought up to date. */
export const h = (tag, props, ...children) => fill(document.createElement(tag), props, children);

/** An SVG element. */
export const s = (tag, props, ...children) => fill(document.createElementNS(SVG, tag), props, children);

export const button = (label, onclick, props) => h('button', { type: 'button', onclick, ...props }, label);

export const to = (href, label, props) => h('a', { href, ...props }, label);

/** What is said beside the main thing. */
export const aside = (...says) => h('p', { class: 'dim' }, says);

function fill(element, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) element[name] = value;
    else if (name === 'key') element.dataset.key = value;
    else if (PROPERTIES.includes(name) && element.namespaceURI !== SVG) element[name] = value;
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.flat(9).map(asNode));
  return element;
}

// What is not there leaves a comment, so that what comes after it keeps its place in `patch`.
function asNode(child) {
  if (child instanceof Node) return child;
  if (child === null || child === undefined || child === false) return document.createComment('');
  return document.createTextNode(child);
}

/** Make the parent's children like these. Elements that stay are kept: with focus, scroll position and open details. */
export function patch(parent, ...children) {
  const fresh = document.createDocumentFragment();
  fresh.append(...children.flat(9).map(asNode));
  patchChildren(parent, fresh);
}

function patchChildren(old, fresh) {
  const keyed = new Map();
  for (const child of old.children) if (child.dataset.key) keyed.set(child.dataset.key, child);
  let at = old.firstChild;
  for (const next of [...fresh.childNodes]) {
    const key = next.dataset?.key;
    const match = key ? keyed.get(key) : at && !at.dataset?.key ? at : null;
    if (!match || match.nodeName !== next.nodeName) {
      old.insertBefore(next, at);
      continue;
    }
    if (match === at) at = at.nextSibling;
    else old.insertBefore(match, at);
    patchNode(match, next);
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
}

function patchNode(old, next) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== next.data) old.data = next.data;
    return;
  }
  for (const { name } of [...old.attributes]) {
    if (!next.hasAttribute(name) && name !== 'open') old.removeAttribute(name);
  }
  for (const { name, value } of next.attributes) {
    if (name !== 'open' && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const name of ['onclick', 'onchange', 'onsubmit', 'onpointermove', 'onpointerleave']) {
    if (old[name] !== next[name]) old[name] = next[name];
  }
  if (old instanceof HTMLInputElement) {
    if (old.checked !== next.checked) old.checked = next.checked;
    old.indeterminate = next.indeterminate;
  }
  patchChildren(old, next);
}

/** A table that stays one for screen readers when narrow screens show its rows as cards.
 *
 * `columns` are headings, or {head, class}; a row is {key, class, onclick, cells}. */
export function table(label, columns, rows, props = {}) {
  const heads = columns.map((column) => (column?.head === undefined ? { head: column } : column));
  return h('table', { role: 'table', 'aria-label': label, ...props },
    h('thead', { role: 'rowgroup' },
      h('tr', { role: 'row' }, heads.map((column) => h('th', { role: 'columnheader', scope: 'col', class: column.class }, column.head)))),
    h('tbody', { role: 'rowgroup' },
      rows.map(({ cells, ...of }) => h('tr', { role: 'row', ...of },
        cells.map((cell, i) => h('td', {
          role: 'cell',
          class: heads[i].class,
          'data-label': typeof heads[i].head === 'string' ? heads[i].head : null,
        }, h('div', null, cell)))))));
}

/** Terms and what they are. */
export const facts = (pairs, props) => h('dl', { class: 'facts', ...props },
  pairs.filter(Boolean).map(([term, ...is]) => h('div', null, h('dt', null, term), h('dd', null, is))));

/** What went wrong, said at once to screen readers, too. */
export const problem = (text) => text && h('p', { class: 'problem', role: 'alert' }, text);

/** Copies `text`; where the browser gives no clipboard (no TLS), it selects the element `id` that shows it. */
export function copyButton(text, what, id, say = toast) {
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      say(`Copied ${what}.`);
    } catch {
      getSelection().selectAllChildren(document.getElementById(id));
      say('This browser gives no clipboard here. It is selected: press Ctrl+C.');
    }
  };
  return button('Copy', copy, { class: 'small', 'aria-label': `Copy ${what}` });
}

/** Say something to those who see, and to those who listen. */
export function toast(text, bad = false) {
  const shown = h('div', { class: bad ? 'toast bad' : 'toast' }, text);
  document.getElementById('toasts').append(shown);
  setTimeout(() => shown.remove(), bad ? 12000 : 6000);
}

/** Say something to those who listen only. */
export function speak(text) {
  document.getElementById('spoken').textContent = text;
}
