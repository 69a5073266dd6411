package dataset

// typeTrace is the payload type whose packets hold signal levels where others
// hold hops.
const typeTrace = 9

// Packet is one mesh packet before it is written as hex. Its fields are masked to
// the bits they have on the wire.
type Packet struct {
	Route     byte    // 2 bits; 0 and 3 carry Transport
	Type      byte    // 4 bits; 9 is TRACE
	Version   byte    // 2 bits
	Transport [4]byte // transport codes, sent only by routes 0 and 3
	HopBytes  int     // bytes of one hop, 1 to 4
	Hops      []byte  // HopBytes bytes a hop, at most 63 hops
	Payload   []byte
}

// HasTransport reports whether the packet carries transport codes.
func (p Packet) HasTransport() bool { return p.Route&3 == 0 || p.Route&3 == 3 }

// Trace reports whether the packet is a TRACE, which has no path.
func (p Packet) Trace() bool { return p.Type&15 == typeTrace }

// Append appends the packet as it is sent.
func (p Packet) Append(dst []byte) []byte {
	dst = append(dst, p.Route&3|p.Type&15<<2|p.Version<<6)
	if p.HasTransport() {
		dst = append(dst, p.Transport[:]...)
	}
	dst = append(dst, byte(p.HopBytes-1)<<6|byte(len(p.Hops)/p.HopBytes))
	dst = append(dst, p.Hops...)
	return append(dst, p.Payload...)
}

// header is the number of bytes before the first hop.
func (p Packet) header() int {
	if p.HasTransport() {
		return 6
	}
	return 2
}

// Hex is the packet as upper-case hex text.
func (p Packet) Hex() string { return string(appendUpperHex(nil, p.Append(nil))) }

// PathJSON is the path a decoder must find: a JSON array of upper-case hops, "[]"
// when there are none. It means nothing for a TRACE.
func (p Packet) PathJSON() string {
	if len(p.Hops) < p.HopBytes {
		return "[]"
	}
	out := make([]byte, 0, 1+len(p.Hops)/p.HopBytes*(2*p.HopBytes+3))
	separator := byte('[')
	for hops := p.Hops; len(hops) >= p.HopBytes; hops = hops[p.HopBytes:] {
		out = append(out, separator, '"')
		out = appendUpperHex(out, hops[:p.HopBytes])
		out = append(out, '"')
		separator = ','
	}
	return string(append(out, ']'))
}

func appendUpperHex(dst, src []byte) []byte {
	const digits = "0123456789ABCDEF"
	for _, b := range src {
		dst = append(dst, digits[b>>4], digits[b&15])
	}
	return dst
}
