/**
 * Taking the masks of a round's members away with the helper's part: it is asked for the sums of their masks, which become a blob. A
 * helper that cannot be reached is asked again later; one that finds seeds which nobody can open names whose. It sees no update.
 */

import { utf8ToBytes } from '@noble/hashes/utils.js';
import { toBase64url } from '../../base/base64url.ts';
import { canonicalJson } from '../../base/canonical.ts';
import { assert, HeadwaterError, messageOf } from '../../base/errors.ts';
import { printable } from '../../base/printable.ts';
import type { AggregateWork } from '../../federation/events.ts';
import { groupsOf } from '../../federation/masking/groups.ts';
import {
  type HelperRefusalCode,
  helperRefusal,
  type UnmaskOrderMessage,
} from '../../federation/wire/helper.ts';
import type { UnmaskOrder } from '../../jobs/masking.ts';
import type { Blobs } from '../../storage/blobs.ts';
import type { Context } from '../context.ts';
import type { HelperResponse, MaskFacts } from '../ports.ts';
import type { RunRecord } from '../records.ts';
import { helperContext, helperOf } from './context.ts';

export interface Unmasking {
  /** Throws CONNECTION_FAILED (try again), RUN_CORRUPT (the helper refuses for good), and what the store throws. */
  open(work: AggregateWork, facts: MaskFacts): Promise<Opened>;
}

export type Opened =
  | { readonly kind: 'opened'; readonly order: UnmaskOrder; readonly blob: string | undefined }
  /** What these members sent cannot be unmasked. */
  | { readonly kind: 'blamed'; readonly owners: readonly string[]; readonly reason: string }
  /** These members' masks never will be opened; the journal says so already. */
  | { readonly kind: 'abandoned' };

export interface UnmaskingParts {
  readonly run: string;
  readonly record: () => RunRecord;
}

export function createUnmasking(
  { parts, operatorKey }: Pick<Context, 'parts' | 'operatorKey'>,
  { run, record }: UnmaskingParts,
): Unmasking {
  return {
    async open(work, facts) {
      const order = orderOf(run, record(), work, facts);
      const text = canonicalJson(order);
      const signature = toBase64url(await operatorKey.sign(utf8ToBytes(text)));
      const { url } = helperOf(record());
      if (parts.askHelper === undefined) throw new Error('a coordinator of masked runs can ask helpers');
      const answer = await parts.askHelper(url, { text, signature }).catch((cause) => {
        throw new HeadwaterError(
          'CONNECTION_FAILED',
          `the helper at ${url} cannot be asked: ${messageOf(cause)}`,
          {
            hint: 'Have its operator start `headwater helper` again; the round waits, and goes on with `headwater resume`.',
          },
        );
      });
      if (answer.status !== 200) return refused(answer, url);
      const groups = groupsOf(order.members.length, order.context.groupSize, checkedDraw(answer, url));
      const blob = await stored(parts.blobs, answer.body, groups.length * facts.words * 4, url);
      return { kind: 'opened', order: { groups, masks: { sums: blob } }, blob };
    },
  };
}

function checkedDraw({ draw = '' }: HelperResponse, url: string): string {
  if (/^[0-9a-f]{64}$/.test(draw)) return draw;
  throw new HeadwaterError('CONNECTION_FAILED', 'the helper does not say by what it drew the groups', {
    where: url,
    hint: 'Have its operator install the version of Headwater that the coordinator has.',
  });
}

function orderOf(
  run: string,
  record: RunRecord,
  { round, attempt = 1, params, members }: AggregateWork,
  facts: MaskFacts,
): UnmaskOrderMessage {
  return {
    context: helperContext(run, record, { round, attempt, base: params, facts }),
    members: members.map(({ owner, update, envelope }) => {
      assert(envelope !== undefined, `the update of "${owner}" was accepted with a sealed seed`);
      return { owner, update, ...envelope };
    }),
  };
}

async function refused({ status, body }: HelperResponse, url: string): Promise<Opened> {
  const text = new TextDecoder().decode(await whole(body));
  const { error } = helperRefusal.safeParse(jsonOf(text)).data ?? {};
  if (error === undefined)
    throw new HeadwaterError(
      'CONNECTION_FAILED',
      `the helper at ${url} opened nothing (HTTP ${status}): ${printable(text).slice(0, 200)}`,
      {
        hint: 'If that is no answer of a helper, another program has its address. Else its own output says why.',
      },
    );
  if (error.code === 'bad-members' && error.owners !== undefined)
    return { kind: 'blamed', owners: error.owners, reason: `the helper cannot open the seed of its mask` };
  throw new HeadwaterError(
    'RUN_CORRUPT',
    `the helper at ${url} opens no sum of this round: ${printable(error.message)}`,
    { hint: WHAT_TO_DO[error.code] ?? 'Coordinator and helper must be of one version.' },
  );
}

const WHAT_TO_DO: Readonly<Partial<Record<HelperRefusalCode, string>>> = {
  'other-helper':
    'Have it started with the --store that has the key of the signed run; if the key in the recipe was wrong, begin a new run.',
  'too-few': 'Have it started with a lower --min-updates, or begin a new run with a larger quorum.',
  'other-set':
    'It protects the owners from a second sum of other updates. Stop the run to publish what it has.',
};

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

async function whole(body: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of body) {
    bytes += piece.byteLength;
    if (bytes > MAX_REFUSAL_BYTES) break;
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

const MAX_REFUSAL_BYTES = 2 ** 20;

async function stored(
  blobs: Pick<Blobs, 'putStream'>,
  body: AsyncIterable<Uint8Array>,
  expected: number,
  url: string,
): Promise<string> {
  let bytes = 0;
  async function* counted() {
    for await (const piece of body) {
      bytes += piece.byteLength;
      if (bytes > expected) break;
      yield piece;
    }
    if (bytes !== expected)
      throw new HeadwaterError('CONNECTION_FAILED', `the helper sent ${bytes} bytes of ${expected}`, {
        where: url,
      });
  }
  return blobs.putStream(counted());
}
