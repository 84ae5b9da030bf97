/** What the run left behind, to take away. */

import { bytes } from '../../../shared/format.ts';
import { Empty, Failure, Loading } from '../../../shared/notes.tsx';
import { get } from '../../data/api.ts';
import { useLoad } from '../../data/use-load.ts';
import { Table } from '../../parts/table.tsx';
import type { PartProps } from './run.tsx';

interface ResultFile {
  readonly path: string;
  readonly bytes: number;
}

const MEANINGS: Readonly<Record<string, string>> = {
  'adapter/adapter_model.safetensors': 'the adapter’s tensors, in PEFT’s format',
  'adapter/adapter_config.json': 'its configuration; keep both in one folder',
  'report.html': 'tables and curves in one file',
  'results.json': 'the same figures for programs',
  'metrics.jsonl': 'one figure a line',
  'recipe.yaml': 'the recipe as resolved',
};

export function Files({ run, view }: PartProps) {
  const path = `/runs/${encodeURIComponent(run)}/result`;
  // Files appear when the run is over.
  const { value, error, reload } = useLoad(`${path} ${view.summary.status}`, (signal) =>
    get<{ files: ResultFile[] }>(path, signal),
  );
  if (error !== undefined)
    return <Failure title="The files cannot be listed." error={error} retry={reload} />;
  if (value === undefined) return <Loading what="the files" />;
  if (value.files.length === 0)
    return (
      <Empty title="There are no files yet.">
        <p className="hint">The adapter and the report are written when the run is over.</p>
        <button type="button" className="small" onClick={reload}>
          Look again
        </button>
      </Empty>
    );
  return (
    <Table
      caption={`Files of ${run}`}
      rows={value.files}
      keyOf={(file) => file.path}
      stacks
      columns={[
        {
          head: 'File',
          cell: (file) => (
            <a href={`/admin${path}/${file.path}`} download>
              {file.path}
            </a>
          ),
        },
        { head: 'What it is', cell: (file) => MEANINGS[file.path] ?? '' },
        { head: 'Size', number: true, cell: (file) => bytes(file.bytes) },
      ]}
    />
  );
}
