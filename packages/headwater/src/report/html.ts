/**
 * A report page as one self-contained HTML file: styles, scripts and data inside, no request to anywhere. Each chart's
 * numbers are also there as a table, for screen readers and for copying. It knows no run, only pages.
 */

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Block, Chart, ReportPage, Section, Series, TableBlock, TableRow } from './page.ts';

/** What was met while rendering: charts for the script, tables for their ids. */
interface Found {
  readonly charts: Chart[];
  tables: number;
}

export function renderHtml(page: ReportPage): string {
  const found: Found = { charts: [], tables: 0 };
  const sections = page.sections.map((section) => renderSection(section, found)).join('\n');
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(page.title)}</title>
<style>${uPlotFile('uPlot.min.css')}\n${asset('page.css')}</style>
</head>
<body>
<header><h1>${escapeHtml(page.title)}</h1><p class="lead">${escapeHtml(page.lead)}</p></header>
<main>
${sections}
</main>
<footer>${escapeHtml(page.footer)}</footer>
<script type="application/json" id="charts">${scriptJson(found.charts)}</script>
<script>${uPlotFile('uPlot.iife.min.js')}</script>
<script>${asset('page.js')}</script>
</body>
</html>
`;
}

function renderSection({ title, note, blocks }: Section, found: Found): string {
  const body = blocks.map((block) => renderBlock(block, found)).join('\n');
  const onlyCharts = blocks.every(({ kind }) => kind === 'chart');
  return `<section>\n<h2>${escapeHtml(title)}</h2>${noteOf(note)}\n${onlyCharts ? `<div class="charts">${body}</div>` : body}\n</section>`;
}

function renderBlock(block: Block, found: Found): string {
  switch (block.kind) {
    case 'table':
      return renderTable(block, found);
    case 'chart':
      return renderChart(block.chart, found);
    case 'notes':
      return `<ul class="notes">${block.notes.map((note) => `<li>${escapeHtml(note)}</li>`).join('')}</ul>`;
    case 'code':
      return `<details><summary>${escapeHtml(block.summary)}</summary><pre>${escapeHtml(block.code)}</pre></details>`;
  }
}

function renderTable({ caption, head, rows, numeric, lastIsText }: TableBlock, found: Found): string {
  const textColumn = lastIsText === true ? head.length - 1 : -1;
  const cells = head
    .map((text, i) => `<th scope="col"${classOf(i, textColumn)}>${escapeHtml(text)}</th>`)
    .join('');
  const id = `t${found.tables++}`;
  // A wide table scrolls inside its own box, without its title; tabindex lets the keyboard scroll.
  return `<p class="note" id="${id}">${escapeHtml(caption)}</p>
<div class="scroll" tabindex="0" role="region" aria-labelledby="${id}"><table aria-labelledby="${id}"${numeric ? ' class="numeric"' : ''}>
<thead><tr>${cells}</tr></thead>
<tbody>${rows.map((row) => renderRow(row, textColumn)).join('\n')}</tbody>
</table></div>`;
}

function classOf(column: number, textColumn: number): string {
  return column === textColumn ? ' class="text"' : '';
}

function renderRow({ cells: [first = '', ...rest], strong }: TableRow, textColumn: number): string {
  const cells = rest.map((text, i) => `<td${classOf(i + 1, textColumn)}>${escapeHtml(text)}</td>`).join('');
  return `<tr${strong ? ' class="strong"' : ''}><th scope="row">${escapeHtml(first)}</th>${cells}</tr>`;
}

function renderChart(chart: Chart, found: Found): string {
  const index = found.charts.push(chart) - 1;
  const table = renderTable(
    {
      caption: chart.title,
      head: [chart.xLabel, ...chart.series.map(({ label }) => label)],
      rows: chart.x.map((x, i) => ({
        cells: [String(x), ...chart.series.map((series) => valueText(series, i))],
      })),
      numeric: true,
    },
    found,
  );
  return `<div><h3>${escapeHtml(chart.title)}</h3>${noteOf(chart.note)}
<div class="chart" data-chart="${index}" role="img" aria-label="${escapeHtml(chart.title)}; the numbers are in the table below"></div>
<details><summary>Numbers</summary>${table}</details></div>`;
}

function valueText({ values, band }: Series, i: number): string {
  const [low, high] = [band?.low[i], band?.high[i]];
  if (typeof low !== 'number' || typeof high !== 'number') return numberText(values[i]);
  return `${numberText(values[i])} (${numberText(low)} to ${numberText(high)})`;
}

function numberText(value: number | null | undefined): string {
  return value === null || value === undefined ? '–' : String(Number(value.toPrecision(6)));
}

function noteOf(note: string | undefined): string {
  return note === undefined ? '' : `<p class="note">${escapeHtml(note)}</p>`;
}

export function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

/** JSON inside a script element: `</script>` and `<!--` must not appear, whatever an owner is called. */
function scriptJson(value: unknown): string {
  return JSON.stringify(value).replaceAll('<', '\\u003c');
}

function asset(name: string): string {
  return readFileSync(new URL(`../../assets/report/${name}`, import.meta.url), 'utf8');
}

function uPlotFile(name: string): string {
  return readFileSync(createRequire(import.meta.url).resolve(`uplot/dist/${name}`), 'utf8');
}
