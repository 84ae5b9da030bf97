/** What federated methods need to make sense of a small run, for tests that go over the whole registry: the rest is `lora`. */

export interface MethodSetting {
  /** Of the method. */
  readonly options?: object;
  /** As a recipe’s `tuning`; omitted: LoRA. */
  readonly tuning?: { readonly kind: string; readonly [option: string]: unknown };
  /** Plain SGD instead of AdamW. */
  readonly sgd?: true;
  /** Further keys of a recipe. */
  readonly overrides?: readonly string[];
}

const PROMPT = { kind: 'prompt-tuning', numVirtualTokens: 4 };

const SETTINGS: Readonly<Record<string, MethodSetting>> = {
  scaffold: { sgd: true },
  fednova: { sgd: true },
  fedper: { options: { local: ['v_proj'] } },
  chainfed: { options: { lambda: 0 } },
  slora: { options: { sparseRounds: 1 } },
  fedadapter: {
    options: { width: 2, growEvery: 1 },
    tuning: { kind: 'adapter', reductionFactor: 8 },
  },
  fedkseed: { options: { seeds: 16 }, sgd: true },
  decomfl: { options: { perturbations: 2 }, sgd: true },
  fwdllm: { options: { perturbations: 2, candidates: 2 }, sgd: true },
  fedbpt: { options: { dimension: 8, population: 4 }, tuning: PROMPT },
  fedprompt: { tuning: PROMPT },
  'shared-personal-prompts': { options: { personalTokens: 2 }, tuning: PROMPT },
  fedpeptao: { tuning: { kind: 'prefix-tuning', numVirtualTokens: 2 } },
  fedmkt: {
    options: { rows: 3, length: 32, tokens: 8, topK: 4, clientSteps: 1, serverSteps: 2 },
    overrides: ['data.public={ files: data/test.csv }'],
  },
};

export function settingOf(id: string): MethodSetting {
  return SETTINGS[id] ?? {};
}
