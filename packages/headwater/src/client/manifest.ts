/** From what a coordinator sends to what an owner may rely on: the operator's signature, the expected operator, the form. */

import { utf8ToBytes } from '@noble/hashes/utils.js';
import { z } from 'zod';
import { fromBase64url } from '../base/base64url.ts';
import { HeadwaterError } from '../base/errors.ts';
import { printable } from '../base/printable.ts';
import { fingerprintOf } from '../federation/wire/join-token.ts';
import { parseWireJson } from '../federation/wire/json.ts';
import { type Manifest, manifest, type SignedManifest } from '../federation/wire/messages.ts';
import type { ClientParts, Policy } from './ports.ts';

/** Throws JOIN_REFUSED: another operator, a wrong signature, a form that this version does not know. */
export async function checkedManifest(
  { text, operatorKey, signature }: SignedManifest,
  operator: string,
  verify: ClientParts['verify'],
): Promise<Manifest> {
  const key = fromBase64url(operatorKey);
  const bytes = utf8ToBytes(text);
  const signed = fromBase64url(signature);
  if (key === undefined || fingerprintOf(key) !== operator)
    throw refused(
      'the run is signed by another operator than the one who invited',
      'Ask the operator for a new invitation; if the address is right, somebody may be in between.',
    );
  if (signed === undefined || !(await verify(key, bytes, signed)))
    throw refused('the operator’s signature does not fit the run', 'Tell the operator.');
  return parsed(bytes);
}

function parsed(bytes: Uint8Array): Manifest {
  const result = manifest.safeParse(jsonOf(bytes));
  if (result.success) return result.data;
  throw refused(
    `the run is described in a form that this version does not know: ${printable(z.prettifyError(result.error))}`,
    'Install the version of Headwater that the operator uses.',
  );
}

function jsonOf(bytes: Uint8Array): unknown {
  try {
    return parseWireJson(bytes);
  } catch (cause) {
    if (cause instanceof HeadwaterError) return undefined;
    throw cause;
  }
}

/** Throws POLICY_REFUSED with every reason. */
export function checkPolicy(policy: Policy, manifest: Manifest): void {
  const reasons = policy.accepts(manifest);
  if (reasons.length === 0) return;
  throw new HeadwaterError(
    'POLICY_REFUSED',
    `the run "${manifest.run}" wants what the owner does not allow:\n${reasons.map((reason) => `  ${reason}`).join('\n')}`,
    { hint: 'Nothing has left this machine. Change the policy, or ask the operator to change the run.' },
  );
}

function refused(message: string, hint: string): HeadwaterError {
  return new HeadwaterError('JOIN_REFUSED', message, { hint });
}
