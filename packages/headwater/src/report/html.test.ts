import { expect, test } from 'vitest';
import { renderHtml } from './html.ts';
import type { ReportPage } from './page.ts';

const evil = '</script><script>alert(1)</script><!--';

const page: ReportPage = {
  title: `run of ${evil}`,
  lead: 'lead & more',
  footer: 'end',
  sections: [
    {
      title: 'Results',
      blocks: [
        {
          kind: 'table',
          caption: 'scores',
          head: ['', 'pooled'],
          rows: [{ cells: ['federated', '51.2 %'], strong: true }],
          numeric: true,
        },
        { kind: 'notes', notes: [evil] },
        { kind: 'code', summary: 'recipe', code: 'a: <b>' },
      ],
    },
    {
      title: 'Curves',
      blocks: [
        {
          kind: 'chart',
          chart: {
            title: 'loss',
            kind: 'line',
            xLabel: 'round',
            x: [1, 2],
            series: [{ label: evil, values: [1.5, null] }],
            format: 'number',
            zero: true,
          },
        },
      ],
    },
  ],
};

const html = renderHtml(page);

test('a report asks nobody for anything', () => {
  const withoutLibraryComments = html.replaceAll(/\/\*!?[\s\S]*?\*\//g, '');
  expect(withoutLibraryComments).not.toMatch(/(?:src|href)\s*=|@import|url\(|https?:\/\//);
});

test('names cannot become markup or end a script', () => {
  expect(html).not.toContain('alert(1)</script>');
  expect(html.match(/<script/g)).toHaveLength(3);
});

test('tables have row and column headers and a name', () => {
  expect(html).toContain('<th scope="col">pooled</th>');
  expect(html).toContain('<tr class="strong"><th scope="row">federated</th><td>51.2 %</td></tr>');
  expect(html).toMatch(/<table aria-labelledby="t0" class="numeric">/);
});

test('a chart travels as JSON and as a table', () => {
  const json = /<script type="application\/json" id="charts">(.*)<\/script>/.exec(html)?.[1] ?? '';
  expect(JSON.parse(json)[0].series[0]).toEqual({ label: evil, values: [1.5, null] });
  expect(html).toContain('<tr><th scope="row">2</th><td>–</td></tr>');
});
