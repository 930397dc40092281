// The page round the views: token, addresses, header, connection, keys.
import { get, Offline, Refused, repeat, token, watch } from './api.js';
import { audit } from './audit.js';
import { deliveries } from './deliveries.js';
import { delivery } from './delivery.js';
import { button, h, patch, problem, speak, to, toast } from './dom.js';
import { endpointForm } from './endpoint_form.js';
import { endpoints } from './endpoints.js';
import { figures } from './figures.js';
import { overview } from './overview.js';
import { count, lagOf, link, setClock } from './words.js';

const VIEWS = { overview, endpoints, deliveries, audit, delivery, form: endpointForm, figures };
const TITLES = {
  overview: 'Overview', endpoints: 'Endpoints', deliveries: 'Deliveries', audit: 'Audit', delivery: 'Delivery', form: 'Endpoint', figures: 'Figures',
};
/** Views of one thing, below the page that lists all. */
const BELOW = { delivery: 'deliveries', form: 'endpoints', figures: 'endpoints' };
const THEMES = ['auto', 'dark', 'light'];
const $ = (id) => document.getElementById(id);

/** What api/overview said last; the header and the overview show it. */
const pulse = { seen: null, error: null, hearers: new Set() };
let beat = null;
let shown = null;
let lost = false;

function routeOf(hash) {
  const [path, search] = hash.replace(/^#\/?/, '').split('?');
  const [first, ...rest] = path.split('/');
  const query = new URLSearchParams(search);
  try {
    const below = rest.length ? routeBelow(first, rest.map(decodeURIComponent)) : null;
    if (below) return { ...below, query };
  } catch {
    // What cannot be decoded names nothing.
  }
  return { name: Object.hasOwn(VIEWS, first) && !Object.hasOwn(BELOW, first) ? first : 'overview', query };
}

function routeBelow(first, rest) {
  if (first === 'deliveries') return { name: 'delivery', id: rest.join('/') };
  const [endpoint, view] = rest;
  if (first !== 'endpoints') return null;
  if (view === 'edit') return { name: 'form', endpoint };
  if (view === 'figures') return { name: 'figures', endpoint };
  return endpoint === 'new' ? { name: 'form', endpoint: null } : null;
}

function show() {
  if (!token.get()) return;
  if (shown?.view.isDirty?.() && !window.confirm('What you changed is not saved. Leave it?')) {
    history.pushState(null, '', shown.hash);
    return;
  }
  const route = routeOf(location.hash);
  for (const each of $('nav').children) {
    const here = each.hash === `#/${BELOW[route.name] ?? route.name}`;
    if (here) each.setAttribute('aria-current', 'page');
    else each.removeAttribute('aria-current');
  }
  if (shown?.name === route.name && shown.view.update) {
    shown.view.update(route);
    return;
  }
  const first = shown === null && document.activeElement === document.body;
  shown?.view.stop();
  const main = $('main');
  // Each in an element of its own: what an answer that comes late still draws is seen by nobody.
  const root = h('div', { class: 'view' });
  main.replaceChildren(root);
  shown = { name: route.name, hash: location.hash, view: VIEWS[route.name](root, { route, pulse }) };
  title();
  if (!first) {
    scrollTo(0, 0);
    main.querySelector('h1')?.focus({ preventScroll: true });
  }
}

function enter() {
  $('nav').hidden = $('leave').hidden = false;
  beat = repeat(async () => {
    try {
      const seen = await get('api/overview');
      const turned = pulse.seen && pulse.seen.ready !== seen.ready;
      if (turned) speak(seen.ready ? 'The watcher is ready again.' : 'The watcher is not ready.');
      Object.assign(pulse, { seen, error: null });
      setClock(seen.now);
    } catch (failed) {
      pulse.error = failed instanceof Offline ? null : failed.message;
      throw failed;
    } finally {
      header();
      pulse.hearers.forEach((hear) => hear());
    }
  }, 5);
  show();
}

/** Back to the door: nothing of what was seen stays on the page. */
function leave(message) {
  token.set(null);
  beat?.stop();
  shown?.view.stop();
  beat = shown = null;
  Object.assign(pulse, { seen: null, error: null });
  document.querySelectorAll('dialog').forEach((dialog) => dialog.close());
  $('nav').hidden = $('leave').hidden = $('state').hidden = true;
  document.title = 'Sign in · librechat-watcher';
  door(message);
}

function door(message) {
  const input = h('input', {
    id: 'token',
    type: 'password',
    autocomplete: 'current-password',
    required: true,
    'aria-describedby': 'token-help',
    'aria-invalid': message ? 'true' : null,
  });
  const enterWith = async (event) => {
    event.preventDefault();
    token.set(input.value.trim());
    try {
      await get('api/overview');
      enter();
    } catch (failed) {
      // A wrong token has opened the door anew already.
      if (failed.status === 401) return;
      token.set(null);
      door(failed.message);
    }
  };
  $('main').replaceChildren();
  patch($('main'), h('form', { class: 'card door', onsubmit: enterWith },
    h('h1', { tabindex: -1 }, 'Sign in'),
    problem(message),
    h('label', { for: 'token' }, 'Admin token'),
    input,
    h('p', { id: 'token-help', class: 'dim' },
      'The value of ', h('code', null, 'watcher.http.token'), ' or of ', h('code', null, 'WATCHER_ADMIN_TOKEN'),
      '. This browser tab keeps it until it is closed.'),
    h('button', { type: 'submit', class: 'primary' }, 'Sign in')));
  input.focus();
}

watch.told = (error) => {
  if (error instanceof Refused && error.status === 401 && token.get()) {
    leave('The watcher does not know this token. Compare it with watcher.http.token.');
    return;
  }
  const gone = error instanceof Offline;
  if (lost && !gone) toast('Connected again.');
  if (lost !== gone) {
    lost = gone;
    header();
  }
  $('banner').hidden = !gone;
  patch($('banner'), gone && ['Connection lost. ', error.message, ' What you see may be old. Trying again by itself. ',
    button('Try now', () => document.dispatchEvent(new Event('watcher-again')))]);
};

function header() {
  const { seen } = pulse;
  $('state').hidden = !seen;
  if (!seen) return;
  const { ready, counts } = seen;
  const [says, like] = lost ? ['connection lost', 'held'] : ready ? ['ready', 'delivered'] : ['not ready', 'dead'];
  patch($('state'),
    to('#/overview', says, { class: `badge ${like}` }),
    h('span', null, 'lag ', h('b', null, lagOf(seen))),
    to(link('deliveries', { state: 'pending' }), [h('b', null, count(counts?.pending)), ' pending']),
    to(link('deliveries', { state: 'dead' }), [h('b', null, count(counts?.dead)), ' dead'], { class: counts?.dead ? 'bad' : null }));
  title();
}

function title() {
  const { seen } = pulse;
  const state = !seen ? '' : !seen.ready ? 'NOT READY · ' : seen.counts?.dead ? `${count(seen.counts.dead)} dead · ` : '';
  document.title = `${state}${TITLES[shown?.name] ?? 'Sign in'} · librechat-watcher`;
}

function theme(chosen) {
  if (chosen === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = chosen;
  $('theme').textContent = `Theme: ${chosen}`;
}

$('theme').onclick = () => {
  const chosen = THEMES[(THEMES.indexOf(document.documentElement.dataset.theme ?? 'auto') + 1) % THEMES.length];
  theme(chosen);
  try {
    localStorage.setItem('watcher-theme', chosen);
  } catch {
    // Then it lasts until the page is loaded again.
  }
};
$('leave').onclick = () => leave();
document.querySelector('.skip').onclick = (event) => {
  event.preventDefault();
  $('main').focus();
};
document.addEventListener('keydown', (event) => {
  const typing = event.target.closest?.('input:not([type=checkbox]), select, textarea, dialog');
  if (event.key !== '/' || typing || event.ctrlKey || event.metaKey || event.altKey || !token.get()) return;
  event.preventDefault();
  if (shown?.name !== 'deliveries') {
    history.pushState(null, '', '#/deliveries');
    show();
  }
  // Not there when what was changed is to be saved first.
  $('filter-id')?.focus();
});
addEventListener('hashchange', show);

theme(document.documentElement.dataset.theme ?? 'auto');
if (token.get()) enter();
else leave();
