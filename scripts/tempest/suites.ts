/** The suites of the Networking API that can be run: Tempest's own, and that of Neutron's plugin for it, which goes further. Debian has both. */

import { fileURLToPath } from "node:url";

export interface Suite {
  /** Python package whose tests are run. */
  readonly name: string;
  /** Debian's packages that it is in. */
  readonly debian: readonly string[];
  /** What is there when it is installed. */
  readonly module: string;
  /** The list of tests that may be skipped. */
  readonly allowed: string;
  /** What a real Neutron does, where that is known. */
  readonly peer: string | undefined;
}

const there = (name: string): string => `/usr/lib/python3/dist-packages/${name}/__init__.py`;
const beside = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

export const tempestSuite: Suite = {
  name: "tempest.api.network",
  debian: ["python3-tempest", "tempest"],
  module: there("tempest"),
  allowed: beside("allowed.json"),
  peer: "248 passed, 0 failed, 16 skipped of 264",
};

export const neutronSuite: Suite = {
  name: "neutron_tempest_plugin.api",
  debian: ["neutron-tempest-plugin"],
  module: there("neutron_tempest_plugin"),
  allowed: beside("allowed-neutron.json"),
  peer: undefined,
};
