/** Whom BGP speakers tell (Networking v2.0, `/v2.0/bgp-peers`; extension `bgp`). Admin only. */
import { fail } from "@selvage/base";
import { BgpPeer, BgpSpeaker } from "@selvage/model";
import { isAdmin } from "../api/policy.ts";
import { ownerOf, type ResourceRules } from "./rules.ts";

/** Signatures are made with at most so many octets (RFC 2385; Linux, TCP_MD5SIG_MAXKEYLEN). */
const longestSecret = 80;
/** What a line of a routing program's configuration can hold of it. */
const isPlain = (secret: string): boolean => /^[\x21-\x7e]+$/.test(secret);

function checkedSecret(secret: string): string {
  if (isPlain(secret) && secret.length <= longestSecret) return secret;
  throw fail("AttributeInvalid", {
    attribute: "password",
    reason: `it must be 1 to ${longestSecret} printable ASCII characters without spaces`,
  });
}

export const bgpPeerRules: ResourceRules<typeof BgpPeer> = {
  resource: BgpPeer,
  path: "bgp-peers",
  notFound: (id) => fail("BgpPeerNotFound", { id }),
  policy: { get: isAdmin, create: isAdmin, update: isAdmin, delete: isAdmin, attributes: {} },
  target: (_view, object) => ({ projectId: String(object.project_id) }),
  computed: {},
  create: (writing, values) => {
    const { password, auth_type } = values;
    const isSigned = auth_type === "md5";
    if (isSigned && (typeof password !== "string" || password === "")) throw fail("InvalidBgpPeerMd5Authentication");
    return writing.transaction.put(BgpPeer, {
      id: writing.transaction.newId(),
      project_id: ownerOf(writing, values),
      name: String(values.name),
      peer_ip: String(values.peer_ip),
      remote_as: Number(values.remote_as),
      auth_type: isSigned ? "md5" : "none",
      signing_key: isSigned ? checkedSecret(String(password)) : null,
    });
  },
  update: ({ transaction }, before, { password, name }) => {
    if (typeof password === "string" && before.auth_type === "none")
      throw fail("BgpPeerNotAuthenticated", { bgp_peer_id: before.id });
    return transaction.put(BgpPeer, {
      ...before,
      name: String(name ?? before.name),
      signing_key: typeof password === "string" ? checkedSecret(password) : before.signing_key,
    });
  },
  /** Whoever told it tells it no more. */
  remove: ({ transaction }, peer, precondition) => {
    precondition();
    for (const speaker of transaction.view.by(BgpSpeaker.index.peers, peer.id))
      transaction.put(BgpSpeaker, { ...speaker, peers: speaker.peers.filter((id) => id !== peer.id) });
    transaction.remove(BgpPeer, peer.id);
  },
};
