'use strict';
/**
 * How LibreChat does each action of actions.yaml: the same calls of its model package, in the same order, as its
 * routes make them. What each must send, and what must stay silent, stands in actions.yaml under the same name.
 */
const { ROOT } = require('./world');

const HOUR = 3_600_000;
const LOGIN_HOLD = 2_500; // a login may be half of a rotation for about two seconds
const MODEL = { provider: 'openAI', model: 'gpt-4o' };

const CHAPTERS = {
  Accounts: {
    'registers with e-mail and password': async (w) => {
      await w.register('ada', { googleId: w.secret('google-id') });
      const token = w.secret('mail-token');
      const mail = { userId: w.oid('ada'), email: 'ada@example.com', type: 'verify', token, expiresIn: 900 };
      await w.lc.createToken(mail);
    },
    'follows the link in the e-mail': async (w) => {
      await w.lc.updateUser(w.id('ada'), { emailVerified: true });
      await w.lc.deleteTokens({ email: 'ada@example.com' });
    },
    'registers where no mail is sent': async (w) => {
      const user = await w.register('brian');
      await w.lc.updateUser(user, { emailVerified: true });
    },
    'registering fails at the mail and is rolled back': async (w) => {
      await w.lc.deleteUserById(await w.register('nobody'));
    },
    'logs in with Google for the first time': async (w) => {
      await w.register('grace', { provider: 'google', googleId: w.secret('google'), emailVerified: true });
      await w.lc.updateUser(w.id('grace'), { avatar: `https://img.example.com/g.png?${w.secret('avatar')}` });
      await w.login('grace', 'session grace');
    },
    'logs in with OpenID for the first time': async (w) => {
      const openid = { openidId: w.secret('openid-id'), openidIssuer: w.secret('openid-issuer') };
      await w.register('linus', { provider: 'openid', emailVerified: true, ...openid });
      w.linus = await w.openid('linus', 'session linus');
    },
    'logs in with the password': (w) => w.login('ada', 'session ada'),
    'logs in on a second device': (w) => w.login('ada', 'session ada 2'),
    'changes settings, accepts the terms, turns on two factors': async (w) => {
      await w.lc.toggleUserMemories(w.id('ada'), false);
      await w.lc.acceptTerms(w.id('ada'));
      await w.lc.updateUserPlugins(w.id('ada'), [], 'calculator', 'install');
      const codes = [{ codeHash: w.secret('backup-code'), used: false, usedAt: null }];
      await w.lc.updateUser(w.id('ada'), {
        pendingTotpSecret: w.secret('pending-totp'),
        pendingBackupCodes: codes,
      });
      await w.lc.updateUser(w.id('ada'), {
        totpSecret: w.secret('totp'),
        backupCodes: codes,
        twoFactorEnabled: true,
        refreshToken: [{ refreshToken: w.secret('old-refresh-token') }],
      });
    },
    'logs in with a backup code': async (w) => {
      const used = [{ codeHash: w.secret('backup-code'), used: true, usedAt: new Date() }];
      await w.lc.updateUser(w.id('ada'), { backupCodes: used });
      await w.login('ada', 'session ada 3');
    },
    'logs in with OpenID again, with a new name at the provider': async (w) => {
      await w.lc.updateUser(w.id('linus'), { name: 'Linus T.', idOnTheSource: w.secret('id-on-the-source') });
      await w.openid('linus', 'session linus 2');
    },
    'OpenID refreshes, and the provider keeps its token': async (w) => {
      await w.openid('linus', 'session linus', { token: w.linus, days: 8 });
    },
    'somebody comes for a moment': async (w) => {
      await w.register('visitor');
      await w.login('visitor', 'session visitor');
      await upload(w, 'unsent', { user: w.id('visitor') });
    },
    'two people come, chat, build and upload': (w) => Promise.all(['eve', 'ed'].map((user) => settle(w, user))),
  },

  Messages: {
    'asks in a new chat': async (w) => {
      const first = {
        ...{ user: 'ada', chat: 'chat', ask: 'question 1', answer: 'answer 1' },
        ...{ text: 'What is a change stream?', reply: 'A cursor.' },
        settings: { model: 'gpt-4o', temperature: 1, promptPrefix: w.secret('prompt-prefix') },
      };
      await w.turn(first);
      w.first = first;
    },
    'LibreChat gives the chat a title': async (w) => {
      const title = { conversationId: w.id('chat'), title: 'Streams' };
      await w.lc.saveConvo(w.context('ada'), title, { noUpsert: true });
    },
    'asks again': (w) =>
      w.turn({
        ...w.first,
        ...{ ask: 'question 2', answer: 'answer 2', parent: 'answer 1', text: 'And then?', reply: 'It waits.' },
      }),
    'asks with other settings': (w) =>
      w.turn({
        ...w.first,
        ...{ ask: 'question 3', answer: 'answer 3', parent: 'answer 2', text: 'Sure?', reply: 'Sure.' },
        settings: { model: 'o3', system: w.secret('system') },
        unset: { temperature: 1, promptPrefix: 1 },
      }),
    'asks with an attachment': async (w) => {
      await w.lc.createFile({
        ...{ file_id: w.id('cat'), user: w.id('ada'), filename: 'cat.png', type: 'image/png', bytes: 68 },
        ...{ filepath: `/images/${w.secret('path')}/cat.png`, context: 'message_attachment', source: 'local' },
      });
      await w.lc.updateFilesUsage([{ file_id: w.id('cat') }], undefined, { user: w.id('ada') });
      await w.turn({
        ...w.first,
        ...{ ask: 'question 4', answer: 'answer 4', parent: 'answer 3', text: 'A cat?', reply: 'A cat.' },
        files: [{ file_id: w.id('cat'), filename: 'cat.png', type: 'image/png', filepath: w.secret('path') }],
        settings: { model: 'o3', system: w.secret('system'), files: [w.id('cat')] },
      });
    },
    'leaves in mid-answer; the answer is finished later': async (w) => {
      const turn = {
        ...w.first,
        ...{ ask: 'question 5', answer: 'answer 5', parent: 'answer 4', text: 'More?', reply: 'One, two, three.' },
        settings: { model: 'o3', system: w.secret('system') },
      };
      await w.ask(turn);
      await w.partial(turn, 'One,');
      await w.partial(turn, 'One, two,');
      await w.reply(turn);
    },
    'stops the answer': async (w) => {
      const turn = {
        ...w.first,
        ...{ ask: 'question 6', answer: 'answer 6', parent: 'answer 5', text: 'Count!', reply: 'One,' },
        settings: { model: 'o3', system: w.secret('system') },
        fields: { unfinished: true },
      };
      await w.ask(turn);
      await w.reply(turn);
    },
    'leaves in mid-answer; the answer takes longer than it is waited for': async (w) => {
      const turn = {
        ...w.first,
        ...{ ask: 'question 7', answer: 'answer 7', parent: 'answer 6', text: 'All of it!', reply: 'A long story.' },
        settings: { model: 'o3', system: w.secret('system') },
      };
      await w.ask(turn);
      await w.partial(turn, 'A long');
      w.now('partial');
      await w.past('partial', w.hold + 500);
      await w.reply(turn);
    },
    'leaves before the answer has an id': async (w) => {
      const turn = {
        ...w.first,
        ...{ ask: 'question 8', answer: 'answer 8', parent: 'answer 7', text: 'Quick!', reply: 'Done.' },
        settings: { model: 'o3', system: w.secret('system') },
      };
      await w.ask(turn);
      const odd = w.name('answer 8, nameless', `${w.id('question 8')}_`);
      await w.partial({ ...turn, answer: 'answer 8, nameless', fields: { messageId: odd } }, 'Do');
      await w.reply(turn);
    },
    'the provider fails': async (w) => {
      const turn = { ...w.first, ask: 'question 9', answer: 'answer 9', parent: 'answer 8', text: 'Hello?' };
      turn.settings = { model: 'o3', system: w.secret('system') };
      await w.ask(turn);
      const failed = { text: 'The provider is not there.', content: undefined, error: true };
      await w.lc.saveMessage(w.context('ada'), w.answer({ ...turn, fields: failed }));
    },
    'regenerates an answer': async (w) => {
      const again = { ...w.first, answer: 'answer 1, again', reply: 'A tap on the oplog.' };
      const row = await w.lc.saveMessage(w.context('ada'), w.answer(again));
      const rows = { conversationId: w.id('chat'), endpoint: 'agents' };
      await w.lc.saveConvo(w.context('ada'), rows, { appendMessageIds: [row._id] });
      await w.lc.saveMessage(w.context('ada'), w.answer(again));
    },
    'branches off': async (w) => {
      await w.lc.saveMessage(w.context('ada'), w.answer({ ...w.first, answer: 'branch', reply: 'A tap.' }));
    },
    'edits and asks again': (w) =>
      w.turn({
        ...w.first,
        ...{ ask: 'question 1, edited', answer: 'answer to the edited', text: 'What is a stream?', reply: 'Water.' },
        settings: { model: 'o3', system: w.secret('system') },
      }),
    'edits a message': (w) =>
      w.lc.updateMessage(w.id('ada'), { messageId: w.id('question 1'), text: 'What is an oplog?', tokenCount: 6 }),
    'saves an edit without a change': (w) =>
      w.lc.updateMessage(w.id('ada'), { messageId: w.id('question 1'), text: 'What is an oplog?', tokenCount: 6 }),
    'edits a part of an answer': (w) =>
      w.lc.updateMessage(w.id('ada'), {
        messageId: w.id('answer 1'),
        content: [{ type: 'text', text: 'A tailing cursor.' }],
        tokenCount: 10,
      }),
    'lets an answer go on': (w) =>
      w.lc.saveMessage(w.context('ada'), w.answer({ ...w.first, reply: 'A tailing cursor. It goes on.' })),
    'edits an artifact': async (w) => {
      const { messageId, conversationId } = w.answer({ ...w.first, answer: 'answer 2' });
      const content = [{ type: 'text', text: ':::artifact new:::' }];
      await w.lc.saveMessage(w.context('ada'), { messageId, conversationId, content });
    },
    'a tool in the background ends after the answer': async (w) => {
      const call = { id: 'call_1', name: 'search', args: '{}', output: '' };
      const turn = {
        ...w.first,
        ...{ ask: 'question 10', answer: 'answer 10', parent: 'answer 9', text: 'Search!' },
        settings: { model: 'o3', system: w.secret('system') },
        fields: { content: [{ type: 'text', text: 'Searching.' }, { type: 'tool_call', tool_call: call }] },
      };
      await w.turn(turn);
      await w.lc.updateToolCallResult({
        ...{ userId: w.id('ada'), messageId: w.id('answer 10'), conversationId: w.id('chat') },
        ...{ toolCallId: 'call_1', output: 'found' },
      });
    },
    'LibreChat counts tokens, and adds attachments and traces': async (w) => {
      await w.lc.updateMessage(w.id('ada'), { messageId: w.id('question 2'), tokenCount: 11 });
      await w.lc.updateMessage(w.id('ada'), { messageId: w.id('question 2'), summaryTokenCount: 3 });
      const late = [{ file_id: w.id('cat'), filename: 'cat.png' }];
      await w.lc.updateMessage(w.id('ada'), { messageId: w.id('question 2'), attachments: late });
      await w.lc.updateMessage(w.id('ada'), { messageId: w.id('answer 2'), langfuseSampled: true });
    },
    'likes an answer': (w) => feedback(w, { rating: 'thumbsUp', tag: 'accurate_reliable' }),
    'likes it again': (w) => feedback(w, { rating: 'thumbsUp', tag: 'accurate_reliable' }),
    'dislikes it, with words': (w) =>
      feedback(w, { rating: 'thumbsDown', tag: 'other', text: 'Too short.' }),
    'takes the rating back': (w) => feedback(w, null),
    'takes it back again': (w) => feedback(w, null),
    'deletes a message': (w) =>
      w.lc.deleteMessages({ messageId: w.id('branch'), conversationId: w.id('chat'), user: w.id('ada') }),
    'deletes a message while it is being written': async (w) => {
      await w.partial({ ...w.first, answer: 'dropped' }, 'Never');
      await w.lc.deleteMessages({ messageId: w.id('dropped'), user: w.id('ada') });
    },
    'deletes all messages since one': async (w) => {
      const context = w.context('ada');
      for (const number of [1, 2, 3]) {
        const row = { chat: 'notes', ask: `note ${number}`, text: `Note ${number}` };
        await w.lc.saveMessage(context, w.question(row));
      }
      const since = { messageId: w.id('note 1'), conversationId: w.id('notes') };
      await w.lc.deleteMessagesSince(w.id('ada'), since);
    },
  },

  Conversations: {
    'renames a chat': (w) => w.lc.saveConvo(w.context('ada'), { conversationId: w.id('chat'), title: 'Oplogs' }),
    'gives it the same name': (w) =>
      w.lc.saveConvo(w.context('ada'), { conversationId: w.id('chat'), title: 'Oplogs' }),
    'pins it': (w) => w.lc.setConvoPinned(w.id('ada'), w.id('chat'), true),
    'tags it': (w) => w.lc.updateTagsForConversation(w.id('ada'), w.id('chat'), ['work', 'later']),
    'renames a tag': (w) => w.lc.updateConversationTag(w.id('ada'), 'work', { tag: 'job' }),
    'removes a tag': (w) => w.lc.deleteConversationTag(w.id('ada'), 'later'),
    'puts it into a project': async (w) => {
      const project = await w.lc.createChatProject(w.id('ada'), { name: 'Webhooks' });
      w.name('project', project._id);
      await w.lc.assignConversationToProject(w.id('ada'), w.id('chat'), w.id('project'));
    },
    'takes it out of the project': (w) => w.lc.assignConversationToProject(w.id('ada'), w.id('chat'), null),
    'shares it': (w) => w.lc.createSharedLink(w.id('ada'), w.id('chat')),
    'archives it': (w) => w.lc.saveConvo(w.context('ada'), { conversationId: w.id('chat'), isArchived: true }),
    'archives it again': (w) =>
      w.lc.saveConvo(w.context('ada'), { conversationId: w.id('chat'), isArchived: true }),
    'brings it back': (w) =>
      w.lc.saveConvo(w.context('ada'), { conversationId: w.id('chat'), isArchived: false }),
    'archives all chats': async (w) => {
      await w.turn({ user: 'brian', chat: 'chat b1', ask: 'question b1', answer: 'answer b1', text: '1', reply: 'I' });
      await w.turn({ user: 'brian', chat: 'chat b2', ask: 'question b2', answer: 'answer b2', text: '2', reply: 'II' });
      await w.lc.archiveAllConvos(w.id('brian'));
    },
    'forks a chat': async (w) => {
      const [question, answer] = await Promise.all(
        ['question 1', 'answer 1'].map((name) => w.raw('Message').findOne({ messageId: w.id(name) })),
      );
      const rated = { rating: 'thumbsUp', tag: 'other' };
      await bulk(w, 'fork', 'Fork of Oplogs', [
        { ...question, messageId: w.id('fork question') },
        { ...answer, messageId: w.id('fork answer'), parentMessageId: w.id('fork question'), feedback: rated },
      ]);
    },
    'imports chats': async (w) => {
      w.imported = () =>
        bulk(w, 'import', 'From elsewhere', [
          { ...plain(w, 'import question', 'root', 'Old question'), isCreatedByUser: true, sender: 'User' },
          { ...plain(w, 'import answer', 'import question', 'Old answer'), isCreatedByUser: false, sender: 'GPT' },
        ]);
      await w.imported();
    },
    'imports them again': (w) => w.imported(),
    'importing fails and is rolled back': async (w) => {
      await bulk(w, 'half', 'Half', [{ ...plain(w, 'half question', 'root', 'Half'), isCreatedByUser: true }]);
      const scope = { user: w.id('ada'), conversationIds: [w.id('half')] };
      await w.lc.deleteImportedMessages(scope);
      await w.lc.deleteImportedConversations(scope);
    },
    'an agent hands a task to a sub-agent': async (w) => {
      const lineage = {
        ...{ rootConversationId: w.id('chat'), parentConversationId: w.id('chat'), depth: 1 },
        ...{ parentMessageId: w.id('answer 1'), parentToolCallId: 'call_2' },
        ...{ subagentType: 'researcher', subagentKind: 'agent' },
      };
      const thread = { user: w.id('ada'), conversationId: w.id('thread') };
      const conversation = { title: 'Task', endpoint: 'agents', subagentThread: lineage };
      await w.lc.reserveSubagentThread({ ...thread, conversation });
      const now = new Date();
      const lease = { token: w.secret('lease'), taskId: 'task', now, expiresAt: new Date(now.getTime() + HOUR) };
      await w.lc.acquireSubagentThreadLease({ ...thread, ...lease });
      const task = { attemptKey: w.secret('attempt'), status: 'running' };
      const base = { conversationId: w.id('thread'), endpoint: 'agents' };
      await w.lc.saveMessage(w.context('ada'), {
        ...{ ...base, messageId: w.name('task', 'task:user'), parentMessageId: ROOT, text: 'Research!' },
        ...{ isCreatedByUser: true, subagentTask: task },
      });
      await w.lc.saveMessage(w.context('ada'), {
        ...{ ...base, messageId: w.name('task answer', 'task:assistant'), parentMessageId: w.id('task') },
        ...{ text: 'Researched.', isCreatedByUser: false },
        subagentTranscript: { taskId: 'task', mode: 'append', messagesJson: w.secret('transcript') },
      });
      await w.lc.releaseSubagentThreadLease({ ...thread, token: lease.token });
    },
    'deletes a chat': async (w) => {
      await w.turn({ user: 'ada', chat: 'chat d', ask: 'question d', answer: 'answer d', text: 'd', reply: 'D' });
      await w.lc.deleteConvos(w.id('ada'), { conversationId: w.id('chat d') });
    },
    'deletes a chat that had sub-agents': (w) =>
      w.lc.deleteConvos(w.id('ada'), { conversationId: w.id('chat') }),
    'deletes all chats': (w) => w.lc.deleteConvos(w.id('brian'), {}),
    'opens a temporary chat': async (w) => {
      w.temporary = {
        ...{ user: 'grace', chat: 'temporary', ask: 'whisper', answer: 'echo', text: 'Psst', reply: 'Psst!' },
        context: { isTemporary: true },
      };
      await w.turn(w.temporary);
    },
    'asks again in the temporary chat': (w) =>
      w.turn({ ...w.temporary, ask: 'whisper 2', answer: 'echo 2', parent: 'echo' }),
  },

  Agents: {
    'builds an agent': async (w) => {
      const agent = await w.lc.createAgent({
        ...{ id: w.name('helper', 'agent_helper'), author: w.oid('ada'), name: 'Helper', provider: 'openAI' },
        ...{ model: 'gpt-4o', description: 'Helps.', category: 'general', tools: ['web_search'] },
        instructions: w.secret('instructions'),
        tool_kwargs: [{ key: w.secret('tool-kwargs') }],
        tool_options: { web_search: { key: w.secret('tool-options') } },
        git_identity: { name: 'Helper', email: w.secret('git-email') },
        support_contact: { name: 'Ada', email: w.secret('support') },
      });
      const grant = ['user', w.id('ada'), 'agent', agent._id, 15, w.id('ada')];
      await w.lc.grantPermission(...grant);
    },
    'duplicates it': (w) =>
      w.lc.createAgent({
        ...{ id: w.name('copy', 'agent_copy'), author: w.oid('ada'), name: 'Helper (copy)', provider: 'openAI' },
        ...{ model: 'gpt-4o', instructions: w.secret('instructions') },
        edges: [{ from: 'agent_copy', to: 'agent_helper', edgeType: 'handoff' }],
      }),
    'changes it': (w) => agent(w, { name: 'Helper 2', instructions: w.secret('instructions') + ' more' }),
    'saves it without a change': (w) => agent(w, { name: 'Helper 2' }),
    'gives it a picture': (w) => agent(w, { avatar: { filepath: `/images/${w.secret('avatar')}`, source: 's3' } }),
    'somebody sees its picture, and LibreChat signs the address anew': (w) =>
      agent(w, { avatar: { filepath: `/images/a?${w.secret('signature')}`, source: 's3' } }, { skipVersioning: true }),
    'LibreChat notes the names of its servers': (w) => agent(w, { mcpServerNames: ['files'] }),
    'attaches a file to it': async (w) => {
      await upload(w, 'handbook', { context: 'agents' });
      const file = { agent_id: 'agent_helper', tool_resource: 'file_search', file_id: w.id('handbook') };
      await w.lc.addAgentResourceFile({ ...file, updatingUserId: w.id('ada') });
    },
    'deletes a file that is attached to it': async (w) => {
      await w.lc.deleteFiles([w.id('handbook')]);
      await w.lc.removeAgentResourceFilesFromAllAgents({ file_ids: [w.id('handbook')] });
    },
    'goes back to its first version': (w) => w.lc.revertAgentVersion({ id: 'agent_helper' }, 0),
    'LibreChat replaces it after a race': async (w) => {
      const row = await w.models.Agent.findOne({ id: 'agent_helper' }).lean();
      await w.models.Agent.replaceOne({ _id: row._id }, { ...row, name: 'Helper 3' }, { timestamps: false });
    },
    'marks it as a favourite': (w) =>
      w.lc.updateUser(w.id('brian'), { favorites: [{ agentId: 'agent_helper' }] }),
    'deletes it; another one handed over to it': (w) => w.lc.deleteAgent({ id: 'agent_helper' }),
  },

  Files: {
    'uploads a file': (w) => upload(w, 'report', { text: w.secret('file-text'), storageKey: w.secret('key') }),
    'keeps it in the queue, and sends it': async (w) => {
      const hold = { renewMs: 2 * HOUR, maxLifetimeMs: 24 * HOUR };
      await w.lc.extendFilesTTL([w.id('report')], hold, { user: w.id('ada') });
      await w.lc.updateFilesUsage([{ file_id: w.id('report') }], undefined, { user: w.id('ada') });
    },
    'LibreChat previews, embeds and signs it': async (w) => {
      const file = { file_id: w.id('report') };
      await w.lc.updateFile({ ...file, status: 'ready', text: w.secret('preview'), textFormat: 'text' });
      await w.lc.addFileEmbeddedEntity({ ...file, entityId: 'agent_helper' });
      await w.lc.batchUpdateFiles([{ ...file, filepath: `https://bucket.example.com/r?${w.secret('signed')}` }]);
    },
    'code makes a file': async (w) => {
      const claim = { filename: 'plot.png', conversationId: w.id('chat'), user: w.id('ada') };
      await w.lc.claimCodeFile({ ...claim, file_id: w.id('plot') });
      w.plot = { ...claim, file_id: w.id('plot'), context: 'execute_code', type: 'image/png', source: 'local' };
      w.plot.filepath = `/uploads/${w.secret('path')}/plot.png`;
      await w.lc.createFile({ ...w.plot, bytes: 77, messageId: w.id('answer 3'), status: 'pending' }, true);
      await w.lc.updateFile({ file_id: w.id('plot'), status: 'ready', text: w.secret('preview') });
    },
    'code makes the same file again': async (w) => {
      await w.lc.claimCodeFile({ ...w.plot, file_id: 'another' });
      await w.lc.createFile({ ...w.plot, bytes: 80, filepath: `${w.plot.filepath}?2` }, true);
    },
    'code fails to make a file': async (w) => {
      const claim = { filename: 'none.png', conversationId: w.id('chat'), user: w.id('ada') };
      await w.lc.claimCodeFile({ ...claim, file_id: w.id('none') });
      await w.lc.deleteFile(w.id('none'));
    },
    'deletes a file': (w) => w.lc.deleteFiles([w.id('report')]),
    'its retention ends, and LibreChat sweeps it away': async (w) => {
      await upload(w, 'kept', { expiredAt: new Date(Date.now() - 1_000) }, true);
      await w.lc.incrementFileDeletionAttempts(w.id('kept'));
      await w.lc.deferExpiredFile(w.id('kept'), new Date());
      await w.lc.deleteFile(w.id('kept'));
    },
  },

  'Sessions, later': {
    'the token is refreshed': async (w) => {
      await w.past('session ada', 1_100); // within one second LibreChat signs the same token again
      const session = await w.lc.findSession({ sessionId: w.id('session ada') }, { lean: false });
      w.hide(await w.lc.generateRefreshToken(session));
      w.hide(session.refreshTokenHash);
    },
    'OpenID refreshes, and the provider gives a new token': async (w) => {
      await w.past('session linus', LOGIN_HOLD);
      await w.openid('linus', 'session linus, rotated');
      await w.lc.deleteSession({ sessionId: w.id('session linus') });
    },
    'logs in on the phone and at once out on the laptop': async (w) => {
      await w.past('session grace', LOGIN_HOLD);
      await w.login('grace', 'session phone');
      await w.lc.deleteSession({ sessionId: w.id('session grace') });
    },
    'logs out': async (w) => {
      await w.past('session ada', LOGIN_HOLD);
      await w.lc.deleteSession({ sessionId: w.id('session ada') });
    },
    'resets the password': async (w) => {
      await w.past('session ada 3', LOGIN_HOLD);
      await w.lc.updateUser(w.id('ada'), { password: w.secret('new-password') });
      await w.lc.deleteAllUserSessions({ userId: w.id('ada') });
    },
  },

  'Users and tenants': {
    'two users have a conversation of the same id': async (w) => {
      await w.turn({ user: 'ada', chat: 'same', ask: 'same question', answer: 'same answer', text: 'A', reply: 'a' });
      const brian = { chat: 'same', ask: 'same question', answer: 'same answer', text: 'B', reply: 'b' };
      await w.turn({ user: 'brian', ...brian });
    },
    'one of them deletes it, the other one a message of it': async (w) => {
      await w.lc.deleteConvos(w.id('ada'), { conversationId: w.id('same') });
      await w.lc.deleteMessages({ messageId: w.id('same answer'), user: w.id('brian') });
    },
    'two tenants have an agent of the same id': async (w) => {
      w.name('twin', 'agent_twin');
      for (const tenant of ['acme', 'umbrella']) {
        const twin = { id: 'agent_twin', author: w.oid('ada'), name: tenant, provider: 'openAI', model: 'o3' };
        await w.in(tenant, async () => w.lc.createAgent(twin));
      }
      await w.in('acme', async () => w.lc.updateAgent({ id: 'agent_twin' }, { name: 'acme 2' }));
      await w.in('acme', async () => w.lc.deleteAgent({ id: 'agent_twin' }));
    },
    'a tenant: registers, logs in, chats, uploads, deletes': (w) =>
      w.in('acme', async () => {
        await w.register('tess', { emailVerified: true }, { mail: false });
        await w.login('tess', 'session tess');
        const chat = { chat: 'tenant chat', ask: 'tenant question', answer: 'tenant answer', text: 'T', reply: 't' };
        await w.turn({ user: 'tess', ...chat });
        await upload(w, 'tenant file', { user: w.id('tess') });
        await w.lc.deleteFiles([w.id('tenant file')]);
        await w.lc.deleteConvos(w.id('tess'), { conversationId: w.id('tenant chat') });
      }),
  },

  'Older rows and housekeeping': {
    'LibreChat 0.7 writes a chat': async (w) => {
      const now = new Date();
      const row = { user: w.id('ada'), conversationId: w.id('old chat'), createdAt: now, updatedAt: now };
      await w.raw('Message').insertOne({ ...row, messageId: w.id('old message'), text: 'Old', isCreatedByUser: true });
      await w.raw('Conversation').insertOne({ ...row, title: 'New Chat', endpoint: 'openAI', messages: [] });
    },
    'edits, rates, renames and archives it with the newest': async (w) => {
      await w.lc.updateMessage(w.id('ada'), { messageId: w.id('old message'), text: 'Older' });
      const liked = { rating: 'thumbsUp' };
      await w.lc.updateMessage(w.id('ada'), { messageId: w.id('old message'), feedback: liked });
      await w.lc.saveConvo(w.context('ada'), { conversationId: w.id('old chat'), title: 'Old chat' });
      await w.lc.saveConvo(w.context('ada'), { conversationId: w.id('old chat'), isArchived: true });
    },
    'deletes it': (w) => w.lc.deleteConvos(w.id('ada'), { conversationId: w.id('old chat') }),
    'the search index is built anew': async (w) => {
      for (const model of ['Conversation', 'Message']) {
        await w.raw(model).updateMany({}, { $set: { _meiliIndex: false } }); // npm run reset-meili-sync
        if (w.search) await w.models[model].syncWithMeili();
      }
    },
    'rows reach their end': async (w) => {
      const ago = (hours) => new Date(Date.now() - hours * HOUR);
      const end = (model, filter, deadline) => w.raw(model).updateMany(filter, { $set: deadline });
      await w.past('session visitor', LOGIN_HOLD);
      await end('User', { _id: w.oid('visitor') }, { expiresAt: ago(24 * 8) });
      await end('Session', { _id: w.oid('session visitor') }, { expiration: ago(1) });
      await end('File', { file_id: w.id('unsent') }, { expiresAt: ago(2) });
      await end('Message', { conversationId: w.id('temporary') }, { expiredAt: ago(1) });
      await end('Conversation', { conversationId: w.id('temporary') }, { expiredAt: ago(1) });
      await w.gone('User', { _id: w.oid('visitor') });
      await w.gone('Session', { _id: w.oid('session visitor') });
      await w.gone('File', { file_id: w.id('unsent') });
      await w.gone('Message', { conversationId: w.id('temporary') });
      await w.gone('Conversation', { conversationId: w.id('temporary') });
    },
  },

  'The end of accounts': {
    'deletes the account': async (w) => {
      await w.past('session eve', LOGIN_HOLD);
      const user = w.id('eve');
      await w.lc.beginAgentTriggerUserDeletion(user, new Date());
      await w.lc.deleteMessages({ user });
      await w.lc.deleteAllUserSessions({ userId: user });
      await w.lc.deleteConvos(user, {}, { allowEmpty: true });
      await w.lc.deleteFiles(null, user);
      await w.lc.deleteUserAgents(user);
      await w.lc.deleteUserById(user);
    },
    'deletes the account, in LibreChat 0.7': async (w) => {
      await w.past('session ed', LOGIN_HOLD);
      const user = w.id('ed');
      await w.lc.deleteMessages({ user });
      await w.lc.deleteAllUserSessions({ userId: user });
      await w.lc.deleteConvos(user, {}, { allowEmpty: true });
      await w.lc.deleteUserById(user);
      await w.lc.deleteFiles(null, user);
      await w.lc.deleteUserAgents(user);
    },
  },

  'The last': {
    'a last agent is built, when nothing can be held any more': async (w) => {
      w.now('end');
      await w.past('end', Math.max(w.hold, LOGIN_HOLD) + 500);
      await w.lc.createAgent({ id: w.name('last', 'agent_last'), author: w.oid('ada'), name: 'Last', ...MODEL });
    },
  },
};

function feedback(w, given) {
  return w.lc.updateMessage(w.id('ada'), { messageId: w.id('answer 1'), feedback: given });
}

function agent(w, change, options = {}) {
  return w.lc.updateAgent({ id: 'agent_helper' }, change, { updatingUserId: w.id('ada'), ...options });
}

function upload(w, name, fields = {}, forGood = false) {
  const file = {
    ...{ file_id: w.id(name), user: w.id('ada'), filename: `${name}.pdf`, type: 'application/pdf', bytes: 100 },
    ...{ filepath: `/uploads/${w.secret('path')}/${name}.pdf`, context: 'message_attachment', source: 'local' },
    ...{ temp_file_id: w.secret('temporary-id'), metadata: { fileIdentifier: w.secret('file-metadata') } },
  };
  return w.lc.createFile({ ...file, ...fields }, forGood);
}

/** A row as forks and imports build it. */
function plain(w, name, parent, text) {
  return { messageId: w.id(name), parentMessageId: w.id(parent), text, endpoint: 'openAI', unfinished: false };
}

/** Forks, duplicates and imports write both collections at once. */
function bulk(w, chat, title, messages) {
  const long = new Date('2024-01-01T00:00:00Z');
  const shared = { conversationId: w.id(chat), user: w.id('ada'), createdAt: long, updatedAt: long };
  const rows = messages.map(({ _id, __v, ...message }) => ({ ...message, ...shared }));
  const conversation = { ...shared, title, endpoint: 'openAI', model: 'gpt-4o', isArchived: false };
  return Promise.all([w.lc.bulkSaveConvos([conversation]), w.lc.bulkSaveMessages(rows, true)]);
}

/** One person with one of everything. */
async function settle(w, user) {
  await w.register(user, { emailVerified: true }, { mail: false });
  await w.login(user, `session ${user}`);
  const names = { chat: `chat ${user}`, ask: `question ${user}`, answer: `answer ${user}` };
  await w.turn({ user, ...names, text: 'Hi', reply: 'Hi!' });
  await upload(w, `file ${user}`, { user: w.id(user) });
  const id = w.name(`agent ${user}`, `agent_${user}`);
  await w.lc.createAgent({ id, author: w.oid(user), name: user, provider: 'openAI', model: 'o3' });
}

module.exports = { CHAPTERS };
