/** The face of `cli`: the tree of commands and what runs one command line. */

export { buildProgram, main } from "./main.ts";
