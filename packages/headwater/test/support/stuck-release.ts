/** A coordinator that makes a release and is stopped before anybody hears of it. */

import { type TinyRecipe, tinyWorks } from '../../sim/works.ts';
import type { CoordinatorParts } from '../../src/coordinator/ports.ts';
import type { World } from './coordinator-world.ts';

/** Parts for a restart; the digests of what was made are added to `made`. */
export function stuckRelease(made: string[], world: World): Partial<CoordinatorParts> {
  return {
    openWorks: async (_, recipe) => {
      const works = tinyWorks(recipe as TinyRecipe, world.blobs, () => undefined);
      return {
        ...works,
        async aggregate(...given) {
          made.push((await works.aggregate(...given)).params);
          return new Promise<never>(() => undefined);
        },
      };
    },
  };
}
