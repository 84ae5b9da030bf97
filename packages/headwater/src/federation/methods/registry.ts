/** The federated methods that come with Headwater, by id. A plug-in's methods join a copy of this map. */

import type { Method } from '../method.ts';
import { chainfed } from './chainfed.ts';
import { decomfl } from './decomfl.ts';
import { diloco } from './diloco.ts';
import { ditto } from './ditto.ts';
import { fdlora } from './fdlora.ts';
import { fedSb } from './fed-sb.ts';
import { fedadagrad } from './fedadagrad.ts';
import { fedadam } from './fedadam.ts';
import { fedadapter } from './fedadapter.ts';
import { fedavg } from './fedavg.ts';
import { fedavgm } from './fedavgm.ts';
import { fedbpt } from './fedbpt.ts';
import { feddpa } from './feddpa.ts';
import { feddyn } from './feddyn.ts';
import { federa } from './federa.ts';
import { fedexLora } from './fedex-lora.ts';
import { fedkseed } from './fedkseed.ts';
import { fedmezo } from './fedmezo.ts';
import { fedmkt } from './fedmkt.ts';
import { fednova } from './fednova.ts';
import { fedpeptao } from './fedpeptao.ts';
import { fedper } from './fedper.ts';
import { fedprompt } from './fedprompt.ts';
import { fedprox } from './fedprox.ts';
import { fedra } from './fedra.ts';
import { fedsaLora } from './fedsa-lora.ts';
import { fedsdr } from './fedsdr.ts';
import { fedyogi } from './fedyogi.ts';
import { ffaLora } from './ffa-lora.ts';
import { flasc } from './flasc.ts';
import { flexlora } from './flexlora.ts';
import { flora } from './flora.ts';
import { florist } from './florist.ts';
import { fwdllm } from './fwdllm.ts';
import { hetlora } from './hetlora.ts';
import { ifca } from './ifca.ts';
import { loraFair } from './lora-fair.ts';
import { qFedavg } from './q-fedavg.ts';
import { rbla } from './rbla.ts';
import { rolora } from './rolora.ts';
import { scaffold } from './scaffold.ts';
import { sharedPersonalPrompts } from './shared-personal-prompts.ts';
import { slora } from './slora.ts';
import { spry } from './spry.ts';
import { zeropad } from './zeropad.ts';

export const methods: ReadonlyMap<string, Method<unknown>> = new Map(
  [
    fedavg,
    fedprox,
    fedavgm,
    fedadagrad,
    fedadam,
    fedyogi,
    diloco,
    scaffold,
    fednova,
    feddyn,
    qFedavg,
    ditto,
    ifca,
    fedper,
    fedsaLora,
    ffaLora,
    rolora,
    fedexLora,
    flexlora,
    flora,
    florist,
    hetlora,
    loraFair,
    rbla,
    zeropad,
    feddpa,
    fdlora,
    fedsdr,
    chainfed,
    fedra,
    flasc,
    fedSb,
    federa,
    slora,
    fedadapter,
    fedmezo,
    fedkseed,
    decomfl,
    fwdllm,
    spry,
    fedbpt,
    fedprompt,
    fedpeptao,
    sharedPersonalPrompts,
    fedmkt,
  ].map((method) => [method.id, method as unknown as Method<unknown>]),
);
