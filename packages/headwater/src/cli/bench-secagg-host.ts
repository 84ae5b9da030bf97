/** A process of `bench secagg`: some clients of one round, and nothing of the server. */

import { ed25519FromSeed, ed25519Verify } from '../base/ed25519-node.ts';
import type { Reached } from '../privacy/secure-aggregation/secagg-plus/attempt.ts';
import { localMember } from '../privacy/secure-aggregation/secagg-plus/local-member.ts';
import type { MemberParts } from '../privacy/secure-aggregation/secagg-plus/member.ts';
import type { FromHost, HostedClient, ToHost, Usage } from './bench-secagg-messages.ts';
import { vectorOf } from './bench-secagg-vectors.ts';

let length = 0;
let clients: ReadonlyMap<string, HostedClient> = new Map();
let members: ReadonlyMap<string, Reached> = new Map();

process.on('message', (message: ToHost) => {
  if (message.type === 'end') process.disconnect();
  else if (message.type === 'begin') begin(message);
  else
    answerTo(message).then(
      (answer) => process.send!({ type: 'answer', id: message.id, answer } satisfies FromHost),
      (cause) => {
        console.error(cause);
        process.exit(1);
      },
    );
});

function begin({ attempt, clients: hosted }: Extract<ToHost, { type: 'begin' }>): void {
  length = attempt.length;
  clients = new Map(hosted.map((client) => [client.owner, client]));
  members = new Map(
    hosted.map((client) => [client.owner, localMember(attempt, client.owner, partsOf(client), client.drop)]),
  );
}

function partsOf({ identity, vector }: HostedClient): MemberParts {
  return {
    identity: ed25519FromSeed(Buffer.from(identity, 'hex')),
    verify: ed25519Verify,
    entropy: (bytes) => crypto.getRandomValues(new Uint8Array(bytes)),
    input: () => vectorOf(vector, length),
  };
}

async function answerTo(message: Exclude<ToHost, { type: 'begin' | 'end' }>): Promise<FromHost['answer']> {
  if (message.type === 'usage') return usage();
  const member = members.get(message.owner)!;
  if (message.type === 'advertise') return member.advertise();
  if (message.type === 'ask') return member.ask(message.told);
  const words = await vectorOf(clients.get(message.owner)!.vector, length);
  const floats = new Float32Array(length);
  for (let i = 0; i < length; i++) floats[i] = (words[i]! | 0) * 2 ** -31;
  return floats;
}

function usage(): Usage {
  const { user, system } = process.cpuUsage();
  return { cpuMs: (user + system) / 1000, peakRssBytes: process.resourceUsage().maxRSS * 1024 };
}
