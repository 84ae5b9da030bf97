/** The signed requests on the network: each is carried out at most once, wherever and whenever it arrives again. */

import { receipt, type WireReceipt } from '../../src/federation/wire/messages.ts';
import { routes } from '../../src/federation/wire/routes.ts';
import type { Answered } from '../network.ts';
import type { Report } from './violation.ts';

/** `onReceipt`: a receipt left a coordinator. */
export function watchRequests(
  report: Report,
  onReceipt: (receipt: WireReceipt) => void,
): (answer: Answered) => void {
  const done = new Set<string>();
  const updates = new RegExp(`^${routes.submitUpdate.path.replace(':run', '[^/]+')}$`);
  return ({ request, status, body, client }) => {
    if (status >= 300) return;
    const { signature } = request.headers;
    if (signature !== undefined) {
      if (done.has(signature))
        report('nonces', `${request.method} ${request.path} of "${client}" was answered twice`);
      done.add(signature);
    }
    if (request.method !== 'POST' || !updates.test(request.path)) return;
    onReceipt(receipt.parse(JSON.parse(Buffer.from(body).toString('utf8'))));
  };
}
