// The figures of one endpoint over hours or days: of all replicas, and over restarts.
import { endpointPath, get, repeat } from './api.js';
import { chart, largest } from './charts.js';
import { aside, facts, h, patch, problem, table, to } from './dom.js';
import { count, day, hour, link, ms, now, rate, toEndpoint } from './words.js';

const HOUR = 3600;
const DAY = 24 * HOUR;
/** In words, and in steps: the API tells more than seven days day by day. */
const RANGES = { '24h': ['24 hours', 24, HOUR], '7d': ['7 days', 7 * 24, HOUR], '30d': ['30 days', 30, DAY] };

export function figures(main, { route }) {
  const { endpoint: name } = route;
  let { query } = route;
  let found = null;
  let error = null;
  let turn = 0;

  const range = () => (Object.hasOwn(RANGES, query.get('range')) ? query.get('range') : '24h');

  async function load() {
    const mine = ++turn;
    try {
      const told = await get(endpointPath(name, 'figures'), new URLSearchParams({ since: since(range()) }));
      if (mine !== turn) return;
      found = told;
      error = null;
    } catch (failed) {
      if (mine !== turn) return;
      error = failed.message;
      throw failed;
    } finally {
      if (mine === turn) draw();
    }
  }

  const draw = () => patch(main,
    h('p', { key: 'back' }, to('#/endpoints', '← Endpoints')),
    h('div', { key: 'head', class: 'head' },
      h('h1', { tabindex: -1 }, `Figures of ${name}`),
      h('nav', { class: 'actions ranges', 'aria-label': 'Range' }, Object.entries(RANGES).map(([key, [words]]) => (
        to(link(toEndpoint(name, 'figures').slice(2), { ...Object.fromEntries(query), range: key }), words, { class: 'button', 'aria-current': key === range() ? 'true' : null }))))),
    problem(error),
    found ? sections() : !error && h('p', { key: 'loading' }, 'Loading…'));

  /** The address of this view with something else chosen. */
  const at = (chosen) => link(toEndpoint(name, 'figures').slice(2), { range: range(), ...chosen });

  function sections() {
    const event = query.get('event');
    const course = (event && found.byEvent[event]) || found.all;
    return [
      h('section', { key: 'all', class: 'card', 'aria-labelledby': 'course' },
        h('h2', { id: 'course' }, course === found.all ? 'All events' : event),
        course !== found.all && h('p', null, to(at({}), 'Show all events')),
        facts([
          ['Delivered', count(course.delivered)],
          ['Failed', count(course.failed)],
          ['Success', rate(course.delivered, course.delivered + course.failed)],
          ['Median (p50)', ms(course.p50Ms)],
          ['Slowest 1 % (p99)', ms(course.p99Ms)],
        ], { class: 'facts figures' }),
        charts(course),
        aside('Of all replicas, and over restarts. The last minute may be missing.')),
      h('section', { key: 'events', class: 'card', 'aria-labelledby': 'by-event' }, h('h2', { id: 'by-event' }, 'By event'), byEvent()),
    ];
  }

  function charts({ series }) {
    const daily = found.stepSeconds >= DAY;
    const each = daily ? 'day' : 'hour';
    const end = Date.parse(found.since) + series.delivered.length * found.stepSeconds * 1000;
    // A day is told by its name, not by the midnight after it.
    const common = { stepSeconds: found.stepSeconds, until: new Date(end).toISOString(), at: daily ? (time) => day(time - 1) : hour };
    return h('div', { class: 'charts' },
      chart({
        ...common,
        title: `Attempts per ${each}`,
        series: [
          { name: 'delivered', class: 'good', values: series.delivered },
          { name: 'failed', class: 'failed', values: series.failed },
        ],
        format: (n) => count(n >= 10 ? Math.round(n) : Number(n.toFixed(1))),
      }),
      chart({
        ...common,
        title: `Slowest 1 % (p99) of each ${each}`,
        series: [{ name: 'p99', class: 'captured', values: series.p99Ms }],
        format: ms,
        join: largest,
      }));
  }

  function byEvent() {
    const all = Object.entries(found.byEvent).sort(([, a], [, b]) => b.delivered + b.failed - a.delivered - a.failed);
    if (!all.length) return aside('Nothing was attempted in this time.');
    const numbers = ['Delivered', 'Failed', 'Success', 'p50', 'p99'].map((head) => ({ head, class: 'number' }));
    return table(`${name} by event`, ['Event', ...numbers], all.map(([event, of]) => ({
      key: event,
      cells: [
        to(at({ event }), event),
        count(of.delivered),
        count(of.failed),
        rate(of.delivered, of.delivered + of.failed),
        ms(of.p50Ms),
        ms(of.p99Ms),
      ],
    })), { class: 'cards' });
  }

  draw();
  const turns = repeat(load, 60);
  return {
    stop: turns.stop,
    update: (next) => {
      if (next.query.get('range') !== query.get('range')) found = null;
      ({ query } = next);
      draw();
      turns.now();
    },
  };
}

/** When the first of the steps that end now began. */
function since(range) {
  const [, steps, size] = RANGES[range];
  return new Date((Math.floor(now() / 1000 / size) - steps + 1) * size * 1000).toISOString();
}
