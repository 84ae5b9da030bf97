/** The signed requests on the network: each is carried out at most once, wherever and whenever it arrives again. */

import { receipt, type WireReceipt } from '../../src/federation/wire/messages.ts';
import { routes } from '../../src/federation/wire/routes.ts';
import type { Answered } from '../network.ts';
import type { Report } from './violation.ts';

export interface RequestWatch {
  readonly answered: (answer: Answered) => void;
  /** Somebody leads the run (again), without memory of what was before. */
  leads(): void;
}

/**
 * `clocksAgree`: everybody's clock is right, or so wrong that it was corrected. Where they do not, a request may seem younger
 * than the leader that has just begun, and nothing tells that it was carried out by the one before.
 */
export function watchRequests(
  clocksAgree: boolean,
  report: Report,
  onReceipt: (receipt: WireReceipt) => void,
): RequestWatch {
  const updates = new RegExp(`^${routes.submitUpdate.path.replace(':run', '[^/]+')}$`);
  /** By signature: how many leaders there had been. */
  const done = new Map<string, number>();
  let leaders = 0;

  function checkOnce({ request, client }: Answered): void {
    const { signature } = request.headers;
    if (signature === undefined) return;
    const before = done.get(signature);
    done.set(signature, leaders);
    if (before === undefined || (before !== leaders && !clocksAgree)) return;
    report('nonces', `${request.method} ${request.path} of "${client}" was answered twice`);
  }

  return {
    leads() {
      leaders++;
    },
    answered(answer) {
      const { request, status, body } = answer;
      if (status >= 300) return;
      checkOnce(answer);
      if (request.method !== 'POST' || !updates.test(request.path)) return;
      onReceipt(receipt.parse(JSON.parse(Buffer.from(body).toString('utf8'))));
    },
  };
}
