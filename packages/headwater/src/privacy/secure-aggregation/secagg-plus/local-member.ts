/** A member in this process: it answers what the server asks until it drops out. It saves nothing. */

import type { Reached } from './attempt.ts';
import { advertise } from './client.ts';
import type { ClientState } from './client-state.ts';
import { answer, type MemberParts, type Told } from './member.ts';
import type { Attempt } from './messages.ts';

/** Where members can be lost: before they answer a step, or never. */
export type Drop = 'advertise' | Told['step'] | undefined;

export function localMember(attempt: Attempt, owner: string, parts: MemberParts, drop?: Drop): Reached {
  let state: ClientState | undefined;
  let gone = false;
  return {
    async advertise() {
      if (drop === 'advertise') return undefined;
      const taken = await advertise(attempt, owner, parts.identity, parts.entropy);
      state = taken.state;
      return taken.message;
    },
    async ask(told) {
      gone ||= drop === told.step;
      if (gone || state === undefined) return undefined;
      const next = await answer(state, told, parts);
      state = next.state;
      return next.said;
    },
  };
}
