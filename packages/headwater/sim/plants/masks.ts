/** Mistakes where masks are opened: what one attempt must not take from another, nor one owner be told than the others. */

import type { SecureRoundAnswer } from '../../src/federation/wire/secure-rounds.ts';
import type { WireResponse } from '../../src/federation/wire/transport.ts';
import { bodyOf } from '../network.ts';
import type { Plant } from '../plant.ts';

export const maskPlants: Readonly<Record<string, Plant>> = {
  'attempt-kept': {
    what: 'what was accepted in an abandoned attempt is counted in the next one',
    machine: (real) => ({
      start: real.start,
      step(state, event) {
        const taken = real.step(state, event);
        const { open } = taken.state;
        const before = state.open?.accepted ?? {};
        const isAnew = event.type === 'attempt-abandoned' && open?.round === state.open?.round;
        if (!isAnew || open === undefined || Object.keys(before).length === 0) return taken;
        return { ...taken, state: { ...taken.state, open: { ...open, accepted: before } } };
      },
    }),
  },

  'other-survivors': {
    what: 'one owner is told that another one has dropped out',
    handle(handle) {
      let confirmations = 0;
      return async (request) => {
        const response = await handle(request);
        if (!request.path.endsWith('/secure-round') || response.status !== 200) return response;
        const text = await textOf(response);
        const answer = JSON.parse(text) as SecureRoundAnswer;
        const isOther = answer.told?.step === 'confirm' && ++confirmations % 3 === 0;
        return saying(response, isOther ? JSON.stringify(withOneDropped(answer)) : text);
      };
    },
  },

  'mask-left': {
    what: 'the first mask stays in the sum',
    works: (works) => ({
      ...works,
      aggregate: (work, plan, noiseKey, unmask) =>
        works.aggregate(
          work,
          plan,
          noiseKey,
          unmask === undefined || 'sums' in unmask.masks
            ? unmask
            : { ...unmask, masks: unmask.masks.map((terms) => terms.slice(1)) },
        ),
    }),
  },
};

function withOneDropped(answer: SecureRoundAnswer): SecureRoundAnswer {
  const { told } = answer;
  if (told?.step !== 'confirm') return answer;
  const { survivors, dropped } = told;
  return {
    ...answer,
    told: { ...told, survivors: survivors.slice(0, -1), dropped: [...dropped, ...survivors.slice(-1)] },
  };
}

async function textOf({ body }: WireResponse): Promise<string> {
  return Buffer.concat((await bodyOf(body)).pieces).toString('utf8');
}

function saying(response: WireResponse, text: string): WireResponse {
  const bytes = Buffer.from(text);
  const headers = { ...response.headers, 'content-length': String(bytes.byteLength) };
  return { ...response, headers, body: inOnePiece(bytes) };
}

async function* inOnePiece(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
