/** The compiler's face: all apps, the derivations that they make for one host, the host's engine, and what its rows are of. */
export type { App, Here } from "./app.ts";
export { apps, derivationsFor } from "./derivations.ts";
export { dhcp6Address, dhcp6Duid, dhcp6Mode, dhcpMac, dhcpServer } from "./dhcp.ts";
export { hostEngine, viewIndexes, viewResources } from "./host-engine.ts";
export { hostKey, hostTunnel, networkKey, networkOn } from "./intent.ts";
export { isOpen, routedIn, scopeOfSubnet, sentOn } from "./outside.ts";
export { elected, hostMac, hostOfMac, preferred } from "./physical.ts";
export { type IntentObject, intentOf } from "./provenance.ts";
export { advertisedSubnets } from "./router-advertisement.ts";
export { wireOn } from "./segments.ts";
