// The endpoints: how each is doing, and what may be done about it.
import { get, post, repeat } from './api.js';
import { chart, largest, rates } from './charts.js';
import { confirm, open } from './dialogs.js';
import { facts, h, patch, problem, table, toast } from './dom.js';
import { ago, count, link, moment, ms, rate, span, standing, STATES } from './words.js';

/** An endpoint's timeout is at most ten minutes. */
const LONGEST = 610;

export function endpoints(main) {
  let list = null;
  let error = null;
  const actions = { act };

  const draw = () => patch(main,
    h('h1', { tabindex: -1 }, 'Endpoints'),
    problem(error),
    list === null ? !error && h('p', null, 'Loading…') : list.length
      ? list.map((endpoint) => card(endpoint, actions))
      : h('p', { class: 'card' }, 'There is no endpoint yet. Name one in webhooks.yaml, under webhooks.endpoints.'));

  async function act(name, verb, body, done) {
    try {
      const changed = await post(`api/endpoints/${encodeURIComponent(name)}/${verb}`, body);
      list = list.map((each) => (each.name === name ? changed : each));
      toast(done);
      draw();
    } catch (failed) {
      toast(failed.message, true);
    }
  }

  draw();
  return repeat(async () => {
    try {
      ({ endpoints: list } = await get('api/endpoints'));
      error = null;
    } catch (failed) {
      error = failed.message;
      throw failed;
    } finally {
      draw();
    }
  }, 5);
}

function card(endpoint, { act }) {
  const { name, url, from, locked, state, reason, since, until, events, counts, oldestWaiting, recent, history, byEvent } = endpoint;
  const id = `endpoint-${name}`;
  const waiting = counts.pending + counts.held;
  const gone = state === 'gone';
  return h('article', { key: name, class: 'card endpoint', 'aria-labelledby': id },
    h('div', { class: 'head' },
      h('h2', { id }, name), standing(state),
      !gone && h('div', { class: 'actions' },
        h('button', { type: 'button', onclick: () => ping(name), 'aria-label': `Ping ${name}` }, 'Ping'),
        // In each other's place, so that the focus stays when one becomes the other.
        state === 'paused'
          ? h('button', { type: 'button', class: 'primary', onclick: () => act(name, 'resume', {}, `${name} is resumed. What waited for it is sent now.`), 'aria-label': `Resume ${name}` }, 'Resume')
          : h('button', { type: 'button', onclick: () => pause(name, act), 'aria-label': `Pause ${name}` }, 'Pause'),
        (state === 'open' || state === 'slowed')
          && h('button', { type: 'button', class: 'primary', onclick: () => act(name, 'resume', {}, `${name} is tried now.`), 'aria-label': `Try now: ${name}` }, 'Try now'))),
    url && h('p', { class: 'dim code' }, url),
    reason && h('p', { class: `says ${state}` }, `${state === 'paused' ? 'Paused' : state === 'slowed' ? 'Slowed' : 'Failing'}`, since && [' since ', moment(since)], `: ${reason}`, until && ['. Until ', moment(until), '.']),
    gone && h('p', { class: 'says' }, 'It has deliveries in the store, and stands in the settings no more. Nothing is sent to it.'),
    facts([
      ['Success', rate(recent.delivered, recent.attempts), h('small', null, ` of ${count(recent.attempts)} attempts in ${span(recent.seconds)}`)],
      ['Median (p50)', ms(recent.p50Ms)],
      ['Slowest 1 % (p99)', ms(recent.p99Ms)],
      ['Waiting', h('a', { href: link('deliveries', [['endpoint', name], ['state', 'pending'], ['state', 'held']]), 'aria-label': `${count(waiting)} waiting for ${name}` }, count(waiting))],
      ['Oldest waiting', ago(oldestWaiting)],
      ['Dead', h('a', { href: link('deliveries', [['endpoint', name], ['state', 'dead']]), class: counts.dead ? 'bad' : null, 'aria-label': `${count(counts.dead)} dead of ${name}` }, count(counts.dead))],
    ], { class: 'facts figures' }),
    h('div', { class: 'charts' },
      chart({
        title: `Attempts to ${name}`,
        ...history,
        ...rates([{ name: 'delivered', class: 'good', values: history.delivered }, { name: 'failed', class: 'failed', values: history.failed }], history.stepSeconds),
      }),
      chart({ title: `Slowest 1 % (p99) of ${name}`, ...history, series: [{ name: 'p99', class: 'captured', values: history.p99Ms }], format: ms, join: largest })),
    h('details', null,
      h('summary', null, 'By event'),
      Object.keys(byEvent).length
        ? table(`${name} by event`, ['Event', { head: 'Delivered', class: 'number' }, { head: 'Failed', class: 'number' }, { head: 'Success', class: 'number' }, { head: 'p50', class: 'number' }],
          Object.entries(byEvent).sort().map(([event, of]) => ({
            key: event,
            cells: [
              h('a', { href: link('deliveries', [['endpoint', name], ['event', event]]) }, event),
              count(of.delivered), count(of.failed), rate(of.delivered, of.delivered + of.failed), ms(of.p50Ms)],
          })), { class: 'cards' })
        : h('p', { class: 'dim' }, 'Nothing was attempted yet since the watcher started.')),
    h('details', null,
      h('summary', null, 'Settings and store'),
      facts([
        ['Events', events.join(', ') || '–'],
        ['Defined in', `${from}${locked ? ' (cannot be changed here)' : ''}`],
        ...STATES.map((each) => [each, h('a', { href: link('deliveries', [['endpoint', name], ['state', each]]), 'aria-label': `${count(counts[each])} ${each} of ${name}` }, count(counts[each]))]),
      ])));
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
    const select = h('select', { id: 'ping-event' }, h('option', { value: '' }, 'its first event'), events.map((event) => h('option', { value: event }, event)));
    const result = h('div', { class: 'result', role: 'status' });
    const send = h('button', { type: 'submit', class: 'primary' }, 'Send');
    const submit = async (event) => {
      event.preventDefault();
      send.disabled = true;
      patch(result, h('p', null, 'Sent; waiting for the answer…'));
      try {
        patch(result, answered(await post(`api/endpoints/${encodeURIComponent(name)}/ping`, select.value ? { event: select.value } : {}, LONGEST)));
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
        h('div', { class: 'actions' }, h('button', { type: 'button', onclick: close }, 'Close'), send)),
    ];
  });
}

const answered = ({ ok, status, reason, tookMs, headers, answer }) => [
  h('p', null, h('span', { class: `badge ${ok ? 'delivered' : 'dead'}` }, ok ? 'well received' : 'not received'), ` ${status ?? 'no answer'} in ${ms(tookMs)}`),
  reason && h('p', null, reason),
  received(headers, answer),
];

/** What an answer held, as far as it is kept. */
export const received = (headers, answer) => [
  headers?.length > 0 && table('Headers of the answer', ['Header', 'Value'], headers.map(([header, value]) => ({ cells: [h('code', null, header), h('code', null, value)] })), { class: 'plain headers' }),
  answer ? h('pre', { tabindex: 0, role: 'region', 'aria-label': 'Answer' }, answer) : h('p', { class: 'dim' }, 'The answer had no body, or none is kept.'),
];
