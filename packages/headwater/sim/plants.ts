/** Faults that can be planted, by name: mistakes that somebody could make, each of which the simulation must find. */

import type { Plant } from './plant.ts';

export const plants: ReadonlyMap<string, Plant> = new Map<string, Plant>([]);
