/**
 * The one error type of Headwater and the table of its codes.
 * A message says what, got/expected and why; `hint` says what to do. Assertions are for our own mistakes only.
 */

export const ERROR_CODES = {
  RECIPE_INVALID: 'The recipe has mistakes; each is listed with file and line.',
  RECIPE_NOT_FOUND: 'A recipe or a file that it names does not exist.',
  MODEL_NOT_FOUND: 'The model folder or hub repository could not be found.',
  MODEL_UNSUPPORTED: 'The architecture, a configuration value or a dtype is not supported.',
  MODEL_INVALID: 'The checkpoint contradicts its configuration (missing tensor, shape, NaN, vocabulary).',
  SAFETENSORS_INVALID: 'A safetensors file is malformed.',
  ADAPTER_INVALID: 'A PEFT adapter folder is malformed or does not fit the model.',
  TOKENIZER_INVALID: 'The tokenizer files are malformed or do not fit the model.',
  DATA_INVALID: 'A data file is empty, malformed or does not match its schema.',
  DATA_NOT_FOUND: 'A data file does not exist or cannot be read.',
  OPTION_INVALID: 'A command-line option or library argument is wrong.',
  HUB_FAILED: 'The Hugging Face hub could not be reached or sent something else than asked.',
  CODE_EXECUTION_REFUSED: 'Programs that a model wrote are not run on this machine without consent.',
  DEVICE_UNAVAILABLE: 'The requested device or provider does not work on this machine.',
  RUNTIME_FAILED: 'The execution engine failed.',
  OUT_OF_MEMORY: 'The memory of this machine is too small for what was asked.',
  RUN_EXISTS: 'The run folder already holds a run.',
  RUN_NOT_FOUND: 'There is no run in this folder.',
  RUN_LOCKED: 'Another process is writing this run.',
  RUN_CORRUPT: 'The journal or a blob of the run is damaged.',
  STORAGE_FAILED: 'Reading or writing failed (disk full, no permission).',
  UPDATE_REJECTED: 'A client update was refused.',
  ROUND_FAILED: 'A round could not reach its quorum.',
  AGGREGATION_OVERFLOW: 'The fixed-point plan cannot hold the sum.',
  TRAINING_DIVERGED: 'Loss or gradient became NaN or infinite.',
  PLUGIN_INVALID: 'A plug-in file does not export a valid record.',
  VERIFY_FAILED: 'A comparison with the reference exceeded its tolerance, or nothing could be compared.',
  INTERRUPTED: 'The user stopped the run.',
  UPLOAD_INVALID: 'An uploaded chunk or blob is not what was announced.',
  UPLOAD_UNKNOWN: 'There is no such upload.',
  CONNECTION_FAILED:
    'The coordinator or the store could not be reached, or answered something else than asked.',
  JOIN_REFUSED: 'The coordinator does not let this client in (token, key, revocation).',
  POLICY_INVALID: 'The owner’s policy file has mistakes; each is listed with its line.',
  POLICY_REFUSED: 'The run wants something that the owner of the data does not allow.',
  LOG_FORKED: 'The transparency log of the run contradicts what was seen or promised before.',
  REQUEST_REFUSED: 'The coordinator refused a request; the message says why.',
  PRIVACY_INVALID: 'Privacy parameters are out of range, or no bound is proven for their combination.',
  SECURE_AGGREGATION_ABORTED:
    'A check of the secure aggregation failed; nothing that could open an update was sent.',
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(ERROR_CODES, text);
}

export interface ErrorOptions {
  /** What the reader can do about it. */
  readonly hint?: string;
  /** File, with line if known: `data.jsonl:17`. */
  readonly where?: string;
  readonly cause?: unknown;
}

/** An error of the outside world (input, files, network, devices), made to be read by a user. */
export class HeadwaterError extends Error {
  override readonly name = 'HeadwaterError';
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly where: string | undefined;

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
    this.where = options.where;
  }

  /** `CODE  where: message hint`, on one or more lines. */
  format(): string {
    const where = this.where === undefined ? '' : `${this.where}: `;
    const hint = this.hint === undefined ? '' : `\n  ${this.hint}`;
    return `${this.code}  ${where}${this.message}${hint}`;
  }
}

/** Our own mistakes: a broken invariant inside Headwater. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`Headwater is broken here: ${message}`);
}

/** What a caught value says: errors have a message, anything can be thrown. */
export function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
