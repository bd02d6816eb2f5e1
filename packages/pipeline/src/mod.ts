/** The pipeline's face: fields, tables, rows and the program that every datapath executes. */
export * from "./fields.ts";
export * from "./limits.ts";
export { PackedRows } from "./packed-rows.ts";
export * from "./program.ts";
export { type ArgsOf, type KeyOf, makeRow, type Row, type RowValue, row, rowText } from "./row.ts";
export { RowTable } from "./row-table.ts";
export * from "./table.ts";
export * from "./tables.ts";
export * from "./tables-neighbour.ts";
export * from "./tables-outside.ts";
export * from "./tables-policy.ts";
export * from "./tables-router.ts";
export * from "./tables-services.ts";
