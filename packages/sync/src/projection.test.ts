/** What a host may see of an object: the declared fields, of its own ports what their machines may know of themselves, and never another's name or a secret. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  AddressGroup,
  AddressScope,
  BgpPeer,
  BgpSpeaker,
  FloatingIp,
  Host,
  HostGateway,
  NatLease,
  NdpProxy,
  Network,
  Port,
  PortForwarding,
  Router,
  Secret,
  SecurityGroup,
  SecurityGroupRule,
  SecurityGroupSet,
  Segment,
  Subnet,
  Subnetpool,
} from "@selvage/model";
import {
  makeAddressGroup,
  makeAddressScope,
  makeBgpPeer,
  makeBgpSpeaker,
  makeFloatingIp,
  makeHost,
  makeHostGateway,
  makeNatLease,
  makeNdpProxy,
  makeNetwork,
  makePort,
  makePortForwarding,
  makeRouter,
  makeSecurityGroup,
  makeSecurityGroupRule,
  makeSecurityGroupSet,
  makeSegment,
  makeSubnet,
  makeSubnetpool,
} from "@selvage/model/testing";
import { dependsOnHost, isLocal, project, projectedResources } from "./projection.ts";

/** What the metadata service tells a machine of itself. */
const own = {
  name: "own",
  project_id: "own",
  device_id: "own",
  user_data: "own",
  extra_dhcp_opts: [{ opt_name: "own", opt_value: "own", ip_version: 4 }],
} as const;

const objects = [
  [Host, makeHost({ certificate_fingerprint: "secret" })],
  [Network, makeNetwork({ name: "secret", description: "secret" })],
  [Segment, makeSegment({ name: "secret", description: "secret" })],
  [AddressScope, makeAddressScope({ name: "secret" })],
  [Subnetpool, makeSubnetpool({ name: "secret" })],
  [Subnet, makeSubnet({ name: "secret" })],
  [Router, makeRouter({ name: "secret" })],
  [SecurityGroup, makeSecurityGroup({ name: "secret", description: "secret" })],
  [SecurityGroupRule, makeSecurityGroupRule({ description: "secret", remote_ip_prefix: "secret" })],
  [AddressGroup, makeAddressGroup({ name: "secret" })],
  [SecurityGroupSet, makeSecurityGroupSet()],
  [Port, makePort({ ...own, description: "secret", "binding:host_id": "h1", "binding:profile": { secret: 1 } })],
  [FloatingIp, makeFloatingIp({ description: "secret" })],
  [PortForwarding, makePortForwarding({ description: "secret" })],
  [NdpProxy, makeNdpProxy({ name: "secret" })],
  [NatLease, makeNatLease()],
  [BgpPeer, makeBgpPeer({ name: "secret" })],
  [BgpSpeaker, makeBgpSpeaker({ name: "secret" })],
  [HostGateway, makeHostGateway()],
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
      assert.equal(/own/.test(JSON.stringify(cut)), resource.kind === Port.kind && distance === "near");
    }
  }
});

test("which ports are a host's own, and whose projections may differ between hosts, follows from the declarations", () => {
  const port = makePort({ "binding:host_id": "h1" });
  assert.deepEqual([isLocal(Port.kind, port, "h1"), isLocal(Port.kind, port, "h2")], [true, false]);
  assert.equal(isLocal(Host.kind, makeHost({ name: "h1" }), "h1"), false);
  for (const { kind, fields } of projectedResources) {
    const isAnyLocal = Object.values<{ readonly projected: string }>(fields).some(
      ({ projected }) => projected === "local",
    );
    assert.equal(dependsOnHost(kind), isAnyLocal, kind);
  }
});

test("every host of a network is told which of its ports are without port security", () => {
  const port = makePort({ "binding:host_id": "h1", port_security_enabled: false });
  for (const distance of ["near", "far"] as const)
    assert.equal((project(Port.kind, port, distance) as typeof port).port_security_enabled, false);
});

test("what is not projected cannot be", () => {
  assert.throws(() => project(Secret.kind, { id: "authority" }, "near"), TypeError);
});
