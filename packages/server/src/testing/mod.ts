/** The server's testing face: a server with projects at hand, and a tiny client. */
export { plainRoutes } from "../http/app.ts";
export type { Access, RouteShape } from "../http/route.ts";
export { tlsRoutes } from "../relay/endpoint.ts";
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
