// What can be done with managed endpoints, each in its dialog: secrets rotated and forgotten, endpoints dropped.
import { drop, endpointPath, post } from './api.js';
import { confirm, open, underWay } from './dialogs.js';
import { button, copyButton, h, patch, problem, toast } from './dom.js';
import { deliveries } from './words.js';

/** Between two requests of which the first could cancel nothing: what is on its way then has settled. */
const PAUSE = 1000;

/** A secret that is never shown again: in this dialog, and nowhere else. Resolves when it is closed. */
export function showSecret(name, secret) {
  return new Promise((resolve) => {
    open(`The secret of ${name}`, ({ close }) => {
      const says = h('p', { role: 'status' });
      return [
        h('p', null, 'Requests are signed with it. Give it to the receiver now: it is shown this once, and never again.'),
        h('pre', { id: 'secret', tabindex: 0, role: 'region', 'aria-label': 'Secret' }, secret),
        says,
        h('div', { class: 'actions' },
          copyButton(secret, 'the secret', 'secret', (text) => { says.textContent = text; }),
          button('I have kept it', close, { class: 'primary' })),
      ];
    // Esc is pressed by habit, and would take it away for good.
    }, { onclose: resolve, oncancel: (event) => event.preventDefault() });
  });
}

/** Sign with another secret from now on. */
export function rotate(name, done) {
  open(`A new secret for ${name}`, ({ close }) => {
    const given = h('input', { id: 'new-secret', type: 'password', autocomplete: 'new-password', maxlength: 500 });
    const keep = h('input', { id: 'keep-old', type: 'checkbox', checked: true });
    const wrong = h('div');
    const submit = async (event) => {
      event.preventDefault();
      try {
        const body = { keepOld: keep.checked, ...(given.value ? { secret: given.value } : {}) };
        const { secret } = await post(endpointPath(name, 'rotate'), body);
        close();
        if (secret) await showSecret(name, secret);
        toast(`${name} signs with the new secret.`);
        done();
      } catch (failed) {
        patch(wrong, problem(failed.message));
      }
    };
    return h('form', { onsubmit: submit },
      h('p', null, 'It signs from now on. Beside it the old one signs as well where the signature has room: Standard Webhooks has, LibreChat\u2019s has not. '
        + 'For LibreChat\u2019s, let the receiver take a secret of yours beside the old one first, and write it here.'),
      h('label', { for: 'new-secret' }, 'New secret (left empty: one is made, and shown once)'), given,
      h('label', { class: 'tick' }, keep, 'Keep the old one beside it'),
      wrong,
      h('div', { class: 'actions' }, button('Go back', close), h('button', { type: 'submit', class: 'primary' }, 'Rotate')));
  });
}

/** Forget the secrets of before the last rotation. */
export async function retire(name, done) {
  const sure = await confirm({
    title: `Forget the old secret of ${name}?`,
    says: 'Nothing is signed with it any more. A receiver that has only the old one refuses what comes.',
    yes: 'Forget it',
    danger: true,
  });
  if (sure === null) return;
  try {
    await post(endpointPath(name, 'retire'));
    toast(`${name} has one secret.`);
    done();
  } catch (failed) {
    toast(failed.message, true);
  }
}

/** Drop a managed endpoint; or what waits for one that is gone. */
export async function dropEndpoint({ name, state, counts }, done) {
  const waiting = counts.pending + counts.held;
  const gone = state === 'gone';
  const sure = await confirm({
    title: gone ? `Cancel what waits for ${name}?` : `Delete ${name}?`,
    says: [
      !gone && 'It is told nothing any more, and its secret is forgotten. Its deliveries stay in the log.',
      waiting ? `${deliveries(waiting)} ${waiting === 1 ? 'waits' : 'wait'} for it, and will never be sent.` : 'Nothing waits for it.',
    ].filter(Boolean),
    yes: [!gone && 'Delete', waiting > 0 && `${gone ? 'Cancel' : 'cancel'} ${deliveries(waiting)}`].filter(Boolean).join(' and '),
    danger: true,
  });
  if (sure === null) return;
  if (waiting) await dropWithAll(name, waiting);
  else await dropEmpty(name);
  done();
}

/** Nothing waited when it was looked at. If something does now, the watcher says so, and it is asked again. */
async function dropEmpty(name) {
  try {
    await drop(endpointPath(name));
    toast(`${name} is deleted.`);
  } catch (failed) {
    if (failed.status !== 409) {
      toast(failed.message, true);
      return;
    }
    const sure = await confirm({ title: `Delete ${name} all the same?`, says: failed.message, yes: 'Delete and cancel them', danger: true });
    if (sure !== null) await dropWithAll(name, 0);
  }
}

const dropWithAll = (name, expected) => underWay({
  title: `Deleting ${name}`, did: 'Cancelled', expected, work: (hears) => cancelAll(name, hears),
});

async function cancelAll(name, { told, signal }) {
  let changed = 0;
  for (let turn = 0; ; turn += 1) {
    const { cancelled, left } = await dropped(name, turn > 0);
    changed += cancelled;
    told(changed, left);
    if (!left || signal.aborted) return { done: !left };
    if (!cancelled) await new Promise((resolve) => { setTimeout(resolve, PAUSE); });
  }
}

async function dropped(name, again) {
  try {
    return await drop(`${endpointPath(name)}?cancel=true`);
  } catch (failed) {
    // The rest has settled meanwhile: then nobody knows it any more.
    if (failed.status === 404 && again) return { cancelled: 0, left: 0 };
    throw failed;
  }
}
