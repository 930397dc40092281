// The code of docs/RECEIVERS.md, given a request as JSON on standard input: does the reference library take it?
const { code, body, headers, secret } = JSON.parse(require('fs').readFileSync(0, 'utf8'));
const readEvent = new Function('require', `${code}; return readEvent;`)(require);
try {
  console.log(JSON.stringify(readEvent(body, headers, secret)));
} catch (error) {
  console.log(`refused: ${error.constructor.name}`);
}
