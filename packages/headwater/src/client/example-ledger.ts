/**
 * What an owner's trainings have cost it or each of its examples, kept by the owner itself, where its own noise protects it: written before anything that a training made is
 * sent, so that no crash and no coordinator can make it forget one. It knows no gradients.
 */

import { utf8ToBytes } from '@noble/hashes/utils.js';
import { z } from 'zod';
import { type PrivacyQuestion, privacyGuarantee } from '../privacy/accounting/account.ts';
import { jsonOrUndefined } from './body.ts';
import type { ClientStore, TrainingCost } from './ports.ts';

const row = z.strictObject({
  samplingRate: z.number().gt(0).max(1),
  noiseMultiplier: z.number().nonnegative(),
  /** All trainings with these numbers together. */
  steps: z.int().nonnegative(),
});

const record = z.strictObject({ version: z.literal(1), rows: z.array(row).max(10_000) });

type Row = z.infer<typeof row>;

export interface ExampleLedger {
  /** ε after one more such training; undefined: it stays within the budget. */
  excess(cost: TrainingCost): number | undefined;
  charge(cost: TrainingCost): Promise<void>;
}

const KEY = 'ledger';

/** `forgotten`: trainings that the owner did and has no record of, where its memory is gone. */
export async function openExampleLedger(store: ClientStore, forgotten: number): Promise<ExampleLedger> {
  const bytes = await store.load(KEY);
  const found = bytes === undefined ? undefined : record.safeParse(jsonOrUndefined(bytes)).data?.rows;
  let rows: readonly Row[] = found ?? [];
  let unknown = found === undefined ? forgotten : 0;
  const after = (cost: TrainingCost) => added(rows, cost, 1 + unknown);
  return {
    excess(cost) {
      if (cost.targetEpsilon === undefined) return undefined;
      const epsilon = epsilonOf(after(cost), cost);
      return epsilon > cost.targetEpsilon ? epsilon : undefined;
    },
    async charge(cost) {
      rows = after(cost);
      unknown = 0;
      await store.save(KEY, utf8ToBytes(JSON.stringify({ version: 1, rows })));
    },
  };
}

function added(
  rows: readonly Row[],
  { samplingRate, noiseMultiplier, steps }: Row,
  trainings: number,
): Row[] {
  const isSame = (one: Row) => one.samplingRate === samplingRate && one.noiseMultiplier === noiseMultiplier;
  const before = rows.find(isSame)?.steps ?? 0;
  const now = { samplingRate, noiseMultiplier, steps: before + steps * trainings };
  return [...rows.filter((one) => !isSame(one)), now];
}

/** As `federation/privacy-ledger.ts` and `example-privacy.ts` reckon for all owners. */
function epsilonOf(rows: readonly Row[], { trust, delta }: TrainingCost): number {
  const releases = rows.map(({ samplingRate: rate, noiseMultiplier, steps }) => ({
    sampling: trust === 'example' ? ({ kind: 'poisson', rate } as const) : ({ kind: 'none' } as const),
    ...{ noiseMultiplier, steps },
  }));
  return privacyGuarantee({ releases, ...QUESTIONS[trust], delta }).epsilon;
}

const QUESTIONS: Readonly<
  Record<TrainingCost['trust'], Pick<PrivacyQuestion, 'neighbours' | 'accountants'>>
> = {
  example: { neighbours: 'add-remove' },
  local: { neighbours: 'replace-one' },
  distributed: { neighbours: 'zero-out', accountants: ['rdp'] },
};
