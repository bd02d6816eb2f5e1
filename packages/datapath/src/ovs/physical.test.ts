/** Bridge mappings against a real switch: patches are made, found again, followed and taken away; frames go both ways with their tags. */
import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import type { DatapathEvents } from "../datapath.ts";
import { Recorder } from "../testing/fabric.ts";
import { Journal } from "../testing/journal.ts";
import { OvsHosts } from "../testing/ovs-fabric.ts";
import type { OvsHost } from "../testing/ovs-host.ts";
import type { OvsDatapath } from "./driver.ts";
import { bridgeMappings } from "./physical.ts";

const deadline = 10_000;

class Heard extends Recorder {
  readonly faulty = new Journal<readonly string[]>();
  readonly faults: NonNullable<DatapathEvents["faults"]> = (all) =>
    this.faulty.add([...all].map(([name, fault]) => `${name} ${fault}`));
}

test("mappings are read, and what is none is refused", () => {
  assert.deepEqual([...bridgeMappings("")], []);
  assert.deepEqual(
    [...bridgeMappings("public:br-public, dc2:br-dc2")],
    [
      ["public", "br-public"],
      ["dc2", "br-dc2"],
    ],
  );
  for (const text of ["public", "public:", ":br-public", "a:b:c", "a:b,a:c", "a:b,c:b", "a b:c"])
    assert.throws(() => bridgeMappings(text), TypeError, text);
});

describe("Open vSwitch leads to physical networks", () => {
  let hosts: OvsHosts;
  const drivers: OvsDatapath[] = [];
  before(async () => {
    hosts = await OvsHosts.start(4, 1);
  });
  after(() => hosts?.dispose());
  const host = (): OvsHost => hosts.hosts[0] ?? assert.fail("no host");
  afterEach(async () => {
    for (const driver of drivers.splice(0)) await driver.close();
    for (const name of ["br-public", "br-dc2"]) await host().vsctl("--if-exists", "del-br", name);
    await host().clear();
  });

  const bridge = (name: string, type = "netdev") =>
    host().vsctl("add-br", name, "--", "set", "bridge", name, `datapath_type=${type}`, "fail_mode=standalone");
  const open = async (mappings: string) => {
    const heard = new Heard();
    const driver = hosts.driver(0, { bridgeMappings: mappings });
    drivers.push(driver);
    await driver.open(heard);
    await heard.life.first((event) => event === "ready", "it is ready", deadline);
    return { driver, heard };
  };
  const attached = (heard: Heard, ...ports: readonly string[]) =>
    heard.attached.first((all) => all.map(({ port }) => port).join() === ports.join(), `${ports} are there`, deadline);
  const portsOf = async (name: string): Promise<readonly string[]> =>
    (await host().vsctl("list-ports", name)).split("\n").filter((each) => each !== "");
  const identities = () =>
    host().vsctl("--columns=_uuid,name,ofport", "--format=csv", "find", "interface", "type=patch");

  test("a pair of patches is made for each, and a new driver takes it as it is", async () => {
    await bridge("br-public");
    await bridge("br-dc2");
    const first = await open("public:br-public,dc2:br-dc2");
    await attached(first.heard, "physical:public", "physical:dc2");
    assert.deepEqual(await portsOf("br-public"), ["patch-public-br-int"]);
    assert.deepEqual(await portsOf("br-dc2"), ["patch-dc2-br-int"]);
    const made = await identities();
    await first.driver.close();
    const second = await open("public:br-public,dc2:br-dc2");
    await attached(second.heard, "physical:public", "physical:dc2");
    assert.equal(await identities(), made, "nothing is made again");
    await second.driver.close();
    const third = await open("public:br-public");
    await attached(third.heard, "physical:public");
    assert.deepEqual(await portsOf("br-dc2"), [], "what is mapped no more is gone");
    assert.deepEqual(await portsOf("br-int"), ["patch-br-int-public", "selvage-geneve"]);
  });

  test("a bridge that is missing is told, taken up when it appears, and let go when it goes", async () => {
    const { heard } = await open("public:br-public");
    await heard.faulty.first((all) => all.join() === "physical:public physical-missing", "it is told", deadline);
    await bridge("br-public");
    await attached(heard, "physical:public");
    await heard.faulty.first((all) => all.length === 0, "it is no fault any more", deadline);
    await host().vsctl("del-br", "br-public");
    await heard.attached.first((all) => all.length === 0, "it is gone", deadline, heard.attached.all.length - 1);
    await bridge("br-public");
    await attached(heard, "physical:public");
    assert.deepEqual(await portsOf("br-public"), ["patch-public-br-int"]);
  });

  test("a mapping that leads to another bridge is followed", async () => {
    await bridge("br-public");
    await bridge("br-dc2");
    const first = await open("public:br-public");
    await attached(first.heard, "physical:public");
    await first.driver.close();
    const second = await open("public:br-dc2");
    await attached(second.heard, "physical:public");
    assert.deepEqual([await portsOf("br-public"), await portsOf("br-dc2")], [[], ["patch-public-br-int"]]);
  });

  test("a bridge of another kind is no way", async () => {
    await bridge("br-public", "dummy");
    const { heard } = await open("public:br-public");
    await heard.faulty.first((all) => all.join() === "physical:public physical-missing", "it is told", deadline);
  });
});
