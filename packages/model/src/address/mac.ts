/** MAC addresses (EUI-48) as 48-bit numbers; text forms as netaddr, and so Neutron, accepts them. */
import { AddressError } from "./error.ts";
import { hexDigit } from "./ip.ts";

declare const macBrand: unique symbol;

/** A MAC address: an unsigned 48-bit number, which a JavaScript number holds exactly. */
export type Mac = number & { readonly [macBrand]: true };

const maxMac = 2 ** 48 - 1;

/** Brands a number of 0 to 2^48-1 as a MAC address. Throws AddressError. */
export function macFrom(value: number): Mac {
  if (!Number.isInteger(value) || value < 0 || value > maxMac)
    throw new AddressError("mac", String(value), "a MAC address is a whole number of 0 to 2^48-1");
  // The brand is given here and nowhere else, behind the check.
  return (value + 0) as Mac;
}

export const broadcastMac: Mac = macFrom(maxMac);

/** The strict form: six pairs of hexadecimal digits with colons, either case. Gives undefined for anything else. */
export function parseMac(text: string): Mac | undefined {
  if (text.length !== 17) return undefined;
  let value = 0;
  for (let at = 0; at < 17; at++) {
    const code = text.charCodeAt(at);
    if (at % 3 === 2) {
      if (code !== 58) return undefined;
      continue;
    }
    const digit = hexDigit(code);
    if (digit < 0) return undefined;
    value = value * 16 + digit;
  }
  return macFrom(value);
}

/** As {@link parseMac}. Throws AddressError. */
export function macOf(text: string): Mac {
  const mac = parseMac(text);
  if (mac === undefined) throw new AddressError("mac", text, "it is not six pairs of hexadecimal digits with colons");
  return mac;
}

/** Each accepted form: its pattern, and how many digits a group stands for. */
const forms: readonly (readonly [RegExp, number])[] = [
  [/^[0-9a-f]{1,2}(?::[0-9a-f]{1,2}){5}$/i, 2],
  [/^[0-9a-f]{1,2}(?:-[0-9a-f]{1,2}){5}$/i, 2],
  [/^[0-9a-f]{1,4}(?:([:.-])[0-9a-f]{1,4})(?:\1[0-9a-f]{1,4})$/i, 4],
  [/^[0-9a-f]{5,6}[:-][0-9a-f]{5,6}$/i, 6],
  [/^[0-9a-f]{11,12}$/i, 12],
];

/**
 * Any form that Neutron accepts: `fa:16:3e:0:1:2`, `FA-16-3E-00-01-02`, `fa16.3e00.0102` (also with `:` or `-`),
 * `fa163e-000102`, `fa163e000102`. Gives undefined for anything else.
 */
export function parseMacLoose(text: string): Mac | undefined {
  const strict = parseMac(text);
  if (strict !== undefined) return strict;
  const form = forms.find(([pattern]) => pattern.test(text));
  if (form === undefined) return undefined;
  const digits = text.split(/[:.-]/).map((group) => group.padStart(form[1], "0"));
  return macFrom(Number.parseInt(digits.join(""), 16));
}

/**
 * The canonical text of a MAC address in any form of {@link parseMacLoose}, or undefined where it is none. As in
 * Neutron (`INVALID_MAC_ADDRESSES`), all zeros and the broadcast address are refused: no interface can bear them.
 */
export function canonicalMac(text: string): string | undefined {
  const mac = parseMacLoose(text);
  return mac === undefined || mac === 0 || mac === maxMac ? undefined : textOfMac(mac);
}

/** Lower case with colons. */
export function textOfMac(mac: Mac): string {
  const hex = mac.toString(16).padStart(12, "0");
  return `${hex.slice(0, 2)}:${hex.slice(2, 4)}:${hex.slice(4, 6)}:${hex.slice(6, 8)}:${hex.slice(8, 10)}:${hex.slice(10)}`;
}

/** Six bytes in network order. */
export function bytesOfMac(mac: Mac): Uint8Array {
  const bytes = new Uint8Array(6);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, Math.floor(mac / 2 ** 32));
  view.setUint32(2, mac % 2 ** 32);
  return bytes;
}

/** A MAC address from six bytes in network order. Throws AddressError for another length. */
export function macOfBytes(bytes: Uint8Array): Mac {
  if (bytes.length !== 6)
    throw new AddressError("mac", Buffer.from(bytes).toString("hex"), "a MAC address has six bytes");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return macFrom(view.getUint16(0) * 2 ** 32 + view.getUint32(2));
}

/** Whether the group bit is set (IEEE 802: the lowest bit of the first byte); broadcast included. */
export function isMulticastMac(mac: Mac): boolean {
  return (Math.floor(mac / 2 ** 40) & 1) === 1;
}

/** Whether the local bit is set (IEEE 802: the second lowest bit of the first byte). */
export function isLocalMac(mac: Mac): boolean {
  return (Math.floor(mac / 2 ** 40) & 2) === 2;
}

/**
 * A random MAC address below a prefix, as Neutron's `base_mac`: takes one to five pairs (`fa:16:3e`; pairs of zeros
 * at the end, as in `fa:16:3e:00:00:00`, are part of what is random) and `below(n)`, a uniform whole number under n.
 * Throws AddressError for a prefix that is none or whose group bit is set.
 */
export function randomMac(prefix: string, below: (limit: number) => number): Mac {
  const pairs = /^[0-9a-f]{2}(?::[0-9a-f]{2}){0,5}$/i.test(prefix) ? prefix.split(":") : [];
  while (pairs.length > 3 && pairs.at(-1) === "00") pairs.pop();
  if (pairs.length === 0 || pairs.length > 5)
    throw new AddressError("mac", prefix, "a base is one to five pairs of hexadecimal digits with colons");
  const room = 2 ** (8 * (6 - pairs.length));
  const mac = macFrom(Number.parseInt(pairs.join(""), 16) * room + below(room));
  if (isMulticastMac(mac)) throw new AddressError("mac", prefix, "its group bit is set");
  return mac;
}
