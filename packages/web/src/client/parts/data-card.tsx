/** The owner's files: chosen or dropped, shown as rows, mapped onto the recipe's columns, and shown as the model sees them. */

import { type DragEvent, useState } from 'react';
import { bytes, count } from '../../shared/format.ts';
import type { FileUse, Rows, Seat, SignedRun, TabLook } from '../messages.ts';
import type { Look } from '../use-look.ts';
import type { Tab } from '../use-tab.ts';
import { Mapping } from './mapping.tsx';
import { Problem } from './problem.tsx';

const ACCEPT = '.jsonl,.json,.csv,.tsv,.parquet,.txt,.gz';
const USES: Readonly<Record<FileUse, string>> = {
  train: 'to learn from',
  validation: 'only to measure on during the run',
  test: 'only to measure on at the end',
};

interface DataCardProps {
  readonly tab: Tab;
  readonly run: SignedRun;
  readonly look: Look;
}

export function DataCard({ tab, run, look }: DataCardProps) {
  const { seat } = tab;
  const [error, setError] = useState<unknown>(undefined);
  const [adding, setAdding] = useState<string | undefined>(undefined);
  if (seat === undefined) return null;
  const add = async (files: readonly File[], use: FileUse) => {
    setError(undefined);
    try {
      for (const file of files) {
        setAdding(file.name);
        tab.setSeat(await tab.call('addFile', { seat: seat.id, file, use }));
      }
    } catch (cause) {
      setError(cause);
    } finally {
      setAdding(undefined);
    }
  };
  const remove = async (file: string) => {
    setError(undefined);
    tab.setSeat(await tab.call('removeFile', { seat: seat.id, file }));
  };
  return (
    <section className="card stack" aria-labelledby="your-data">
      <h2 id="your-data">Your data</h2>
      <Drop add={add} />
      {adding !== undefined && (
        <p role="status" className="hint">
          Copying {adding} into this browser’s own storage …
        </p>
      )}
      {error !== undefined && <Problem error={error} title="This file was not taken" />}
      <Files seat={seat} remove={remove} />
      {look.rows !== undefined && <RowTable rows={look.rows} />}
      {look.rows !== undefined && <Mapping tab={tab} rows={look.rows} />}
      {look.busy && (
        <p role="status" className="hint">
          Reading your files …
        </p>
      )}
      {look.error !== undefined && <Problem error={look.error} retry={look.again} />}
      {look.value !== undefined && <Examples look={look.value} run={run} />}
    </section>
  );
}

function Drop({ add }: { readonly add: (files: readonly File[], use: FileUse) => Promise<void> }) {
  const [use, setUse] = useState<FileUse>('train');
  const [isOver, setOver] = useState(false);
  const drop = (event: DragEvent) => {
    event.preventDefault();
    setOver(false);
    void add([...event.dataTransfer.files], use);
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: dropping is a shortcut for the field inside
    <div
      className={`drop stack tight ${isOver ? 'over' : ''}`}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={drop}
    >
      <label htmlFor="files">Drop files here, or choose them</label>
      <input
        id="files"
        type="file"
        multiple
        accept={ACCEPT}
        aria-describedby="files-hint"
        onChange={(event) => {
          void add([...(event.target.files ?? [])], use);
          event.target.value = '';
        }}
      />
      <p className="hint" id="files-hint">
        JSON lines, JSON, CSV, TSV, Parquet or plain text, each also as .gz. A copy stays in this browser’s
        own storage until you remove it, so that a reload goes on. It is never sent.
      </p>
      <div className="row">
        <label htmlFor="use">The next files are</label>
        <select id="use" value={use} onChange={(event) => setUse(event.target.value as FileUse)}>
          {Object.entries(USES).map(([id, words]) => (
            <option key={id} value={id}>
              {words}
            </option>
          ))}
        </select>
      </div>
    </div>
  );
}

interface FilesProps {
  readonly seat: Seat;
  readonly remove: (file: string) => Promise<void>;
}

function Files({ seat, remove }: FilesProps) {
  if (seat.files.length === 0) return <p className="quiet">No file is chosen yet.</p>;
  return (
    <ul className="plain" aria-label="Chosen files">
      {seat.files.map(({ id, name, bytes: size, use }) => (
        <li key={id} className="row between">
          <span>
            <strong>{name}</strong> · {bytes(size)} · {USES[use]}
          </span>
          <button type="button" className="small" onClick={() => void remove(id)}>
            Remove<span className="visually-hidden"> {name}</span>
          </button>
        </li>
      ))}
    </ul>
  );
}

function RowTable({ rows }: { readonly rows: Rows }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
    <section className="scroll" tabIndex={0} aria-label={`First rows of ${rows.file}`}>
      <table>
        <caption className="visually-hidden">First rows of {rows.file}</caption>
        <thead>
          <tr>
            {rows.columns.map((column) => (
              <th key={column} scope="col">
                {column}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.rows.map((row, i) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: rows have no names and do not move
            <tr key={i}>
              {row.map((cell, j) => (
                // biome-ignore lint/suspicious/noArrayIndexKey: cells neither
                <td key={j}>{cell}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function Examples({ look, run }: { readonly look: TabLook; readonly run: SignedRun }) {
  const { tokenization, split, examples } = look;
  const cut = tokenization.promptsTruncated + tokenization.completionsTruncated + tokenization.textsTruncated;
  return (
    <div className="stack tight">
      <h3>As the model sees them</h3>
      <p className="hint">What is marked is learnt.</p>
      {examples.map(({ where, parts }) => (
        <pre className="wrap" key={where}>
          {parts.map(({ text, supervised }, i) =>
            // biome-ignore lint/suspicious/noArrayIndexKey: parts have no names and do not move
            supervised ? <mark key={i}>{text}</mark> : <span key={i}>{text}</span>,
          )}
        </pre>
      ))}
      <p>
        {count(split.train)} examples to learn from ({count(tokenization.numTokens)} tokens),{' '}
        {count(split.validation + split.test)} held out to measure on.
        {run.summary.validationFraction + run.summary.testFraction > 0 &&
          ' This browser draws them by itself, the same ones each time.'}
        {cut > 0 && ` ${count(cut)} are longer than the run allows and are cut.`}
        {tokenization.dropped > 0 &&
          ` ${count(tokenization.dropped)} hold nothing to learn and are left out.`}
      </p>
    </div>
  );
}
