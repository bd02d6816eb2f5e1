/** One entry of `/v2.0/extensions`. */
export interface Extension {
  readonly name: string;
  readonly alias: string;
  readonly description: string;
  readonly updated: string;
  readonly links: readonly never[];
}

export const extension = (alias: string, name: string, description: string, updated: string): Extension =>
  Object.freeze({ name, alias, description, updated, links: [] });
