/** A small HTTP server in a guest: answers every request with the same 100 bytes; usage: web.ts PORT. */
import { createServer } from "node:http";

const body = Buffer.alloc(100, "a");
createServer((request, response) => {
  request.resume();
  response.writeHead(200, { "content-length": body.length });
  response.end(body);
}).listen(Number(process.argv[2]), () => process.stdout.write("listening\n"));
