// An application written for the Video SDK, driven by the tests through `window.app`.
// It knows nothing of our service but the address of the WebSocket.

const { connect, createLocalTracks, LocalAudioTrack, LocalDataTrack } = Twilio.Video;

const app = {
  room: null,
  events: [], // [name, detail], in order of arrival
  messages: [], // what came over data tracks
  errors: [],
};
window.app = app;
window.addEventListener('error', (event) => app.errors.push(String(event.message)));
window.addEventListener('unhandledrejection', (event) => app.errors.push(String(event.reason)));

// The SDK's report does not tell all that the browser counts, so its connections are kept within reach.
const connections = new Set();
const { RTCPeerConnection } = window;
window.RTCPeerConnection = function (...settings) {
  const connection = new RTCPeerConnection(...settings);
  connections.add(connection);
  return connection;
};
Object.setPrototypeOf(window.RTCPeerConnection, RTCPeerConnection);
window.RTCPeerConnection.prototype = RTCPeerConnection.prototype;

const context = new AudioContext();
const note = (name, detail) => app.events.push([name, detail]);

function watchTrack(track, publication, participant) {
  note('trackSubscribed', { identity: participant.identity, kind: track.kind, name: publication.trackName, sid: publication.trackSid });
  if (track.kind === 'data') {
    track.on('message', (data) => app.messages.push(typeof data === 'string' ? data : Array.from(new Uint8Array(data))));
    return;
  }
  const element = track.attach();
  element.dataset.identity = participant.identity;
  element.dataset.kind = track.kind;
  document.body.append(element);
}

function watchParticipant(participant) {
  note('participantConnected', { identity: participant.identity, sid: participant.sid });
  participant.on('trackSubscribed', (track, publication) => watchTrack(track, publication, participant));
  participant.on('trackUnsubscribed', (track, publication) => {
    note('trackUnsubscribed', { identity: participant.identity, kind: track.kind, name: publication.trackName });
    if (track.detach) track.detach().forEach((element) => element.remove());
  });
  for (const name of ['trackPublished', 'trackUnpublished', 'trackEnabled', 'trackDisabled']) {
    participant.on(name, (publication) => note(name, { identity: participant.identity, kind: publication.kind, name: publication.trackName }));
  }
  participant.tracks.forEach((publication) => {
    if (publication.track) watchTrack(publication.track, publication, participant);
  });
}

app.join = async ({ token, wsServer, room, media = true, data = true, size = [640, 360, 24], options = {} }) => {
  await context.resume();
  const tracks = media ? await createLocalTracks({ audio: true, video: { width: size[0], height: size[1], frameRate: size[2] } }) : [];
  if (data) {
    app.dataTrack = new LocalDataTrack({ name: 'chat' });
    tracks.push(app.dataTrack);
  }
  app.room = await connect(token, { name: room, wsServer, insights: false, tracks, ...options });
  app.room.participants.forEach(watchParticipant);
  app.room.on('participantConnected', watchParticipant);
  app.room.on('participantDisconnected', (participant) => note('participantDisconnected', { identity: participant.identity }));
  app.room.on('participantReconnecting', (participant) => note('participantReconnecting', { identity: participant.identity }));
  app.room.on('participantReconnected', (participant) => note('participantReconnected', { identity: participant.identity }));
  for (const name of ['reconnecting', 'reconnected', 'disconnected']) {
    app.room.on(name, (first, second) => note(`room:${name}`, { code: (second ?? first)?.code ?? null }));
  }
  return { sid: app.room.sid, name: app.room.name, participant: app.room.localParticipant.sid };
};

app.leave = () => app.room.disconnect();
app.say = (data) => app.dataTrack.send(typeof data === 'string' ? data : new Uint8Array(data).buffer);

app.publishTone = async (frequency) => {
  const oscillator = new OscillatorNode(context, { frequency });
  const destination = context.createMediaStreamDestination();
  oscillator.connect(destination);
  oscillator.start();
  const track = new LocalAudioTrack(destination.stream.getAudioTracks()[0], { name: 'tone' });
  const publication = await app.room.localParticipant.publishTrack(track);
  return publication.trackSid;
};

const element = (identity, kind) =>
  [...document.querySelectorAll(kind)].find((candidate) => candidate.dataset.identity === identity);

// The shown picture in grey, base64, so that the tests can read numbers out of it.
app.picture = (identity) => {
  const video = element(identity, 'video');
  if (!video || !video.videoWidth) return null;
  const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
  const painter = canvas.getContext('2d', { willReadFrequently: true });
  painter.drawImage(video, 0, 0);
  const { data } = painter.getImageData(0, 0, canvas.width, canvas.height);
  let gray = '';
  for (let at = 0; at < data.length; at += 4) {
    gray += String.fromCharCode(Math.round(0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2]));
  }
  return { width: canvas.width, height: canvas.height, gray: btoa(gray) };
};

const analysers = new Map();
app.hear = (identity) => {
  const audio = element(identity, 'audio');
  if (!audio) return null;
  if (!analysers.has(audio)) {
    const analyser = new AnalyserNode(context, { fftSize: 8192, smoothingTimeConstant: 0 });
    context.createMediaStreamSource(audio.srcObject).connect(analyser);
    analysers.set(audio, analyser);
  }
  const analyser = analysers.get(audio);
  const wave = new Float32Array(analyser.fftSize);
  analyser.getFloatTimeDomainData(wave);
  const spectrum = new Float32Array(analyser.frequencyBinCount);
  analyser.getFloatFrequencyData(spectrum);
  let loudest = 0;
  spectrum.forEach((level, index) => { if (level > spectrum[loudest]) loudest = index; });
  const power = wave.reduce((sum, sample) => sum + sample * sample, 0) / wave.length;
  return { dbfs: 10 * Math.log10(power + 1e-12), frequency: (loudest * context.sampleRate) / analyser.fftSize };
};

app.figures = async () => {
  const [report] = await app.room.getStats();
  return {
    video: report.remoteVideoTrackStats.map(({ trackSid, bytesReceived, packetsLost, frameRate, dimensions }) => ({ trackSid, bytesReceived, packetsLost, frameRate, dimensions })),
    audio: report.remoteAudioTrackStats.map(({ trackSid, bytesReceived, packetsLost }) => ({ trackSid, bytesReceived, packetsLost })),
  };
};

// What the browser itself counts for the video of one participant; null before the first packet.
app.received = async (identity) => {
  const [track] = element(identity, 'video')?.srcObject.getVideoTracks() ?? [];
  for (const connection of connections) {
    const receiver = connection.getReceivers().find((candidate) => candidate.track.id === track?.id);
    if (!receiver) continue;
    const report = await receiver.getStats();
    for (const entry of report.values()) {
      if (entry.type !== 'inbound-rtp' || !entry.codecId) continue;
      const { framesDecoded, keyFramesDecoded, framesPerSecond, pliCount, nackCount, packetsLost, frameWidth, frameHeight, freezeCount, totalFreezesDuration } = entry;
      const codec = report.get(entry.codecId).mimeType;
      return { codec, framesDecoded, keyFramesDecoded, framesPerSecond, pliCount, nackCount, packetsLost, frameWidth, frameHeight, freezeCount, totalFreezesDuration };
    }
  }
  return null;
};

app.decoded = (identity) => element(identity, 'video')?.getVideoPlaybackQuality().totalVideoFrames ?? 0;
app.people = () => [...(app.room?.participants.values() ?? [])].map((participant) => participant.identity);

// Joining as `join` does, where it may fail: the code of the error, null for none.
app.tryJoin = async (how) => {
  try {
    await app.join(how);
    return null;
  } catch (error) {
    return error.code ?? String(error);
  }
};

// Publishes a new track: "data", "tone" (sound) or "card" (a picture that changes). The code of the error, or null.
const sources = {
  data: (name) => new LocalDataTrack({ name }),
  tone: (name) => {
    const oscillator = new OscillatorNode(context, { frequency: 600 });
    const destination = context.createMediaStreamDestination();
    oscillator.connect(destination);
    oscillator.start();
    return new LocalAudioTrack(destination.stream.getAudioTracks()[0], { name });
  },
  card: (name) => {
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [160, 120];
    const painter = canvas.getContext('2d');
    let count = 0;
    setInterval(() => {
      painter.fillStyle = `hsl(${(count += 7) % 360} 80% 50%)`;
      painter.fillRect(0, 0, 160, 120);
    }, 50);
    return new Twilio.Video.LocalVideoTrack(canvas.captureStream(15).getVideoTracks()[0], { name });
  },
};
const published = new Map();
app.publish = async (kind, name) => {
  const track = sources[kind](name);
  try {
    await app.room.localParticipant.publishTrack(track);
    published.set(name, track);
    return null;
  } catch (error) {
    return error.code ?? String(error);
  }
};
app.unpublish = (name) => { app.room.localParticipant.unpublishTrack(published.get(name)); };
app.sayOn = (name, text) => published.get(name).send(text);

app.preflight = (token, wsServer) => new Promise((resolve) => {
  const test = Twilio.Video.runPreflight(token, { wsServer, duration: 3000 });
  const progress = [];
  test.on('progress', (step) => progress.push(step.name ?? step));
  test.on('completed', (report) => resolve({ report, progress }));
  test.on('failed', (error, report) => resolve({ code: error.code ?? String(error), report, progress }));
});

// How many frames of video the living connections have sent, layers together.
app.framesSent = async () => {
  let frames = 0;
  for (const connection of connections) {
    if (connection.connectionState !== 'connected') continue;
    for (const entry of (await connection.getStats()).values()) {
      if (entry.type === 'outbound-rtp' && entry.kind === 'video') frames += entry.framesSent;
    }
  }
  return frames;
};

// How each living connection goes: the type of its own candidate in use, and over what a relay is reached.
app.paths = async () => {
  const found = [];
  for (const connection of connections) {
    if (connection.connectionState !== 'connected') continue;
    const report = await connection.getStats();
    for (const transport of report.values()) {
      const pair = transport.type === 'transport' && report.get(transport.selectedCandidatePairId);
      if (!pair) continue;
      const { candidateType, relayProtocol = null, address } = report.get(pair.localCandidateId);
      found.push({ candidateType, relayProtocol, address, to: report.get(pair.remoteCandidateId).address });
    }
  }
  return found;
};

app.ready = true;
