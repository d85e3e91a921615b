// Tables that can be read on a phone too: there each row becomes a paragraph whose figures say themselves what they are. What is
// read aloud stays a table, for which the roles stand: a browser may forget them of what is no longer displayed as one.

import { html, type Html, type HtmlValue } from '../text/html.ts';

/** A column; on a phone `name` and `long` have a line of their own, and all but `name` say their head. */
export interface Column {
  readonly head: string;
  readonly as?: 'name' | 'long';
}

/** A row; `tone` is a class of the stylesheet. */
export interface Row {
  readonly tone?: string;
  /** A cell a column. */
  readonly cells: readonly HtmlValue[];
}

/** A section with a table; where it is too wide it is moved sideways, with the keyboard too. */
export function table(
  label: string,
  { columns, rows }: { readonly columns: readonly Column[]; readonly rows: readonly Row[] },
): Html {
  return html`<section>
    <h2>${label}</h2>
    <div class="table" tabindex="0" role="region" aria-label="${label}">
      <table role="table">
        <thead role="rowgroup">
          <tr role="row">
            ${columns.map(({ head }) => html`<th scope="col" role="columnheader">${head}</th>`)}
          </tr>
        </thead>
        <tbody role="rowgroup">
          ${rows.map(
            ({ tone = '', cells }) =>
              html`<tr role="row" class="${tone}">
                ${cells.map((cell, index) => cellOf(cell, columns[index]))}
              </tr>`,
          )}
        </tbody>
      </table>
    </div>
  </section>`;
}

function cellOf(cell: HtmlValue, column: Column | undefined): Html {
  return column?.as === 'name'
    ? html`<td role="cell" class="name">${cell}</td>`
    : html`<td role="cell" class="${column?.as ?? ''}" data-head="${column?.head ?? ''}">${cell}</td>`;
}
