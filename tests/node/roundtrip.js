// Says of each body whether a JavaScript receiver would accept it.
//
// In:  one line per body: base64 of its bytes, a space, its X-Webhook-Signature. The secret is argv[2].
// Out: one line per body: `ok`, or what is wrong.
'use strict';
const crypto = require('node:crypto');
const readline = require('node:readline');

const secret = process.argv[2];

// As LibreChat's documentation has it: the signature is taken over the parsed body, written again.
function verdict(raw, signature) {
  const again = JSON.stringify(JSON.parse(raw.toString('utf8')));
  if (!Buffer.from(again, 'utf8').equals(raw)) return `differs: ${JSON.stringify(excerpt(raw.toString('utf8'), again))}`;
  const expected = `sha256=${crypto.createHmac('sha256', secret).update(again).digest('hex')}`;
  return expected === signature ? 'ok' : 'signature differs';
}

function excerpt(sent, again) {
  let at = 0;
  while (at < sent.length && sent[at] === again[at]) at += 1;
  return { sent: sent.slice(Math.max(0, at - 20), at + 30), again: again.slice(Math.max(0, at - 20), at + 30) };
}

readline.createInterface({ input: process.stdin, crlfDelay: Infinity }).on('line', (line) => {
  const [body, signature] = line.split(' ');
  let answer;
  try {
    answer = verdict(Buffer.from(body, 'base64'), signature);
  } catch (error) {
    answer = `throws: ${error.message.split('\n')[0]}`;
  }
  process.stdout.write(`${answer}\n`);
});
