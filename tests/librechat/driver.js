'use strict';
/**
 * Does in a MongoDB what LibreChat's users do, with LibreChat's own models (npm @librechat/data-schemas).
 *
 *   node driver.js --uri mongodb://…/database --hold 1000 --report FILE [--search]
 *
 * Reports in one JSON document: for each action of actions.yaml the cluster times between which it wrote; what the
 * names in actions.yaml stand for; and every secret that it wrote. It knows nothing of the watcher.
 */
const { writeFileSync } = require('node:fs');
const { parseArgs } = require('node:util');
const { Meilisearch } = require('./meilisearch');

const { values: options } = parseArgs({
  options: {
    uri: { type: 'string' },
    hold: { type: 'string' },
    report: { type: 'string' },
    search: { type: 'boolean' },
  },
});

async function main() {
  process.env.JWT_REFRESH_SECRET = 'never-leaves-jwt';
  process.env.CONSOLE_LOG_LEVEL = 'error';
  const meilisearch = new Meilisearch();
  if (options.search) {
    // The package looks at these while it is loaded.
    const host = await meilisearch.listen();
    Object.assign(process.env, { SEARCH: 'true', MEILI_HOST: host, MEILI_MASTER_KEY: 'never-leaves-meili' });
  }
  const { World } = require('./world');
  const { CHAPTERS } = require('./actions');

  const world = await World.open(options.uri, { search: options.search, hold: Number(options.hold) });
  const done = [];
  for (const [chapter, actions] of Object.entries(CHAPTERS)) {
    for (const [name, act] of Object.entries(actions)) {
      const from = await world.clusterTime();
      try {
        await act(world);
      } catch (error) {
        throw new Error(`${chapter}: ${name}`, { cause: error });
      }
      done.push({ chapter, name, from, to: await world.clusterTime() });
    }
  }
  if (options.search) await world.indexed();
  const { names, secrets } = world;
  await world.close();
  await meilisearch.close();
  const report = { actions: done, names: Object.fromEntries(names), secrets: [...secrets] };
  writeFileSync(options.report, JSON.stringify(report));
}

main().then(
  () => process.exit(0), // LibreChat's caches and loggers would keep the process
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
