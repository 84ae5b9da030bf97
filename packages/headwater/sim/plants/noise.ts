/** Mistakes with noise, its keys and the coins of secret cohorts. */

import type { Store } from '../../src/storage/store.ts';
import type { Plant } from '../plant.ts';

export const noisePlants: Readonly<Record<string, Plant>> = {
  'noise-key-kept': {
    what: 'noise keys are not destroyed when their release is in the journal',
    store: (store): Store => ({
      ...store,
      records: {
        ...store.records,
        async put(collection, key, value, version) {
          const isEnd =
            collection === 'noise-keys' && (value as { readonly key: string | null }).key === null;
          return isEnd ? version + 1 : store.records.put(collection, key, value, version);
        },
      },
    }),
  },

  'noise-anew': {
    what: 'each try of a release has noise of its own',
    works(works) {
      let tries = 0;
      return {
        ...works,
        aggregate(work, plan, noise, unmask) {
          if (noise?.kind !== 'secret') return works.aggregate(work, plan, noise, unmask);
          const key = noise.key.map((byte) => byte ^ tries);
          tries++;
          return works.aggregate(work, plan, { ...noise, key }, unmask);
        },
      };
    },
  },

  'tree-node-left': {
    what: 'the noise of nodes that a release closes stays in the sum',
    works: (works) => ({
      ...works,
      aggregate: (work, plan, noise, unmask) =>
        works.aggregate(work, plan, noise?.kind === 'secret' ? { ...noise, removed: [] } : noise, unmask),
    }),
  },

  'drawn-by-hand': {
    what: 'where coins draw nobody, the first owner is asked',
    machine: (real) => ({
      start: real.start,
      step(state, event) {
        if (event.type !== 'cohort-drawn' || event.owners.length > 0) return real.step(state, event);
        return real.step(state, { ...event, owners: Object.keys(state.roster).sort().slice(0, 1) });
      },
    }),
  },

  'release-uncharged': {
    what: 'a release is not charged to the last of its members',
    machine: (real) => ({
      start: real.start,
      step(state, event) {
        const taken = real.step(state, event);
        const last = state.open?.members?.at(-1)?.owner;
        const isRelease =
          event.type === 'aggregated' && taken.state !== state && state.plan.privacy !== undefined;
        if (!isRelease || last === undefined) return taken;
        const { participations: _, ...entry } = taken.state.roster[last]!;
        return { ...taken, state: { ...taken.state, roster: { ...taken.state.roster, [last]: entry } } };
      },
    }),
  },
};
