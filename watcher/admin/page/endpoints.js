// The endpoints: how each is doing, and what may be done about it.
import { endpointPath, get, post, repeat } from './api.js';
import { chart, largest, rates } from './charts.js';
import { confirm, open } from './dialogs.js';
import { aside, button, facts, h, patch, problem, table, to, toast } from './dom.js';
import { dropEndpoint, retire, rotate } from './managing.js';
import { ago, count, link, moment, ms, ORIGINS, rate, span, standing, STATES, toEndpoint, verdict } from './words.js';

/** An endpoint's timeout is at most ten minutes. */
const LONGEST = 610;

export function endpoints(main, { route }) {
  let list = null;
  let managing = null;
  let error = null;
  /** The one that a link led to, until it has been shown. */
  let wanted = route.query.get('name');

  const draw = () => patch(main,
    h('div', { class: 'head' },
      h('h1', { tabindex: -1 }, 'Endpoints'),
      managing?.on && h('div', { class: 'actions' }, to('#/endpoints/new', 'New endpoint', { class: 'button primary' }))),
    problem(error),
    managing?.on === false && aside(`No endpoint can be made or changed here: ${managing.why}`),
    list === null ? !error && h('p', null, 'Loading…') : list.length
      ? list.map((endpoint) => card(endpoint, { act, managed: managing.on ? manage : noManaging }))
      : h('p', { key: 'none', class: 'card' }, 'There is no endpoint yet. Name one in webhooks.yaml, under webhooks.endpoints',
        managing.on ? ', or make one here.' : '.'));

  const manage = (endpoint) => managed(endpoint, () => turns.now());

  async function act(name, verb, body, done) {
    try {
      const changed = await post(endpointPath(name, verb), body);
      list = list.map((each) => (each.name === name ? changed : each));
      toast(done);
      draw();
    } catch (failed) {
      toast(failed.message, true);
    }
  }

  draw();
  const turns = repeat(async () => {
    try {
      ({ endpoints: list, managing } = await get('api/endpoints'));
      error = null;
    } catch (failed) {
      error = failed.message;
      throw failed;
    } finally {
      draw();
      lead();
    }
  }, 5);
  return turns;

  function lead() {
    const heading = wanted && document.getElementById(`endpoint-${wanted}`);
    if (!heading) return;
    wanted = null;
    heading.scrollIntoView();
    heading.focus({ preventScroll: true });
  }
}

function card(endpoint, { act, managed: more }) {
  const { name, url, state, counts, recent } = endpoint;
  const id = `endpoint-${name}`;
  const gone = state === 'gone';
  const several = (states, label, bad) => {
    const n = states.reduce((sum, each) => sum + counts[each], 0);
    return to(link('deliveries', [['endpoint', name], ...states.map((each) => ['state', each])]), count(n), {
      'aria-label': `${count(n)} ${label} of ${name}`,
      class: bad && n ? 'bad' : null,
    });
  };
  return h('article', { key: name, class: 'card endpoint', 'aria-labelledby': id },
    h('div', { class: 'head' }, h('h2', { id, tabindex: -1 }, name), standing(state), !gone && actions(endpoint, act)),
    h('p', { class: 'dim' }, url && [h('span', { class: 'code' }, url), ' · '], ORIGINS[endpoint.origin]),
    !endpoint.inForce && !gone && h('p', { class: 'says paused' }, 'This replica does not tell it yet.'),
    endpoint.reason && trouble(endpoint),
    facts([
      ['Success', rate(recent.delivered, recent.attempts), h('small', null, `of ${count(recent.attempts)} attempts in ${span(recent.seconds)}`)],
      ['Median (p50)', ms(recent.p50Ms)],
      ['Slowest 1 % (p99)', ms(recent.p99Ms)],
      ['Waiting', several(['pending', 'held'], 'waiting')],
      ['Oldest waiting', ago(endpoint.oldestWaiting)],
      ['Dead', several(['dead'], 'dead', true)],
    ], { class: 'facts figures' }),
    charts(endpoint),
    h('details', null, h('summary', null, 'By event'), byEvent(endpoint)),
    h('details', null,
      h('summary', null, 'Settings and store'),
      facts([
        ['Events', endpoint.events.join(', ') || '–'],
        ['Secrets', count(endpoint.secrets)],
        ...STATES.map((each) => [each, several([each], each)]),
      ])),
    h('div', { class: 'actions' },
      to(toEndpoint(name, 'figures'), 'Figures', { class: 'button small', 'aria-label': `Figures: ${name}` }),
      to(link('audit', { endpoint: name }), 'Audit', { class: 'button small', 'aria-label': `Audit: ${name}` }),
      more(endpoint)));
}

const noManaging = () => null;

/** What may be done with a managed endpoint, and with what waits for one that is gone. */
function managed(endpoint, done) {
  const { name, origin, secrets, counts } = endpoint;
  const small = (label, onclick) => button(label, onclick, { class: 'small', 'aria-label': `${label}: ${name}` });
  if (origin === 'nowhere') return counts.pending + counts.held > 0 && small('Cancel what waits', () => dropEndpoint(endpoint, done));
  return origin === 'managed' && [
    to(toEndpoint(name, 'edit'), 'Edit', { class: 'button small', 'aria-label': `Edit: ${name}` }),
    small('Rotate secret', () => rotate(name, done)),
    secrets > 1 && small('Forget old secret', () => retire(name, done)),
    small('Delete', () => dropEndpoint(endpoint, done)),
  ];
}

function actions({ name, state }, act) {
  const resume = (label, says) => button(label, () => act(name, 'resume', {}, says), { class: 'primary', 'aria-label': `${label}: ${name}` });
  return h('div', { class: 'actions' },
    button('Ping', () => ping(name), { 'aria-label': `Ping: ${name}` }),
    // In each other's place, so that the focus stays when one becomes the other.
    state === 'paused'
      ? resume('Resume', `${name} is resumed. What waited for it is sent now.`)
      : button('Pause', () => pause(name, act), { 'aria-label': `Pause: ${name}` }),
    (state === 'open' || state === 'slowed') && resume('Try now', `${name} is tried now.`));
}

const TROUBLES = { paused: 'Paused', slowed: 'Slowed' };

const trouble = ({ state, since, reason, until }) => h('p', { class: `says ${state}` },
  TROUBLES[state] ?? 'Failing', since && [' since ', moment(since)], `: ${reason}.`, until && [' Until ', moment(until), '.']);

function charts({ name, history }) {
  const attempts = rates([
    { name: 'delivered', class: 'good', values: history.delivered },
    { name: 'failed', class: 'failed', values: history.failed },
  ], history.stepSeconds);
  const slowest = { series: [{ name: 'p99', class: 'captured', values: history.p99Ms }], format: ms, join: largest };
  return h('div', { class: 'charts' },
    chart({ title: `Attempts to ${name}`, ...history, ...attempts }),
    chart({ title: `Slowest 1 % (p99) of ${name}`, ...history, ...slowest }));
}

function byEvent({ name, byEvent: all }) {
  if (!Object.keys(all).length) return aside('Nothing was attempted yet since the watcher started.');
  const numbers = ['Delivered', 'Failed', 'Success', 'p50'].map((head) => ({ head, class: 'number' }));
  return table(`${name} by event`, ['Event', ...numbers], Object.entries(all).sort().map(([event, of]) => ({
    key: event,
    cells: [
      to(link('deliveries', { endpoint: name, event }), event),
      count(of.delivered),
      count(of.failed),
      rate(of.delivered, of.delivered + of.failed),
      ms(of.p50Ms),
    ],
  })), { class: 'cards' });
}

async function pause(name, act) {
  const reason = await confirm({
    title: `Pause ${name}?`,
    says: 'Nothing is sent to it until it is resumed. What is for it waits in the store, in order; nothing is lost.',
    field: 'Reason, for whoever comes next (may be left empty)',
    yes: 'Pause',
  });
  if (reason !== null) await act(name, 'pause', reason ? { reason } : {}, `${name} is paused.`);
}

/** Send a sample event, and show what came back. */
async function ping(name) {
  let events = [];
  try {
    ({ events } = await get('api/events'));
  } catch (failed) {
    toast(failed.message, true);
    return;
  }
  open(`Ping ${name}`, ({ close }) => {
    const choices = events.map((event) => h('option', { value: event }, event));
    const select = h('select', { id: 'ping-event' }, h('option', { value: '' }, 'its first event'), choices);
    const result = h('div', { class: 'result', role: 'status' });
    const send = h('button', { type: 'submit', class: 'primary' }, 'Send');
    const submit = async (event) => {
      event.preventDefault();
      send.disabled = true;
      patch(result, h('p', null, 'Sent; waiting for the answer…'));
      try {
        const body = select.value ? { event: select.value } : {};
        patch(result, answered(await post(endpointPath(name, 'ping'), body, LONGEST)));
      } catch (failed) {
        patch(result, problem(failed.message));
      }
      send.disabled = false;
    };
    return [
      h('p', null, 'Sends one signed sample event now. It is not a delivery, and is not tried again.'),
      h('form', { onsubmit: submit },
        h('label', { for: 'ping-event' }, 'Event'), select,
        result,
        h('div', { class: 'actions' }, button('Close', close), send)),
    ];
  });
}

const answered = ({ ok, status, reason, tookMs, headers, answer }) => [
  h('p', null, verdict(ok, ok ? 'well received' : 'not received'), ` ${status ?? 'no answer'} in ${ms(tookMs)}`),
  reason && h('p', null, reason),
  received(headers, answer),
];

/** What an answer held, as far as it is kept. */
export const received = (headers, answer) => [
  headers?.length > 0 && table('Headers of the answer', ['Header', 'Value'], headers.map((pair) => ({
    cells: pair.map((text) => h('code', null, text)),
  })), { class: 'headers' }),
  answer
    ? h('pre', { tabindex: 0, role: 'region', 'aria-label': 'Answer' }, answer)
    : aside('The answer had no body, or none is kept.'),
];
