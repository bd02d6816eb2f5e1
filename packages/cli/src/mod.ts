/** The face of `cli`: the tree of commands, what runs one command line, and the options of server and agent as people read them. */

export { type Declared, type DeclaredOption, loadDeclared } from "./config/declared.ts";
export { buildProgram, main } from "./main.ts";
