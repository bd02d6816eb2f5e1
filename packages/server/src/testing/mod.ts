/** The server's testing face: a server with projects at hand, and a tiny client. */
export { type Answer, errorOf, type HeaderValues, type Json, TestClient } from "./client.ts";
export {
  login,
  passwordAuth,
  startTestServer,
  type TestProject,
  TestServer,
  type TestServerOptions,
  testPassword,
} from "./server.ts";
