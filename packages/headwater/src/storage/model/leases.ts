/** Leases of a modelled store. */

import type { Fence, Leases } from '../store.ts';
import type { Core } from './core.ts';
import type { LeaseRow, StoreState } from './state.ts';

export function leasesOver(core: Core): Leases {
  const held = (row: LeaseRow) => row.holder !== null && row.untilMs > core.clock.nowMs();
  return {
    acquire: (key, holder, ttlMs) =>
      core.change((state) => {
        const row = state.leases.get(key);
        const mine = row?.holder === holder;
        if (row !== undefined && !mine && held(row)) return { changes: [], result: undefined };
        const epoch = mine ? row.epoch : (row?.epoch ?? 0) + 1;
        const next = { key, holder, epoch, untilMs: core.clock.nowMs() + ttlMs };
        return { changes: [{ set: 'lease', row: next }], result: { key, holder, epoch } };
      }),
    renew: (fence, ttlMs) =>
      core.change((state) => {
        const row = state.leases.get(fence.key);
        if (row === undefined || !isHeldBy(state, fence)) return { changes: [], result: false };
        const next = { ...row, untilMs: core.clock.nowMs() + ttlMs };
        return { changes: [{ set: 'lease', row: next }], result: true };
      }),
    holds: async (fence) => isHeldBy(core.state, fence),
    release: (fence) =>
      core.change((state) => {
        const row = state.leases.get(fence.key);
        if (row === undefined || !isHeldBy(state, fence)) return { changes: [], result: undefined };
        return { changes: [{ set: 'lease', row: { ...row, holder: null } }], result: undefined };
      }),
    async holderOf(key) {
      const row = core.state.leases.get(key);
      return row !== undefined && held(row) ? (row.holder ?? undefined) : undefined;
    },
  };
}

/** Nobody else took it since; that its time ran out alone takes nothing away. */
export function isHeldBy(state: StoreState, fence: Fence): boolean {
  const row = state.leases.get(fence.key);
  return row !== undefined && row.holder === fence.holder && row.epoch === fence.epoch;
}
