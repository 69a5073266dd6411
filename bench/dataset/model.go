package dataset

import (
	"database/sql"
	"iter"
	"math/rand/v2"
)

// Kind says what a backfill of path_json must make of a row.
type Kind uint8

const (
	Unfilled  Kind = iota // path_json is NULL or empty: the work
	Colliding             // unfilled, and its new value breaks the UNIQUE index
	Filled                // path_json is there already
	Trace                 // a TRACE: unfilled, and stays so
	NoPacket              // raw_hex is NULL or empty: nothing to fill from
)

// Row is one observation.
type Row struct {
	ID           int64
	Transmission int64
	Observer     int
	Direction    string
	SNR, RSSI    float64
	Score        int
	Timestamp    int64
	RawHex       sql.NullString
	PathJSON     sql.NullString // before the rewrite
	Want         sql.NullString // after it
	Kind         Kind
	Malformed    bool // not hex, of odd length, or cut off
}

// Model yields the rows that Generate writes for cfg, in the order of their ids.
func Model(cfg Config) iter.Seq[Row] {
	return func(yield func(Row) bool) {
		m := newModel(cfg)
		for i := range m.cfg.Rows {
			if !yield(m.row(i)) {
				return
			}
		}
	}
}

// model computes rows and transmissions from the seed. Observations are numbered
// by slot, transmission after transmission; Scattered deals the slots out to the
// ids at random.
type model struct {
	cfg       Config
	observers int
	colliding map[int]bool // transmissions with a colliding pair
	order     shuffle
	source    rand.PCG
	rng       *rand.Rand

	packet  Packet // of transmission sent, without hops
	payload [maxPayload]byte
	sent    int
	hops    [maxHopBytes]byte
	wire    []byte
	text    []byte
}

const (
	minPayload  = 22
	maxPayload  = 90
	maxHopBytes = 24 // so that no packet passes 120 bytes

	observers    = 240
	epoch        = 1_735_689_600 // the first observation, 2025-01-01
	secondsApart = 4
)

func newModel(cfg Config) *model {
	cfg = cfg.withDefaults()
	perTransmission := (cfg.Rows + cfg.Transmissions - 1) / cfg.Transmissions
	m := &model{
		cfg:       cfg,
		observers: max(observers, perTransmission),
		colliding: make(map[int]bool),
		order:     newShuffle(cfg.Rows, cfg.Seed),
		sent:      -1,
	}
	for c := range cfg.Collisions {
		m.colliding[(2*c+1)*cfg.Transmissions/(2*cfg.Collisions)] = true
	}
	m.rng = rand.New(&m.source)
	return m
}

// reseed makes the draws that follow depend on the seed, a stream and a number
// only, so that any row can be computed alone.
func (m *model) reseed(stream, n uint64) {
	key := mix(m.cfg.Seed ^ mix(stream))
	m.source.Seed(mix(key^n), mix(key+n))
}

func (m *model) slot(i int) int {
	if m.cfg.Shape == Scattered {
		return m.order.at(i)
	}
	return i
}

func (m *model) row(i int) Row {
	slot := m.slot(i)
	transmission := slot * m.cfg.Transmissions / m.cfg.Rows
	nth := slot - m.firstSlot(transmission)
	twin := nth == 1 && m.colliding[transmission]
	if twin { // hears the same packet on the same path as the row before it
		nth, slot = 0, slot-1
	}
	m.transmit(transmission)
	m.reseed(2, uint64(slot))
	row := Row{
		ID:           int64(i) + 1,
		Transmission: int64(transmission) + 1,
		Observer:     1 + (int(mix(uint64(transmission))%uint64(m.observers))+nth)%m.observers,
		Direction:    m.direction(),
		SNR:          float64(m.rng.IntN(120)-60) / 4,
		RSSI:         float64(-40 - m.rng.IntN(90)),
		Score:        m.rng.IntN(101),
		Timestamp:    epoch + int64(i)*secondsApart + int64(m.rng.IntN(secondsApart)),
	}
	m.hear(&row, m.packetHere(), m.colliding[transmission] && nth == 0, twin)
	return row
}

// firstSlot is the inverse of slot*Transmissions/Rows: the least slot of a
// transmission.
func (m *model) firstSlot(transmission int) int {
	return (transmission*m.cfg.Rows + m.cfg.Transmissions - 1) / m.cfg.Transmissions
}

func (m *model) direction() string {
	if m.rng.IntN(10) == 0 {
		return "tx"
	}
	return "rx"
}

// transmit draws the packet that all observers of a transmission hear, each at
// the end of another path.
func (m *model) transmit(transmission int) {
	if m.sent == transmission {
		return
	}
	m.sent = transmission
	m.reseed(1, uint64(transmission))
	m.packet = Packet{
		Route:    byte(1 + m.rng.IntN(2)),
		Type:     m.payloadType(transmission),
		HopBytes: m.hopBytes(),
		Payload:  m.payload[:m.payloadBytes()],
	}
	if m.rng.IntN(12) == 0 {
		m.packet.Route = byte(3 * m.rng.IntN(2))
		m.fill(m.packet.Transport[:])
	}
	m.fill(m.packet.Payload)
}

func (m *model) payloadType(transmission int) byte {
	if m.rng.IntN(50) == 0 && !m.colliding[transmission] {
		return typeTrace
	}
	return byte(m.rng.IntN(typeTrace))
}

// payloadBytes leans towards long payloads.
func (m *model) payloadBytes() int {
	const span = maxPayload - minPayload + 1
	return minPayload + max(m.rng.IntN(span), m.rng.IntN(span))
}

func (m *model) hopBytes() int {
	switch n := m.rng.IntN(100); {
	case n < 60:
		return 1
	case n < 85:
		return 2
	case n < 98:
		return 3
	default:
		return 4
	}
}

// packetHere is the packet as one observer hears it.
func (m *model) packetHere() Packet {
	p := m.packet
	hops := m.rng.IntN(9)
	if m.rng.IntN(20) == 0 {
		hops += 8
	}
	p.Hops = m.hops[:min(hops, maxHopBytes/p.HopBytes)*p.HopBytes]
	m.fill(p.Hops)
	return p
}

func (m *model) fill(b []byte) {
	for len(b) >= 8 {
		v := m.rng.Uint64()
		for i := range 8 {
			b[i] = byte(v >> (8 * i))
		}
		b = b[8:]
	}
	v := m.rng.Uint64()
	for i := range b {
		b[i] = byte(v >> (8 * i))
	}
}

// hear sets what the row stores of the packet, before and after. Of a colliding
// pair the first row has its path already and the twin has none yet.
func (m *model) hear(row *Row, p Packet, first, twin bool) {
	m.wire = p.Append(m.wire[:0])
	draw := m.rng.IntN(1000)
	switch {
	case twin:
		row.Kind = Colliding
	case first:
		row.Kind = Filled
	case p.Trace():
		row.Kind = Trace
	case draw < 10:
		row.Kind = NoPacket
		row.RawHex.Valid = draw < 5
		return
	case draw < 50:
		row.Kind = Filled
	case draw < 65:
		row.Malformed = true
		m.garble(row, p)
		return
	}
	row.RawHex = text(m.hex(m.wire))
	switch row.Kind {
	case Filled:
		row.PathJSON = text(p.PathJSON())
		row.Want = row.PathJSON
	case Unfilled:
		row.PathJSON.Valid = draw >= 970 // empty instead of NULL
		row.Want = text(p.PathJSON())
	}
}

// garble stores a packet that was damaged on its way.
func (m *model) garble(row *Row, p Packet) {
	switch m.rng.IntN(3) {
	case 0: // a character that is not hex
		damaged := m.hex(m.wire)
		damaged[m.rng.IntN(len(damaged))] = 'X'
		row.RawHex, row.Want = text(damaged), text("[]")
	case 1: // of odd length
		whole := m.hex(m.wire)
		row.RawHex, row.Want = text(whole[:len(whole)-1]), text("[]")
	default: // cut off, so that some or all hops are missing
		kept := 1 + m.rng.IntN(p.header()+len(p.Hops))
		row.RawHex = text(m.hex(m.wire[:min(kept, len(m.wire))]))
		p.Hops = p.Hops[:max(0, min(kept-p.header(), len(p.Hops)))]
		row.Want = text(p.PathJSON())
	}
}

func (m *model) hex(b []byte) []byte {
	m.text = appendUpperHex(m.text[:0], b)
	return m.text
}

func text[T string | []byte](s T) sql.NullString {
	return sql.NullString{String: string(s), Valid: true}
}
