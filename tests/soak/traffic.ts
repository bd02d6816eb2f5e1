/** What machines say in a soak: what their kernels and programs make of it, and raw frames of every kind that a machine could think of, most of them nearly right. */

import type { Guest, Program } from "../support/guests.ts";

/**
 * Frames drawn by a seed, 20 every 0.1 s: of ARP, neighbour discovery, IPv4 and IPv6 with ICMP, UDP, TCP, SCTP and protocols of nobody's, whole and in fragments, to
 * machines, to all, to some, to gateways and to nobody, tagged and not, cut short, from its own addresses and from others'.
 */
const JUNK = `
  use strict; use Socket qw(inet_pton AF_INET AF_INET6); $| = 1;
  my ($device, $tags, $seed, $mac, $ip4, $ip6, @others) = @ARGV;
  my @tags = map { $_ eq "-" ? "" : pack("n n", 0x8100, $_) } split /,/, $tags;
  srand($seed);
  socket(my $socket, 17, 3, 0) or die "socket: $!";
  my $asked = pack("a16 x24", $device);
  ioctl($socket, 0x8933, $asked) or die "no $device: $!";
  my $address = pack("S n i S C C x8", 17, 3, unpack("x16 i", $asked), 0, 0, 0);
  my @peers = map { [split /,/] } @others, "ff:ff:ff:ff:ff:ff,255.255.255.255,ff02::1", "33:33:00:00:00:16,224.0.0.22,ff02::16",
    "01:00:5e:01:01:01,239.1.1.1,ff0e::101", "02:00:00:00:00:99,198.51.100.9,2001:db8::99";
  sub any { return $_[rand @_]; }
  sub noise { return join "", map { chr(rand 256) } 1 .. $_[0]; }
  sub four { return inet_pton(AF_INET, $_[0]) // "\\0" x 4; }
  sub six { return inet_pton(AF_INET6, $_[0]) // "\\0" x 16; }
  sub mac { return pack("H12", $_[0] =~ tr/://dr); }
  sub sum { my $s = unpack("%32n*", $_[0] . (length($_[0]) % 2 ? "\\0" : "")); $s = ($s >> 16) + ($s & 0xffff) for 1..2; return ~$s & 0xffff; }
  sub upper {
    my ($pseudo, $v6) = @_;
    my $ports = pack("n n", any(22, 53, 68, 80, 1024 + rand 60000), any(22, 53, 67, 80, 443, 546, 547, rand 65536));
    my $kind = int rand 6;
    my ($protocol, $body, $at);
    if ($kind == 0) { ($protocol, $body, $at) = (17, $ports . pack("n n", 8 + 20, 0) . noise(20), 6); }
    elsif ($kind == 1) { ($protocol, $body, $at) = (6, $ports . pack("N N n n n n", rand 2**32, rand 2**32, 0x5000 | any(2, 16, 18, 17, 4, 0, 41), 1000, 0, 0), 16); }
    elsif ($kind == 2) { ($protocol, $body, $at) = ($v6 ? 58 : 1, pack("C C n n n", $v6 ? any(128, 129, 1, 2, 3, 130 .. 137, 143) : any(8, 0, 3, 11, 13), int rand 3, 0, rand 100, 1) . noise(any(0, 16, 24, 40)), 2); }
    elsif ($kind == 3) { ($protocol, $body, $at) = (132, $ports . noise(20), -1); }
    else { ($protocol, $body, $at) = (int(rand 256), noise(rand 60), -1); }
    substr($body, $at, 2) = pack("n", sum($pseudo->($protocol, length $body) . $body)) if $at >= 0 && length $body >= $at + 2 && rand() < 0.9;
    return ($protocol, $body);
  }
  my $sent = 0;
  while (1) {
    for (1 .. 20) {
      my $peer = any(@peers);
      my ($tomac, $to4, $to6) = @$peer;
      my ($from4, $from6) = rand() < 0.95 ? ($ip4, $ip6) : ("198.51.100.1", "2001:db8::1");
      my $smac = rand() < 0.97 ? $mac : "02:00:00:00:00:98";
      my $kind = int rand 10;
      my ($type, $body);
      if ($kind == 0) { ($type, $body) = (0x0806, pack("n n C C n", 1, 0x0800, 6, 4, any(1, 1, 2, 3)) . mac($smac) . four($from4) . mac($tomac) . four($to4)); }
      elsif ($kind < 5) {
        my ($s, $d) = (four($from4), four($to4));
        my ($protocol, $more) = upper(sub { $s . $d . pack("n n", @_) }, 0);
        my $fragment = rand() < 0.1 ? any(0x2000, 0x2001, 0x0001, 185) : 0;
        my $head = pack("C C n n n C C n", 0x45, any(0, 0, 3), 20 + length $more, rand 65536, $fragment, any(64, 64, 1, 2, 0), $protocol, 0) . $s . $d;
        substr($head, 10, 2) = pack("n", sum($head)) if rand() < 0.95;
        ($type, $body) = (0x0800, $head . $more);
      } elsif ($kind < 9) {
        my ($s, $d) = (six($from6), six($to6));
        my ($protocol, $more) = upper(sub { $s . $d . pack("N N", reverse @_) }, 1);
        if (rand() < 0.1) { $more = pack("C C n N", $protocol, 0, any(1, 0, 8, 185 * 8 | 1), rand 2**32) . $more; $protocol = 44; }
        elsif (rand() < 0.05) { $more = pack("C C", $protocol, 0) . "\\1\\4\\0\\0\\0\\0" . $more; $protocol = any(0, 60); }
        ($type, $body) = (0x86dd, pack("N n C C", 0x60000000, length $more, $protocol, any(64, 64, 255, 1, 0)) . $s . $d . $more);
      } else { ($type, $body) = (any(0x8847, 0x88cc, 0x8035, rand 65536), noise(50)); }
      my $tag = rand() < 0.03 ? pack("n n", 0x8100, rand 4096) : any(@tags);
      my $frame = mac($tomac) . mac($smac) . $tag . pack("n", $type) . $body;
      $frame = substr($frame, 0, 14 + rand(length($frame) - 14)) if rand() < 0.05;
      send($socket, $frame, 0, $address);
    }
    $sent += 20;
    print "sent $sent\\n" if $sent % 100 == 0;
    select(undef, undef, undef, 0.1);
  }
`;

/** What a sender's interface is called, and the VLANs that it says things on; "": none. */
export interface Speaking {
  readonly device: string;
  readonly tags: readonly string[];
}

/** A program that says such things to these machines, and says how much it has sent. */
export const junk = (
  seed: number,
  from: Pick<Guest, "mac" | "ip4" | "ip6">,
  others: readonly Pick<Guest, "mac" | "ip4" | "ip6">[],
  { device, tags }: Speaking = { device: "eth0", tags: [""] },
): readonly string[] => [
  ...["perl", "-e", JUNK, device, tags.map((tag) => tag || "-").join(), String(seed), from.mac, from.ip4, from.ip6],
  ...others.map(({ mac, ip4, ip6 }) => `${mac},${ip4},${ip6}`),
];

/** How much such programs have sent, as they say it. */
export function sentBy(programs: readonly Program[]): number {
  return programs.reduce((sum, { said }) => sum + Number(/sent (\d+)\n(?![\s\S]*sent )/.exec(said)?.[1] ?? 0), 0);
}
