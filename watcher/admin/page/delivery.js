// One delivery: what it is, what was sent, and what each attempt met.
import { get, repeat } from './api.js';
import { lastList } from './deliveries.js';
import { carryOutFew, confirm } from './dialogs.js';
import { aside, button, copyButton, facts, h, patch, problem, speak, to } from './dom.js';
import { received } from './endpoints.js';
import { ago, answer, badge, bytes, count, link, moment, ms, verdict } from './words.js';

const OPEN = ['held', 'pending'];

export function delivery(main, { route }) {
  const { id } = route;
  let found = null;
  let error = null;
  let raw = false;

  const draw = () => patch(main,
    h('p', { key: 'back' }, to(lastList.hash, '← Deliveries')),
    h('div', { key: 'head', class: 'head' },
      h('h1', { tabindex: -1 }, 'Delivery ', h('code', { id: 'delivery-id' }, id)),
      copyButton(id, 'the id', 'delivery-id'),
      found && badge(found.state),
      found && h('div', { class: 'actions' },
        button('Replay', replay, { class: 'primary', disabled: !found.replayable, 'aria-describedby': found.why ? 'why' : null }),
        button('Cancel', cancel, { disabled: !found.cancellable }))),
    problem(error),
    found ? sections() : !error && h('p', null, 'Loading…'));

  const sections = () => [
    !found.replayable && found.why && h('p', { key: 'why', id: 'why', class: 'dim' }, `Cannot be replayed: ${found.why}`),
    h('section', { key: 'facts', class: 'card', 'aria-labelledby': 'facts' },
      h('h2', { id: 'facts' }, 'Facts'),
      facts([
        ['State', badge(found.state), found.reason && ` ${found.reason}`],
        ['Event', alike('event')],
        ['Endpoint', alike('endpoint')],
        ['Happened', moment(found.timestamp)],
        found.heldUntil && ['Held until', moment(found.heldUntil)],
        ['Failed attempts', count(found.failedAttempts)],
        found.attemptedAt && ['Last attempt', moment(found.attemptedAt)],
        found.nextTryAt && ['Next try', moment(found.nextTryAt)],
        found.settledAt && [`Became ${found.state}`, moment(found.settledAt)],
        found.user && ['User', alike('user')],
        found.conversation && ['Conversation', alike('conversation')],
        ['About', h('code', null, found.entity)],
        ['Row', h('code', null, found.row)],
        ['Size', bytes(found.bytes)],
      ])),
    h('section', { key: 'attempts', class: 'card', 'aria-labelledby': 'attempts' },
      h('h2', { id: 'attempts' }, 'Attempts'),
      attempts()),
    h('section', { key: 'body', class: 'card', 'aria-labelledby': 'body' },
      h('div', { class: 'head' },
        h('h2', { id: 'body' }, found.body === null ? 'Body (texts hidden)' : 'Body'),
        h('div', { class: 'actions' },
          button('As sent', () => ((raw = !raw), draw()), { class: 'small', 'aria-pressed': `${raw}` }),
          copyButton(found.body ?? found.bodyShape, 'the body', 'delivery-body'))),
      found.body === null && aside(
        'Texts of people are replaced by “…”. To show them to whoever has the token, set ',
        h('code', null, 'watcher.http.showText: true'), '.'),
      h('pre', { id: 'delivery-body', tabindex: 0, role: 'region', 'aria-label': 'Body of the delivery' },
        shown(found.body ?? found.bodyShape))),
  ];

  /** A link to the deliveries that have this in common. */
  const alike = (name) => to(link('deliveries', { [name]: found[name] }), found[name]);

  function shown(body) {
    if (raw) return body;
    try {
      return JSON.stringify(JSON.parse(body), null, 2);
    } catch {
      return body;
    }
  }

  function attempts() {
    const list = [...found.attempts].reverse();
    const next = OPEN.includes(found.state) && h('p', { class: 'next' }, upcoming());
    if (!list.length) return [next, aside(found.state === 'held' ? 'Not attempted: it is held.' : 'No attempt is on record.')];
    return [next, h('ol', { class: 'attempts', role: 'list' }, list.map((attempt) => h('li', { key: attempt.at },
      h('details', null,
        h('summary', null,
          verdict(attempt.status >= 200 && attempt.status < 300, attempt.status ?? 'no answer'),
          ' ', moment(attempt.at), ` took ${ms(attempt.tookMs)}`,
          attempt.reason && h('span', { class: 'dim' }, ` ${attempt.reason}`)),
        received(attempt.headers, attempt.answer)))))];
  }

  function upcoming() {
    if (found.state === 'held') return ['Held, and sent ', ago(found.heldUntil), ' at the latest, if nothing ends it sooner.'];
    return found.nextTryAt ? ['Next try ', ago(found.nextTryAt), '.'] : 'Next try as soon as its turn comes.';
  }

  async function replay() {
    const again = found.state === 'delivered' && await confirm({
      title: 'Send it again?',
      says: `It was delivered already. ${found.endpoint} gets the same bytes once more, under the same id.`,
      yes: 'Send again',
    }) === null;
    if (!again) await carry('replay');
  }

  async function cancel() {
    const sure = await confirm({
      title: 'Cancel this delivery?',
      says: 'It is not sent any more. It stays in the store, and can be replayed.',
      yes: 'Cancel the delivery',
      danger: true,
    });
    if (sure !== null) await carry('cancel');
  }

  async function carry(verb) {
    await carryOutFew(verb, [id]);
    await turns.now();
  }

  draw();
  const turns = repeat(async () => {
    try {
      const before = found?.state;
      found = await get(`api/deliveries/${encodeURIComponent(id)}`);
      error = null;
      if (before && before !== found.state) speak(`The delivery is ${found.state} now. ${answer(found.status, found.reason)}`);
    } catch (failed) {
      error = failed.status === 404
        ? `There is no such delivery in the store (${failed.message}). Those that ended are forgotten in time: watcher.retention.`
        : failed.message;
      throw failed;
    } finally {
      draw();
    }
  }, 3);
  return turns;
}
