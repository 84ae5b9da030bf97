/**
 * FedPer: some tensors (a head, the upper layers) stay with their owner and are trained there; the others are averaged
 * (Arivazhagan et al. 2019, arXiv:1912.00818; with one local part it is also what LG-FedAvg does).
 */

import { z } from 'zod';
import type { Method } from '../method.ts';

const options = z.strictObject({
  /** Tensors whose name contains one of these stay local. Default: a classification head. */
  local: z.array(z.string().min(1)).default(['classifier', 'score', 'pre_classifier']),
});

export const fedper: Method<z.infer<typeof options>> = {
  id: 'fedper',
  summary: 'named tensors (a head, upper layers) stay with their owners, the others are averaged',
  source: 'Arivazhagan et al. 2019, arXiv:1912.00818',
  options,
  secureAggregation: 'yes',
  reducesTo: [{ id: 'fedavg', when: { local: [] } }],
  preconditions({ tensors }, { local }) {
    const stays = tensors.filter(({ name }) => isLocal(name, local)).length;
    if (local.length > 0 && stays === 0)
      return [`no trained tensor has ${local.map((part) => `"${part}"`).join(' or ')} in its name`];
    return stays === tensors.length ? ['every trained tensor would stay local: nothing is shared'] : [];
  },
  selectTrainable: ({ name }, _round, { local }) => (isLocal(name, local) ? 'personal' : 'shared'),
};

function isLocal(name: string, local: readonly string[]): boolean {
  return local.some((part) => name.includes(part));
}
