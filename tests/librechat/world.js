'use strict';
/** LibreChat's database as its own code sees it, and what the actions remember of it by name. */
const crypto = require('node:crypto');
const mongoose = require('mongoose');
const { createModels, createMethods, tenantStorage, hashToken } = require('@librechat/data-schemas');

const ROOT = '00000000-0000-0000-0000-000000000000';
const WATCHED = ['User', 'Session', 'Conversation', 'Message', 'Agent', 'File'];

class World {
  /** What actions.yaml calls things → their ids. */
  names = new Map([['root', ROOT]]);
  secrets = new Set();
  #since = new Map();

  static async open(uri, { search, hold }) {
    mongoose.set('autoCreate', false);
    mongoose.set('autoIndex', false);
    await mongoose.connect(uri);
    const world = new World();
    world.search = search;
    world.hold = hold;
    world.models = createModels(mongoose);
    world.lc = createMethods(mongoose);
    // The indexes end rows by TTL, and refuse what LibreChat refuses.
    await Promise.all(WATCHED.map((name) => world.models[name].createIndexes()));
    return world;
  }

  async close() {
    await mongoose.disconnect();
  }

  /** The last write so far, as the 16 hex digits that a webhookId begins with. */
  async clusterTime() {
    const { operationTime } = await mongoose.connection.db.admin().command({ ping: 1 });
    return BigInt(operationTime.toString()).toString(16).padStart(16, '0');
  }

  /** The id of that name; a new UUID at its first use. */
  id(name) {
    if (!this.names.has(name)) this.name(name, crypto.randomUUID());
    return this.names.get(name);
  }

  /** Give a name to an id that LibreChat made. */
  name(name, id) {
    this.names.set(name, String(id));
    this.now(name);
    return String(id);
  }

  /** Remember this moment; `past` waits for it to be so long ago. */
  now(name) {
    this.#since.set(name, Date.now());
  }

  async past(name, milliseconds) {
    const left = this.#since.get(name) + milliseconds - Date.now();
    if (left > 0) await new Promise((resolve) => setTimeout(resolve, left));
  }

  /** A value that must not be seen outside of MongoDB. */
  secret(what) {
    return this.hide(`never-leaves-${what}`);
  }

  hide(value) {
    this.secrets.add(value);
    return value;
  }

  /** Past all of LibreChat's code: for rows of older versions, and for clocks that run fast. */
  raw(model) {
    return this.models[model].collection;
  }

  oid(name) {
    return new mongoose.Types.ObjectId(this.names.get(name));
  }

  in(tenantId, act) {
    return tenantStorage.run({ tenantId }, act);
  }

  /** Wait until MongoDB's TTL monitor has taken the rows. */
  async gone(model, filter) {
    await this.#until(async () => (await this.raw(model).countDocuments(filter)) === 0, `${model} to expire`);
  }

  /** Wait until the search plugin, which works behind LibreChat's back, has nothing more to do. */
  async indexed() {
    const pending = { _meiliIndexVersion: { $exists: true }, _meiliIndex: false };
    for (const model of ['Conversation', 'Message']) {
      await this.#until(async () => (await this.raw(model).countDocuments(pending)) === 0, 'the index');
    }
  }

  async #until(done, what) {
    const deadline = Date.now() + 20_000;
    while (!(await done())) {
      if (Date.now() > deadline) throw new Error(`waited in vain for ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  // ---- accounts ----

  async register(name, fields = {}, { mail = true } = {}) {
    const user = await this.lc.createUser(
      {
        name: name[0].toUpperCase() + name.slice(1),
        username: name,
        email: `${name}@example.com`,
        provider: 'local',
        role: 'USER',
        avatar: null,
        ...(fields.provider ? {} : { password: this.secret('password') }),
        ...fields,
      },
      { enabled: true, startBalance: 1000 },
      !mail,
      true,
    );
    return this.name(name, user._id);
  }

  /** As a login with a password or a social provider does. */
  async login(user, session, options) {
    const made = await this.lc.createSession(this.id(user), options);
    this.hide(made.refreshToken);
    this.hide(made.session.refreshTokenHash);
    return this.name(session, made.session._id);
  }

  /** As a login or a refresh by OpenID does, where LibreChat reuses the provider's tokens. */
  async openid(user, session, { token = crypto.randomUUID(), days = 7 } = {}) {
    const expiration = new Date(Date.now() + days * 86_400_000);
    const row = await this.lc.upsertSession(this.id(user), token, { expiration });
    this.hide(await hashToken(token));
    this.name(session, row._id);
    return token;
  }

  // ---- chats ----

  context(user, extra) {
    return { userId: this.id(user), isTemporary: false, ...extra };
  }

  question(turn) {
    const { chat, ask, text, parent = 'root', files } = turn;
    return {
      messageId: this.id(ask),
      conversationId: this.id(chat),
      parentMessageId: this.id(parent),
      sender: 'User',
      text,
      isCreatedByUser: true,
      endpoint: 'agents',
      tokenCount: 5,
      ...(files ? { files } : {}),
    };
  }

  answer(turn) {
    const { chat, ask, answer, reply } = turn;
    return {
      messageId: this.id(answer),
      conversationId: this.id(chat),
      parentMessageId: this.id(ask),
      sender: 'Claude',
      text: '',
      content: [{ type: 'text', text: reply }],
      isCreatedByUser: false,
      endpoint: 'agents',
      model: 'agent_helper',
      iconURL: this.secret('icon'),
      metadata: { usage: this.secret('message-metadata') },
      contextMeta: { calibrationRatio: 1, encoding: this.secret('context-meta') },
      langfuseRunId: this.secret('langfuse'),
      tokenCount: 9,
      unfinished: false,
      error: false,
      ...turn.fields,
    };
  }

  settings(turn) {
    return { conversationId: this.id(turn.chat), endpoint: 'agents', agent_id: 'agent_helper', ...turn.settings };
  }

  /** The question, and the conversation's row about it. */
  async ask(turn) {
    const context = this.context(turn.user, turn.context);
    const row = await this.lc.saveMessage(context, this.question(turn));
    await this.lc.saveConvo(context, this.settings(turn), {
      context: 'ask',
      unsetFields: turn.unset ?? {},
      appendMessageIds: [row._id],
    });
  }

  /** The whole answer, the conversation's row about it, calibrated tokens, and both messages once more. */
  async reply(turn) {
    const context = this.context(turn.user, turn.context);
    const row = await this.lc.saveMessage(context, this.answer(turn));
    const rows = { context: 'reply', appendMessageIds: [row._id] };
    await this.lc.saveConvo(context, this.settings(turn), rows);
    await this.lc.updateMessage(this.id(turn.user), { messageId: this.id(turn.ask), tokenCount: 6 });
    await this.lc.saveMessage(context, { ...this.question(turn), tokenCount: 6 });
    await this.lc.saveMessage(context, this.answer(turn));
  }

  async turn(turn) {
    await this.ask(turn);
    await this.reply(turn);
  }

  /** What is there of an answer while the model still writes: saved when the last tab closes. */
  async partial(turn, reply) {
    const row = { ...this.answer({ ...turn, reply }), unfinished: true };
    delete row.tokenCount;
    await this.lc.saveMessage(this.context(turn.user, turn.context), row);
  }
}

module.exports = { World, ROOT };
