/** Senders that no kernel's own stack would be: first segments of TCP connections, and first fragments of datagrams, as raw frames (packet(7)) and as many as are asked for. */

import type { Guest } from "./guests.ts";

/** Perl is part of every Debian (perl-base is essential); Node has no sockets of raw frames. What both senders begin with. */
const COMMON = `
  use strict; use Socket qw(inet_pton AF_INET AF_INET6); $| = 1;
  my ($smac, $dmac, $from, $to, @more) = @ARGV;
  my $six = $from =~ /:/;
  my ($src, $dst) = map { inet_pton($six ? AF_INET6 : AF_INET, $_) } $from, $to;
  my $eth = pack("H12 H12 n", (map { tr/://dr } $dmac, $smac), $six ? 0x86dd : 0x0800);
  socket(my $socket, 17, 3, 0) or die "socket: $!";
  my ($device) = qx(ip route get $to) =~ / dev (\\S+)/ or die "no way to $to";
  my ($index) = qx(ip -o link show dev $device) =~ /^(\\d+):/;
  my $address = pack("S n i S C C x8", 17, 3, $index, 0, 0, 0);
  sub sum { my $s = unpack("%32n*", $_[0]); $s = ($s >> 16) + ($s & 0xffff) for 1..2; return ~$s & 0xffff; }
  sub out {
    my ($protocol, $body, $id, $flags) = @_;
    my $head = $six
      ? pack("N n C C", 0x60000000, length $body, $protocol, 64) . $src . $dst
      : pack("C C n n n C C n", 0x45, 0, 20 + length $body, $id, $flags, 64, $protocol, 0) . $src . $dst;
    substr($head, 10, 2) = pack("n", sum($head)) unless $six;
    defined(send($socket, $eth . $head . $body, 0, $address)) or die "send: $!";
  }
`;

/** From each of `count` ports one SYN to a port, again and again; says each round. */
const SYNS = `${COMMON}
  my ($port, $count) = @more;
  for (my $round = 1; ; $round++) {
    for my $n (0 .. $count - 1) {
      my $tcp = pack("n n N N n n n n", 1024 + $n, $port, 1, 0, 0x5002, 65535, 0, 0);
      my $pseudo = $six ? $src . $dst . pack("N N", 20, 6) : $src . $dst . pack("n n", 6, 20);
      substr($tcp, 16, 2) = pack("n", sum($pseudo . $tcp));
      out(6, $tcp, 0, 0);
      select(undef, undef, undef, 0.02) if $n % 200 == 199;
    }
    print "round $round\\n";
  }
`;

/** The first fragment of one datagram after the other, 100 every 0.02 s at most; says every thousand. */
const FRAGMENTS = `${COMMON}
  for (my $n = 1; ; $n++) {
    my $udp = pack("n n n n", 5000, 9, 4008, 0) . "f" x 1352;
    if ($six) { out(44, pack("C C n N", 17, 0, 1, $n) . $udp, 0, 0); } else { out(17, $udp, $n & 0xffff, 0x2000); }
    select(undef, undef, undef, 0.02) if $n % 100 == 99;
    print "sent $n\\n" if $n % 1000 == 0;
  }
`;

type End = Pick<Guest, "mac" | "ip4" | "ip6">;
type Ends = readonly [from: End, to: End, family: "ip4" | "ip6"];
const ends = ([from, to, family]: Ends): readonly string[] => [from.mac, to.mac, from[family], to[family]];

/** A program that opens so many connections to a port of another machine on its network, from its ports 1024 on, and says `round N` after each. */
export const synFlood = (port: number, count: number, ...all: Ends): readonly string[] => [
  ...["perl", "-e", SYNS],
  ...ends(all),
  ...[port, count].map(String),
];

/** A program that sends fragments of datagrams that never end to another machine on its network, and says `sent N`. */
export const fragmentFlood = (...all: Ends): readonly string[] => ["perl", "-e", FRAGMENTS, ...ends(all)];
