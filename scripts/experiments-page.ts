/** docs/experiments.md: how to compare, with the keys of an experiment file from the schema that checks it. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { experimentShape } from '../packages/headwater/src/experiments/schema.ts';
import { keyRows } from '../packages/headwater/src/recipe/reference-page.ts';

const EXAMPLE = join(import.meta.dirname, '../packages/headwater/recipes/experiments/compare-lora.yaml');

export function experimentsPage(): string {
  return `${[
    '# Experiments',
    '',
    '`headwater compare FILE` runs one recipe in several arms, each with several seeds, and says what came out and how sure that is. This page is made by `npm run docs`.',
    '',
    '```yaml',
    readFileSync(EXAMPLE, 'utf8').trimEnd(),
    '```',
    '',
    ...keyRows(experimentShape),
    '',
    '- Settings come in this order, later ones win: the base, `set`, `--set` of the command line, the arm, the grid. Every cell is checked as the recipe that it makes; all mistakes are told together, each at the line that makes it. What method, tuning and data refuse together is told for all arms before anything starts.',
    '- Each cell is an ordinary run in `FOLDER/cells/ARM/seed-N`, with all that a run folder has. The same command continues an interrupted experiment; finished cells are not run again. A stored cell whose recipe has changed is refused by name; `--force` deletes and repeats such cells.',
    '- With one seed all arms draw the same owners, batches and held-out rows. Digests of data and model are compared, and tokens counted: where an arm had other data, another model or another budget, a note under the table says so.',
    '- `±` is half the width of a 95 % interval of the mean by Student’s t over seeds. Differences to the first arm are taken seed by seed.',
    '- `results.json`, `summary.csv` (a row an arm), `cells.csv` (a row a run) and `report.html` are made from the journals of the runs. `headwater report FOLDER --tensorboard OUT` writes event files for TensorBoard, a folder a run.',
    '',
    ...ACCOUNTABILITY,
  ].join('\n')}\n`;
}

const ACCOUNTABILITY = [
  '## Who sent what',
  '',
  '**Checks of every round.** An update with a wrong shape, a NaN or more than `federation.maxUpdateNorm` is refused when it arrives. When the round closes, in rounds of five updates or more one that is longer than κ = 5 times the median length (`federation.maxNormOverMedian`; longer for owners with more steps than the median one) is put aside, and so are bytes that another owner sent before in the round. The round goes on with the others: who is put aside has answered, is not punished, and stands with its reason in the journal, in `results.json` and in the report. Updates of nothing but zeros are counted and told. Where updates are masked or clipped for privacy of clients there are no such checks: single updates must not decide anything there.',
  '',
  '**Free-riders.** `simulation.attack: { kind: free-rider, owners: 4, sends: echo, from: 5 }` lets owners train nothing: `zero`, `noise` (the params as they came, with noise that fades), `gaussian` (as long as honest updates), `echo` and `noisy-echo` (what the last round changed), `copy`; with `from` they are honest at first. `federation.freeRiders: {}` looks at every round, in simulations and deployments: exact checks (zeros, copies, cosine with the last round’s change above 0.99, nothing in common with the other updates) and S2-WEF on the adapter tensors of the last block. What owners say of their work is looked at too: figures that cannot be (a loss below 0, steps without tokens) and a loss that is, to the last bit, one of the owner’s own from an earlier round make it a suspect; another owner’s loss, one ten times the others’ or a tenth of it, and an answer ten times as fast as the median owner’s (for each token that it says to have read, by the coordinator’s clock) are hints, never the ground of a suspicion. `headwater audit free-riders RUN` and the report show signs by owner; nobody is banned. `headwater compare` adds precision, recall, F1 and false alarms of the watch, of S2-WEF alone and of plain WEF alone, over pairs of an owner and a round, and over owners. `headwater compare free-riders` is the experiment.',
  '',
  'What is ours in S2-WEF and not the paper’s: its clients report how often each weight moved over their local iterations; here the server counts once a round, from the update that it has, so that nobody can report another pattern than its update’s, with less to see in a round. The height of the last merge that speaks for two clusters is taken relative to the one before. In round 1, when nothing has moved yet, it flags nobody. Plain WEF has frequencies over all rounds so far and names what is more than three robust deviations away: the paper leaves the threshold open.',
  '',
  '**Contribution.** A run with `federation.keepUpdates: true` keeps every round’s params and counted updates. `headwater contribution RUN` makes rounds again without some owners and scores the validation set (with `federation.realign` after the server has trained what a coalition gave, that of nobody too): leave-one-out, GTG-Shapley with both truncations (all coalitions where a round has five members or fewer), and the cosine of an owner’s B A with the round’s mean. No owner trains again. Each figure has a 95 % interval over the choice of validation rows, and of permutations where these were drawn; shares are linear in the loss, so one pass gives both. `--rounds`, `--permutations`, `--sample` and `--coalitions` (by default 300, or as many as let each owner be first in a permutation once) bound the work, and the time that is left is told while it goes on. What was scored is kept in `coalitions.jsonl`: stop it when you like, and ask again with more. It writes `contribution.json` and a section of the report.',
  '',
  '**Unlearning.** `headwater unlearn RUN --owner NAME --method M` takes an owner out of such a run. `retrain` is exact: the journal up to the owner’s first round is copied, the owner leaves, and the run goes on; nothing is trained where the owner never took part. `flora-removal` is exact for one round of flora or florist. `federaser`, `ascent`, `npo` and `negation` are approximate; the last three need the owner’s examples. `ascent` and `npo` go in steps of a length of their own and end when the loss on these examples is what it would be without the owner, as far as that is seen without training: that on its validation rows, which nobody trained on (on those of all where it has fewer than eight), or, where that is more, that on its examples with the sum of all that the others sent; a step that goes farther, or with which the validation loss of the others has grown by more than `--tolerance` (5 %), is taken back and halved. `negation` halves its factor by the same rule. Without validation data nothing holds them back but `--steps`. `--method all` runs those that apply. Each writes PEFT folders and `receipt.json`: what was asked and done, digests before and after, loss and accuracy on what is to be forgotten, on the owner’s held-out rows and on those of all others, and the AUC of membership inference by a loss threshold, beside the retrained model. `--store` signs it with the operator’s key of a coordinator’s store, a folder or `postgres://…`, which may be served meanwhile. The receipt becomes an event of the run’s journal and so an entry of its transparency log: `headwater audit log RUN --receipt FILE` proves that it is there. It works on runs of `headwater run`: a coordinator has no data to train on. `npm run results:unlearning` makes the table.',
  '',
  'Negation subtracts two products of factors, so its result are two adapters: `headwater eval --adapter A --adapter B=-0.2`, or `headwater merge` to write both into the weights.',
];
