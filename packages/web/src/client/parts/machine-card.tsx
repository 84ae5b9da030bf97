/** What computes, and why; what will be stored. */

import { useEffect, useState } from 'react';
import type { Backend } from '../../engine/backend.ts';
import { bytes } from '../../shared/format.ts';
import type { Machine, SignedRun } from '../messages.ts';
import type { Tab } from '../use-tab.ts';
import { Problem } from './problem.tsx';

const NAMES: Readonly<Record<Backend, string>> = {
  webgpu: 'WebGPU (graphics processor)',
  'wasm-threads': 'WebAssembly with threads',
  wasm: 'WebAssembly, one thread',
};

export function MachineCard({ tab, run }: { readonly tab: Tab; readonly run: SignedRun }) {
  const { call, seat } = tab;
  const wish = seat?.backend ?? null;
  const [machine, setMachine] = useState<Machine | undefined>(undefined);
  const [error, setError] = useState<unknown>(undefined);
  useEffect(() => {
    setError(undefined);
    call('machine', { backend: wish }).then(setMachine, setError);
  }, [call, wish]);
  const needed = run.summary.modelBytes;
  const isTight =
    machine?.freeBytes !== undefined && machine.freeBytes !== null && machine.freeBytes < needed;
  return (
    <section className="card stack" aria-labelledby="machine">
      <h2 id="machine">This browser</h2>
      {error !== undefined && <Problem error={error} />}
      {machine?.chosen.why.map((line) => (
        <p key={line}>{line}</p>
      ))}
      <div className="field">
        <label htmlFor="backend">Compute with</label>
        <select
          id="backend"
          value={wish ?? ''}
          onChange={({ target }) =>
            void tab.change({ backend: target.value === '' ? null : (target.value as Backend) })
          }
        >
          <option value="">the best that is there</option>
          {machine?.backends.map(({ backend, missing }) => (
            <option key={backend} value={backend} disabled={missing !== null}>
              {NAMES[backend]}
              {missing === null ? '' : ' (not here)'}
            </option>
          ))}
        </select>
      </div>
      <p>
        The model ({bytes(needed)}) is loaded once and kept in this browser’s storage
        {machine?.freeBytes == null ? '' : `, which has room for ${bytes(machine.freeBytes)}`}.
      </p>
      {isTight && (
        <p className="note warn">
          That is not enough. Free space on the disk, or remove stored data of other sites in the browser’s
          settings.
        </p>
      )}
    </section>
  );
}
