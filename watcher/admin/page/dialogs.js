// Questions, and work that takes longer than a moment.
import { post } from './api.js';
import { button, h, patch, problem, toast } from './dom.js';
import { count, deliveries } from './words.js';

/** Open a dialog. The browser keeps the focus inside, closes it on Esc, and gives the focus back.
 *
 * `fill` gets {close, dialog} and gives what stands below the title. */
export function open(title, fill, { onclose, oncancel } = {}) {
  const dialog = h('dialog', { 'aria-labelledby': 'dialog-title', onclose: () => (dialog.remove(), onclose?.()), oncancel });
  const close = () => dialog.close();
  dialog.append(h('h2', { id: 'dialog-title' }, title), ...[fill({ close, dialog })].flat());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** Ask before something is done. Gives what was typed ('' without a `field`), or null for "no". */
export function confirm({ title, says, yes, danger, field }) {
  return new Promise((resolve) => {
    let answer = null;
    open(title, ({ close }) => {
      const input = field && h('input', { id: 'dialog-field', maxlength: 200, autocomplete: 'off' });
      return h('form', {
        onsubmit: (event) => {
          event.preventDefault();
          answer = input ? input.value.trim() : '';
          close();
        },
      },
        [says].flat().map((each) => (each instanceof Node ? each : h('p', null, each))),
        field && [h('label', { for: 'dialog-field' }, field), input],
        h('div', { class: 'actions' },
          button('Go back', close),
          h('button', { type: 'submit', class: danger ? 'danger' : 'primary' }, yes)));
    }, { onclose: () => resolve(answer) });
  });
}

const DONE = { replay: 'Replayed', cancel: 'Cancelled' };

/** One request after the other until all is done, or `signal` says stop. Tells how far it is; gives how many changed. */
export async function carryOut(verb, what, { told = () => {}, signal } = {}) {
  let changed = 0;
  let body = what;
  for (;;) {
    const answer = await post(`api/deliveries/${verb}`, body);
    changed += answer.changed;
    told(changed, answer.left);
    if (answer.done || signal?.aborted || !answer.next) return { changed, done: answer.done };
    body = { ...what, after: answer.next };
  }
}

/** Replay or cancel these few, and say what came of it. */
export async function carryOutFew(verb, ids) {
  try {
    const { changed } = await carryOut(verb, { ids });
    const rest = ids.length - changed;
    const why = rest ? ` ${count(rest)} could not be: their state does not allow it, or not any more.` : '';
    toast(`${DONE[verb]} ${deliveries(changed)}.${why}`, rest > 0);
  } catch (error) {
    toast(error.message, true);
  }
}

/** Replay or cancel all that a filter finds, with a bar and a way to stop. Resolves when the dialog is closed. */
export const carryOutMany = (verb, filter, expected) => underWay({
  title: verb === 'replay' ? 'Replaying' : 'Cancelling',
  did: DONE[verb],
  expected,
  work: (hears) => carryOut(verb, { filter, expected }, hears),
});

/** Show long work, with a bar and a way to stop. Resolves when the dialog is closed.
 *
 * `work` gets {told, signal}, tells how many are changed and left, and gives {done}: false when it was stopped. */
export function underWay({ title, did, expected, work }) {
  const stop = new AbortController();
  let closed = false;
  return new Promise((resolve) => {
    const state = { changed: 0, left: expected, ended: null, error: null };
    const halt = () => {
      stop.abort();
      state.draw();
    };
    const dialog = open(title, ({ close }) => {
      const inside = h('div');
      state.draw = () => patch(inside,
        h('progress', { 'aria-label': 'Done so far', max: Math.max(1, state.changed + state.left), value: state.changed }),
        h('p', { role: 'status' }, `${did} ${count(state.changed)}, ${count(state.left)} left. ${state.ended ?? ''}`),
        problem(state.error),
        h('div', { class: 'actions' }, state.ended || state.error
          ? button('Close', close, { key: 'close', class: 'primary' })
          : button('Stop', halt, { key: 'stop', class: 'danger', disabled: stop.signal.aborted })));
      state.draw();
      return inside;
    }, {
      onclose: () => ((closed = true), stop.abort(), resolve()),
      // Esc stops the work first: a closed dialog over running work would hide it.
      oncancel: (event) => {
        if (state.ended || state.error) return;
        event.preventDefault();
        halt();
      },
    });
    const told = (changed, left) => {
      Object.assign(state, { changed, left });
      state.draw();
    };
    work({ told, signal: stop.signal })
      .then(({ done }) => { state.ended = done ? 'Done.' : 'Stopped. What is done stays done.'; })
      .catch((error) => { state.error = `${error.message} What is done stays done.`; })
      .finally(() => {
        if (closed) return;
        state.draw();
        dialog.querySelector('button').focus();
      });
  });
}
