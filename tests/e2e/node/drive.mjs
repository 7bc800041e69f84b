// Drives every operation of the rooms service with the unmodified helper library.
//
//   node drive.mjs part < settings.json     settings: { service, accountSid, authToken, apiKeySid, apiKeySecret }
//
// Prints one JSON document with what the library gave back; the test compares. Errors that are not expected end it.

import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';

const twilio = createRequire(import.meta.url)('twilio');
const settings = JSON.parse(readFileSync(0, 'utf8'));

function client(user = settings.accountSid, password = settings.authToken) {
  const made = twilio(user, password, { accountSid: settings.accountSid });
  made.video.baseUrl = settings.service;
  return made;
}

const video = client().video.v1;

/** Return status and code of the error that an attempt has to end with. */
async function failure(attempt) {
  try {
    await attempt();
  } catch (error) {
    return [error.status, error.code];
  }
  throw new Error(`no error: ${attempt}`);
}

const parts = {
  async rooms() {
    const made = await video.rooms.create({
      uniqueName: 'node', type: 'group', maxParticipants: 5, maxParticipantDuration: 600, emptyRoomTimeout: 7,
      unusedRoomTimeout: 8, videoCodecs: ['H264'], mediaRegion: 'de1', statusCallback: 'http://127.0.0.1:9/status',
      statusCallbackMethod: 'GET', enableTurn: true, largeRoom: false, recordParticipantsOnConnect: false,
    });
    const byName = await video.rooms('node').fetch();
    const bySid = await video.rooms(made.sid).fetch();
    const byKey = await client(settings.apiKeySid, settings.apiKeySecret).video.v1.rooms('node').fetch();
    const listed = await video.rooms.list({ uniqueName: 'node', status: 'in-progress' });
    // Not `made.update`: of 6.2.0, what `create` gives back does not know its own path.
    const ended = await video.rooms(made.sid).update({ status: 'completed' });
    const completed = await video.rooms.list({ status: 'completed', uniqueName: 'node', dateCreatedAfter: new Date(Date.now() - 3600e3) });
    const later = await video.rooms.list({ status: 'completed', dateCreatedAfter: new Date(Date.now() + 3600e3) });
    return {
      made: made.toJSON(), same: [byName.sid, bySid.sid, byKey.sid, listed[0].sid, completed[0].sid].every((sid) => sid === made.sid),
      dates: [made.dateCreated instanceof Date, made.endTime, ended.endTime instanceof Date], ended: [ended.status, typeof ended.duration], later: later.length,
    };
  },

  async paging() {
    for (let number = 0; number < 120; number += 1) await video.rooms.create({ uniqueName: `page-${number}` });
    const names = (rooms) => rooms.map((room) => room.uniqueName);
    const walked = [];
    let page = await video.rooms.page({ pageSize: 50 });
    let last;
    while (page) {
      walked.push(names(page.instances));
      last = page;
      page = await page.nextPage();
    }
    const back = await last.previousPage();
    const each = [];
    await new Promise((resolve, reject) => {
      video.rooms.each({ pageSize: 40, callback: (room) => each.push(room.uniqueName), done: (error) => (error ? reject(error) : resolve()) });
    });
    return {
      walked, back: names(back.instances), each, all: (await video.rooms.list()).length,
      limited: (await video.rooms.list({ limit: 30 })).length, many: (await video.rooms.list({ limit: 5000 })).length,
    };
  },

  async participants() {
    const room = video.rooms('lobby');
    const present = await room.participants.list();
    const ann = await room.participants('ann').fetch();
    const of = (identity) => room.participants(identity);
    const published = await of('ann').publishedTracks.list();
    const subscribed = await of('bob').subscribedTracks.list();
    const track = await of('ann').publishedTracks('chat').fetch();
    const received = await of('bob').subscribedTracks(track.sid).fetch();
    const before = await of('bob').subscribeRules.fetch();
    const changed = await of('bob').subscribeRules.update({ rules: [{ type: 'exclude', publisher: 'ann' }] });
    const after = await of('bob').subscribedTracks.list();
    await of('bob').subscribeRules.update({ rules: before.rules });
    const again = await of('bob').subscribedTracks.list();
    const early = await failure(() => of(ann.sid).anonymize().update());
    const removed = await of('ann').update({ status: 'disconnected' });
    const unchanged = await of(ann.sid).update({});
    const gone = await room.participants.list({ status: 'disconnected', identity: 'ann' });
    const anonymous = await of(ann.sid).anonymize().update();
    return {
      present: present.map((each) => each.identity).sort(), ann: ann.toJSON(), track: track.toJSON(),
      received: received.toJSON(), published: published.map((each) => each.name), subscribed: subscribed.map((each) => each.sid),
      before: before.rules, changed: changed.rules, dates: [before.dateCreated, changed.dateCreated instanceof Date],
      after: after.length, again: again.length, early, removed: [removed.status, unchanged.status], gone: gone.map((each) => each.sid),
      anonymous: anonymous.identity === ann.sid,
    };
  },

  async outOfScope() {
    const room = video.rooms('lobby');
    return {
      lists: [await room.recordings.list(), await room.transcriptions.list(), await video.recordings.list(),
        await video.compositions.list(), await video.compositionHooks.list()].map((list) => list.length),
      rules: (await room.recordingRules.fetch()).rules,
      excluded: (await room.recordingRules.update({ rules: [{ type: 'exclude', kind: 'video' }] })).roomSid,
      kept: (await room.recordingRules.fetch()).rules,
      included: await failure(() => room.recordingRules.update({ rules: [{ type: 'include', all: true }] })),
      settings: await failure(() => video.recordingSettings().fetch()),
    };
  },

  async errors() {
    const create = (parameters) => failure(() => video.rooms.create(parameters));
    const ended = await video.rooms.create({ uniqueName: 'soon over' });
    await video.rooms(ended.sid).update({ status: 'completed' });
    const rules = (room, value, who = 'ann') => failure(() => video.rooms(room).participants(who).subscribeRules.update({ rules: value }));
    const includeAll = [{ type: 'include', all: true }];
    const { over, left } = settings.more;
    return {
      unknownUser: await failure(() => client(settings.accountSid, 'wrong').video.v1.rooms.list()),
      notFound: await failure(() => video.rooms('nowhere').fetch()),
      nobody: await failure(() => video.rooms('lobby').participants('nobody').fetch()),
      noTrack: await failure(() => video.rooms('lobby').participants('ann').publishedTracks('nothing').fetch()),
      endedByName: await failure(() => video.rooms('soon over').fetch()),
      exists: await create({ uniqueName: 'lobby' }),
      namedLikeSid: await create({ uniqueName: `RM${'0'.repeat(32)}` }),
      longName: await create({ uniqueName: 'x'.repeat(129) }),
      controlName: await create({ uniqueName: 'a\u0007b' }),
      type: await create({ type: 'party' }),
      callback: await create({ statusCallback: 'nowhere' }),
      callbackMethod: await create({ statusCallbackMethod: 'PUT' }),
      maxParticipants: await create({ maxParticipants: 51 }),
      duration: await create({ maxParticipantDuration: 599 }),
      emptyTimeout: await create({ emptyRoomTimeout: 61 }),
      unusedTimeout: await create({ unusedRoomTimeout: 0 }),
      codec: await create({ videoCodecs: ['AV1'] }),
      region: await create({ mediaRegion: 'moon1' }),
      audioOnly: await create({ audioOnly: true, type: 'go' }),
      recording: await create({ recordParticipantsOnConnect: true }),
      transcribing: await create({ transcribeParticipantsOnConnect: true }),
      recordingRules: await create({ recordingRules: [{ type: 'record' }] }),
      completedTwice: await failure(() => video.rooms(ended.sid).update({ status: 'completed' })),
      otherStatus: await failure(() => video.rooms('lobby').update({ status: 'in-progress' })),
      participantStatus: await failure(() => video.rooms('lobby').participants('ann').update({ status: 'connected' })),
      rules: await rules('lobby', []),
      rulesOfNobody: await rules('lobby', includeAll, 'nobody'),
      rulesOfGo: await rules('pair', includeAll),
      rulesOfEnded: await rules(over, includeAll, left),
      rulesMissing: await failure(() => video.rooms('lobby').participants('ann').subscribeRules.update({})),
      anonymizedTooEarly: await failure(() => video.rooms('lobby').participants('ann').anonymize().update()),
      recordingRulesOfEnded: await failure(() => video.rooms(over).recordingRules.update({ rules: [{ type: 'exclude', all: true }] })),
      filter: await failure(() => video.rooms.list({ status: 'ended' })),
      pageSize: await failure(() => video.rooms.page({ pageSize: 0 })),
      pageToken: await failure(() => video.rooms.page({ pageToken: 'x' })),
    };
  },
};

/** What a service that is strict refuses: one room at most, no legacy types, and not too many calls. */
parts.strict = async () => {
  const create = (parameters) => failure(() => video.rooms.create(parameters));
  await video.rooms.create();
  const quota = await create();
  const legacy = await create({ type: 'go' });
  const wrong = client(settings.accountSid, 'wrong').video.v1;
  const guesses = [];
  for (let number = 0; number < 21; number += 1) guesses.push((await failure(() => wrong.rooms('x').fetch())).join());
  // Of so many at once most are in a second that has had its twenty.
  const many = await Promise.all(Array.from({ length: 100 }, () => create()));
  const refused = many.filter(([status]) => status === 429);
  return { quota, legacy, guesses: [...new Set(guesses)], often: refused.length > 0 ? refused[0] : many[0] };
};

/** Every call is refused with one status and code: return the distinct ones. */
parts.everything = async () => {
  const room = video.rooms('lobby');
  const answers = [
    await failure(() => video.rooms.create()), await failure(() => video.rooms.list()), await failure(() => room.fetch()),
    await failure(() => room.participants('ann').fetch()), await failure(() => room.recordingRules.fetch()),
  ];
  return [...new Set(answers.map(String))];
};

process.stdout.write(JSON.stringify(await parts[process.argv[2]]()));
