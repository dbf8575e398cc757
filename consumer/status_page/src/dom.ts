// The few lines that stand for a framework.

type Attributes = Readonly<Record<string, string>>;

/** A new element. Text is text: nothing is ever parsed as HTML. */
export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: readonly (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** The element of this id in page.html. */
export function byId(id: string): HTMLElement {
  const element = document.getElementById(id);
  if (!element) throw new Error(`page.html has no #${id}`);
  return element;
}

/** Sets a text only where it changed, so that nothing is announced or selected anew in vain. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** A table: the first cell of a row is its header. */
export interface Table {
  readonly caption: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** Shows a table in `parent`, which holds nothing else, and leaves it alone where nothing changed. */
export function showTable(parent: HTMLElement, { caption, columns, rows }: Table): void {
  const content = JSON.stringify([caption, columns, rows]);
  if (parent.dataset["content"] === content) return;
  parent.dataset["content"] = content;
  const head = el("tr", {}, ...columns.map((column) => el("th", { scope: "col" }, column)));
  const body = rows.map(([first, ...cells]) =>
    el("tr", {}, el("th", { scope: "row" }, first ?? ""), ...cells.map((cell) => el("td", {}, cell))),
  );
  parent.replaceChildren(
    el("table", {}, el("caption", {}, caption), el("thead", {}, head), el("tbody", {}, ...body)),
  );
}
