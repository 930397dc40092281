/**
 * Makes, changes and drops an endpoint on the page, as an operator would who has a new receiver.
 *
 *   BASE_URL=… TOKEN=… RECEIVER=… CONTROL=… node managing.mjs
 *
 *   RECEIVER   where a receiver is that takes everything
 *   CONTROL    is sent a POST: `write` makes a message in LibreChat; `signed` (its body is a secret) answers 200 when
 *              the receiver's last request is signed by that secret; `restart` starts the watcher anew, without the
 *              endpoint `old` for which deliveries wait; `keyless` starts it without a key
 *
 * walker.mjs tells the rest.
 */
import {
  accessible, button, card, check, complaints, end, focused, go, hold, narrow, page, tabTo, until,
} from './walker.mjs';

const { BASE_URL, TOKEN, RECEIVER, CONTROL } = process.env;
const NAME = 'billing';
const PATH = 'hooks/token-in-the-path';

const json = page.getByRole('textbox', { name: 'All keys, as JSON' });
const written = async () => JSON.parse(await json.inputValue());
const trouble = page.locator('.problem[role=group]');
const control = (what, body) => fetch(CONTROL + what, { method: 'POST', body });
const act = (label) => button(`${label}: ${NAME}`);
const dialog = page.locator('dialog[open]');
const secretShown = async () => {
  await page.locator('#secret').waitFor();
  return page.locator('#secret').innerText();
};
const arrives = async (secret) => {
  await control('write');
  await until('a request that is signed by it', async () => (await control('signed', secret)).ok);
};
/** Ask the API beside the page, as a colleague does. Headers are bytes: one character each. */
const beside = (method, path, body) => fetch(`${BASE_URL}api/${path}`, {
  method,
  body: JSON.stringify(body),
  headers: { Authorization: `Bearer ${Buffer.from(TOKEN).toString('latin1')}`, 'Content-Type': 'application/json' },
});

await page.goto(`${BASE_URL}#/endpoints`);
await page.getByLabel('Admin token').fill(TOKEN);
await page.keyboard.press('Enter');
await page.locator('article').first().waitFor();

// A new endpoint

await check('what stands in the file is locked, and says so', async () => {
  hold(/locked/.test(await card('default').innerText()), await card('default').innerText());
  hold(!(await page.getByRole('link', { name: 'Edit: default' }).count()), 'it can be edited');
});
await check('a new one is one step away, by keyboard', async () => {
  await tabTo("it.textContent === 'New endpoint'");
  await page.keyboard.press('Enter');
  await json.waitFor();
  hold(await focused("it.localName === 'h1'"), await focused('it.outerHTML'));
});
await accessible('new endpoint');
await narrow('new endpoint');
await check('fields and JSON are in step, both ways', async () => {
  await page.getByLabel('Name', { exact: true }).fill(NAME);
  await page.getByLabel('Timeout (ms)').fill('7000');
  hold((await written()).timeout === 7000, await json.inputValue());
  await json.fill(JSON.stringify({ ...(await written()), url: RECEIVER + PATH, events: ['message.creatd'], timeout: 'soon' }));
  hold((await page.getByLabel('URL').inputValue()) === RECEIVER + PATH, 'the URL is not');
  hold(await page.getByRole('checkbox', { name: 'message.creatd', exact: true }).isChecked(), 'the events are not');
});
await check('fields wait for JSON that cannot be read yet', async () => {
  const whole = await json.inputValue();
  await json.fill(whole.slice(0, -1));
  hold(await page.getByLabel('Name', { exact: true }).isDisabled(), 'they do not');
  await json.fill(whole);
  hold(await page.getByLabel('Name', { exact: true }).isEnabled(), 'they wait still');
});
await check('a wrong one is told, all of it, and the focus goes there', async () => {
  await button('Create endpoint').focus();
  await page.keyboard.press('Enter');
  await trouble.waitFor();
  const says = await trouble.innerText();
  hold(says.includes('did you mean `message.created`?') && /timeout.*whole number/.test(says), says);
  hold(await focused("it.classList.contains('problem')"), await focused('it.outerHTML'));
  hold((await page.getByLabel('Timeout (ms)').getAttribute('aria-invalid')) === 'true', 'its field is not marked');
  return says.replaceAll('\n', ' ');
});
await accessible('wrong endpoint');
await narrow('wrong endpoint');
await check('a problem leads to its field', async () => {
  await page.getByRole('button', { name: /^timeout: go/ }).click();
  hold(await focused("it.id === 'form-timeout'"), await focused('it.outerHTML'));
  await page.getByLabel('Timeout (ms)').fill('');
  await page.getByRole('checkbox', { name: 'message.creatd', exact: true }).uncheck();
  await page.getByRole('checkbox', { name: 'message.created', exact: true }).check();
  const { timeout, events } = await written();
  hold(timeout === undefined && `${events}` === 'message.created', await json.inputValue());
});
await check('headers and filters are rows', async () => {
  await button('Add a header').click();
  await page.getByLabel('Name of header 1').fill('X-Customer');
  await page.getByLabel('Value of header 1').fill('hidden-later');
  await button('Add a filter').click();
  await page.getByLabel('Events of filter 1').fill('*');
  await page.getByLabel('Condition of filter 1').fill('{"userId": ');
  await button('Create endpoint').click();
  hold(await focused("it.getAttribute('aria-label') === 'Condition of filter 1'"), 'half a condition is sent');
  await page.getByLabel('Condition of filter 1').fill('{"userId": "u1"}');
  hold((await written()).filters[0].condition.userId === 'u1', await json.inputValue());
});
await check('it is tried on what happened lately, before it is saved', async () => {
  await button('Try on recent events').click();
  await page.getByText(/of \d+ events would be sent/).waitFor();
  const says = await page.getByText(/of \d+ events would be sent/).innerText();
  hold(/^[1-9]/.test(says), says);
  const rows = await page.locator('.attempts li').allInnerTexts();
  hold(rows.some((row) => /a filter misses[^]*userId/.test(row)), rows.join('\n'));
  await page.locator('.attempts details', { hasText: 'sent' }).first().locator('summary').click();
  const body = await page.getByRole('region', { name: 'Body of message.created' }).first().innerText();
  hold(body.includes('"…"') && !body.includes('words of somebody'), body);
  return says;
});
await accessible('trial');
await narrow('trial');
await check('who changes the definition is told that the trial is an older one', async () => {
  await page.locator('.row', { has: page.getByLabel('Events of filter 1') }).getByRole('button').click();
  await page.getByText('The definition was changed since').waitFor();
  hold((await written()).filters === undefined, await json.inputValue());
});
await check('who leaves what is not saved is asked', async () => {
  page.once('dialog', (asked) => asked.dismiss());
  await page.getByRole('link', { name: 'Audit' }).click();
  await until('the form again', async () => /endpoints\/new$/.test(page.url()));
  hold((await written()).name === NAME, 'what was written is lost');
});
let secret;
await check('it is saved, and its secret shown', async () => {
  await button('Create endpoint').click();
  secret = await secretShown();
  hold(/^whsec_.{40,}/.test(secret), 'it is no secret');
  await page.keyboard.press('Escape');
  hold(await dialog.count(), 'Esc takes it away');
});
await accessible('secret');
await narrow('secret');
await check('once, and nowhere else', async () => {
  await button('Copy the secret').click();
  await page.getByText(/Copied the secret|It is selected/).waitFor();
  await button('I have kept it').focus();
  await page.keyboard.press('Enter');
  await card(NAME).waitFor();
  const places = '[location.href, document.title, document.documentElement.outerHTML, JSON.stringify(sessionStorage), JSON.stringify(localStorage)]';
  hold(!(await page.evaluate(places)).join().includes(secret), 'it is still somewhere');
  hold(/managed/.test(await card(NAME).innerText()), await card(NAME).innerText());
});
await check('what happens from then on arrives, signed with it', () => arrives(secret));

// It is changed

await check('it is edited; the address may be opened anew', async () => {
  await page.getByRole('link', { name: `Edit: ${NAME}` }).click();
  await json.waitFor();
  await page.reload();
  await json.waitFor();
  const { url, headers } = await written();
  hold(!(await page.content()).includes(PATH) && url.endsWith('/…') && headers['X-Customer'] === '(hidden)', await json.inputValue());
  hold(await page.getByLabel('Name', { exact: true }).evaluate((input) => input.readOnly), 'its name could be changed');
});
await accessible('edit endpoint');
await narrow('edit endpoint');
await check('a value that is hidden does not go along to another name', async () => {
  await page.getByLabel('Name of header 1').fill('X-Client');
  await button('Save changes').click();
  await trouble.waitFor();
  hold(/headers\.X-Client.*hidden/.test(await trouble.innerText()), await trouble.innerText());
  await page.getByLabel('Name of header 1').fill('X-Customer');
});
await check('somebody was faster: that is told, and nobody loses anything', async () => {
  await page.getByLabel('Timeout (ms)').fill('8000');
  hold((await beside('PATCH', `endpoints/${NAME}`, { definition: { retries: 1 } })).ok, 'the colleague cannot');
  await button('Save changes').click();
  await trouble.waitFor();
  hold(/changed meanwhile/.test(await trouble.innerText()), await trouble.innerText());
  await button('Look at it again').click();
  await until('both changes', async () => {
    const { timeout, retries } = await written();
    return timeout === 8000 && retries === 1;
  });
  await button('Save changes').click();
  await card(NAME).waitFor();
  const { endpoints } = await (await beside('GET', 'endpoints')).json();
  const { definition } = endpoints.find(({ name }) => name === NAME);
  hold(definition.timeout === 8000 && definition.retries === 1, JSON.stringify(definition));
});
await check('what was hidden stays as it was', () => arrives(secret));
await check('a secret is rotated', async () => {
  await act('Rotate secret').click();
  await dialog.waitFor();
});
await accessible('rotate');
await check('the new one signs, and the old one is forgotten', async () => {
  await dialog.getByRole('button', { name: 'Rotate' }).click();
  const other = await secretShown();
  hold(other !== secret, 'it is the same');
  await button('I have kept it').click();
  await arrives(other);
  await act('Forget old secret').click();
  await dialog.getByRole('button', { name: 'Forget it' }).click();
  await until('one secret', async () => !(await act('Forget old secret').count()));
});

// What was done, and how it fared

await check('the audit list tells what was done, from where', async () => {
  await page.getByRole('link', { name: `Audit: ${NAME}` }).click();
  await page.locator('table tbody tr').first().waitFor();
  const rows = await page.locator('table tbody tr').allInnerTexts();
  for (const did of ['Endpoint made', 'Endpoint changed', 'Secret rotated', 'Old secrets forgotten']) {
    hold(rows.some((row) => row.includes(did) && row.includes('127.0.0.1')), `no "${did}" in ${rows.join('\n')}`);
  }
  return `${rows.length} entries`;
});
await accessible('audit');
await narrow('audit');
await check('figures outlive a restart', async () => {
  hold((await control('restart')).ok, 'it does not start again');
  await go(`#/endpoints/${NAME}/figures`, 'figure.chart');
  hold(/[1-9]/.test(await page.locator('.figures dd').first().innerText()), await page.locator('.figures').innerText());
  const charts = page.locator('figure.chart svg[role=img]');
  for (const label of await charts.evaluateAll((all) => all.map((each) => each.getAttribute('aria-label')))) {
    hold(/lowest .*highest .*latest|not known/.test(label), label);
  }
  hold(/message\.created/.test(await page.locator('table', { hasText: 'Success' }).innerText()), 'there is no table by event');
});
await accessible('figures');
await narrow('figures');
await check('over 24 hours, 7 days or 30 days', async () => {
  for (const range of ['7 days', '30 days']) {
    await page.getByRole('link', { name: range }).click();
    await page.locator(`svg[aria-label*="the last ${range}"]`).first().waitFor();
  }
  await page.goBack();
  await page.locator('svg[aria-label*="the last 7 days"]').first().waitFor();
});

// It is dropped

await check('who deletes it is told what waits for it', async () => {
  await go('#/endpoints', 'article');
  await act('Pause').click();
  await dialog.getByRole('button', { name: 'Pause' }).click();
  await act('Resume').waitFor();
  // What happens before dispatch has heard of the pause is sent.
  await until('something that waits', async () => {
    await control('write');
    return card(NAME).getByRole('link', { name: /^[1-9]\d* waiting/ }).count();
  });
  await act('Delete').focus();
  await page.keyboard.press('Enter');
  await dialog.waitFor();
  const says = await dialog.innerText();
  hold(/[1-9]\d* deliver(y|ies) waits? for it, and will never be sent/.test(says), says);
  return says.replaceAll('\n', ' ');
});
await accessible('delete');
await narrow('delete');
await check('then it is gone, with what waited', async () => {
  await dialog.getByRole('button', { name: /^Delete and cancel/ }).click();
  await dialog.getByText('Done.').waitFor();
  const says = await dialog.getByRole('status').innerText();
  await dialog.getByRole('button', { name: 'Close' }).click();
  await until('its buttons gone', async () => !(await act('Delete').count()));
  return says;
});
await check('what waits for one that the file names no more is cancelled', async () => {
  const cancel = button('Cancel what waits: old');
  await cancel.click();
  await dialog.getByRole('button', { name: /^Cancel \d/ }).click();
  await dialog.getByText('Done.').waitFor();
  await dialog.getByRole('button', { name: 'Close' }).click();
  await until('nothing left to cancel', async () => !(await cancel.count()));
});
await check('without a key managing is off, and the page says why', async () => {
  hold((await control('keyless')).ok, 'it does not start again');
  await page.getByText('WATCHER_SECRET_KEY').waitFor();
  hold(!(await page.getByRole('link', { name: 'New endpoint' }).count()), 'there is a button all the same');
  await go('#/endpoints/new', '.problem');
  hold(/WATCHER_SECRET_KEY/.test(await page.locator('.problem').innerText()), await page.locator('.problem').innerText());
});
await check('the browser had nothing to complain of', async () => hold(!complaints.length, complaints.join('\n')));

await end();
