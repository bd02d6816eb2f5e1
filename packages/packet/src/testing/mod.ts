/** The testing face of `packet`: arbitrary packets for property tests, and captures that tcpdump reads. */

export { packets, specs } from "./arbitraries.ts";
export { dnsMessages } from "./dns.ts";
export { pcap, tcpdump } from "./pcap.ts";
