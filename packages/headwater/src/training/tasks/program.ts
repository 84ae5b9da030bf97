/** Programs that a model wrote, and what became of them. Plain data; who runs them, and where, is not known here. */

export const LANGUAGES = ['javascript', 'python'] as const;
export type Language = (typeof LANGUAGES)[number];

export interface Program {
  readonly language: Language;
  readonly source: string;
  readonly limits: ProgramLimits;
}

export interface ProgramLimits {
  readonly timeoutMs: number;
  readonly memoryBytes: number;
  /** Of standard output and standard error together; more ends the program. */
  readonly outputBytes: number;
}

export interface ProgramRun {
  /** `killed`: by a signal, such as that of the limit of processor time. */
  readonly outcome: 'exited' | 'killed' | 'timeout' | 'output';
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}
