/**
 * Faults that can be planted, by name: mistakes that somebody could make. Each must be found within 500 seeds. They sit
 * around the parts of which processes are built; the product's code is untouched.
 */

import type { Plant } from './plant.ts';
import { clientPlants } from './plants/client.ts';
import { machinePlants } from './plants/machine.ts';
import { maskPlants } from './plants/masks.ts';
import { noisePlants } from './plants/noise.ts';
import { requestPlants } from './plants/requests.ts';
import { storagePlants } from './plants/storage.ts';
import { workPlants } from './plants/works.ts';

export const plants: ReadonlyMap<string, Plant> = new Map(
  Object.entries({
    ...machinePlants,
    ...storagePlants,
    ...workPlants,
    ...requestPlants,
    ...clientPlants,
    ...maskPlants,
    ...noisePlants,
  }),
);
