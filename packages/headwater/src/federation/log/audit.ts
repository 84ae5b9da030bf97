/**
 * Whether a whole log is what it says: entries without gaps, the root and signature of its head, heads that others saw before, and
 * releases made of updates that are in it. It reads no files and trusts nobody but the key that it is given.
 */

import { bytesToHex } from '@noble/hashes/utils.js';
import { type Entry, entryHash, parseEntry } from './entry.ts';
import { isSignedHead, type SignedHead } from './head.ts';
import { createMerkleTree, type MerkleTree } from './merkle.ts';
import { verifyInclusion } from './proofs.ts';

export interface Finding {
  readonly what: string;
  /** Undefined: it could not be looked at, and the detail says why. */
  readonly holds: boolean | undefined;
  readonly detail: string;
}

export interface WholeLog {
  readonly run: string;
  /** Entries as they were hashed, in order. */
  readonly texts: readonly string[];
  /** Undefined: of a simulated run, which nobody signs. */
  readonly signed: { readonly head: SignedHead; readonly operatorKey: Uint8Array } | undefined;
  /** Heads that somebody kept from before, with where they are from. */
  readonly seen: readonly { readonly from: string; readonly head: SignedHead }[];
  /** That the log must have. Default: none. */
  readonly receipts?: readonly ReceiptClaim[];
}

/** A receipt of unlearning that somebody has. */
export interface ReceiptClaim {
  readonly from: string;
  /** SHA-256 of what is signed of it, hex. */
  readonly digest: string;
  readonly bytes: Uint8Array;
  /** Undefined: nobody signed it. */
  readonly signed: { readonly operatorKey: Uint8Array; readonly signature: Uint8Array } | undefined;
}

export interface AuditedLog {
  readonly size: number;
  /** Hex. */
  readonly root: string;
  readonly findings: readonly Finding[];
  readonly releases: number;
}

type Verify = (publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array) => Promise<boolean>;

export async function auditLog(log: WholeLog, verify: Verify): Promise<AuditedLog> {
  const tree = createMerkleTree();
  for (const text of log.texts) tree.append(entryHash(text));
  const entries = log.texts.map(parseEntry);
  const releases = entries.filter((entry) => entry?.event.type === 'aggregated') as Entry[];
  const findings = [
    unbroken(entries),
    begins(entries),
    ...(await headFindings(log, tree, verify)),
    ...(await seenFindings(log, tree, verify)),
    inOrder(releases, entries),
    madeOfEntries(entries),
    ...unlearnings(entries),
    ...(await receiptFindings(log, entries, tree, verify)),
  ];
  return { size: tree.size, root: bytesToHex(tree.root()), findings, releases: releases.length };
}

function unbroken(entries: readonly (Entry | undefined)[]): Finding {
  const wrong = entries.findIndex((entry, i) => entry?.seq !== i + 1);
  return {
    what: 'entries are numbered without gaps',
    holds: wrong < 0,
    detail: wrong < 0 ? `1 to ${entries.length}` : `entry ${wrong + 1} is missing, moved or damaged`,
  };
}

function begins(entries: readonly (Entry | undefined)[]): Finding {
  const at = entries.flatMap((entry, i) => (entry?.event.type === 'created' ? [i + 1] : []));
  const holds = entries.length === 0 ? undefined : at.length === 1 && at[0] === 1;
  const detail =
    entries.length === 0 ? 'the run has not begun' : `“created” is entry ${at.join(', ') || 'none'}`;
  return { what: 'the log begins with the plan of the run, once', holds, detail };
}

async function headFindings({ run, signed }: WholeLog, tree: MerkleTree, verify: Verify): Promise<Finding[]> {
  if (signed === undefined)
    return [{ what: 'the head is signed', holds: undefined, detail: 'a simulated run: nobody signs it' }];
  const { head, operatorKey } = signed;
  const root = bytesToHex(tree.root());
  const isIt = head.size === tree.size && head.root === root;
  return [
    {
      what: 'the head is that of these entries',
      holds: isIt,
      detail: isIt ? `${head.size} entries, root ${root}` : `it says ${head.size} entries, root ${head.root}`,
    },
    {
      what: 'the operator signed the head',
      holds: await isSignedHead(head, run, operatorKey, verify),
      detail: `key ${bytesToHex(operatorKey)}`,
    },
  ];
}

async function seenFindings(
  { run, signed, seen }: WholeLog,
  tree: MerkleTree,
  verify: Verify,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const { from, head } of seen) {
    const isOurs = signed === undefined || (await isSignedHead(head, run, signed.operatorKey, verify));
    const reached = head.size <= tree.size;
    const same = reached && bytesToHex(tree.root(head.size)) === head.root;
    const told = !isOurs
      ? 'that head is not signed by this operator for this run'
      : !reached
        ? `it had ${head.size} entries then, ${tree.size} now`
        : same
          ? `its first ${head.size} entries`
          : `its first ${head.size} entries are others than those seen`;
    findings.push({ what: `the log continues the one seen by ${from}`, holds: isOurs && same, detail: told });
  }
  return findings;
}

/** Releases come round by round; whoever keeps an older one has kept it from here. Rounds that were passed over have none. */
function inOrder(releases: readonly Entry[], entries: readonly (Entry | undefined)[]): Finding {
  const passed = new Set(
    entries.flatMap((entry) => (entry?.event.passedOver === true ? [entry.event.round] : [])),
  );
  let round = 0;
  const wrong = releases.findIndex(({ event }) => {
    do round += 1;
    while (passed.has(round));
    return event.round !== round;
  });
  const last = releases.at(-1)?.event;
  const without = passed.size === 0 ? '' : `, passed over: round ${[...passed].join(', ')}`;
  return {
    what: 'one release for each round, in order',
    holds: wrong < 0,
    detail:
      wrong >= 0
        ? `release ${wrong + 1} says round ${String(releases[wrong]!.event.round)}`
        : last === undefined
          ? `none yet${without}`
          : `${releases.length}, the last is ${String(last.params)}${without}`,
  };
}

/** Each release follows at least one counted update that no release before it could have used. */
function madeOfEntries(entries: readonly (Entry | undefined)[]): Finding {
  let fresh = 0;
  let counted = 0;
  const empty: unknown[] = [];
  for (const entry of entries) {
    const event = entry?.event;
    if (event?.type === 'update-received' && event.counted === true) fresh += 1;
    if (event?.type !== 'aggregated') continue;
    if (fresh === 0) empty.push(event.round);
    counted += fresh;
    fresh = 0;
  }
  return {
    what: 'every release follows updates that were counted for it',
    holds: empty.length === 0,
    detail:
      empty.length === 0 ? `${counted} counted updates` : `none before that of round ${empty.join(', ')}`,
  };
}

/** Nothing where nobody was unlearned. */
function unlearnings(entries: readonly (Entry | undefined)[]): Finding[] {
  const told = entries.flatMap((entry) =>
    entry?.event.type === 'unlearned'
      ? [`${String(entry.event.owner)} by ${String(entry.event.method)} (entry ${entry.seq})`]
      : [],
  );
  if (told.length === 0) return [];
  return [{ what: 'who was unlearned is in the log', holds: true, detail: told.join(', ') }];
}

async function receiptFindings(
  { texts, receipts = [] }: WholeLog,
  entries: readonly (Entry | undefined)[],
  tree: MerkleTree,
  verify: Verify,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const { from, digest, bytes, signed } of receipts) {
    const is = (entry: Entry | undefined) =>
      entry?.event.type === 'unlearned' && entry.event.receipt === digest;
    findings.push(included(from, entries.findIndex(is), texts, tree));
    findings.push({
      what: `the operator signed the receipt ${from}`,
      holds: signed && (await verify(signed.operatorKey, bytes, signed.signature)),
      detail: signed === undefined ? 'nobody did' : `key ${bytesToHex(signed.operatorKey)}`,
    });
  }
  return findings;
}

/** `index`: of the entry, from 0; −1: there is none. */
function included(from: string, index: number, texts: readonly string[], tree: MerkleTree): Finding {
  const what = `the receipt ${from} is an entry of the log`;
  if (index < 0) return { what, holds: false, detail: 'no entry has its digest' };
  const { size } = tree;
  const path = tree.inclusion(index, size);
  const holds = verifyInclusion(entryHash(texts[index]!), index, path, { size, root: tree.root() });
  return { what, holds, detail: `entry ${index + 1} of ${size}, proven by ${path.length} hashes` };
}
