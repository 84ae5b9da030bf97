/** The federated methods that come with Headwater, by id. A plug-in's methods join a copy of this map. */

import type { Method } from '../method.ts';
import { fedadagrad } from './fedadagrad.ts';
import { fedadam } from './fedadam.ts';
import { fedavg } from './fedavg.ts';
import { fedavgm } from './fedavgm.ts';
import { fedper } from './fedper.ts';
import { fedprox } from './fedprox.ts';
import { fedsaLora } from './fedsa-lora.ts';
import { fedyogi } from './fedyogi.ts';
import { ffaLora } from './ffa-lora.ts';
import { rolora } from './rolora.ts';

export const methods: ReadonlyMap<string, Method<unknown>> = new Map(
  [fedavg, fedprox, fedavgm, fedadagrad, fedadam, fedyogi, fedper, fedsaLora, ffaLora, rolora].map(
    (method) => [method.id, method as unknown as Method<unknown>],
  ),
);
