/** What the Open vSwitch driver is told when it is made. */
import type { Clock, Log } from "@selvage/base";
import type { Address } from "@selvage/openflow";
import type { Program } from "@selvage/pipeline";
import type { Renderer } from "./render.ts";
import type { ZonePlan } from "./zones.ts";

export interface OvsDatapathOptions {
  /** Where the switch's database listens; the usual socket unless told. */
  readonly database?: string;
  /** The bridge that machines plug into. */
  readonly bridge?: string;
  /** Where the bridge listens; `<bridge>.mgmt` beside the database's socket unless told. */
  readonly openflow?: Address;
  /** This host's address on the underlay, IPv4 or IPv6; without it there are no tunnels. */
  readonly tunnelIp?: string;
  /** For a bridge that does not exist yet. */
  readonly datapathType?: string;
  /** Bridges that lead to physical networks: `public:br-public,dc2:br-dc2`; none unless told. */
  readonly bridgeMappings?: string;
  readonly program?: Program;
  /** Makes rows into flows; a test may want one that is wrong in some way. It brings its own program. */
  readonly renderer?: Renderer;
  readonly clock?: Clock;
  readonly log?: Log;
  /** Numbers for connection tracking; a test may want few. */
  readonly zones?: ZonePlan;
  /** For the waits between attempts to connect: 0 to 1. */
  readonly random?: () => number;
}
