/** Switches that are told a little wrong: each fault changes how rows become flows in one way, and the comparison must notice each. */
import { type RenderedFlow, Renderer } from "@selvage/datapath/testing";
import { type Program, type Row, selvageProgram } from "@selvage/pipeline";

type Ports = Parameters<Renderer["flows"]>[1];
type Bucket = NonNullable<ReturnType<Renderer["bucket"]>>;
type RenderedClause = ReturnType<Renderer["clauses"]>[number];
export type Action = RenderedFlow["actions"][number];

/** What is done to flows and buckets as they come from the right renderer; what is left out stays as it is. */
export interface Fault {
  readonly name: string;
  /** What draws scenarios that meet it soon; unless told, what draws for all. Others meet it too, later. */
  readonly seed?: number;
  /** What a row is taken for. */
  readonly row?: (row: Row) => Row;
  /** The flows of a row, or of the program's misses where there is none. */
  readonly flows?: (flows: readonly RenderedFlow[], row: Row | null) => readonly RenderedFlow[];
  readonly bucket?: (bucket: Bucket, row: Row) => Bucket;
  /** Clauses of a rule, of one row. */
  readonly clauses?: (clauses: readonly RenderedClause[], row: Row) => readonly RenderedClause[];
}

export class FaultyRenderer extends Renderer {
  readonly #fault: Fault;

  constructor(fault: Fault, program: Program = selvageProgram) {
    super(program);
    this.#fault = fault;
  }

  override flows(row: Row, ports: Ports): readonly RenderedFlow[] {
    const flows = super.flows(this.#fault.row?.(row) ?? row, ports);
    return this.#fault.flows?.(flows, row) ?? flows;
  }

  override bucket(row: Row, ports: Ports): Bucket | undefined {
    const bucket = super.bucket(row, ports);
    return bucket && (this.#fault.bucket?.(bucket, row) ?? bucket);
  }

  override clauses(row: Row): readonly RenderedClause[] {
    const clauses = super.clauses(row);
    return this.#fault.clauses?.(clauses, row) ?? clauses;
  }

  override misses(): readonly RenderedFlow[] {
    const misses = super.misses();
    // The first look at a program comes before there is a fault.
    return #fault in this ? (this.#fault.flows?.(misses, null) ?? misses) : misses;
  }
}

export const sets = (action: Action, field: string): boolean =>
  (action.kind === "setField" && action.set.field === field) ||
  (action.kind === "copyField" && action.destination.field === field);

export const withActions = (flow: RenderedFlow, change: (action: Action) => readonly Action[]): RenderedFlow => ({
  ...flow,
  actions: flow.actions.flatMap(change),
});

export const faults: readonly Fault[] = [
  {
    name: "an announcement is taken for a question: the rank of rows about own addresses is lost",
    flows: (flows, row) =>
      row?.table === "arp" && row.rank === "own" ? flows.map((flow) => ({ ...flow, priority: 50 })) : flows,
  },
  {
    name: "a mask is taken for a value",
    flows: (flows, row) =>
      row?.table === "carriage" && row.rank === "group"
        ? flows.map((flow) => ({
            ...flow,
            match: flow.match.map((each) =>
              each.field === "eth_dst" ? { field: each.field, value: each.value } : each,
            ),
          }))
        : flows,
  },
  {
    name: "a drop bears another's reason",
    flows: (flows, row) =>
      row?.action === "foreignArp" ? flows.map((flow) => ({ ...flow, cookie: flow.cookie ^ (1n << 52n) })) : flows,
  },
  {
    name: "one of the forms that a match can take is forgotten",
    flows: (flows, row) => (row?.table === "nd" ? flows.slice(-1) : flows),
  },
  {
    name: "the sender's key is cut to 16 bits in a tunnel",
    flows: (flows, row) =>
      row?.table === "tunnel_out"
        ? flows.map((flow) =>
            withActions(flow, (action) =>
              action.kind === "copyField" && action.source.field === "reg0"
                ? [
                    {
                      ...action,
                      source: { ...action.source, bits: 16 },
                      destination: { ...action.destination, bits: 16 },
                    },
                  ]
                : [action],
            ),
          )
        : flows,
  },
  {
    name: "an answer is left without the MAC of who asked",
    flows: (flows) => flows.map((flow) => withActions(flow, (action) => (sets(action, "arp_tha") ? [] : [action]))),
  },
  {
    name: "a flooded copy does not know its host",
    bucket: (bucket, row) =>
      row.table === "flood_remote"
        ? { ...bucket, actions: bucket.actions.filter((action) => !sets(action, "reg6")) }
        : bucket,
  },
  {
    name: "whoever claims to be a host is believed",
    flows: (flows, row) =>
      (row?.table === "tunnel_source" && row.rank === "host") || row?.table === "tunnel_domain"
        ? flows.map((flow) => ({ ...flow, match: flow.match.filter(({ field }) => !field.startsWith("tun_")) }))
        : flows,
  },
];
