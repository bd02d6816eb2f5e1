/** What a host may see of an object: the declared fields, more of its own ports, and never a name or a secret. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  AddressGroup,
  AddressScope,
  Host,
  Network,
  Port,
  Router,
  Secret,
  SecurityGroup,
  SecurityGroupRule,
  SecurityGroupSet,
  Subnet,
  Subnetpool,
} from "@selvage/model";
import {
  makeAddressGroup,
  makeAddressScope,
  makeHost,
  makeNetwork,
  makePort,
  makeRouter,
  makeSecurityGroup,
  makeSecurityGroupRule,
  makeSecurityGroupSet,
  makeSubnet,
  makeSubnetpool,
} from "@selvage/model/testing";
import { dependsOnHost, isLocal, project, projectedResources } from "./projection.ts";

const objects = [
  [Host, makeHost({ certificate_fingerprint: "secret" })],
  [Network, makeNetwork({ name: "secret", description: "secret" })],
  [AddressScope, makeAddressScope({ name: "secret" })],
  [Subnetpool, makeSubnetpool({ name: "secret" })],
  [Subnet, makeSubnet({ name: "secret" })],
  [Router, makeRouter({ name: "secret" })],
  [SecurityGroup, makeSecurityGroup({ name: "secret", description: "secret" })],
  [SecurityGroupRule, makeSecurityGroupRule({ description: "secret", remote_ip_prefix: "secret" })],
  [AddressGroup, makeAddressGroup({ name: "secret" })],
  [SecurityGroupSet, makeSecurityGroupSet()],
  [Port, makePort({ name: "secret", device_id: "secret", "binding:host_id": "h1", "binding:profile": { secret: 1 } })],
] as const;

test("every projection bears the id, exactly the declared fields, and nothing that is not the host's business", () => {
  assert.deepEqual(
    objects.map(([{ kind }]) => kind),
    projectedResources.map(({ kind }) => kind),
  );
  for (const [resource, object] of objects) {
    for (const distance of ["near", "far"] as const) {
      const cut = project(resource.kind, object, distance);
      const wanted = Object.entries<{ readonly projected: string }>(resource.fields).filter(
        ([, field]) => field.projected === "all" || (distance === "near" && field.projected === "local"),
      );
      assert.deepEqual(Object.keys(cut).sort(), wanted.map(([name]) => name).sort());
      assert.equal(cut.id, object.id);
      assert.doesNotMatch(JSON.stringify(cut), /secret/);
    }
  }
});

test("a host sees more of its own ports than of others'", () => {
  const port = makePort({ "binding:host_id": "h1" });
  assert.deepEqual([isLocal(Port.kind, port, "h1"), isLocal(Port.kind, port, "h2")], [true, false]);
  assert.equal(isLocal(Host.kind, makeHost({ name: "h1" }), "h1"), false);
  assert.deepEqual([dependsOnHost(Port.kind), dependsOnHost(Network.kind)], [true, false]);
  assert.equal("port_security_enabled" in project(Port.kind, port, "near"), true);
  assert.equal("port_security_enabled" in project(Port.kind, port, "far"), false);
});

test("what is not projected cannot be", () => {
  assert.throws(() => project(Secret.kind, { id: "authority" }, "near"), TypeError);
});
