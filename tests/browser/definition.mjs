// Reads [from, to] pairs as JSON from stdin; writes of each the change that the page would send, and what it makes of `from`.
import { readFileSync } from 'node:fs';

const source = readFileSync(new URL('../../watcher/admin/page/definition.js', import.meta.url), 'utf8');
// By its text, as no package.json beside it says that it is a module.
const { difference, patched } = await import(`data:text/javascript,${encodeURIComponent(source)}`);

const pairs = JSON.parse(readFileSync(0, 'utf8'));
console.log(JSON.stringify(pairs.map(([from, to]) => {
  const change = difference(from, to) ?? {};
  return [change, patched(from, change)];
})));
