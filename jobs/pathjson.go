package jobs

import (
	"encoding/hex"
	"strings"

	"github.com/chunkfill/chunkfill/internal/rowfunc"
	"github.com/chunkfill/chunkfill/internal/sqlite"
)

// PathJSON is the worked example: it fills path_json of a table of MeshCore
// packets from raw_hex, the hex text of each packet. Rows that hold a path
// already, whose raw_hex is empty, or that are TRACE packets are left alone. "[]"
// means "done, no hops" and is not picked again.
func PathJSON(name, table string) Update {
	return Update{
		Name:    name,
		Table:   table,
		Set:     []Assign{{Column: "path_json", Expr: "chunkfill_path_json(" + rowfunc.Arguments([]string{"raw_hex"}) + ")"}},
		Where:   pathTodo,
		Todo:    pathTodo,
		Version: "1",
	}
}

// pathTodo spells out what a TRACE packet looks like as text: bits 2 to 5 of the
// first byte are 9, in hex text that is whole, which is what unhex takes.
const pathTodo = `(path_json IS NULL OR path_json = '') AND raw_hex <> ''
	AND NOT (raw_hex GLOB '[26AEae][4-7]*' AND unhex(raw_hex) IS NOT NULL)`

func init() {
	sqlite.Register(sqlite.Function{
		Name: "chunkfill_path_json", Args: 1, Deterministic: true, WholeTexts: true,
		Call: func(args []sqlite.Value) (sqlite.Value, error) {
			switch raw := args[0].(type) {
			case string:
				path, _ := DecodePath(raw)
				return path, nil
			case nil:
				return nil, nil
			}
			return "[]", nil // a number or a blob is no hex text
		},
	})
}

// A MeshCore packet: a header byte (bits 0-1 route type, 2-5 payload type, 6-7
// version), four bytes of transport codes for route types 0 and 3, a path byte
// (top two bits + 1: bytes a hop; low six bits: hops), then the hops.
const (
	payloadTrace   = 9
	transportCodes = 4
)

// DecodePath returns the path of a packet as a JSON array of upper-case hex
// strings, such as ["7D1D","DA2A"], and whether the packet is a TRACE, which holds
// signal levels in that place. Hops cut off by the end of the packet are left out.
// What is not hex, too short or without hops gives "[]".
func DecodePath(rawHex string) (path string, trace bool) {
	var buf [256]byte // packets are at most 255 bytes
	packet := buf[:]
	if len(rawHex) > 2*len(buf) {
		packet = make([]byte, len(rawHex)/2)
	}
	n, err := hex.Decode(packet, []byte(rawHex))
	if err != nil || n == 0 {
		return "[]", false
	}
	packet = packet[:n]
	if packet[0]>>2&0xf == payloadTrace {
		return "[]", true
	}
	return formatHops(hops(packet)), false
}

// hops returns the bytes of the whole hops, and how many make one.
func hops(packet []byte) (path []byte, size int) {
	start := 1
	if route := packet[0] & 3; route == 0 || route == 3 {
		start += transportCodes
	}
	if len(packet) <= start {
		return nil, 1
	}
	size = int(packet[start]>>6) + 1
	count := int(packet[start] & 0x3f)
	rest := packet[start+1:]
	return rest[:min(count, len(rest)/size)*size], size
}

func formatHops(path []byte, size int) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	b.Grow(2 + 2*len(path) + 3*len(path)/size)
	b.WriteByte('[')
	for i, octet := range path {
		switch {
		case i == 0:
			b.WriteByte('"')
		case i%size == 0:
			b.WriteString(`","`)
		}
		b.WriteByte(digits[octet>>4])
		b.WriteByte(digits[octet&0xf])
	}
	if len(path) > 0 {
		b.WriteByte('"')
	}
	b.WriteByte(']')
	return b.String()
}
