/** The pages of a local run on a port of this machine alone: the coordinator's, reading run folders instead of its store. */

import { randomBytes } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { systemClock, systemTimers } from '../base/clock.ts';
import { createGuardedApp } from './http/guarded-app.ts';
import { openLocalRuns } from './http/local-runs.ts';
import { addReading } from './http/reading-api.ts';
import type { Log } from './ports.ts';

export interface LocalPages {
  /** With a key behind `#`, which no server log sees: other users of the machine have none. */
  readonly url: string;
  close(): Promise<void>;
}

export interface LocalPagesOptions {
  readonly folder: string;
  readonly log: Log;
  /** Of the built pages. Default: those that come with Headwater. */
  readonly pagesFolder?: string | undefined;
}

export async function openLocalPages({ folder, ...options }: LocalPagesOptions): Promise<LocalPages> {
  const token = randomBytes(16).toString('base64url');
  const source = openLocalRuns(folder, { clock: systemClock, timers: systemTimers });
  const app = createGuardedApp({ ...options, token, clock: systemClock });
  addReading(app, source, systemTimers);
  await app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = app.server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/#/runs/${source.shown}?key=${token}`,
    async close() {
      await app.close();
      await source.close();
    },
  };
}
