/**
 * The helper of a simulated run with two servers: the product's helper over a disk of its own, and the way to it, on which orders and
 * answers are lost, late and repeated.
 */

import { toBase64url } from '../src/base/base64url.ts';
import { rng } from '../src/base/random.ts';
import type { CoordinatorParts, HelperResponse } from '../src/coordinator/ports.ts';
import type { HelperRefusalBody, UnmaskOrderMessage, UnmaskRequest } from '../src/federation/wire/helper.ts';
import { createHelper, type Helper, type HelperAnswer } from '../src/helper/core.ts';
import { openHelperKey } from '../src/helper/open-key.ts';
import { keyAgreement } from '../src/privacy/secure-aggregation/key-agreement.ts';
import { virtualVerify } from './client-process.ts';
import { createDisk } from './disk.ts';
import { linkTo, type Server } from './distant.ts';
import type { Life } from './life.ts';
import { randomBytes } from './random-bytes.ts';
import { openStore } from './storage-process.ts';
import { clockOf } from './virtual-time.ts';
import type { TinyRecipe } from './works.ts';
import type { World } from './world.ts';

const NAME = 'helper';
const URL = 'http://helper.invalid';
const FEWEST_UPDATES = 3;
const RESTART_MS = 1000;

/** How a coordinator's process reaches the helper that runs now. */
export type AskFrom = (life: Life) => NonNullable<CoordinatorParts['askHelper']>;

export function startHelper(world: World): AskFrom {
  const { processes, time, scenario, weather, watch, trace } = world;
  const disk = createDisk(time, rng(scenario.seed, 'helper-disk'));
  disk.faults = weather.disk;
  let server: Server<Helper> | undefined;
  const start = (life: Life) => {
    open(scenario.seed, life).then(
      (opened) => {
        server = { life, opened };
      },
      (error) => {
        trace(NAME, `does not start: ${String(error)}`);
        processes.crash(NAME, RESTART_MS, 'kill');
      },
    );
  };
  const open = async (seed: number, life: Life) => {
    const { records } = await openStore(disk.session(life), clockOf(time));
    const key = await openHelperKey(records, entropyOf(seed));
    return createHelper({
      ...key,
      records,
      verify: virtualVerify,
      minUpdates: FEWEST_UPDATES,
      members: undefined,
    });
  };
  const blamed = fickleness(scenario, () => time.nowMs);
  processes.add({ name: NAME, start, powerCut: () => disk.cutPower() }, 10);
  const asked = async (helper: Helper, request: UnmaskRequest): Promise<HelperResponse> => {
    const bad = blamed(request);
    if (bad !== undefined) {
      trace(NAME, `blames ${bad}`);
      return refusal({ code: 'bad-members', message: bad, owners: [bad] });
    }
    const answer = await helper.unmask(request);
    if (answer.kind === 'refused') {
      trace(NAME, `refuses: ${answer.body.error.code}`);
      return refusal(answer.body.error);
    }
    trace(NAME, `opens ${answer.order.members.length}`);
    watch.masks.helped(answer.order);
    return opened(answer);
  };
  return (life) => {
    const random = rng(scenario.seed, 'helper-link', life.name, life.incarnation);
    const link = linkTo(
      time,
      random,
      life,
      () => server,
      () => weather.link,
    );
    return (_url, request) => link.ask('unmask', (helper) => asked(helper, request));
  };
}

async function opened({ sums, draw }: Extract<HelperAnswer, { kind: 'opened' }>): Promise<HelperResponse> {
  const pieces: Uint8Array[] = [];
  for await (const piece of sums) pieces.push(piece);
  return { status: 200, draw, body: inPieces(pieces) };
}

/**
 * Where not everybody has to be counted, one seed may be one that does not open. An order is never blamed when it was carried out before.
 */
function fickleness({ seed, recipe, healsAtMs }: World['scenario'], nowMs: () => number) {
  const random = rng(seed, 'helper-blame');
  const seen = new Set<string>();
  let bad: string | undefined;
  return ({ text }: UnmaskRequest): string | undefined => {
    const { members } = JSON.parse(text) as UnmaskOrderMessage;
    const mayBegin = recipe.cohortSize !== null && bad === undefined && nowMs() < healsAtMs;
    if (mayBegin && !seen.has(text) && random.uniform() < 0.2)
      bad = members[random.below(members.length)]!.sealed;
    seen.add(text);
    return members.find(({ sealed }) => sealed === bad)?.owner;
  };
}

/** With the address and key of its helper, where it has one. */
export async function withHelper(recipe: TinyRecipe): Promise<TinyRecipe> {
  if (recipe.secureAggregation?.mode !== 'two-server') return recipe;
  const publicKey = await (await keyAgreement()).publicKey(entropyOf(recipe.seed)(32));
  return { ...recipe, helper: { url: URL, key: toBase64url(publicKey) } };
}

/** Asked once in its life: for the key. */
function entropyOf(seed: number): (bytes: number) => Uint8Array {
  return (bytes) => randomBytes(rng(seed, 'helper-key'), bytes);
}

function refusal(error: HelperRefusalBody['error']): HelperResponse {
  return { status: 409, body: inPieces([Buffer.from(JSON.stringify({ error }))]) };
}

async function* inPieces(pieces: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* pieces;
}
