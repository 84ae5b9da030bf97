/** The federated methods that come with Headwater, by id. A plug-in's methods join a copy of this map. */

import type { Method } from '../method.ts';
import { fedavg } from './fedavg.ts';

export const methods: ReadonlyMap<string, Method<unknown>> = new Map(
  [fedavg].map((method) => [method.id, method as unknown as Method<unknown>]),
);
