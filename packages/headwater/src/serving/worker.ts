/** The thread that generates: opens the service and hands messages on. */

import { parentPort, workerData } from 'node:worker_threads';
import { assert } from '../base/errors.ts';
import { type FromService, type ServiceInit, sentError, type ToService } from './messages.ts';
import { openTextService } from './text-service.ts';

assert(parentPort !== null, 'the text service needs a parent');
const port = parentPort;
const post = (message: FromService) => port.postMessage(message);
try {
  const service = await openTextService(workerData as ServiceInit, post);
  port.on('message', (message: ToService) => void service.handle(message));
  post({ type: 'ready', facts: service.facts });
} catch (cause) {
  post({ type: 'failed', error: sentError(cause) });
}
