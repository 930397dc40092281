/**
 * Walks over the whole page with a real Chromium, as an operator would who is called at night.
 *
 *   BASE_URL=http://127.0.0.1:8686/ TOKEN=… node walk.mjs
 *
 * One line per check; ends with status 1 at the first that fails. What it needs of the watcher behind BASE_URL:
 * an endpoint whose receiver refuses, with at least one dead delivery, and one whose receiver is well.
 *
 *   FAILING    the endpoint that refuses; else the first on the page with a dead delivery
 *   HEALTHY    the endpoint that is pinged and paused; else the first on the page that is ok
 *   MEND_URL   is sent a POST before the replay, so that the receiver of FAILING takes what it gets from then on;
 *              unset: it does so already
 *
 * walker.mjs tells the rest.
 */
import {
  accessible, button, card, check, column, complaints, end, focused, go, hold, narrow, page, rows, settled, tabTo, until,
} from './walker.mjs';

const { FAILING, HEALTHY, MEND_URL, TOKEN, BASE_URL } = process.env;

// The door

await check('the page asks for the token', async () => {
  await page.goto(BASE_URL);
  await page.getByLabel('Admin token').waitFor();
});
await accessible('door');
await check('a wrong token is told so, in words', async () => {
  await page.keyboard.type('not-the-token');
  await page.keyboard.press('Enter');
  const alert = page.locator('main [role=alert]');
  await alert.waitFor();
  hold(/token/i.test(await alert.innerText()), await alert.innerText());
});
await check('the right token opens the page, by keyboard alone', async () => {
  await page.keyboard.type(TOKEN);
  await page.keyboard.press('Enter');
  await page.locator('.tiles').waitFor();
});
await check('the token is kept for this tab only', async () => {
  const kept = await page.evaluate('[JSON.stringify(sessionStorage), JSON.stringify(localStorage), document.cookie, location.href]');
  hold(kept[0].includes(TOKEN) && !kept.slice(1).join().includes(TOKEN), 'it is not where it should be');
});

// A receiver fails

await check('the overview says what needs attention', async () => {
  const items = page.locator('.attention li');
  await until('something that needs attention', () => items.count());
  return (await items.allInnerTexts())[0];
});
await check('the header tells state, lag, pending and dead', async () => {
  const text = await page.locator('#state').innerText();
  hold(/ready/.test(text) && /lag/.test(text) && /pending/.test(text) && /dead/.test(text), text);
});
await check('each chart has its numbers as text', async () => {
  const charts = page.locator('figure.chart svg[role=img]');
  // A watcher that has just started has two steps of its history only after 20 s.
  await until('both charts', async () => (await charts.count()) >= 2);
  for (const label of await charts.evaluateAll((all) => all.map((each) => each.getAttribute('aria-label')))) {
    hold(/lowest .*highest .*latest|not known/.test(label), label);
  }
  return `${await charts.count()} charts`;
});
await accessible('overview');
await narrow('overview');
await check('what needs attention is one step away: the deliveries that gave up, and their endpoint', async () => {
  const gaveUp = page.locator('.attention li', { hasText: 'gave up' }).first();
  const [, name] = /to (.+) gave up/.exec(await gaveUp.innerText());
  await gaveUp.getByRole('link').click();
  await rows().first().waitFor();
  hold((await column(2)).every((state) => state.startsWith('dead')), 'others are in the list, too');
  hold((await column(4)).every((endpoint) => endpoint === name), 'those of others are in the list, too');
  await page.getByRole('link', { name: 'Overview', exact: true }).click();
  const fails = page.locator('.attention li', { hasText: `${name} fails` });
  if (!await fails.count()) return name;
  await fails.getByRole('link').click();
  await until('the focus on its heading', () => focused(`it.localName === 'h2' && it.textContent === ${JSON.stringify(name)}`));
  return `${name}, both`;
});

await page.getByRole('link', { name: 'Endpoints', exact: true }).click();
await page.locator('article').first().waitFor();
const failing = FAILING ?? await page.locator('article', { has: page.locator('a.bad') }).first().locator('h2').innerText();
await check('the failing receiver is seen', async () => {
  const dead = card(failing).getByRole('link', { name: /[1-9].* dead of/ });
  await dead.first().waitFor();
  return `${failing}: ${await card(failing).locator('.badge').first().innerText()}, ${await dead.first().innerText()} dead`;
});
await accessible('endpoints');
await narrow('endpoints');

// One of its deliveries

await check('its dead deliveries are one step away', async () => {
  await card(failing).getByRole('link', { name: / dead of/ }).first().click();
  await rows().first().waitFor();
  hold((await column(2)).every((state) => state.startsWith('dead')), 'others are in the list, too');
  hold((await column(4)).every((endpoint) => endpoint === failing), 'those of others are in the list, too');
});
await accessible('deliveries');
await narrow('deliveries');
let id;
await check('one is opened by keyboard alone', async () => {
  // Live news may move the rows meanwhile.
  await button('Live').click();
  const presses = await tabTo("!!it.closest('td.id')");
  id = await focused('it.title');
  await page.keyboard.press('Enter');
  await page.locator('.attempts li').first().waitFor();
  hold((await page.locator('#delivery-id').innerText()) === id, 'another one was opened');
  return `${id}, ${presses} presses of Tab`;
});
await check('the focus is on its heading', async () => hold(await focused("it.localName === 'h1'"), await focused('it.outerHTML')));
await check('each attempt tells its answer', async () => {
  const last = page.locator('.attempts details').first();
  await last.locator('summary').focus();
  await page.keyboard.press('Enter');
  hold(await last.evaluate((details) => details.open), 'it does not open');
  return (await last.locator('summary').innerText()).replaceAll('\n', ' ');
});
await check('its body is shown, as text', async () => {
  const body = page.locator('#delivery-body');
  hold((await body.innerText()).length > 2 && !(await body.locator('*').count()), 'it is empty, or markup');
});
await accessible('one delivery');
await narrow('one delivery');
await check('replayed, it is seen as delivered', async () => {
  if (MEND_URL) {
    const answer = await fetch(MEND_URL, { method: 'POST' });
    hold(answer.ok, `MEND_URL answered ${answer.status}`);
  }
  await button('Replay').focus();
  await page.keyboard.press('Enter');
  await page.locator('.head .badge.delivered').waitFor();
});

// Filters and pages

await check('/ leads to the search by id, from anywhere', async () => {
  await go('#/overview', '.tiles');
  await page.keyboard.press('/');
  await until('the focus in the search', () => focused("it.id === 'filter-id'"));
});
await check('an id finds its delivery', async () => {
  await page.keyboard.type(id);
  await page.keyboard.press('Enter');
  await until('one row', async () => (await rows().count()) === 1 && (await rows().locator('a').getAttribute('title')) === id);
  hold((await column(2))[0].startsWith('delivered'), `it is ${(await column(2))[0]}`);
});
await check('filters may be cleared', async () => {
  await button('Clear filters').click();
  await until('more rows', async () => (await rows().count()) > 1);
  hold((await page.evaluate('location.hash')) === '#/deliveries', 'the address keeps some');
});
await check('a state is a filter', async () => {
  await page.getByRole('checkbox', { name: 'delivered', exact: true }).check();
  await until('only delivered ones', async () => (await rows().count()) > 0 && (await column(2)).every((state) => state.startsWith('delivered')));
});
let event;
await check('an event is a filter, chosen by keyboard', async () => {
  [event] = await column(3);
  const pick = page.locator('.pick', { hasText: 'Event' });
  await pick.locator('summary').focus();
  await page.keyboard.press('Enter');
  await pick.getByRole('checkbox', { name: event, exact: true }).focus();
  await page.keyboard.press('Space');
  await until(`only ${event}`, async () => (await column(3)).every((each) => each === event) && /event=/.test(page.url()));
  await page.keyboard.press('Escape');
  hold(!(await pick.evaluate((details) => details.open)), 'Esc does not close the choice');
  return event;
});
await check('the address can be shared: it holds the filters', async () => {
  await page.reload();
  await rows().first().waitFor();
  hold(await page.getByRole('checkbox', { name: 'delivered', exact: true }).isChecked(), 'the state is lost');
  hold((await column(3)).every((each) => each === event), 'the event is lost');
});
await check('a time is a filter', async () => {
  await page.getByLabel('When').selectOption('last 15 minutes');
  await until('the time in the address', () => /since=/.test(page.url()));
  await settled();
  hold(!(await page.locator('.view .problem').count()), 'the watcher refuses it');
});
await check('a filter that finds nothing says so', async () => {
  await go('#/deliveries?user=nobody-has-this-id', '.empty');
});
await check('older and newer pages', async () => {
  await go('#/deliveries', 'table.log tbody tr');
  await until('all', async () => !(await page.locator('.empty').count()));
  await settled();
  const older = button('Older →');
  if (await older.isDisabled()) return 'there is one page only';
  const top = (await column(8))[0];
  await older.click();
  await page.getByText('Page 2', { exact: true }).waitFor();
  await until('other rows', async () => !(await column(8)).includes(top));
  await button('← Newer').click();
  await page.getByText('Page 1', { exact: true }).waitFor();
  return 'both ways';
});

// Many at once

await go(`#/deliveries?endpoint=${encodeURIComponent(failing)}&state=dead&state=delivered`, 'table.log tbody tr');
await check('selected rows can be replayed, and Esc says no', async () => {
  await until('those of one endpoint', async () => (await column(4)).every((each) => each === failing));
  await rows().locator('input').first().check();
  await button('Cancel selected (1)').focus();
  await page.keyboard.press('Enter');
  await page.locator('dialog[open]').waitFor();
  await page.keyboard.press('Escape');
  await until('the dialog closed', async () => !(await page.locator('dialog').count()));
  hold(await focused("it.textContent.startsWith('Cancel selected')"), 'the focus does not come back');
  await rows().locator('input').first().uncheck();
});
await check('all that match: asks with the number first', async () => {
  await button('Replay all that match…').click();
  const title = page.locator('dialog h2');
  await title.waitFor();
  hold(/^Replay [\d,]+ deliver/.test(await title.innerText()), await title.innerText());
  return title.innerText();
});
await accessible('question');
await narrow('question');
await check('all that match: done, with a bar', async () => {
  await page.locator('dialog button[type=submit]').click();
  await page.locator('dialog progress').waitFor();
  await page.getByText('Done.').waitFor();
  const says = await page.locator('dialog [role=status]').innerText();
  await page.locator('dialog').getByRole('button', { name: 'Close' }).click();
  return says;
});
await check('none of them is dead any more', async () => {
  await go(`#/deliveries?endpoint=${encodeURIComponent(failing)}&state=dead`, '.empty');
});

// Endpoints

await go('#/endpoints', 'article');
const healthy = HEALTHY ?? await page.locator('article', { has: page.locator('.badge', { hasText: /^ok$/ }) }).first().locator('h2').innerText();
await check('ping shows status, time and answer', async () => {
  await button(`Ping: ${healthy}`).focus();
  await page.keyboard.press('Enter');
  await page.locator('dialog select').waitFor();
  await page.locator('dialog button[type=submit]').focus();
  await page.keyboard.press('Enter');
  await page.locator('dialog .result .badge').waitFor();
  const says = (await page.locator('dialog .result p').first().innerText()).replaceAll('\n', ' ');
  hold(/received .*\d{3} in \d/.test(says), says);
  return says;
});
await accessible('ping');
await check('an endpoint is paused, with a reason, and resumed', async () => {
  await page.keyboard.press('Escape');
  await button(`Pause: ${healthy}`).focus();
  await page.keyboard.press('Enter');
  await page.locator('dialog input').focus();
  await page.keyboard.type('tried by walk.mjs');
  await page.keyboard.press('Enter');
  await card(healthy).getByText('tried by walk.mjs').waitFor();
  await button(`Resume: ${healthy}`).focus();
  await page.keyboard.press('Enter');
  await button(`Pause: ${healthy}`).waitFor();
  return healthy;
});

// The page itself

await check('the keyboard reaches all of it, and the focus is seen', async () => {
  await page.reload();
  await page.locator('article').first().waitFor();
  await page.keyboard.press('Tab');
  hold(await focused("it.className === 'skip'"), 'the first stop does not skip the header');
  await page.keyboard.press('Enter');
  hold(await focused("it.id === 'main'"), 'it skips to nowhere');
  await tabTo("it.textContent === 'Ping'");
});
await check('the theme can be chosen', async () => {
  const ground = () => page.evaluate('getComputedStyle(document.body).backgroundColor');
  const auto = await ground();
  await button('Theme: auto').click();
  const dark = await ground();
  await page.reload();
  hold(auto !== dark && (await ground()) === dark, 'it is not dark, or not kept');
  await button('Theme: dark').click();
  await button('Theme: light').click();
});
await check('a lost connection is told, and comes back by itself', async () => {
  await page.route('**/api/**', (route) => route.abort());
  await page.locator('#banner').waitFor({ state: 'visible' });
  hold(/Connection lost/.test(await page.locator('#banner').innerText()), await page.locator('#banner').innerText());
  await page.unroute('**/api/**');
  await page.locator('#banner').waitFor({ state: 'hidden' });
});
await check('whoever signs out leaves nothing behind', async () => {
  await button('Sign out').click();
  await page.getByLabel('Admin token').waitFor();
  hold(!(await page.evaluate('JSON.stringify(sessionStorage)')).includes(TOKEN), 'the token is still kept');
  hold(!(await page.locator('article').count()), 'what was seen is still there');
});
await check('the browser had nothing to complain of', async () => hold(!complaints.length, complaints.join('\n')));

await end();
